/**
 * How a write becomes revisions: the rules of CouchDB's `new_edits` true and false, on one turn.
 *
 * An edit must name the leaf it replaces, and adds one revision to it. A replicated revision is joined into the graph
 * as it is. Either way the graph only grows; what is left to decide is which revision wins and where bodies live:
 * the winner's in the head (one read answers a GET), every other stored revision's in a record of its own.
 */

import type { AttachmentStub } from '../document/document.ts';
import { markUnstored, stem, withoutRevisions } from '../document/graph-trimming.ts';
import type { Digest, Revision } from '../document/revision.ts';
import { deriveRevision, generationMax, generationOf } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { addRevision, emptyGraph, isLeaf, nodeOf, winnerOf } from '../document/revision-graph.ts';
import { addPath } from '../document/revision-path.ts';
import type { TercetError } from '../errors.ts';
import { assert, failure } from '../errors.ts';
import type { AttachmentEdit, DocumentEdit, EditOutcome, ReplicatedRevision } from './model.ts';
import type { BodyRecord, Head } from './records.ts';
import type { Turn } from './turn.ts';

export interface ApplySettings {
  readonly digest: Digest;
  readonly revisionsLimit: number;
}

export function applyEdit(turn: Turn, edit: DocumentEdit, settings: ApplySettings): EditOutcome {
  if (isLocal(edit.id)) return failed(edit.id, localIsNoDocument());
  const head = turn.head(edit.id);
  const base = baseOf(head, edit);
  if (base === 'conflict') return failed(edit.id, failure('conflict'));
  const parents = base === undefined ? [] : [base];
  const before = head !== undefined && base !== undefined ? recordOf(turn, head, base) : undefined;
  const generation = base === undefined ? 1 : generationOf(base) + 1;
  if (generation > generationMax) return failed(edit.id, lastGeneration());
  const attachments = settleAttachments(turn, edit.attachments, generation, (name) =>
    before?.attachments.find((stub) => stub.name === name),
  );
  if (attachments.kind === 'missing') return failed(edit.id, missingStub(attachments.name));
  const revision = deriveRevision(
    {
      parents,
      deleted: edit.deleted,
      body: edit.body,
      attachmentDigests: attachments.stubs.map((stub) => [stub.name, stub.blob] as const),
    },
    settings.digest,
  );
  const grown = addRevision(head?.graph ?? emptyGraph, {
    revision,
    parents,
    deleted: edit.deleted,
    stored: true,
  });
  // The same revision came in from elsewhere meanwhile: its leaf is no longer the base.
  if (grown.outcome === 'known') return failed(edit.id, failure('conflict'));
  const record = { attachments: attachments.stubs, body: edit.body };
  settle(turn, edit.id, head, grown.graph, { revision, record }, settings);
  return { kind: 'written', id: edit.id, revision };
}

