/**
 * A revision that was acknowledged long ago and arrives only now: the tail of a deposed leader's log.
 *
 * Where nobody wrote since, it goes on from the leaf that it was made from, and the document has its write again. Where
 * somebody did, it was overtaken, and what was acknowledged since has to stay what the document shows:
 *
 *     1-a ── 2-c             2-c was acknowledged by the new leader
 *      └──── 2-f ── 3-t      2-f comes late; by the rule of winners it would win, and its author could go on from it
 *
 * So it comes together with a tombstone that has its body and attachments, 3-t. No tombstone wins over a live leaf, a
 * client that still holds 2-f gets a conflict as everybody does who was overtaken, and 2-c stays the revision to write on.
 * The tombstone's id follows from what it closes, so whoever brings a revision twice, or from two disks, adds nothing.
 */

import type { Revision } from '../document/revision.ts';
import { deriveRevision, digestOf, generationMax, generationOf } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { emptyGraph, isLeaf, nodeOf, winnerOf } from '../document/revision-graph.ts';
import { assert } from '../errors.ts';
import { type ApplySettings, applyReplicated } from './apply.ts';
import { recordOf } from './edited-revision.ts';
import type { EditOutcome, ReplicatedRevision } from './model.ts';
import type { Turn } from './turn.ts';

export interface LateOutcome {
  readonly outcome: EditOutcome;
  /** The tombstone that keeps what the revision says, if it was overtaken. */
  readonly keptBy: ReplicatedRevision | undefined;
}

export function applyLate(turn: Turn, arrival: ReplicatedRevision, settings: ApplySettings): LateOutcome {
  const before = turn.head(arrival.id)?.graph ?? emptyGraph;
  const outcome = applyReplicated(turn, arrival, settings);
  const after = turn.head(arrival.id)?.graph ?? emptyGraph;
  const isOvertaken = outcome.kind === 'written' && wasOvertaken(before, after, arrival.revision);
  // A revision of the last generation can have no child; it takes a hostile replicator to make one.
  if (!isOvertaken || generationOf(arrival.revision) >= generationMax) return { outcome, keptBy: undefined };
  const keptBy = tombstoneOn(turn, arrival, settings);
  const closed = applyReplicated(turn, keptBy, settings);
  return closed.kind === 'failed' ? { outcome: closed, keptBy: undefined } : { outcome, keptBy };
}

/** Whether a live revision is news that starts a branch, or that displaces a winner it was not made from. */
function wasOvertaken(before: RevisionGraph, after: RevisionGraph, revision: Revision): boolean {
  const winner = winnerOf(before);
  if (winner === undefined || isLeaf(before, revision) || !isLeaf(after, revision)) return false;
  if (nodeOf(after, revision)?.deleted !== false) return false;
  const isNewBranch = after.leaves.length > before.leaves.length;
  return isNewBranch || (winnerOf(after)?.revision === revision && isLeaf(after, winner.revision));
}

function tombstoneOn(turn: Turn, arrival: ReplicatedRevision, { digest }: ApplySettings): ReplicatedRevision {
  const { id, revision, path, body } = arrival;
  const head = turn.head(id);
  const record = head === undefined ? undefined : recordOf(turn, head, revision);
  assert(record !== undefined, 'what has just arrived has a body');
  const attachmentDigests = record.attachments.map(({ name, blob }) => [name, blob] as const);
  const tombstone = deriveRevision({ parents: [revision], deleted: true, body, attachmentDigests }, digest);
  const ids = [digestOf(tombstone), ...path.ids];
  return {
    ...arrival,
    parents: undefined,
    revision: tombstone,
    path: { start: path.start + 1, ids },
    deleted: true,
  };
}
