/**
 * When the log's beginning may go: once every member has it, and some more is kept.
 *
 *     members have    n1 900   n2 880   n3 (away) 120   → through 120, less what is kept
 *
 * Only the leader knows how far everybody is, so it says so. A member that is away keeps the log long, up to a limit:
 * whoever comes back later than that, or with a new disk, fetches a state (state-transfer-target.ts). The log is in memory,
 * and entries are of any size, so both what is kept and the limit are counted in entries and in bytes: whichever is less.
 */

import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { Entry } from '../single-leader/entry.ts';
import type { Log } from '../single-leader/log.ts';
import type { Raft } from '../single-leader/state.ts';

const indexBytes = 6;

export interface LogLimits {
  readonly logEntriesKept: number;
  readonly logEntriesMax: number;
  readonly logBytesKept: number;
  readonly logBytesMax: number;
}

/** Undefined: it is not worth it, or this is not the leader. */
export function truncatableThrough(
  raft: Raft,
  appliedIndex: number,
  { logBytesKept, logBytesMax, logEntriesKept, logEntriesMax }: LogLimits,
  meter: LogMeter,
): number | undefined {
  if (raft.role.kind !== 'leader') return undefined;
  meter.measure(raft.role, raft.log);
  const matches = [...raft.role.progress.values()].map(({ match }) => match);
  const everywhere = Math.min(appliedIndex, ...matches);
  const start = raft.log.start.index;
  const through = Math.max(
    beforeTail(meter, start, everywhere, { entries: logEntriesKept, bytes: logBytesKept }),
    beforeTail(meter, start, appliedIndex, { entries: logEntriesMax, bytes: logBytesMax }),
  );
  if (through <= start) return undefined;
  const isWorthIt = through - start >= logEntriesKept || meter.bytesBetween(start, through) >= logBytesKept;
  return isWorthIt ? through : undefined;
}

/**
 * How large the entries of a leader's log are, added up as it grows: a log is looked at several times a second and may be
 * long, so where its tail begins is found by halving.
 */
export class LogMeter {
  /** Each leadership is an object of its own; within one the log only grows at its end and shrinks at its start. */
  #leadership: object | undefined;
  #first = 0;
  /** Bytes of the entries after `#first` through each index. */
  #sums: number[] = [0];

  measure(leadership: object, { entries, start }: Log): void {
    const passed = start.index - this.#first;
    if (leadership !== this.#leadership || passed >= this.#sums.length) {
      this.#leadership = leadership;
      this.#first = start.index;
      this.#sums = [0];
    } else if (passed > this.#sums.length / 2) {
      this.#sums = this.#sums.slice(passed);
      this.#first = start.index;
    }
    const measured = this.#first + this.#sums.length - 1 - start.index;
    for (let at = measured; at < entries.length; at += 1) {
      this.#sums.push((this.#sums.at(-1) ?? 0) + entryBytes(entries[at]));
    }
  }

  /** Of the entries after one index through another; both are in the log or where it begins. */
  bytesBetween(after: number, through: number): number {
    return (this.#sums[through - this.#first] ?? 0) - (this.#sums[after - this.#first] ?? 0);
  }
}

/** The index after which the entries through `index` are no more than so many, and no more bytes. */
function beforeTail(
  meter: LogMeter,
  start: number,
  index: number,
  tail: { readonly entries: number; readonly bytes: number },
): number {
  let low = Math.max(Math.min(start, index), index - tail.entries);
  let high = index;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (meter.bytesBetween(middle, index) <= tail.bytes) high = middle;
    else low = middle + 1;
  }
  return low;
}

function entryBytes(entry: Entry | undefined): number {
  return entry?.body.kind === 'data' ? entry.body.data.length : 0;
}

export function encodeThrough(index: number): Uint8Array {
  return new ByteWriter(indexBytes).u48(index).written();
}

/** @throws GarbageError */
export function decodeThrough(bytes: Uint8Array): number {
  if (bytes.length !== indexBytes) throw new GarbageError('not an index');
  return new ByteReader(bytes).u48();
}