/** Joins a revision made elsewhere. Known ones change nothing. */
export function applyReplicated(
  turn: Turn,
  arrival: ReplicatedRevision,
  settings: ApplySettings,
): EditOutcome {
  const { id, revision } = arrival;
  if (isLocal(id)) return failed(id, localIsNoDocument());
  const head = turn.head(id);
  const written: EditOutcome = { kind: 'written', id, revision };
  const known = head === undefined ? undefined : nodeOf(head.graph, revision);
  if (head !== undefined && known !== undefined && (known.stored || !isLeaf(head.graph, revision)))
    return written;
  const attachments = settleAttachments(turn, arrival.attachments, generationOf(revision), (name, digest) =>
    head === undefined ? undefined : ancestorsAttachment(turn, head, arrival, name, digest),
  );
  if (attachments.kind === 'missing') return failed(id, missingStub(attachments.name));
  const grown = addPath(
    head?.graph ?? emptyGraph,
    arrival.path,
    { deleted: arrival.deleted, stored: true },
    settings.digest,
  );
  const record = { attachments: attachments.stubs, body: arrival.body };
  settle(turn, id, head, grown.graph, { revision, record }, settings);
  return written;
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

/** A revision's attachments and body, wherever they are kept; undefined when only its id is. */
export function recordOf(turn: Turn, head: Head, revision: Revision): BodyRecord | undefined {
  if (revision === head.winner) return head;
  return nodeOf(head.graph, revision)?.stored === true ? turn.body(head.id, revision) : undefined;
}

function baseOf(head: Head | undefined, edit: DocumentEdit): Revision | undefined | 'conflict' {
  if (head === undefined) return edit.base === undefined ? undefined : 'conflict';
  if (edit.base === undefined) return head.deleted && !edit.deleted ? head.winner : 'conflict';
  return isLeaf(head.graph, edit.base) ? edit.base : 'conflict';
}

function settle(
  turn: Turn,
  id: string,
  head: Head | undefined,
  grown: RevisionGraph,
  arrival: { readonly revision: Revision; readonly record: BodyRecord },
  settings: ApplySettings,
): void {
  // Only a graph with more nodes than the limit can have a path longer than it.
  const graph = grown.nodes.length > settings.revisionsLimit ? stem(grown, settings.revisionsLimit) : grown;
  if (head === undefined) {
    const winner = winnerOf(graph);
    assert(winner?.revision === arrival.revision, 'the first revision of a document wins');
    const deleted = winner.deleted;
    turn.setHead(id, { id, sequence: 0, graph, winner: arrival.revision, deleted, ...arrival.record });
    return;
  }
  if (graph !== grown) forgetBodies(turn, head, grown, graph);
  placeWinner(turn, head, graph, arrival);
}

/** Deletes the bodies of revisions that a graph lost. The winner's goes with the head. */
function forgetBodies(turn: Turn, head: Head, before: RevisionGraph, now: RevisionGraph): void {
  for (const { stored, revision } of before.nodes) {
    const gone = stored && revision !== head.winner && nodeOf(now, revision) === undefined;
    if (gone) turn.setBody(head.id, revision, undefined);
  }
}

/** Moves bodies so that the winner's is in the head, and every other stored one in its own record. */
function placeWinner(
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
    turn.setBody(id, head.winner, { attachments: head.attachments, body: head.body });
  }
  const { attachments, body } = record;
  turn.setHead(id, { id, sequence: head.sequence, graph, winner: revision, deleted, attachments, body });
}

type SettledAttachments =
  | { readonly kind: 'settled'; readonly stubs: readonly AttachmentStub[] }
  | { readonly kind: 'missing'; readonly name: string };

function settleAttachments(
  turn: Turn,
  edits: readonly AttachmentEdit[],
  generation: number,
  find: (name: string, digest: string | undefined) => AttachmentStub | undefined,
): SettledAttachments {
  const stubs: AttachmentStub[] = [];
  for (const edit of edits) {
    const stub = edit.kind === 'keep' ? find(edit.name, edit.digest) : storedStub(edit, generation);
    if (stub === undefined || !turn.willNameBlob(stub.blob)) return { kind: 'missing', name: edit.name };
    stubs.push(stub);
  }
  // One order, whatever the writer's: the revision's digest covers it.
  stubs.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { kind: 'settled', stubs };
}

function storedStub(edit: Extract<AttachmentEdit, { kind: 'stored' }>, generation: number): AttachmentStub {
  const { name, contentType, blob } = edit;
  return { name, contentType, ...blob, revpos: edit.revpos ?? generation };
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

function lastGeneration(): TercetError {
  return failure('bad_request', 'The revision has the highest generation there is.');
}

/** Local documents have no revisions to speak of and are never replicated; see local-documents.ts. */
function isLocal(id: string): boolean {
  return id.startsWith('_local/');
}

function localIsNoDocument(): TercetError {
  return failure('illegal_docid', 'A local document cannot be written as an ordinary one.');
}

function missingStub(name: string): TercetError {
  return failure(
    'missing_stub',
    `Invalid attachment stub: no earlier revision here has the attachment "${name}".`,
  );
}

function failed(id: string, error: TercetError): EditOutcome {
  return { kind: 'failed', id, error };
}
