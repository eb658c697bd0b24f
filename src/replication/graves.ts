/**
 * What a replica believes of the dead. A document that was deleted everywhere is forgotten, and leaves a grave: a digest
 * of its id, and its revision graph without contents. The tombstones that it ended with keep the document's place in the
 * hash tree (hash-buckets.ts), so that replicas which forget at different times stay equal there; and the grave judges
 * what arrives later:
 *
 *     grave: 4-d from 3-c from 2-b
 *     arrives 3-c     the tombstone was made from it                                  known, nothing new
 *     arrives 3-x     alive, and not made from 4-d                                    quarantine
 *     arrives 5-e     made from 4-d: somebody wrote the document anew                 apply
 *     arrives 3-f     another tombstone: it is dead either way                        apply
 *
 * A replica forgets only what all others know to be deleted. So who brings something alive that was not made from the
 * tombstone was away for longer than anybody waited, and is asked, not believed.
 *
 * Ancestors are kept for whoever writes the document anew: the new revision is made from the tombstone, and takes the
 * way back along. Without it, what came before the tombstone would stand beside the new life as a sibling wherever
 * somebody still has it.
 */

import type { RevisionPath } from '../document/document.ts';
import { stem, withoutRevisions } from '../document/graph-trimming.ts';
import { compareRevisions, digestOf, generationOf, type Revision } from '../document/revision.ts';
import { graphOf, nodeOf, type RevisionGraph, type RevisionNode, union } from '../document/revision-graph.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';

export interface Grave {
  readonly idDigest: string;
  /** The tombstones it ended with. */
  readonly leaves: readonly Revision[];
  /** These and what they were made from, as {@link graveGraph} leaves it. */
  readonly graph: RevisionGraph;
}

/** A grave keeps so many revisions, or its tombstones where those are more: some 4 KB. */
export const graveRevisionsMax = 256;

/** What is left of the graph of a dead document: no contents, and of long ways back the nearest part. */
export function graveGraph(graph: RevisionGraph): RevisionGraph {
  const limit = Math.max(1, Math.floor(graveRevisionsMax / Math.max(1, graph.leaves.length)));
  const { leaves, nodes } = stem(graph, limit);
  return { nodes: nodes.map(withoutContent), leaves: leaves.map(withoutContent) };
}

export function graveOf(idDigest: string, graph: RevisionGraph): Grave {
  return { idDigest, leaves: graph.leaves.map(({ revision }) => revision), graph };
}

/** A grave of which only the tombstones are known. */
export function tombstonesGraph(tombstones: readonly Revision[]): RevisionGraph {
  const falling = tombstones.toSorted((a, b) => compareRevisions(b, a));
  return graphOf(falling.map((revision) => ({ revision, parents: [], deleted: true, stored: false })));
}

/** What two graves of one document say together. Gives `known` itself when the other adds nothing. */
export function mergedGrave(known: RevisionGraph, other: RevisionGraph): RevisionGraph {
  const joined = union(known, other);
  if (joined === known) return known;
  const merged = graveGraph(joined);
  return merged.nodes.length === known.nodes.length && union(known, merged) === known ? known : merged;
}

/** What judging needs to know of a revision. */
export interface JudgedRevision {
  readonly deleted: boolean;
  readonly path: RevisionPath;
  readonly parents?: readonly Revision[] | undefined;
}

/** What becomes of a revision that the grave does not know; `tombstones` are those it ended with. */
export function judgeArrival(
  arrival: JudgedRevision,
  tombstones: readonly Revision[],
): 'apply' | 'quarantine' {
  return arrival.deleted || isMadeFrom(arrival, tombstones) ? 'apply' : 'quarantine';
}

/**
 * Leaves of one document that replicas hold together, without those that graves of it say to be dead: all are believed as
 * soon as one that is alive was made from a tombstone.
 */
export function believedLeaves<Leaf extends JudgedRevision>(
  leaves: readonly Leaf[],
  tombstones: readonly Revision[],
): readonly Leaf[] {
  if (tombstones.length === 0) return leaves;
  const isAnew = leaves.some((leaf) => !leaf.deleted && isMadeFrom(leaf, tombstones));
  return isAnew ? leaves : leaves.filter((leaf) => leaf.deleted);
}

/** What becomes of a document here that another replica has buried. */
export type Burial =
  /** Something alive was made from a tombstone of the grave, or all is dead and known: it learns what it was made from. */
  | { readonly kind: 'keep'; readonly graph: RevisionGraph }
  /** What is alive goes to quarantine; none when all is dead, or is what the tombstones were made from. */
  | { readonly kind: 'bury'; readonly live: readonly RevisionNode[]; readonly grave: RevisionGraph };

export function burialOf(here: RevisionGraph, grave: RevisionGraph): Burial {
  const joined = union(here, grave);
  const live = joined.leaves.filter((leaf) => !leaf.deleted);
  const tombstones = new Set(grave.leaves.map(({ revision }) => revision));
  const isNews = grave.leaves.some(
    ({ revision }) => !hasDerivedForm(revision) && nodeOf(here, revision) === undefined,
  );
  const isYounger = live.some((leaf) => descendsFrom(joined, leaf, tombstones));
  // Who knows as much forgets it in its own time.
  if (isYounger || (live.length === 0 && !isNews)) return { kind: 'keep', graph: joined };
  const dead = withoutRevisions(
    joined,
    live.map(({ revision }) => revision),
  );
  return { kind: 'bury', live, grave: graveGraph(dead) };
}

function isMadeFrom({ path, parents = [] }: JudgedRevision, tombstones: readonly Revision[]): boolean {
  return tombstones.some((tombstone) => {
    const back = path.start - generationOf(tombstone);
    return path.ids[back] === digestOf(tombstone) || parents.includes(tombstone);
  });
}

/** By any of its parents. Children stand before their parents, so one pass finds all ancestors. */
function descendsFrom(graph: RevisionGraph, leaf: RevisionNode, ancestors: ReadonlySet<Revision>): boolean {
  const lineage = new Set<Revision>(leaf.parents);
  for (const { parents, revision } of graph.nodes) {
    if (lineage.has(revision)) for (const parent of parents) lineage.add(parent);
  }
  return [...lineage].some((revision) => ancestors.has(revision));
}

function withoutContent(node: RevisionNode): RevisionNode {
  return node.stored ? { ...node, stored: false } : node;
}
