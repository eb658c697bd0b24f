/**
 * The graph as CouchDB's clients see it. They know trees only, so a merge has one parent there:
 *
 *     graph:  A ── B ── D        tree:  A ── B ── D
 *              └── C ──┘                 └── C ── tombstone
 *
 * D stays under its first parent. The branch of every other parent is shown ended by a derived tombstone, or C would
 * be a conflict there for ever. The tombstone is not stored: its id follows from C alone, so every node shows the same.
 *
 * Its digest starts with sixteen zeros, which no real digest does but by an accident of 1 in 2^64. So it is told apart
 * without looking at the graph, and loses to every leaf of its generation: the tree's winner is always the graph's.
 * Where it arrives at a node that has not heard of D yet, it is an ordinary tombstone there, which is as true.
 */

import { type Digest, generationOf, type Revision, revisionOf } from './revision.ts';
import type { RevisionGraph } from './revision-graph.ts';
import { compareLeaves } from './winner.ts';

export interface TreeLeaf {
  readonly revision: Revision;
  readonly deleted: boolean;
  /** The merged parent whose branch this derived tombstone ends: its tree parent. */
  readonly derivedFrom?: Revision;
}

const derivedPrefix = '0'.repeat(16);
const encoder = new TextEncoder();

/** The tombstone that ends the branch of a merged parent. */
export function derivedTombstone(parent: Revision, digest: Digest): Revision {
  const tail = digest(encoder.encode(`merged\n${parent}`)).slice(0, 32 - derivedPrefix.length);
  return revisionOf(generationOf(parent) + 1, derivedPrefix + tail);
}

/** Whether a revision is written as derived tombstones are, wherever it came from. */
export function hasDerivedForm(revision: Revision): boolean {
  return revision.startsWith(derivedPrefix, revision.indexOf('-') + 1);
}

/** Leaves of the tree, best first. */
export function treeLeaves(graph: RevisionGraph, digest: Digest): readonly TreeLeaf[] {
  const merged = mergedParents(graph);
  if (merged.size === 0) return graph.leaves;
  for (const node of graph.nodes) merged.delete(node.parents[0]!);
  const leaves: TreeLeaf[] = [...graph.leaves];
  const shown = new Set(leaves.map((leaf) => leaf.revision));
  for (const parent of merged) {
    const revision = derivedTombstone(parent, digest);
    if (!shown.has(revision)) leaves.push({ revision, deleted: true, derivedFrom: parent });
  }
  return leaves.sort(compareLeaves);
}

/** True when the revision is the derived tombstone of a parent that was merged in this graph. */
export function isDerivedTombstone(graph: RevisionGraph, revision: Revision, digest: Digest): boolean {
  return mergedParentOf(graph, revision, digest) !== undefined;
}

/** The parent whose branch this derived tombstone ends; undefined when the graph derives no such tombstone. */
export function mergedParentOf(
  graph: RevisionGraph,
  revision: Revision,
  digest: Digest,
): Revision | undefined {
  if (!hasDerivedForm(revision)) return undefined;
  for (const parent of mergedParents(graph)) {
    if (derivedTombstone(parent, digest) === revision) return parent;
  }
  return undefined;
}

/** Every revision that some node names as parent other than its first. */
function mergedParents(graph: RevisionGraph): Set<Revision> {
  const merged = new Set<Revision>();
  for (const { parents } of graph.nodes) {
    for (let i = 1; i < parents.length; i++) merged.add(parents[i]!);
  }
  return merged;
}
