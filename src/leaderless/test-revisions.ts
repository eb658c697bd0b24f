/** Short revisions for tests: `held('2-b', '1-a')` is a leaf 2-b made from 1-a. */

import { digestOf, generationOf, type Revision } from '../document/revision.ts';
import { digestOfLeaves } from '../replication/hash-buckets.ts';
import { digest128 } from '../runtime/digest.ts';
import type { HeldRevision } from './held-revisions.ts';

/** Newest first. */
export function held(...path: readonly string[]): HeldRevision {
  const revisions = path as readonly Revision[];
  const start = generationOf(revisions[0]!);
  return { revision: revisions[0]!, deleted: false, path: { start, ids: revisions.map(digestOf) } };
}

/** A replica's answer with everything. */
export function full(from: string, ...leaves: readonly HeldRevision[]) {
  return { kind: 'full' as const, from, digest: digestOfHeld(leaves), held: leaves };
}

export function digestOfHeld(leaves: readonly HeldRevision[]): string | undefined {
  if (leaves.length === 0) return undefined;
  const revisions = leaves.map((leaf) => leaf.revision);
  return digestOfLeaves(revisions, digest128);
}
