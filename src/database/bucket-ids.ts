/**
 * Which documents are in a bucket of the hash tree, so that no comparison reads through the database.
 *
 * An id comes in with the delta of the batch that brought its document (hash-tree.ts). Once {@link waitingMax} ids wait in
 * deltas, a batch gathers them into records of 32 buckets each, and begins anew:
 *
 *     delta 7   … a, b     delta 8   … c          wait, and are in memory as the bytes they are
 *     stretch 0   record 5   a, x · record 8   b  gathered: read where somebody compares
 *
 * A put for each id cost a new document a third of what its hash tree cost. Ids of documents that went stay until a
 * compaction, so whoever reads here asks if the document is there.
 */

import { bucketCount } from '../replication/hash-buckets.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { earlierBucketId, keyKinds } from '../store/keys.ts';
import type { Entry, Operation, Store } from '../store/store.ts';

export interface PlacedId {
  readonly bucket: number;
  readonly id: string;
}

/** Ids as {@link encodePlacedIds} wrote them, many of them: an object for each would cost more than all else about it. */
export interface EncodedIds {
  readonly bytes: Uint8Array;
  readonly count: number;
}

interface BucketIdsContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
}

/** Opening reads as many, and gathering them holds the writes up for as long. */
export const waitingMax = 32_768;
/** Buckets of one record. */
const stretchBuckets = 32;
const stretchCount = bucketCount / stretchBuckets;
/** Smaller code units are ASCII, smaller lengths one byte. */
const ascii = 0x80;

const decoder = new TextDecoder();

export class BucketIds {
  readonly #context: BucketIdsContext;
  #waiting: EncodedIds[] = [];
  #waitingCount = 0;

  /** @param waiting those that the deltas name */
  constructor(context: BucketIdsContext, waiting: readonly EncodedIds[]) {
    this.#context = context;
    for (const ids of waiting) this.#wait(ids);
  }

