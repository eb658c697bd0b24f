/**
 * How a write becomes revisions: the rules of CouchDB's `new_edits` true and false, on one turn.
 *
 * An edit must name the leaf it replaces, and adds one revision to it. A replicated revision is joined into the graph
 * as it is. Either way the graph only grows; what is left to decide is which revision wins and where bodies live:
 * the winner's in the head (one read answers a GET), every other stored revision's in a record of its own.
 */

import type { AttachmentStub } from '../document/document.ts';
import { markUnstored, withoutRevisions } from '../document/graph-trimming.ts';
import type { Digest, Revision } from '../document/revision.ts';
import { deriveRevision, generationOf, parseRevision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { addRevision, emptyGraph, isLeaf, nodeOf } from '../document/revision-graph.ts';
import { addPath } from '../document/revision-path.ts';
import { isStamp, mergedStamp } from '../document/stamp.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';
import type { TercetError } from '../errors.ts';
import { assert, failure } from '../errors.ts';
import { judgeArrival } from '../replication/graves.ts';
import { editedRevision, missingStub, recordOf, repeatedEdit, settleAttachments } from './edited-revision.ts';
import { buriedHead } from './forgetting.ts';
import type { DocumentEdit, EditOutcome, ReplicatedRevision } from './model.ts';
import { forgetBodies, placeWinner, settle } from './placing.ts';
import type { QuarantinedRevision } from './quarantine.ts';
import type { BodyRecord, Head } from './records.ts';
import { settleSiblings, settlingTogether } from './siblings.ts';
import type { Turn } from './turn.ts';

export interface ApplySettings {
  readonly digest: Digest;
  readonly revisionsLimit: number;
}

export function applyEdit(turn: Turn, edit: DocumentEdit, settings: ApplySettings): EditOutcome {
  if (isLocal(edit.id)) return failed(edit.id, localIsNoDocument());
  const head = turn.head(edit.id) ?? buriedHead(turn, edit.id);
  const repeated = head && repeatedEdit(turn, head, edit, settings.digest);
  if (repeated !== undefined) return repeated;
  const base = baseOf(head, edit);
  if (base === 'conflict') return failed(edit.id, failure('conflict'));
  const made = editedRevision(turn, head, { edit, base }, settings.digest);
  if (made.kind === 'failed') return failed(edit.id, made.error);
  const { parents, revision, stubs } = made;
  const grown = addRevision(head?.graph ?? emptyGraph, {
    revision,
    parents,
    deleted: edit.deleted,
    stored: true,
  });
  // The same revision came in from elsewhere meanwhile: its leaf is no longer the base.
  if (grown.outcome === 'known') return failed(edit.id, failure('conflict'));
  const stamp = turn.leaderless?.newStamp();
  const record = { attachments: stubs, body: edit.body, stamp };
  settle(turn, edit.id, head, grown.graph, { revision, record }, settings);
  settleSiblings(turn, edit.id, settings);
  return { kind: 'written', id: edit.id, revision };
}

/** One after the other: each sees what those before it made, and what became of siblings. */
export function applyEdits(
  turn: Turn,
  edits: readonly DocumentEdit[],
  settings: ApplySettings,
): EditOutcome[] {
  return edits.map((edit) => applyEdit(turn, edit, settings));
}

/** Joins a revision made elsewhere. Known ones change nothing, but what is newly known of them is kept. */
export function applyReplicated(
  turn: Turn,
  arrival: ReplicatedRevision,
  settings: ApplySettings,
): EditOutcome {
  const { id, revision, stamp } = arrival;
  if (isLocal(id)) return failed(id, localIsNoDocument());
  if (!hasSoundExtras(arrival)) return failed(id, failure('bad_request', 'Malformed parents or stamp.'));
  if (stamp !== undefined) turn.leaderless?.see(stamp);
  const head = turn.head(id) ?? buriedHead(turn, id);
  const written: EditOutcome = { kind: 'written', id, revision };
  const known = head === undefined ? undefined : nodeOf(head.graph, revision);
  if (head !== undefined && known !== undefined && (known.stored || !isLeaf(head.graph, revision))) {
    completeKnown(turn, head, arrival);
    return written;
  }
  const isBuried = head !== undefined && turn.head(id) === undefined;
  // A replica that has not forgotten yet ends merged branches with these; a grave does not need them.
  if (isBuried && hasDerivedForm(revision)) return written;
  const attachments = settleAttachments(turn, arrival.attachments, generationOf(revision), (name, digest) =>
    head === undefined ? undefined : ancestorsAttachment(turn, head, arrival, name, digest),
  );
  if (attachments.kind === 'missing') return failed(id, missingStub(attachments.name));
  const record = { attachments: attachments.stubs, body: arrival.body, stamp };
  if (isBuried && judgeArrival(arrival, leavesOf(head)) === 'quarantine') {
    return failed(id, quarantine(turn, { ...arrival, ...record }));
  }
  join(turn, head, arrival, record, settings);
  if (isBuried) leaveQuarantine(turn, arrival);
  settleSiblings(turn, id, settings);
  return written;
}

/** Joins revisions that came together, in their order; siblings are settled once all of them are there. */
export function applyTogether(
  turn: Turn,
  arrivals: readonly ReplicatedRevision[],
  settings: ApplySettings,
): EditOutcome[] {
  return settlingTogether(turn, settings, () =>
    arrivals.map((arrival) => applyReplicated(turn, arrival, settings)),
  );
}

/** Joins a revision that was in quarantine, merged with the tombstone that it was not made from. */
export function applyAccepted(
  turn: Turn,
  { id, revision }: Pick<ReplicatedRevision, 'id' | 'revision'>,
  settings: ApplySettings,
): EditOutcome {
  const kept = turn.leaderless?.quarantine.get(id, revision);
  if (turn.leaderless === undefined || kept === undefined) return failed(id, failure('not_found'));
  if (!kept.attachments.every((stub) => turn.willNameBlob(stub.blob))) {
    return failed(id, failure('missing_stub', 'The content of an attachment is not here any more.'));
  }
  turn.leaderless.quarantine.remove(id, revision);
  const known = turn.head(id);
  const buried = known === undefined ? buriedHead(turn, id) : undefined;
  const head = known ?? buried;
  const { attachments, body, deleted, stamp } = kept;
  if (head === undefined || nodeOf(head.graph, revision) === undefined) {
    join(turn, head, kept, { attachments, body, stamp }, settings);
  }
  if (buried === undefined) return { kind: 'written', id, revision };
  // The tree parent is one generation before its child, or paths would not add up.
  const parents = [revision, ...leavesOf(buried)].sort((a, b) => generationOf(b) - generationOf(a));
  const attachmentDigests = attachments.map((stub) => [stub.name, stub.blob] as const);
  const merge = deriveRevision({ parents, deleted, body, attachmentDigests }, settings.digest);
  // Not joined when the tombstone turned out to be made from it.
  const joined = turn.head(id) ?? buried;
  assert(joined !== undefined, 'what was joined is there');
  const { graph } = addRevision(joined.graph, { revision: merge, parents, deleted, stored: true });
  const record = { attachments, body, stamp: turn.leaderless.newStamp() };
  settle(turn, id, joined, graph, { revision: merge, record }, settings);
  return { kind: 'written', id, revision: merge };
}

/** Removes revisions for good; gives those that were there and are gone. */
export function applyPurge(turn: Turn, id: string, revisions: readonly Revision[]): readonly Revision[] {
  const head = turn.head(id);
  if (head === undefined) return [];
  const purged = revisions.filter((revision) => isLeaf(head.graph, revision));
  if (purged.length === 0) return [];
  const graph = withoutRevisions(head.graph, purged);
  forgetBodies(turn, head, head.graph, graph);
  if (graph.nodes.length === 0) turn.setHead(id, undefined);
  else placeWinner(turn, head, graph, undefined);
  return purged;
}

/** Forgets the bodies of revisions that are no longer leaves. */
export function applyCompaction(turn: Turn, id: string): void {
  const head = turn.head(id);
  if (head === undefined) return;
  const graph = markUnstored(head.graph, () => false);
  for (const node of head.graph.nodes) {
    if (node.stored && !isLeaf(head.graph, node.revision)) turn.setBody(id, node.revision, undefined);
  }
  if (graph !== head.graph) turn.keepSequence(id, { ...head, graph });
}

function baseOf(head: Head | undefined, edit: DocumentEdit): Revision | undefined | 'conflict' {
  if (head === undefined) return edit.base === undefined ? undefined : 'conflict';
  if (edit.base === undefined) return head.deleted && !edit.deleted ? head.winner : 'conflict';
  return isLeaf(head.graph, edit.base) ? edit.base : 'conflict';
}

function join(
  turn: Turn,
  head: Head | undefined,
  arrival: Pick<ReplicatedRevision, 'id' | 'revision' | 'path' | 'deleted' | 'parents'>,
  record: BodyRecord,
  settings: ApplySettings,
): void {
  const { deleted, id, path, revision } = arrival;
  const before = head?.graph ?? emptyGraph;
  const grown = addPath(before, path, { deleted, stored: true }, settings.digest).graph;
  const graph = grown === before ? grown : withParents(grown, arrival);
  settle(turn, id, head, graph, { revision, record }, settings);
}

/** A path names the tree parent only; a merge says what others it ended. */
function withParents(
  graph: RevisionGraph,
  { parents = [], revision }: Pick<ReplicatedRevision, 'parents' | 'revision'>,
): RevisionGraph {
  const node = parents.length > 1 ? nodeOf(graph, revision) : undefined;
  return node === undefined ? graph : addRevision(graph, { ...node, parents }).graph;
}

/** Keeps what an arrival says of a revision that is here: parents of a merge that were not known, an earlier stamp. */
function completeKnown(turn: Turn, head: Head, arrival: ReplicatedRevision): void {
  const { id, revision, stamp } = arrival;
  // A grave remembers neither.
  if (head.sequence === 0) return;
  const graph = withParents(head.graph, arrival);
  if (graph !== head.graph) placeWinner(turn, head, graph, undefined);
  const now = graph === head.graph ? head : turn.head(id);
  const record = now && recordOf(turn, now, revision);
  if (stamp === undefined || now === undefined || record === undefined) return;
  const merged = mergedStamp(record.stamp, stamp);
  if (merged === record.stamp) return;
  if (revision === now.winner) turn.keepSequence(id, { ...now, stamp: merged });
  else turn.setBody(id, revision, { ...record, stamp: merged });
}

function hasSoundExtras({ parents, path, revision, stamp }: ReplicatedRevision): boolean {
  if (stamp !== undefined && !isStamp(stamp)) return false;
  if (parents === undefined || parents.length < 2) return true;
  const generation = generationOf(revision);
  const treeParent = `${path.start - 1}-${path.ids[1]}`;
  return (
    parents[0] === treeParent &&
    parents.every((parent) => parseRevision(parent) !== undefined && generationOf(parent) < generation)
  );
}

/** Sets aside what would bring the dead back; gives what to say. */
function quarantine(turn: Turn, arrival: Omit<QuarantinedRevision, 'sinceMs'>): TercetError {
  assert(turn.leaderless !== undefined, 'only leaderless databases have graves');
  const { attachments, body, deleted, id, parents, path, revision, stamp } = arrival;
  const sinceMs = turn.leaderless.nowMs();
  const content = { attachments, body, deleted, parents, path, stamp };
  const isKept = turn.leaderless.quarantine.add({ id, revision, sinceMs, ...content });
  const dead =
    'The document was deleted and forgotten everywhere, and this revision was not made from the deletion. ';
  return failure('forbidden', dead + (isKept ? keptInQuarantine : quarantineIsFull));
}

const keptInQuarantine = 'It is kept in quarantine, see _quarantine.';
const quarantineIsFull = 'Quarantine is full, so it is not kept.';

/** What has become known by its descendants waits for nobody any more. */
function leaveQuarantine(turn: Turn, { id, parents = [], path }: ReplicatedRevision): void {
  const waiting = turn.leaderless?.quarantine;
  if (waiting === undefined || waiting.isEmpty) return;
  for (const [back, digest] of path.ids.entries()) waiting.remove(id, `${path.start - back}-${digest}`);
  for (const parent of parents) waiting.remove(id, parent);
}

function leavesOf({ graph }: Head): readonly Revision[] {
  return graph.leaves.map((leaf) => leaf.revision);
}

/** A stub that came with a replicated revision means an attachment that an ancestor kept here already has. */
function ancestorsAttachment(
  turn: Turn,
  head: Head,
  arrival: ReplicatedRevision,
  name: string,
  digest: string | undefined,
): AttachmentStub | undefined {
  const ancestors = arrival.path.ids.map((id, index) => `${arrival.path.start - index}-${id}` as Revision);
  const known = ancestors.filter((revision) => nodeOf(head.graph, revision)?.stored === true);
  for (const revision of [...known, head.winner]) {
    const stub = recordOf(turn, head, revision)?.attachments.find((candidate) => candidate.name === name);
    if (stub !== undefined && (digest === undefined || stub.digest === digest)) return stub;
  }
  return undefined;
}

/** Local documents have no revisions to speak of and are never replicated; see local-documents.ts. */
function isLocal(id: string): boolean {
  return id.startsWith('_local/');
}

function localIsNoDocument(): TercetError {
  return failure('illegal_docid', 'A local document cannot be written as an ordinary one.');
}

function failed(id: string, error: TercetError): EditOutcome {
  return { kind: 'failed', id, error };
}
