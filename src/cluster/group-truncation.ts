/**
 * When the log's beginning may go: once every member has it, and some more is kept.
 *
 *     members have    n1 900   n2 880   n3 (away) 120   → through 120, less what is kept
 *
 * Only the leader knows how far everybody is, so it says so. A member that is away keeps the log long, up to a limit:
 * whoever comes back later than that, or with a new disk, fetches a state (state-transfer-target.ts).
 */

import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { Raft } from '../single-leader/state.ts';

const indexBytes = 6;

export interface LogLimits {
  readonly logEntriesKept: number;
  readonly logEntriesMax: number;
}

/** Undefined: it is not worth it, or this is not the leader. */
export function truncatableThrough(
  raft: Raft,
  appliedIndex: number,
  { logEntriesKept, logEntriesMax }: LogLimits,
): number | undefined {
  if (raft.role.kind !== 'leader') return undefined;
  const matches = [...raft.role.progress.values()].map(({ match }) => match);
  const everywhere = Math.min(appliedIndex, ...matches);
  const through = Math.max(everywhere - logEntriesKept, appliedIndex - logEntriesMax);
  return through - raft.log.start.index < logEntriesKept ? undefined : through;
}

export function encodeThrough(index: number): Uint8Array {
  return new ByteWriter(indexBytes).u48(index).written();
}

/** @throws GarbageError */
export function decodeThrough(bytes: Uint8Array): number {
  if (bytes.length !== indexBytes) throw new GarbageError('not an index');
  return new ByteReader(bytes).u48();
}
