/**
 * The hash tree over a leaderless database's documents: what two replicas compare to find out where they differ.
 *
 * The sums of its buckets are in memory, 1 MB, and on disk beside the documents, because the batch that changes
 * documents writes the sums that it changes: all in one record, a delta, together with the ids that it brings. A put for
 * each would cost as much as the documents' own. From time to time a batch folds the deltas into parts of 256 buckets, so
 * that opening reads a part of the tree and few deltas, and none of the documents.
 *
 *     parts   0 … 255    │ delta 7   bucket 9, 513    │ delta 8   bucket 9       a sum in a delta stands for itself:
 *                        │           ids a, b         │                          the latest one counts
 *
 * The levels above are computed from the sums when somebody compares. What a bucket holds is told by bucket-ids.ts.
 */

import type { Digest, Revision } from '../document/revision.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import { failure } from '../errors.ts';
import { type Grave, graveOf } from '../replication/graves.ts';
import {
  bucketCount,
  bucketOf,
  contributionOf,
  fanOut,
  idDigestOf,
  Sums,
  sumBytes,
  sumsAbove,
} from '../replication/hash-buckets.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { graveIdDigestOf, keyKinds, numberOf } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import {
  BucketIds,
  type EncodedIds,
  encodedIds,
  encodePlacedIds,
  gather,
  type PlacedId,
  waitingMax,
} from './bucket-ids.ts';
import { decodeGrave } from './graves.ts';
import { decodeHead } from './records.ts';

export interface HashTreeContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
}

/** What contributes to a bucket's sum: see contributionOf. */
export type BucketEntry =
  /** Leaves as CouchDB's clients see them, best first. */
  | { readonly kind: 'document'; readonly id: string; readonly leaves: readonly Revision[] }
  /** A document that was forgotten with these leaves, all of them tombstones. It contributes what it did before. */
  | ({ readonly kind: 'grave' } & Grave);

/** Buckets of one part. */
const partBuckets = 256;
const deltaEntryBytes = 2 + sumBytes;
/** Of a delta, before its sums: how many they are. */
const countBytes = 4;
/** As many deltas are folded at most; opening reads them all. */
const deltasMax = 4_096;
/** Most turns change no more buckets. */
const placesFirst = 32;
const noSums = new Sums(0);
const noIds: EncodedIds = { bytes: new Uint8Array(0), count: 0 };

export class HashTree {
  readonly #context: HashTreeContext;
  readonly #sums: Sums;
  /** Parts that differ from their records. */
  readonly #stale: Set<number>;
  readonly #ids: BucketIds;
  /** Levels 0 to 3, as long as no bucket has changed since. */
  #above: readonly Sums[] | undefined;
  #earlierDeltas: readonly Uint8Array[];

  /** Use {@link openHashTree}. */
  constructor(context: HashTreeContext, { earlierDeltas, ids, stale, sums }: OpenedSums) {
    this.#context = context;
    this.#sums = sums;
    this.#stale = stale;
    this.#ids = new BucketIds(context, ids);
    this.#earlierDeltas = earlierDeltas;
  }

  /**
   * Nodes of one level as 32 hex digits: level 0 is the root, 4 the buckets, and the children of node `i` are the nodes
   * `16 i` to `16 i + 15` one level below. @throws TercetError `bad_request` for a node that there is not
   */
  sums(level: number, indexes: readonly number[]): string[] {
    const known = level >= 0 && level <= 4 && Number.isInteger(level);
    const isNode = (index: number) => Number.isInteger(index) && index >= 0 && index < fanOut ** level;
    if (!known || !indexes.every(isNode)) throw failure('bad_request', 'The hash tree has no such node.');
    const sums = this.#levels()[level]!;
    return indexes.map((index) => sums.hex(index));
  }

