/**
 * All that a replica knows of one document's history: which revisions there are, and which came from which.
 *
 * Two people edit revision A at the same time, one node hears of B, another of C; then somebody merges both into D:
 *
 *     A ── B ── D          A is the first edit; B and C are its branches, until D, made from both, they are leaves;
 *      └── C ──┘           D is the only leaf afterwards, so nothing is in conflict any more.
 *
 * A revision never changes, so merging what two replicas know is a union: commutative, associative, idempotent.
 * A replica may hear of revisions in any order, twice or by any way, and still ends with the same graph.
 *
 * Invariants:
 * 1. `nodes` are in falling order of revision, each once; a parent's generation is lower than its child's, so every
 *    node stands before its parents.
 * 2. `leaves` are exactly the nodes that no node names as parent, best first.
 * 3. A node may name a parent that is not a node: it was stemmed. Should it arrive again it is an ancestor, not a leaf.
 * 4. Parents are normalized: the tree parent first, the others without repetition in falling order.
 *
 * Ways back to the root are in revision-path.ts, what CouchDB's clients see in tree-projection.ts, how a graph
 * shrinks in graph-trimming.ts, bytes in graph-codec.ts. Bodies and authors are not here at all.
 */

import { assert } from '../errors.ts';
import { compareRevisions, normalizedParents, type Revision } from './revision.ts';
import { compareLeaves } from './winner.ts';

export interface RevisionNode {
  readonly revision: Revision;
  /** The tree parent first. Empty when there is none or none is known. */
  readonly parents: readonly Revision[];
  /** A tombstone. Also false where only the id of an ancestor is known. */
  readonly deleted: boolean;
  /** The body is kept here. */
  readonly stored: boolean;
}

export interface RevisionGraph {
  readonly nodes: readonly RevisionNode[];
  readonly leaves: readonly RevisionNode[];
}

/**
 * How a revision joined a graph: as child of a leaf, on a branch of its own, as ancestor or completion of what is
 * known, or not at all because there was nothing new.
 */
export type AddOutcome = 'new_leaf' | 'new_branch' | 'internal' | 'known';

export interface AddResult {
  readonly graph: RevisionGraph;
  readonly outcome: AddOutcome;
}

export const emptyGraph: RevisionGraph = { nodes: [], leaves: [] };

/** Best first: the winner, then the other live leaves, then the tombstones. */
export function leavesOf(graph: RevisionGraph): readonly RevisionNode[] {
  return graph.leaves;
}

/** The leaf that the document shows; undefined only for the empty graph. */
export function winnerOf(graph: RevisionGraph): RevisionNode | undefined {
  return graph.leaves[0];
}

/** Live leaves other than the winner, best first. */
export function liveConflicts(graph: RevisionGraph): readonly RevisionNode[] {
  return graph.leaves.length < 2 ? [] : graph.leaves.slice(1).filter((leaf) => !leaf.deleted);
}

/** Tombstones among the leaves other than the winner, best first. */
export function deletedLeaves(graph: RevisionGraph): readonly RevisionNode[] {
  return graph.leaves.length < 2 ? [] : graph.leaves.slice(1).filter((leaf) => leaf.deleted);
}

export function nodeOf(graph: RevisionGraph, revision: Revision): RevisionNode | undefined {
  return graph.nodes[indexOfRevision(graph.nodes, revision)];
}

export function isLeaf(graph: RevisionGraph, revision: Revision): boolean {
  const best = graph.leaves[0];
  if (best === undefined || best.revision === revision) return best !== undefined;
  const node = graph.leaves.length === 1 ? undefined : nodeOf(graph, revision);
  return node !== undefined && graph.leaves[placeIn(graph.leaves, node, compareLeaves)] === node;
}

/** Adds one revision. Parents that the graph does not know stay named, see invariant 3. */
export function addRevision(graph: RevisionGraph, added: RevisionNode): AddResult {
  const node = normalizedNode(added);
  const { nodes, leaves } = graph;
  if (nodes.length === 0) return { graph: { nodes: [node], leaves: [node] }, outcome: 'new_leaf' };
  const place = placeIn(nodes, node, compareByRevision);
  const present = nodes[place];
  if (present?.revision === node.revision) return completeNode(graph, place, node);

  const isAncestor = isNamedAsParent(nodes, place, node.revision);
  const rest = leavesWithout(graph, node.parents);
  const grown = {
    nodes: nodes.toSpliced(place, 0, node),
    leaves: isAncestor ? rest : rest.toSpliced(placeIn(rest, node, compareLeaves), 0, node),
  };
  if (isAncestor) return { graph: grown, outcome: 'internal' };
  return { graph: grown, outcome: rest === leaves ? 'new_branch' : 'new_leaf' };
}

