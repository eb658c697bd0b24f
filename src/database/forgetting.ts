/**
 * Forgetting deleted documents, and what comes of them afterwards, on one turn of a leaderless database. What is
 * believed of the dead is decided in replication/graves.ts.
 */

import type { Revision } from '../document/revision.ts';
import { graphOf, nodeOf, type RevisionGraph, type RevisionNode } from '../document/revision-graph.ts';
import { pathOf } from '../document/revision-path.ts';
import { beforeAllStamps } from '../document/stamp.ts';
import { assert } from '../errors.ts';
import { burialOf, graveGraph, mergedGrave } from '../replication/graves.ts';
import type { LeaderlessTurn } from './leaderless-turn.ts';
import { placeWinner } from './placing.ts';
import type { BodyRecord, Head } from './records.ts';
import type { Turn } from './turn.ts';

/** What is left of a tombstone's content. When it was made is not kept: long ago. */
const FORGOTTEN: BodyRecord = {
  attachments: [],
  body: new TextEncoder().encode('{}'),
  stamp: { ...beforeAllStamps, node: '' },
};

/** The document that a grave stands for: its graph, and tombstones without what they said. Its sequence is 0. */
export function buriedHead(turn: Turn, id: string): Head | undefined {
  const grave = turn.leaderless?.grave(turn.leaderless.idDigest(id));
  if (grave === undefined) return undefined;
  const graph = withStoredLeaves(grave);
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
  if (isKnownDead) bury(turn, head, graveGraph(head.graph));
  return isKnownDead;
}

/** A document that another replica has forgotten. */
export interface Buried {
  readonly idDigest: string;
  readonly graph: RevisionGraph;
  /** The document here, where there is one. */
  readonly id: string | undefined;
}

/** Takes over a grave of another replica. `full`: what is alive here does not fit into quarantine, so it stays. */
export function applyBurial(turn: Turn, { id, idDigest, graph }: Buried): 'taken' | 'kept' | 'full' {
  const leaderless = leaderlessOf(turn);
  const head = id === undefined ? undefined : turn.head(id);
  if (head === undefined) {
    const known = leaderless.grave(idDigest);
    const grave = known === undefined ? graveGraph(graph) : mergedGrave(known, graph);
    if (grave !== known) leaderless.setGrave(idDigest, grave);
    return 'taken';
  }
  const burial = burialOf(head.graph, graph);
  if (burial.kind === 'keep') {
    learn(turn, head, burial.graph);
    return 'kept';
  }
  if (!burial.live.every((leaf) => quarantineLeaf(turn, head, leaf))) return 'full';
  bury(turn, head, burial.grave);
  return 'taken';
}

function bury(turn: Turn, head: Head, grave: RevisionGraph): void {
  const leaderless = leaderlessOf(turn);
  leaderless.setGrave(leaderless.idDigest(head.id), grave);
  for (const { revision, stored } of head.graph.nodes) {
    if (stored && revision !== head.winner) turn.setBody(head.id, revision, undefined);
  }
  turn.setHead(head.id, undefined);
}

function quarantineLeaf(turn: Turn, head: Head, { deleted, parents, revision }: RevisionNode): boolean {
  const leaderless = leaderlessOf(turn);
  const record = revision === head.winner ? head : turn.body(head.id, revision);
  assert(record !== undefined, 'every leaf has a body');
  const { attachments, body, stamp } = record;
  return leaderless.quarantine.add({
    ...{ id: head.id, revision, deleted, attachments, body, stamp },
    ...(parents.length > 1 && { parents }),
    path: pathOf(head.graph, revision),
    sinceMs: leaderless.nowMs(),
  });
}

/** What stays here learns of tombstones beside it, and of ways back. */
function learn(turn: Turn, head: Head, joined: RevisionGraph): void {
  if (joined === head.graph) return;
  const graph = withStoredLeaves(joined);
  for (const { revision } of graph.leaves) {
    if (nodeOf(head.graph, revision) === undefined) turn.setBody(head.id, revision, FORGOTTEN);
  }
  placeWinner(turn, head, graph, undefined);
}

/** Of a leaf everything is here, be it that there was nothing left to say. */
function withStoredLeaves(graph: RevisionGraph): RevisionGraph {
  const isLeafOf = new Set(graph.leaves);
  const stored = (node: RevisionNode) =>
    node.stored || !isLeafOf.has(node) ? node : { ...node, stored: true };
  return graphOf(graph.nodes.map(stored));
}

function leaderlessOf(turn: Turn): LeaderlessTurn {
  assert(turn.leaderless !== undefined, 'only leaderless databases forget');
  return turn.leaderless;
}
