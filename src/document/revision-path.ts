/**
 * Ways through a revision graph: back to the root as CouchDB's clients write it (`_revisions`), on to the leaves that
 * a revision became, and the question with which every replication starts: which of these do you lack?
 *
 * A path names one parent per revision, so of a merge it says the tree parent only; what else the graph knows stays.
 */

import { assert } from '../errors.ts';
import type { RevisionPath } from './document.ts';
import {
  compareRevisions,
  type Digest,
  digestOf,
  generationOf,
  type Revision,
  revisionOf,
} from './revision.ts';
import {
  type AddOutcome,
  type AddResult,
  addRevision,
  graphOf,
  indexOfRevision,
  isLeaf,
  isNamedAsParent,
  type RevisionGraph,
  type RevisionNode,
  union,
} from './revision-graph.ts';
import { isDerivedTombstone, mergedParentOf } from './tree-projection.ts';

/** The way from a revision of the graph back to its oldest known ancestor, by tree parents. */
export function pathOf(graph: RevisionGraph, revision: Revision): RevisionPath {
  let index = indexOfRevision(graph.nodes, revision);
  assert(index >= 0, 'a path starts at a revision of the graph');
  const ids: string[] = [];
  while (index >= 0) {
    const node = graph.nodes[index]!;
    ids.push(digestOf(node.revision));
    const parent = node.parents[0];
    index = parent === undefined ? -1 : indexOfRevision(graph.nodes, parent, index + 1);
  }
  return { start: generationOf(revision), ids };
}

/** The way back of a derived tombstone. Of a merge that arrived by itself, the other parents are known by name only. */
export function pathOfDerived(graph: RevisionGraph, tombstone: Revision, parent: Revision): RevisionPath {
  const isKnown = indexOfRevision(graph.nodes, parent) >= 0;
  const above = isKnown ? pathOf(graph, parent).ids : [digestOf(parent)];
  return { start: generationOf(tombstone), ids: [digestOf(tombstone), ...above] };
}

/**
 * Joins a revision that was made elsewhere (`new_edits: false`) together with its ancestors, of which only the ids are
 * known. A derived tombstone says nothing new itself, but it may bring the way back of a merged parent that was known by
 * name alone: without it, what that parent was made from would be shown beside the merge.
 */
export function addPath(
  graph: RevisionGraph,
  path: RevisionPath,
  head: { readonly deleted: boolean; readonly stored: boolean },
  digest: Digest,
): AddResult {
  assert(path.ids.length > 0 && path.start >= path.ids.length, 'a path has one generation for each id');
  const revision = revisionOf(path.start, path.ids[0]!);
  if (isDerivedTombstone(graph, revision, digest)) {
    const above = { start: path.start - 1, ids: path.ids.slice(1) };
    const known = { graph, outcome: 'known' } as const;
    return isNews(graph, path) ? addPath(graph, above, ancestor, digest) : known;
  }
  const news = countUnknown(graph, path);
  if (news.restIsKnown && news.count <= 1) {
    const parents = path.ids.length > 1 ? [revisionOf(path.start - 1, path.ids[1]!)] : [];
    const { deleted, stored } = head;
    return addRevision(graph, { revision, parents, deleted, stored });
  }
  const nodes: RevisionNode[] = [];
  for (let i = path.ids.length - 1; i >= 0; i--) {
    const child = nodes.at(-1);
    const parents = child === undefined ? [] : [child.revision];
    const { deleted, stored } = i === 0 ? head : ancestor;
    nodes.push({ revision: revisionOf(path.start - i, path.ids[i]!), parents, deleted, stored });
  }
  const joined = union(graph, graphOf(nodes.reverse()));
  return { graph: joined, outcome: outcomeOf(graph, joined, nodes) };
}

const ancestor = { deleted: false, stored: false };

/** Whether the parent of a derived tombstone is known by name alone. */
function isNews(graph: RevisionGraph, { start, ids }: RevisionPath): boolean {
  const parent = ids[1];
  return parent !== undefined && indexOfRevision(graph.nodes, revisionOf(start - 1, parent)) < 0;
}