/** What two replicas know together. Gives `a` itself when `b` adds nothing. */
export function union(a: RevisionGraph, b: RevisionGraph): RevisionGraph {
  if (b.nodes.length === 0) return a;
  if (a.nodes.length === 0) return b;
  const nodes: RevisionNode[] = [];
  let news = false;
  let i = 0;
  let j = 0;
  while (i < a.nodes.length || j < b.nodes.length) {
    const ours = a.nodes[i];
    const theirs = b.nodes[j];
    const order = !ours ? 1 : !theirs ? -1 : compareByRevision(ours, theirs);
    const joined = order < 0 ? ours! : order > 0 ? theirs! : mergedNode(ours!, theirs!);
    if (order <= 0) i++;
    if (order >= 0) j++;
    if (joined !== ours) news = true;
    nodes.push(joined);
  }
  return news ? graphOf(nodes) : a;
}

/** The graph of nodes that are already in falling order and normalized; finds its leaves in one pass. */
export function graphOf(nodes: readonly RevisionNode[]): RevisionGraph {
  const named = new Set<Revision>();
  const live: RevisionNode[] = [];
  const tombstones: RevisionNode[] = [];
  let soleParentBefore: Revision | undefined;
  for (const node of nodes) {
    // In a chain each node names the next one, which then needs no lookup.
    if (node.revision !== soleParentBefore && !(named.size > 0 && named.has(node.revision))) {
      (node.deleted ? tombstones : live).push(node);
    }
    if (soleParentBefore !== undefined && soleParentBefore !== node.revision) named.add(soleParentBefore);
    soleParentBefore = node.parents.length === 1 ? node.parents[0] : undefined;
    if (node.parents.length > 1) for (const parent of node.parents) named.add(parent);
  }
  return { nodes, leaves: live.concat(tombstones) };
}

/** Index of a revision among nodes in falling order, or -1. `hint` is where it probably is. */
export function indexOfRevision(nodes: readonly RevisionNode[], revision: Revision, hint = 0): number {
  if (nodes[hint]?.revision === revision) return hint;
  let low = 0;
  let high = nodes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareRevisions(nodes[middle]!.revision, revision) > 0) low = middle + 1;
    else high = middle;
  }
  return nodes[low]?.revision === revision ? low : -1;
}

/** True when one of the nodes before `place` names the revision as parent; only higher generations can. */
export function isNamedAsParent(nodes: readonly RevisionNode[], place: number, revision: Revision): boolean {
  for (let i = place - 1; i >= 0; i--) {
    if (nodes[i]!.parents.includes(revision)) return true;
  }
  return false;
}

function compareByRevision(a: RevisionNode, b: RevisionNode): number {
  return compareRevisions(b.revision, a.revision);
}

/** Where a node belongs in a list that is sorted by `compare`. */
function placeIn(
  sorted: readonly RevisionNode[],
  node: RevisionNode,
  compare: (a: RevisionNode, b: RevisionNode) => number,
): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(sorted[middle]!, node) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts what is newly known of a revision into its node. */
function completeNode(graph: RevisionGraph, place: number, node: RevisionNode): AddResult {
  const present = graph.nodes[place]!;
  const merged = mergedNode(present, node);
  if (merged === present) return { graph, outcome: 'known' };
  return { graph: graphOf(graph.nodes.with(place, merged)), outcome: 'internal' };
}

/** The leaves that none of `parents` is; the same array when none of them was a leaf. */
function leavesWithout(graph: RevisionGraph, parents: readonly Revision[]): readonly RevisionNode[] {
  let leaves = graph.leaves;
  for (const parent of parents) {
    const node = leaves[0]?.revision === parent ? leaves[0] : nodeOf(graph, parent);
    if (node === undefined) continue;
    const place = placeIn(leaves, node, compareLeaves);
    if (leaves[place] === node) leaves = leaves.toSpliced(place, 1);
  }
  return leaves;
}

/**
 * What two replicas know of one revision. Both say the same, except that one may know less: an ancestor's id only, or
 * the tree parent only. Each member is joined by an operation that commutes, so the order of arrival never matters:
 * should two systems contradict each other about the tree parent, the higher one is it and the other stays a parent.
 */
function mergedNode(a: RevisionNode, b: RevisionNode): RevisionNode {
  if (a === b) return a;
  const parents = mergedParents(a.parents, b.parents);
  const deleted = a.deleted || b.deleted;
  const stored = a.stored || b.stored;
  if (parents === a.parents && deleted === a.deleted && stored === a.stored) return a;
  return { revision: a.revision, parents, deleted, stored };
}

function mergedParents(a: readonly Revision[], b: readonly Revision[]): readonly Revision[] {
  if (b.every((parent, i) => parent === a[i])) return a;
  if (a.length === 0) return b;
  const first = compareRevisions(a[0]!, b[0]!) >= 0 ? a[0]! : b[0]!;
  const merged = normalizedParents([first, ...a, ...b]);
  return merged.length === a.length && merged.every((parent, i) => parent === a[i]) ? a : merged;
}

function normalizedNode(node: RevisionNode): RevisionNode {
  const parents = normalizedParents(node.parents);
  for (const parent of parents) {
    assert(
      Number.parseInt(parent, 10) < Number.parseInt(node.revision, 10),
      "a parent's generation is lower",
    );
  }
  return parents === node.parents ? node : { ...node, parents };
}
