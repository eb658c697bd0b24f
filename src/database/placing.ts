/**
 * Where bodies live: the winner's in the head, so that one read answers a GET, every other stored revision's in a record
 * of its own. A graph that grows or shrinks may change who wins, and then bodies move.
 */

import { stem } from '../document/graph-trimming.ts';
import type { Revision } from '../document/revision.ts';
import { nodeOf, type RevisionGraph, winnerOf } from '../document/revision-graph.ts';
import { assert } from '../errors.ts';
import { exhume } from './forgetting.ts';
import type { BodyRecord, Head } from './records.ts';
import type { Turn } from './turn.ts';

/** Puts a document's grown graph in place. The arrival is the revision it grew by, with what is kept of it. */
export function settle(
  turn: Turn,
  id: string,
  head: Head | undefined,
  grown: RevisionGraph,
  arrival: { readonly revision: Revision; readonly record: BodyRecord },
  settings: { readonly revisionsLimit: number },
): void {
  // Only a graph with more nodes than the limit can have a path longer than it.
  const graph = grown.nodes.length > settings.revisionsLimit ? stem(grown, settings.revisionsLimit) : grown;
  if (head === undefined) {
    const winner = winnerOf(graph);
    assert(winner?.revision === arrival.revision, 'the first revision of a document wins');
    const deleted = winner.deleted;
    const { attachments, body, stamp } = arrival.record;
    turn.setHead(id, { id, sequence: 0, graph, winner: arrival.revision, deleted, attachments, body, stamp });
    return;
  }
  if (head.sequence === 0) exhume(turn, head);
  if (graph !== grown) forgetBodies(turn, head, grown, graph);
  placeWinner(turn, head, graph, arrival);
}

/** Deletes the bodies of revisions that a graph lost. The winner's goes with the head. */
export function forgetBodies(turn: Turn, head: Head, before: RevisionGraph, now: RevisionGraph): void {
  for (const { stored, revision } of before.nodes) {
    const gone = stored && revision !== head.winner && nodeOf(now, revision) === undefined;
    if (gone) turn.setBody(head.id, revision, undefined);
  }
}

/** Moves bodies so that the winner's is in the head, and every other stored one in its own record. */
export function placeWinner(
  turn: Turn,
  head: Head,
  graph: RevisionGraph,
  arrival: { readonly revision: Revision; readonly record: BodyRecord } | undefined,
): void {
  const { id } = head;
  const winner = winnerOf(graph);
  assert(winner !== undefined, 'a document that is left has a leaf');
  const { revision, deleted } = winner;
  let record: BodyRecord = head;
  if (arrival !== undefined && revision === arrival.revision) record = arrival.record;
  else if (revision !== head.winner) {
    const kept = turn.body(id, revision);
    assert(kept !== undefined, 'every leaf has a body');
    turn.setBody(id, revision, undefined);
    record = kept;
  }
  if (
    arrival !== undefined &&
    revision !== arrival.revision &&
    nodeOf(graph, arrival.revision) !== undefined
  ) {
    turn.setBody(id, arrival.revision, arrival.record);
  }
  if (revision !== head.winner && nodeOf(graph, head.winner)?.stored === true) {
    const { attachments, body, stamp } = head;
    turn.setBody(id, head.winner, { attachments, body, stamp });
  }
  const { attachments, body, stamp } = record;
  const { sequence } = head;
  turn.setHead(id, { id, sequence, graph, winner: revision, deleted, attachments, body, stamp });
}
