/**
 * What two replicas tell each other of a bucket in which they differ, and what follows from it.
 *
 * First only marks are told, 64 bits of each document's contribution, so what is equal in the bucket costs eight bytes.
 * Of the rest ids and leaves are compared:
 *
 *     ours    a: 2-x          b: 3-y   c: grave of 4-d
 *     theirs  a: 2-x  2-z     b: 4-w   c: 3-c          d: 1-q
 *     fetch   a 2-z, b 4-w, c 3-c, d 1-q               c is judged when it arrives (replication/graves.ts)
 *     send    b 3-y, unless 4-w was made from it       known once it is fetched: fetch first, then send
 *     bury    c: they are told of the grave
 */

import type { Digest, Revision } from '../document/revision.ts';
import type { Grave } from '../replication/graves.ts';
import { contributionOf, idDigestOf } from '../replication/hash-buckets.ts';

/** What adds to a bucket's sum: documents, with their leaves as CouchDB's clients see them, and graves. */
export type BucketEntry =
  | { readonly kind: 'document'; readonly id: string; readonly leaves: readonly Revision[] }
  | ({ readonly kind: 'grave' } & Grave);

/** Revisions of one document. */
export interface NamedRevisions {
  readonly id: string;
  readonly revisions: readonly Revision[];
}

export interface BucketDifferences {
  /** What they have and we may lack. */
  readonly fetch: readonly NamedRevisions[];
  /** What we have and they may lack; what was dug up or is superseded by what was fetched is not sent any more. */
  readonly send: readonly NamedRevisions[];
  /** Graves of theirs that differ: they are joined with ours, and what is left of the document here is judged. */
  readonly dig: readonly Grave[];
  /** Graves of ours that differ. */
  readonly bury: readonly Grave[];
}

/** 16 hex digits. */
export function markOf(entry: BucketEntry, digest: Digest): string {
  const idDigest = entry.kind === 'grave' ? entry.idDigest : idDigestOf(entry.id, digest);
  return contributionOf(idDigest, entry.leaves, digest).slice(0, 16);
}

/** Those of our entries that `marks` does not name, and those of `marks` that we have not. */
export function unmatched(
  entries: readonly BucketEntry[],
  marks: readonly string[],
  digest: Digest,
): { readonly entries: readonly BucketEntry[]; readonly lacking: readonly string[] } {
  const theirs = new Set(marks);
  const ours = entries.map((entry) => markOf(entry, digest));
  const known = new Set(ours);
  return {
    entries: entries.filter((_, index) => !theirs.has(ours[index]!)),
    lacking: marks.filter((mark) => !known.has(mark)),
  };
}

/** `ours` are the entries they lack, `theirs` those that we lack, both of the same buckets. */
export function differencesOf(
  ours: readonly BucketEntry[],
  theirs: readonly BucketEntry[],
): BucketDifferences {
  const ourLeaves = leavesById(ours);
  const theirLeaves = leavesById(theirs);
  return {
    fetch: beyond(theirLeaves, ourLeaves),
    send: beyond(ourLeaves, theirLeaves),
    dig: gravesOf(theirs),
    bury: gravesOf(ours),
  };
}

function leavesById(entries: readonly BucketEntry[]): ReadonlyMap<string, readonly Revision[]> {
  return new Map(
    entries.flatMap((entry) => (entry.kind === 'document' ? [[entry.id, entry.leaves] as const] : [])),
  );
}

function gravesOf(entries: readonly BucketEntry[]): readonly Grave[] {
  return entries.flatMap((entry) => (entry.kind === 'grave' ? [entry] : []));
}

/** What `some` has of each document that `others` has not. */
function beyond(
  some: ReadonlyMap<string, readonly Revision[]>,
  others: ReadonlyMap<string, readonly Revision[]>,
): readonly NamedRevisions[] {
  return [...some].flatMap(([id, leaves]) => {
    const known = new Set(others.get(id));
    const revisions = leaves.filter((leaf) => !known.has(leaf));
    return revisions.length === 0 ? [] : [{ id, revisions }];
  });
}