  /** What is in a bucket now. Documents in the order of their ids, then graves in that of their digests. */
  async entries(bucket: number): Promise<BucketEntry[]> {
    const { keys, store } = this.#context;
    const entries: BucketEntry[] = [];
    for (const id of await this.#ids.of(bucket)) {
      const head = store.get(keys.ofText(keyKinds.head, id));
      if (head !== undefined) entries.push({ kind: 'document', id, leaves: this.#treeLeavesOf(id, head) });
    }
    for await (const part of store.scan(keys.gravesOf(bucket))) {
      for (const { key, value } of part)
        entries.push({ kind: 'grave', ...graveOf(graveIdDigestOf(key), decodeGrave(value)) });
    }
    return entries;
  }

  /** The id of a document that is here, from its digest. */
  async idOf(idDigest: string): Promise<string | undefined> {
    const { digest, keys, store } = this.#context;
    const ids = await this.#ids.of(bucketOf(idDigest));
    const id = ids.find((each) => idDigestOf(each, digest) === idDigest);
    return id === undefined || store.get(keys.ofText(keyKinds.head, id)) === undefined ? undefined : id;
  }

  /** With derived tombstones: whoever lacks the merge learns by them which branches it ended. */
  #treeLeavesOf(id: string, record: Uint8Array): readonly Revision[] {
    const { graph } = decodeHead(id, record);
    return treeLeaves(graph, this.#context.digest).map((leaf) => leaf.revision);
  }

  /** For a turn: the sums as they are committed. */
  get committed(): Sums {
    return this.#sums;
  }

  /** For a turn: parts that differ from their records. */
  get stale(): ReadonlySet<number> {
    return this.#stale;
  }

  /** For a turn: ids that the deltas name. */
  get ids(): Pick<BucketIds, 'waiting' | 'waitingCount'> {
    return this.#ids;
  }

  /** For a turn: keys of deltas of earlier builds, which the next folding deletes. */
  get earlierDeltas(): readonly Uint8Array[] {
    return this.#earlierDeltas;
  }

  /** Told what a turn has made durable. */
  adopt({ areIdsGathered, came, isFolded, places, sums }: SumsChange): void {
    if (places.size === 0) return;
    this.#above = undefined;
    this.#ids.adopt(came, areIdsGathered);
    if (isFolded) {
      this.#stale.clear();
      this.#earlierDeltas = [];
    }
    for (const [bucket, place] of places) {
      this.#sums.copy(bucket, sums, place);
      if (!isFolded) this.#stale.add(partOf(bucket));
    }
  }

  #levels(): readonly Sums[] {
    if (this.#above === undefined) {
      const above: Sums[] = [];
      let below = this.#sums;
      for (let count = bucketCount; count > 1; count /= fanOut) {
        below = sumsAbove(below, count);
        above.unshift(below);
      }
      this.#above = above;
    }
    return [...this.#above, this.#sums];
  }
}

/** Reads the sums; none of the documents. */
export async function openHashTree(context: HashTreeContext): Promise<HashTree> {
  const { keys, store } = context;
  const sums = new Sums(bucketCount);
  const stale = new Set<number>();
  for await (const entries of store.scan(keys.range(keyKinds.hashPart))) {
    for (const { key, value } of entries) {
      const first = numberOf(key) * partBuckets;
      for (let index = 0; index < partBuckets; index++) sums.read(first + index, value, index * sumBytes);
    }
  }
  const readSums = (value: Uint8Array, start: number, end: number) => {
    for (let at = start; at < end; at += deltaEntryBytes) {
      const bucket = (value[at]! << 8) | value[at + 1]!;
      sums.read(bucket, value, at + 2);
      stale.add(partOf(bucket));
    }
  };
  const earlierDeltas: Uint8Array[] = [];
  for await (const entries of store.scan(keys.range(keyKinds.earlierHashDelta))) {
    for (const { key, value } of entries) {
      earlierDeltas.push(key);
      readSums(value, 0, value.length);
    }
  }
  const ids: EncodedIds[] = [];
  for await (const entries of store.scan(keys.range(keyKinds.hashDelta))) {
    for (const { value } of entries) {
      const count = new DataView(value.buffer, value.byteOffset).getUint32(0);
      const idsStart = countBytes + count * deltaEntryBytes;
      readSums(value, countBytes, idsStart);
      ids.push(encodedIds(value, idsStart));
    }
  }
  return new HashTree(context, { earlierDeltas, ids, stale, sums });
}

interface OpenedSums {
  readonly sums: Sums;
  /** Parts that differ from their records. */
  readonly stale: Set<number>;
  /** Named by deltas. */
  readonly ids: readonly EncodedIds[];
  /** Keys. */
  readonly earlierDeltas: readonly Uint8Array[];
}

/** What a turn does to the sums. */
export interface SumsChange {
  /** Bucket → where its new sum is in `sums`. */
  readonly places: ReadonlyMap<number, number>;
  readonly sums: Sums;
  /** All parts are as their records now. */
  readonly isFolded: boolean;
  /** Ids of documents that were not there. */
  readonly came: EncodedIds;
  /** No id waits in a delta now. */
  readonly areIdsGathered: boolean;
}

/** Numbers of the deltas that are not folded: from `first` up to but not including `next`. */
export interface Deltas {
  readonly first: number;
  readonly next: number;
}

/** The sums that one turn changes. */
export class TurnSums {
  readonly #tree: HashTree;
  readonly #digest: Digest;
  readonly #places = new Map<number, number>();
  readonly #came: PlacedId[] = [];
  /** Made when it is needed: most turns that are begun only look what a write would do. */
  #sums = noSums;
  #room = 0;

  constructor(tree: HashTree, digest: Digest) {
    this.#tree = tree;
    this.#digest = digest;
  }

  /** Takes the contribution of an id's old leaves out and puts that of the new ones in; undefined: there are none. */
  replace(
    idDigest: string,
    before: readonly Revision[] | undefined,
    now: readonly Revision[] | undefined,
  ): void {
    const place = this.#placeOf(bucketOf(idDigest));
    if (before !== undefined) this.#sums.subtract(place, contributionOf(idDigest, before, this.#digest));
    if (now !== undefined) this.#sums.add(place, contributionOf(idDigest, now, this.#digest));
  }

  /** A document comes that was not there; its leaves are told to {@link replace}. */
  come(idDigest: string, id: string): void {
    this.#came.push({ bucket: bucketOf(idDigest), id });
  }

  /** Adds what the batch must write; gives what {@link HashTree.adopt} is told of once it is durable. */
  finish(
    keys: DatabaseKeys,
    { first, next }: Deltas,
    operations: Operation[],
  ): { readonly change: SumsChange; readonly deltas: Deltas } {
    const [places, sums, count] = [this.#places, this.#sums, this.#came.length];
    if (places.size === 0) {
      const change = { places, sums, isFolded: false, came: noIds, areIdsGathered: false };
      return { change, deltas: { first, next } };
    }
    const sumsBytes = countBytes + places.size * deltaEntryBytes;
    const delta = encodePlacedIds(this.#came, sumsBytes);
    // A copy of its own: what the batch writes may share its memory with much else.
    const came = { bytes: new Uint8Array(delta.subarray(sumsBytes)), count };
    const key = keys.ofNumber(keyKinds.hashDelta, next);
    const { waiting, waitingCount } = this.#tree.ids;
    const areIdsGathered = waitingCount + count > waitingMax;
    if (next - first < deltasMax && !areIdsGathered) {
      this.#writeSums(delta);
      operations.push({ kind: 'put', key, value: delta });
      const change = { places, sums, isFolded: false, came, areIdsGathered };
      return { change, deltas: { first, next: next + 1 } };
    }
    this.#fold(keys, operations);
    for (let number = first; number < next; number++) {
      operations.push({ kind: 'delete', key: keys.ofNumber(keyKinds.hashDelta, number) });
    }
    for (const earlier of this.#tree.earlierDeltas) operations.push({ kind: 'delete', key: earlier });
    const ids = [...waiting, came];
    if (areIdsGathered) gather(ids, { keys, number: next }, operations);
    else {
      const none = new Uint8Array(countBytes);
      operations.push({ kind: 'put', key, value: Buffer.concat([none, ...ids.map(({ bytes }) => bytes)]) });
    }
    const deltas = { first: next, next: next + 1 };
    return { change: { places, sums, isFolded: true, came, areIdsGathered }, deltas };
  }

  #placeOf(bucket: number): number {
    const known = this.#places.get(bucket);
    if (known !== undefined) return known;
    const place = this.#places.size;
    if (place === this.#room) {
      const room = Math.max(placesFirst, this.#room * 4);
      const grown = new Sums(room);
      for (let index = 0; index < this.#room; index++) grown.copy(index, this.#sums, index);
      this.#sums = grown;
      this.#room = room;
    }
    this.#sums.copy(place, this.#tree.committed, bucket);
    this.#places.set(bucket, place);
    return place;
  }

  /** A delta: u32 number of sums · u16 bucket · sum, for each bucket · ids */
  #writeSums(delta: Buffer): void {
    delta.writeUInt32BE(this.#places.size);
    let at = countBytes;
    for (const [bucket, place] of this.#places) {
      delta[at] = bucket >>> 8;
      delta[at + 1] = bucket;
      this.#sums.write(place, delta, at + 2);
      at += deltaEntryBytes;
    }
  }

  #fold(keys: DatabaseKeys, operations: Operation[]): void {
    const parts = new Set(this.#tree.stale);
    for (const bucket of this.#places.keys()) parts.add(partOf(bucket));
    for (const part of parts) {
      const value = new Uint8Array(partBuckets * sumBytes);
      for (let index = 0; index < partBuckets; index++) {
        const bucket = part * partBuckets + index;
        const place = this.#places.get(bucket);
        if (place === undefined) this.#tree.committed.write(bucket, value, index * sumBytes);
        else this.#sums.write(place, value, index * sumBytes);
      }
      operations.push({ kind: 'put', key: keys.ofNumber(keyKinds.hashPart, part), value });
    }
  }
}

function partOf(bucket: number): number {
  return Math.floor(bucket / partBuckets);
}
