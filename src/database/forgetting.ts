/**
 * Forgetting deleted documents, and what comes of them afterwards, on one turn of a leaderless database. What is
 * believed of the dead is decided in replication/graves.ts.
 */

import { compareRevisions, type Revision } from '../document/revision.ts';
import { addRevision, graphOf, nodeOf } from '../document/revision-graph.ts';
import { pathOf } from '../document/revision-path.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';
import { assert } from '../errors.ts';
import { judgeBuried, mergedGrave } from '../replication/graves.ts';
import type { LeaderlessTurn } from './leaderless-turn.ts';
import type { BodyRecord, Head } from './records.ts';
import type { Turn } from './turn.ts';

/** What is left of a tombstone's content. */
const FORGOTTEN: BodyRecord = { attachments: [], body: new TextEncoder().encode('{}') };

/** The document that a grave stands for: its tombstones, without what they said. Its sequence is 0. */
export function buriedHead(turn: Turn, id: string): Head | undefined {
  const grave = turn.leaderless?.grave(turn.leaderless.idDigest(id));
  if (grave === undefined) return undefined;
  const graph = graphOf(grave.toSorted((a, b) => compareRevisions(b, a)).map(tombstone));
  const winner = graph.leaves[0];
  assert(winner !== undefined, 'a grave has a tombstone');
  return { id, sequence: 0, graph, winner: winner.revision, deleted: true, ...FORGOTTEN };
}

/** Puts the document of a grave back among the others, because something joins it now. */
export function exhume(turn: Turn, { graph, id }: Head): void {
  const leaderless = leaderlessOf(turn);
  leaderless.setGrave(leaderless.idDigest(id), undefined);
  for (const leaf of graph.leaves.slice(1)) turn.setBody(id, leaf.revision, FORGOTTEN);
}

/** Forgets a document if it is dead, with no other leaves than these; gives whether it was. */
export function applyForgetting(turn: Turn, id: string, leaves: readonly Revision[]): boolean {
  const head = turn.head(id);
  if (head === undefined) return false;
  const isKnownDead = head.graph.leaves.every(
    ({ deleted, revision }) => deleted && leaves.includes(revision),
  );
  if (isKnownDead) bury(turn, head, []);
  return isKnownDead;
}

/** A document that another replica has forgotten with these leaves. */
export interface Buried {
  readonly idDigest: string;
  readonly leaves: readonly Revision[];
  /** The document here, where there is one. */
  readonly id: string | undefined;
}

/** Takes over a grave of another replica. `full`: what is alive here does not fit into quarantine, so it stays. */
export function applyBurial(turn: Turn, { id, idDigest, leaves }: Buried): 'taken' | 'kept' | 'full' {
  const leaderless = leaderlessOf(turn);
  const head = id === undefined ? undefined : turn.head(id);
  if (head === undefined) {
    const known = leaderless.grave(idDigest) ?? [];
    const grave = mergedGrave(known, leaves);
    if (grave.length > known.length) leaderless.setGrave(idDigest, grave);
    return 'taken';
  }
  const unknown = leaves.filter((leaf) => nodeOf(head.graph, leaf) === undefined && !hasDerivedForm(leaf));
  // Nothing new: this replica will forget it in its own time, or knows already that it was written anew.
  if (unknown.length === 0) return 'kept';
  switch (judgeBuried(head.graph.leaves.map(judgedLeaf(head)), leaves)) {
    case 'keep':
      addTombstones(turn, head, unknown);
      return 'kept';
    case 'quarantine':
      if (!quarantineLive(turn, head)) return 'full';
      bury(turn, head, leaves);
      return 'taken';
    case 'bury':
      bury(turn, head, leaves);
      return 'taken';
  }
}

function bury(turn: Turn, head: Head, others: readonly Revision[]): void {
  const leaderless = leaderlessOf(turn);
  const dead = head.graph.leaves.filter(({ deleted }) => deleted).map(({ revision }) => revision);
  const told = dead.filter((revision) => !hasDerivedForm(revision));
  leaderless.setGrave(leaderless.idDigest(head.id), mergedGrave(told.length > 0 ? told : dead, others));
  for (const { revision, stored } of head.graph.nodes) {
    if (stored && revision !== head.winner) turn.setBody(head.id, revision, undefined);
  }
  turn.setHead(head.id, undefined);
}

function quarantineLive(turn: Turn, head: Head): boolean {
  const leaderless = leaderlessOf(turn);
  const sinceMs = leaderless.nowMs();
  return head.graph.leaves.every(({ deleted, parents, revision }) => {
    if (deleted) return true;
    const record = revision === head.winner ? head : turn.body(head.id, revision);
    assert(record !== undefined, 'every leaf has a body');
    const path = pathOf(head.graph, revision);
    const merged = parents.length > 1 && { parents };
    const { attachments, body, stamp } = record;
    const content = { attachments, body, stamp, ...merged };
    return leaderless.quarantine.add({ id: head.id, revision, path, deleted, sinceMs, ...content });
  });
}

/** Adds leaves that cannot win, because something is alive. */
function addTombstones(turn: Turn, head: Head, revisions: readonly Revision[]): void {
  const add = (graph: Head['graph'], revision: Revision) => addRevision(graph, tombstone(revision)).graph;
  for (const revision of revisions) turn.setBody(head.id, revision, FORGOTTEN);
  turn.setHead(head.id, { ...head, graph: revisions.reduce(add, head.graph) });
}

function judgedLeaf({ graph }: Head) {
  return ({ deleted, parents, revision }: Head['graph']['leaves'][number]) => {
    return { deleted, parents, path: pathOf(graph, revision) };
  };
}

function tombstone(revision: Revision) {
  return { revision, parents: [], deleted: true, stored: true };
}

function leaderlessOf(turn: Turn): LeaderlessTurn {
  assert(turn.leaderless !== undefined, 'only leaderless databases forget');
  return turn.leaderless;
}
