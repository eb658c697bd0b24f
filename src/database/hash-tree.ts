/**
 * The hash tree over a leaderless database's documents: what two replicas compare to find out where they differ.
 *
 * A bucket's sum is a record of its own, and every batch that changes documents writes the sums it changes: the tree on
 * disk is always that of the documents beside it, and opening a database reads nothing of it. The sums are remembered
 * once read or written; the levels above are computed from them when somebody compares. What a bucket holds is told by
 * an index, written when a document comes or goes, so that no comparison reads through the database.
 *
 * Memory: 1 MB for a database that is written to or compared.
 */

import type { Digest, Revision } from '../document/revision.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import { failure } from '../errors.ts';
import {
  bucketCount,
  bucketOf,
  contributionOf,
  fanOut,
  idDigestOf,
  Sums,
  sumsAbove,
} from '../replication/hash-buckets.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { graveIdDigestOf, hashEntryIdOf, hashSumBucketOf, keyKinds } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
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
  | { readonly kind: 'grave'; readonly idDigest: string; readonly leaves: readonly Revision[] };

interface Remembered {
  readonly sums: Sums;
  readonly isKnown: Uint8Array;
}

export class HashTree {
  readonly #context: HashTreeContext;
  #remembered: Remembered | undefined;
  #completion: Promise<void> | undefined;
  /** Levels 0 to 3, as long as no bucket has changed since. */
  #above: readonly Sums[] | undefined;

  constructor(context: HashTreeContext) {
    this.#context = context;
  }

  /**
   * Nodes of one level as 32 hex digits: level 0 is the root, 4 the buckets, and the children of node `i` are the nodes
   * `16 i` to `16 i + 15` one level below. @throws TercetError `bad_request` for a node that there is not
   */
  async sums(level: number, indexes: readonly number[]): Promise<string[]> {
    const known = level >= 0 && level <= 4 && Number.isInteger(level);
    const isNode = (index: number) => Number.isInteger(index) && index >= 0 && index < fanOut ** level;
    if (!known || !indexes.every(isNode)) throw failure('bad_request', 'The hash tree has no such node.');
    this.#completion ??= this.#complete().catch((cause: unknown) => {
      this.#completion = undefined;
      throw cause;
    });
    await this.#completion;
    const sums = this.#levels()[level]!;
    return indexes.map((index) => sums.hex(index));
  }

  /** What is in a bucket now. Documents in the order of their ids, then graves in that of their digests. */
  async entries(bucket: number): Promise<BucketEntry[]> {
    const { keys, store } = this.#context;
    const entries: BucketEntry[] = [];
    for await (const part of store.scan(keys.hashEntriesOf(bucket), { keysOnly: true })) {
      for (const { key } of part) {
        const id = hashEntryIdOf(key);
        const head = store.get(keys.ofText(keyKinds.head, id));
        if (head === undefined) continue;
        entries.push({ kind: 'document', id, leaves: this.#treeLeavesOf(id, head) });
      }
    }
    for await (const part of store.scan(keys.gravesOf(bucket))) {
      for (const { key, value } of part)
        entries.push({ kind: 'grave', idDigest: graveIdDigestOf(key), leaves: decodeGrave(value) });
    }
    return entries;
  }

  /** The id of a document that is here, from its digest. */
  async idOf(idDigest: string): Promise<string | undefined> {
    const { digest, keys, store } = this.#context;
    for await (const part of store.scan(keys.hashEntriesOf(bucketOf(idDigest)), { keysOnly: true })) {
      for (const { key } of part) {
        const id = hashEntryIdOf(key);
        if (idDigestOf(id, digest) === idDigest) return id;
      }
    }
    return undefined;
  }

  /** With derived tombstones: whoever lacks the merge learns by them which branches it ended. */
  #treeLeavesOf(id: string, record: Uint8Array): readonly Revision[] {
    const { graph } = decodeHead(id, record);
    return treeLeaves(graph, this.#context.digest).map((leaf) => leaf.revision);
  }

  /** A copy of a bucket's committed sum, for a turn to change. */
  committedSum(bucket: number): Sums {
    const { sums, isKnown } = this.#memory();
    if (isKnown[bucket] === 0)
      this.#take(bucket, this.#context.store.get(this.#context.keys.hashSum(bucket)));
    const copy = new Sums(1);
    copy.addSum(0, sums, bucket);
    return copy;
  }

  /** Told what a turn has made durable. */
  adopt(changed: ReadonlyMap<number, Sums>): void {
    if (changed.size > 0) this.#above = undefined;
    for (const [bucket, sum] of changed) this.#take(bucket, sum.bytes(0));
  }

  /** Reads the sums that are not known yet. One that is committed meanwhile is known by then, and newer than the scan. */
  async #complete(): Promise<void> {
    const { keys, store } = this.#context;
    const { isKnown } = this.#memory();
    for await (const entries of store.scan(keys.range(keyKinds.hashSum))) {
      for (const { key, value } of entries) {
        const bucket = hashSumBucketOf(key);
        if (isKnown[bucket] === 0) this.#take(bucket, value);
      }
    }
    isKnown.fill(1);
  }

  #take(bucket: number, bytes: Uint8Array | undefined): void {
    const { sums, isKnown } = this.#memory();
    if (bytes !== undefined) sums.set(bucket, bytes);
    isKnown[bucket] = 1;
  }

  #memory(): Remembered {
    this.#remembered ??= { sums: new Sums(bucketCount), isKnown: new Uint8Array(bucketCount) };
    return this.#remembered;
  }

  #levels(): readonly Sums[] {
    const { sums } = this.#memory();
    if (this.#above === undefined) {
      const above: Sums[] = [];
      let below = sums;
      for (let count = bucketCount; count > 1; count /= fanOut) {
        below = sumsAbove(below, count);
        above.unshift(below);
      }
      this.#above = above;
    }
    return [...this.#above, sums];
  }
}

/** The sums that one turn changes. */
export class TurnSums {
  readonly #tree: HashTree;
  readonly #digest: Digest;
  readonly #changed = new Map<number, Sums>();

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
    const bucket = bucketOf(idDigest);
    let sum = this.#changed.get(bucket);
    if (sum === undefined) {
      sum = this.#tree.committedSum(bucket);
      this.#changed.set(bucket, sum);
    }
    if (before !== undefined) sum.subtract(0, contributionOf(idDigest, before, this.#digest));
    if (now !== undefined) sum.add(0, contributionOf(idDigest, now, this.#digest));
  }

  /** Adds what the batch must write; gives the sums that {@link HashTree.adopt} is told of once it is durable. */
  finish(keys: DatabaseKeys, operations: Operation[]): ReadonlyMap<number, Sums> {
    for (const [bucket, sum] of this.#changed) {
      const key = keys.hashSum(bucket);
      operations.push(sum.isZero(0) ? { kind: 'delete', key } : { kind: 'put', key, value: sum.bytes(0) });
    }
    return this.#changed;
  }
}

export function leavesOf(document: {
  readonly graph: { readonly leaves: readonly { readonly revision: Revision }[] };
}) {
  return document.graph.leaves.map((leaf) => leaf.revision);
}
