/**
 * Which leaf a document shows when nobody asks for a certain one. Every node and every CouchDB client must choose
 * alike without talking, so this order is the only one in Tercet that may choose.
 */

import { compareRevisions, type Revision } from './revision.ts';

interface Leaf {
  readonly revision: Revision;
  readonly deleted: boolean;
}

/** Orders leaves best first: not deleted, then highest generation, then highest digest. */
export function compareLeaves(a: Leaf, b: Leaf): number {
  if (a.deleted !== b.deleted) return a.deleted ? 1 : -1;
  return compareRevisions(b.revision, a.revision);
}
