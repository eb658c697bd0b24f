/**
 * Was every acknowledged write where its policy promised, when the client was told and at the end?
 *
 * When told: on the leader's disk (`async`), on the disks of enough followers besides (`semi-sync`), on those of all
 * voters (`sync`). At the end, when all nodes are back and agree: a `semi-sync` or `sync` write is in the one order of
 * writes. An `async` write is there too, or kept as a branch that was recovered from the leader which alone had it; it may
 * not be gone.
 */

import type { AppliedWrite, ClientRecord, Violation } from '../history.ts';

export interface DurabilityInput {
  readonly records: readonly ClientRecord[];
  /** The one order of writes, as all nodes have it at the end. */
  readonly applied: readonly AppliedWrite[];
  /** Values that came back as branches from a deposed leader's disk. */
  readonly recovered: ReadonlySet<number>;
}

export function checkDurability({ records, applied, recovered }: DurabilityInput): Violation[] {
  const kept = new Set(applied.map((write) => write.value));
  return records.flatMap((record) => {
    if (record.kind !== 'write' || record.result.kind !== 'acknowledged') return [];
    const { at, durableOn, term, leader, index } = record.result;
    const name = `${record.ack.kind} write ${record.value} of ${record.document} (term ${term}, leader ${leader}, index ${index})`;
    const violations: Violation[] = [];
    if (durableOn.length < record.ack.disksMin) {
      const disks = durableOn.length === 0 ? 'no disk' : `the disk of ${durableOn.join(', ')} only`;
      const message = `${name} was acknowledged while on ${disks}, not on ${record.ack.disksMin}`;
      violations.push({ checker: 'durability', message, at });
    }
    const survived = kept.has(record.value) || (record.ack.kind === 'async' && recovered.has(record.value));
    if (!survived)
      violations.push({ checker: 'durability', message: `${name} was acknowledged and is gone`, at });
    return violations;
  });
}