  /** Not gathered yet, as the deltas have them. */
  get waiting(): readonly EncodedIds[] {
    return this.#waiting;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Ids of one bucket, in their order; some may be of documents that are gone. */
  async of(bucket: number): Promise<string[]> {
    const { keys, store } = this.#context;
    const first = bucket - (bucket % stretchBuckets);
    const scan = store.scan(keys.bucketIdsOf(first, stretchBuckets));
    const ids = new Set<string>();
    for (const { bytes } of this.#waiting)
      for (const { id } of decodePlacedIds(bytes, 0, bucket)) ids.add(id);
    for await (const entries of scan) {
      for (const entry of entries) for (const { id } of placedIn(entry, bucket)) ids.add(id);
    }
    return [...ids].sort();
  }

  /** Told what a turn has made durable. */
  adopt(came: EncodedIds, areGathered: boolean): void {
    if (!areGathered) return this.#wait(came);
    this.#waiting = [];
    this.#waitingCount = 0;
  }

  #wait(ids: EncodedIds): void {
    if (ids.count === 0) return;
    this.#waiting.push(ids);
    this.#waitingCount += ids.count;
  }
}

/** Writes ids into records of their own. @param number that no record has yet, or has for the same stretch */
export function gather(
  ids: readonly EncodedIds[],
  { keys, number }: { readonly keys: DatabaseKeys; readonly number: number },
  operations: Operation[],
): void {
  const lengths = new Uint32Array(stretchCount);
  for (const { bytes } of ids) {
    for (let at = 0, end = 0; at < bytes.length; at = end) {
      end = endOfPlaced(bytes, at);
      lengths[stretchAt(bytes, at)]! += end - at;
    }
  }
  const records = Array.from(lengths, (length) => (length === 0 ? undefined : Buffer.allocUnsafe(length)));
  const filled = new Uint32Array(stretchCount);
  for (const { bytes } of ids) {
    for (let at = 0, end = 0; at < bytes.length; at = end) {
      end = endOfPlaced(bytes, at);
      const stretch = stretchAt(bytes, at);
      records[stretch]!.set(bytes.subarray(at, end), filled[stretch]);
      filled[stretch]! += end - at;
    }
  }
  for (const [stretch, value] of records.entries()) {
    if (value === undefined) continue;
    operations.push({ kind: 'put', key: keys.bucketIds(stretch * stretchBuckets, number), value });
  }
}

function stretchAt(bytes: Uint8Array, at: number): number {
  return Math.floor(bucketAt(bytes, at) / stretchBuckets);
}

function bucketAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** What there is of one stretch. */
interface StretchRecords {
  readonly keys: readonly Uint8Array[];
  readonly ids: readonly PlacedId[];
}

/** All records of ids, stretch by stretch. */
export async function* stretchesIn({ keys, store }: BucketIdsContext): AsyncGenerator<StretchRecords> {
  let [first, found, ids]: [number, Uint8Array[], PlacedId[]] = [0, [], []];
  for await (const entries of store.scan(keys.range(keyKinds.bucketIds))) {
    for (const entry of entries) {
      for (const placed of placedIn(entry)) {
        if (placed.bucket >= first + stretchBuckets) {
          if (found.length > 0) yield { keys: found, ids };
          [first, found, ids] = [placed.bucket - (placed.bucket % stretchBuckets), [], []];
        }
        ids.push(placed);
        if (found.at(-1) !== entry.key) found.push(entry.key);
      }
    }
  }
  if (found.length > 0) yield { keys: found, ids };
}

/** Makes the records of a stretch one, without repetition, if that leaves out ids of documents that are gone. */
export function tidied(
  { ids, keys: found }: StretchRecords,
  keys: DatabaseKeys,
  isThere: (id: string) => boolean,
): Operation[] {
  const there = new Map(ids.filter(({ id }) => isThere(id)).map((placed) => [placed.id, placed]));
  if (there.size === ids.length) return [];
  const operations: Operation[] = found.map((key) => ({ kind: 'delete', key }));
  // Whatever had this number is among those found: a batch that gathers has one that was never used.
  const kept = [...there.values()];
  gather([{ bytes: encodePlacedIds(kept, 0), count: kept.length }], { keys, number: 0 }, operations);
  return operations;
}

/** `room` bytes, then for each id: u16 bucket · length of the id in groups of seven bits, low first · id */
export function encodePlacedIds(ids: readonly PlacedId[], room: number): Buffer {
  let bytesMax = room;
  for (const { id } of ids) bytesMax += 6 + 3 * id.length;
  const bytes = Buffer.allocUnsafe(bytesMax);
  let at = room;
  for (const { bucket, id } of ids) {
    bytes[at] = bucket >>> 8;
    bytes[at + 1] = bucket;
    at = writeAscii(bytes, at + 2, id) ?? writeText(bytes, at + 2, id);
  }
  return bytes.subarray(0, at);
}

/** Most ids are short and ASCII: a loop is faster than to ask for their bytes. Undefined: this one is not. */
function writeAscii(bytes: Uint8Array, start: number, id: string): number | undefined {
  if (id.length >= ascii) return undefined;
  bytes[start] = id.length;
  for (let index = 0; index < id.length; index += 1) {
    const unit = id.charCodeAt(index);
    if (unit >= ascii) return undefined;
    bytes[start + 1 + index] = unit;
  }
  return start + 1 + id.length;
}

function writeText(bytes: Buffer, start: number, id: string): number {
  let at = start;
  let rest = Buffer.byteLength(id);
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at + bytes.write(id, at);
}

/** What {@link encodePlacedIds} wrote from `start` on; of one bucket only if that is given. */
export function decodePlacedIds(bytes: Uint8Array, start: number, wanted?: number): PlacedId[] {
  const ids: PlacedId[] = [];
  for (let at = start, end = 0; at < bytes.length; at = end) {
    const bucket = bucketAt(bytes, at);
    const { idStart, idEnd } = placeOfId(bytes, at);
    end = idEnd;
    if (wanted === undefined || bucket === wanted)
      ids.push({ bucket, id: decoder.decode(bytes.subarray(idStart, idEnd)) });
  }
  return ids;
}

/** The ids from `start` on, as they are. */
export function encodedIds(bytes: Uint8Array, start: number): EncodedIds {
  let count = 0;
  for (let at = start; at < bytes.length; at = endOfPlaced(bytes, at)) count += 1;
  return { bytes: bytes.subarray(start), count };
}

function endOfPlaced(bytes: Uint8Array, at: number): number {
  const length = bytes[at + 2]!;
  return length < ascii ? at + 3 + length : placeOfId(bytes, at).idEnd;
}

function placeOfId(bytes: Uint8Array, start: number): { readonly idStart: number; readonly idEnd: number } {
  let at = start + 2;
  let [length, shift] = [0, 0];
  for (; bytes[at]! >= 0x80; at++, shift += 7) length |= (bytes[at]! & 0x7f) << shift;
  length |= bytes[at]! << shift;
  return { idStart: at + 1, idEnd: at + 1 + length };
}

function placedIn({ key, value }: Entry, wanted?: number): readonly PlacedId[] {
  const earlier = earlierBucketId(key);
  if (earlier === undefined) return decodePlacedIds(value, 0, wanted);
  return wanted === undefined || earlier.bucket === wanted ? [earlier] : [];
}