/**
 * How many ids at the start of a path are new, and whether the graph's own way back agrees with the rest of the path.
 * Compares texts in place: a path often has a thousand ids of which one is new.
 */
function countUnknown(graph: RevisionGraph, path: RevisionPath): { count: number; restIsKnown: boolean } {
  let count = 0;
  let index = -1;
  while (count < path.ids.length) {
    index = indexOfRevision(graph.nodes, revisionOf(path.start - count, path.ids[count]!));
    if (index >= 0) break;
    count++;
  }
  for (let i = count + 1; i < path.ids.length; i++) {
    const parent = graph.nodes[index]?.parents[0];
    if (parent === undefined || !names(parent, path.start - i, path.ids[i]!))
      return { count, restIsKnown: false };
    index = indexOfRevision(graph.nodes, parent, index + 1);
    if (index < 0) return { count, restIsKnown: false };
  }
  return { count, restIsKnown: index >= 0 || path.ids.length === 1 };
}

function names(revision: Revision, generation: number, digest: string): boolean {
  const dash = revision.length - digest.length - 1;
  return (
    revision.endsWith(digest) &&
    revision.indexOf('-') === dash &&
    Number.parseInt(revision, 10) === generation
  );
}

function outcomeOf(before: RevisionGraph, after: RevisionGraph, path: readonly RevisionNode[]): AddOutcome {
  if (after === before) return 'known';
  const { revision } = path[0]!;
  const place = indexOfRevision(after.nodes, revision);
  if (indexOfRevision(before.nodes, revision) >= 0 || isNamedAsParent(after.nodes, place, revision))
    return 'internal';
  if (before.nodes.length === 0) return 'new_leaf';
  return path.some((node) => isLeaf(before, node.revision)) ? 'new_leaf' : 'new_branch';
}

/** The leaves that came from a revision, best first; itself when it is one. Empty when it is not in the graph. */
export function latestLeavesOf(graph: RevisionGraph, revision: Revision): readonly RevisionNode[] {
  if (graph.leaves[0]?.revision === revision) return [graph.leaves[0]];
  const start = indexOfRevision(graph.nodes, revision);
  if (start < 0) return [];
  if (graph.leaves.length === 1) return graph.leaves;
  const descendants = new Set<Revision>([revision]);
  for (let i = start - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (node.parents.some((parent) => descendants.has(parent))) descendants.add(node.revision);
  }
  return graph.leaves.filter((leaf) => descendants.has(leaf.revision));
}

export interface MissingRevisions {
  readonly missing: readonly Revision[];
  /** Leaves here of a lower generation than something missing: what the missing revisions may have been made from. */
  readonly possibleAncestors: readonly Revision[];
}

/** A derived tombstone of a merged parent that is more than a name here. */
function isKnownEnd(graph: RevisionGraph, revision: Revision, digest: Digest): boolean {
  const parent = mergedParentOf(graph, revision, digest);
  return parent !== undefined && indexOfRevision(graph.nodes, parent) >= 0;
}

/** Which of the revisions are not in the graph (`_revs_diff`). A derived tombstone is known wherever it is shown. */
export function missing(
  graph: RevisionGraph,
  revisions: readonly Revision[],
  digest: Digest,
): MissingRevisions {
  const lacking = [...new Set(revisions)].filter(
    (revision) => indexOfRevision(graph.nodes, revision) < 0 && !isKnownEnd(graph, revision, digest),
  );
  if (lacking.length === 0) return { missing: [], possibleAncestors: [] };
  const highest = generationOf(lacking.reduce((a, b) => (compareRevisions(a, b) >= 0 ? a : b)));
  const possible = graph.leaves.filter((leaf) => generationOf(leaf.revision) < highest);
  return { missing: lacking, possibleAncestors: possible.map((leaf) => leaf.revision) };
}
