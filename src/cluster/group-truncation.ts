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
): number | undefined {
  if (raft.role.kind !== 'leader') return undefined;
  const matches = [...raft.role.progress.values()].map(({ match }) => match);
  const everywhere = Math.min(appliedIndex, ...matches);
  const through = Math.max(
    beforeTail(raft.log, everywhere, { entries: logEntriesKept, bytes: logBytesKept }),
    beforeTail(raft.log, appliedIndex, { entries: logEntriesMax, bytes: logBytesMax }),
  );
  const { entries } = raft.log;
  const count = through - raft.log.start.index;
  if (count <= 0) return undefined;
  const isWorthIt = count >= logEntriesKept || bytesOf(entries, 0, count) >= logBytesKept;
  return isWorthIt ? through : undefined;
}

/** The index after which the entries through `index` are no more than so many, and no more bytes. */
function beforeTail(
  { entries, start }: Log,
  index: number,
  tail: { readonly entries: number; readonly bytes: number },
): number {
  let bytes = 0;
  let at = index - start.index;
  for (; at > 0 && index - start.index - at < tail.entries; at -= 1) {
    bytes += entryBytes(entries[at - 1]);
    if (bytes > tail.bytes) break;
  }
  return start.index + at;
}

function bytesOf(entries: readonly Entry[], from: number, to: number): number {
  let bytes = 0;
  for (let at = from; at < to; at += 1) bytes += entryBytes(entries[at]);
  return bytes;
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
