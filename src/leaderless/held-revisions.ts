/**
 * Leaves of one document as replicas tell each other of them, and their union. A leaf comes with its way back to the
 * root, so whoever has it knows what it supersedes, without knowing the bodies in between.
 *
 * Leaves are those that CouchDB's clients see (document/tree-projection.ts): a path names one parent per revision, so
 * the branch of a merged parent is told ended by its derived tombstone.
 */

import type { RevisionPath } from '../document/document.ts';
import type { Digest, Revision } from '../document/revision.ts';
import { addRevision, emptyGraph, leavesOf, type RevisionGraph } from '../document/revision-graph.ts';
import { addPath, missing } from '../document/revision-path.ts';
import { compareLeaves } from '../document/winner.ts';

/** A revision with what joins it into a graph. Bodies and attachments ride along in types that extend this. */
export interface HeldRevision {
  readonly revision: Revision;
  readonly deleted: boolean;
  /** From the revision back to its oldest known ancestor. */
  readonly path: RevisionPath;
  /** All parents of a merge, the tree parent first; a path names that one only. */
  readonly parents?: readonly Revision[] | undefined;
}

/** What a replica knows that told of these leaves, as far as they say. */
function graphOfHeld(held: readonly HeldRevision[], digest: Digest): RevisionGraph {
  return held.reduce((graph, revision) => withHeld(graph, revision, digest), emptyGraph);
}

/**
 * The leaves that are left when replicas put together what they hold, best first: the winner, the other live leaves,
 * the tombstones. None of them is superseded by another one.
 */
export function unionOfHeld<Held extends HeldRevision>(
  answers: readonly (readonly Held[])[],
  digest: Digest,
): readonly Held[] {
  // Leaves of one replica are leaves.
  if (answers.length === 1) return answers[0]!.toSorted(compareLeaves);
  const all = new Map(answers.flat().map((held) => [held.revision, held] as const));
  return leavesOf(graphOfHeld([...all.values()], digest)).flatMap((leaf) => all.get(leaf.revision) ?? []);
}

/** The leaves that a replica lacks which told of `held`. */
export function lackingOf<Held extends HeldRevision>(
  leaves: readonly Held[],
  held: readonly HeldRevision[],
  digest: Digest,
): readonly Held[] {
  const revisions = leaves.map((leaf) => leaf.revision);
  const lacking = new Set(missing(graphOfHeld(held, digest), revisions, digest).missing);
  return leaves.filter((leaf) => lacking.has(leaf.revision));
}

function withHeld(graph: RevisionGraph, held: HeldRevision, digest: Digest): RevisionGraph {
  const { revision, deleted, path, parents } = held;
  const joined = addPath(graph, path, { deleted, stored: true }, digest).graph;
  if (parents === undefined || parents.length < 2) return joined;
  return addRevision(joined, { revision, parents, deleted, stored: true }).graph;
}
