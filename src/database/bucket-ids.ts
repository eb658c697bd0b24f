/**
 * Which documents are in a bucket of the hash tree, so that no comparison reads through the database.
 *
 * An id comes in with the delta of the batch that brought its document (hash-tree.ts). Once {@link waitingMax} ids wait in
 * deltas, a batch gathers them into records of 32 buckets each, and begins anew:
 *
 *     delta 7   … a, b     delta 8   … c          wait, and are in memory
 *     stretch 0   record 5   a, x · record 8   b  gathered: read where somebody compares
 *
 * A put for each id cost a new document a third of what its hash tree cost. Ids of documents that went stay until a
 * compaction, so whoever reads here asks if the document is there.
 */

import type { DatabaseKeys } from '../store/keys.ts';
import { earlierBucketId, keyKinds } from '../store/keys.ts';
import type { Entry, Operation, Store } from '../store/store.ts';

export interface PlacedId {
  readonly bucket: number;
  readonly id: string;
}

interface BucketIdsContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
}

/** Opening reads as many, and gathering them holds the writes up for as long. */
export const waitingMax = 32_768;
/** Buckets of one record. */
const stretchBuckets = 32;

const decoder = new TextDecoder();

export class BucketIds {
  readonly #context: BucketIdsContext;
  #waiting: PlacedId[];

  /** @param waiting those that the deltas name */
  constructor(context: BucketIdsContext, waiting: PlacedId[]) {
    this.#context = context;
    this.#waiting = waiting;
  }

  /** Not gathered yet. */
  get waiting(): readonly PlacedId[] {
    return this.#waiting;
  }

  /** Ids of one bucket, in their order; some may be of documents that are gone. */
  async of(bucket: number): Promise<string[]> {
    const { keys, store } = this.#context;
    const first = bucket - (bucket % stretchBuckets);
    const scan = store.scan(keys.bucketIdsOf(first, stretchBuckets));
    const ids = new Set<string>();
    for (const placed of this.#waiting) if (placed.bucket === bucket) ids.add(placed.id);
    for await (const entries of scan) {
      for (const entry of entries) for (const { id } of placedIn(entry, bucket)) ids.add(id);
    }
    return [...ids].sort();
  }

  /** Told what a turn has made durable. */
  adopt(came: readonly PlacedId[], areGathered: boolean): void {
    if (areGathered) this.#waiting = [];
    else for (const placed of came) this.#waiting.push(placed);
  }
}

/** Writes ids into records of their own. @param number that no record has yet, or has for the same stretch */
export function gather(
  ids: readonly PlacedId[],
  { keys, number }: { readonly keys: DatabaseKeys; readonly number: number },
  operations: Operation[],
): void {
  const sorted = ids.toSorted((one, other) => one.bucket - other.bucket);
  for (let at = 0; at < sorted.length; ) {
    const first = sorted[at]!.bucket - (sorted[at]!.bucket % stretchBuckets);
    let end = at + 1;
    while (end < sorted.length && sorted[end]!.bucket < first + stretchBuckets) end += 1;
    const value = encodePlacedIds(sorted.slice(at, end), 0);
    operations.push({ kind: 'put', key: keys.bucketIds(first, number), value });
    at = end;
  }
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
  gather([...there.values()], { keys, number: 0 }, operations);
  return operations;
}

/** `room` bytes, then for each id: u16 bucket · length of the id in groups of seven bits, low first · id */
export function encodePlacedIds(ids: readonly PlacedId[], room: number): Buffer {
  let bytesMax = room;
  for (const { id } of ids) bytesMax += 6 + Buffer.byteLength(id);
  const bytes = Buffer.allocUnsafe(bytesMax);
  let at = room;
  for (const { bucket, id } of ids) {
    bytes[at] = bucket >>> 8;
    bytes[at + 1] = bucket;
    at += 2;
    let rest = Buffer.byteLength(id);
    for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
    bytes[at++] = rest;
    at += bytes.write(id, at);
  }
  return bytes.subarray(0, at);
}

/** What {@link encodePlacedIds} wrote from `start` on; of one bucket only if that is given. */
export function decodePlacedIds(bytes: Uint8Array, start: number, wanted?: number): PlacedId[] {
  const ids: PlacedId[] = [];
  for (let at = start; at < bytes.length; ) {
    const bucket = (bytes[at]! << 8) | bytes[at + 1]!;
    at += 2;
    let [length, shift] = [0, 0];
    for (; bytes[at]! >= 0x80; at++, shift += 7) length |= (bytes[at]! & 0x7f) << shift;
    length |= bytes[at]! << shift;
    at += 1;
    if (wanted === undefined || bucket === wanted)
      ids.push({ bucket, id: decoder.decode(bytes.subarray(at, at + length)) });
    at += length;
  }
  return ids;
}

function placedIn({ key, value }: Entry, wanted?: number): readonly PlacedId[] {
  const earlier = earlierBucketId(key);
  if (earlier === undefined) return decodePlacedIds(value, 0, wanted);
  return wanted === undefined || earlier.bucket === wanted ? [earlier] : [];
}
