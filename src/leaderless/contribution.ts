/**
 * What one replica holds of one document, in 128 bits: two replicas whose contributions are equal hold the same leaves.
 *
 * It is a digest of the id and of the leaves as CouchDB's clients see them, so a merge counts alike whether it came with
 * all of its parents or as a tree. Digest reads compare it, and the hash tree adds it up.
 */

import type { Digest, Revision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { treeLeaves } from '../document/tree-projection.ts';

const encoder = new TextEncoder();

/** 32 lowercase hex digits; undefined for a document of which nothing is known. */
export function contributionOf(id: string, graph: RevisionGraph, digest: Digest): string | undefined {
  if (graph.nodes.length === 0) return undefined;
  const leaves = treeLeaves(graph, digest).map((leaf) => leaf.revision);
  return contributionOfLeaves(id, leaves, digest);
}

/** As {@link contributionOf}, from the leaves of the tree in any order. */
export function contributionOfLeaves(id: string, leaves: readonly Revision[], digest: Digest): string {
  const sorted = leaves.length < 2 ? leaves : leaves.toSorted();
  // A revision contains no line break, so the last lines are the leaves whatever the id is.
  return digest(encoder.encode(`${id}\n${sorted.join('\n')}\n${sorted.length}`));
}
