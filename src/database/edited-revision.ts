/**
 * The revision that an edit makes of the one it replaces, and whether it has been made before.
 *
 * A client whose answer was lost may send the same edit again, with the same `Idempotency-Key`. A revision's id covers the
 * key, so the edit makes the same revision whenever, wherever and however often it is made, and an equal edit with another
 * key makes another one. So there is nothing to remember: the edit was done if the graph has its revision.
 *
 *     PUT {"_rev": 1-a, "n": 2}, key K   →  2-b      the answer is lost
 *     the same again                     →  2-b      it is there: 201, also when 3-c was made from it meanwhile
 *     the same, key L                    →  2-d      1-a is no leaf any more: 409
 *
 * What it cannot tell: an edit whose revision was stemmed or purged looks new, and is refused as a conflict where it names
 * what it replaces.
 */

import type { AttachmentStub } from '../document/document.ts';
import type { Digest, Revision } from '../document/revision.ts';
import { deriveRevision, generationMax, generationOf } from '../document/revision.ts';
import { nodeOf } from '../document/revision-graph.ts';
import { latestLeavesOf } from '../document/revision-path.ts';
import { failure, type TercetError } from '../errors.ts';
import type { AttachmentEdit, DocumentEdit, EditOutcome } from './model.ts';
import type { BodyRecord, Head } from './records.ts';
import type { Turn } from './turn.ts';

/** A create may have gone over a tombstone: this many of those that documents were made anew from are tried. */
const RESURRECTIONS_MAX = 16;

interface EditOver {
  readonly edit: DocumentEdit;
  readonly base: Revision | undefined;
}

export type EditedRevision =
  | {
      readonly kind: 'made';
      readonly revision: Revision;
      readonly parents: readonly Revision[];
      readonly stubs: readonly AttachmentStub[];
    }
  | { readonly kind: 'failed'; readonly error: TercetError };

/** @param edit over `base`, which is in the graph of `head` */
export function editedRevision(
  turn: Turn,
  head: Head | undefined,
  { edit, base }: EditOver,
  digest: Digest,
): EditedRevision {
  const generation = base === undefined ? 1 : generationOf(base) + 1;
  if (generation > generationMax) return { kind: 'failed', error: lastGeneration() };
  const before = head !== undefined && base !== undefined ? recordOf(turn, head, base) : undefined;
  const attachments = settleAttachments(turn, edit.attachments, generation, (name) =>
    before?.attachments.find((stub) => stub.name === name),
  );
  if (attachments.kind === 'missing') return { kind: 'failed', error: missingStub(attachments.name) };
  const { stubs } = attachments;
  const parents = base === undefined ? [] : [base];
  const { body, deleted, idempotencyKey } = edit;
  const attachmentDigests = stubs.map((stub) => [stub.name, stub.blob] as const);
  const revision = deriveRevision({ parents, deleted, body, attachmentDigests, idempotencyKey }, digest);
  return { kind: 'made', revision, parents, stubs };
}

/** What an edit that was done before is answered; undefined when it was not, or has no key. */
export function repeatedEdit(
  turn: Turn,
  head: Head,
  edit: DocumentEdit,
  digest: Digest,
): EditOutcome | undefined {
  if (edit.idempotencyKey === undefined) return undefined;
  const { graph } = head;
  for (const base of edit.base === undefined ? basesOfCreation(head) : [edit.base]) {
    if (base !== undefined && nodeOf(graph, base) === undefined) continue;
    const made = editedRevision(turn, head, { edit, base }, digest);
    if (made.kind === 'failed' || nodeOf(graph, made.revision) === undefined) continue;
    const { revision } = made;
    const lives = latestLeavesOf(graph, revision).some(
      (leaf) => !leaf.deleted || leaf.revision === head.winner,
    );
    // Made by a leader that was lost, and overtaken before it came back: it is history, but not of what there is now.
    if (!lives) return { kind: 'failed', id: edit.id, error: failure('conflict') };
    return { kind: 'written', id: edit.id, revision };
  }
  return undefined;
}

/** What a write without `_rev` may have replaced: nothing, or a tombstone that has a child. */
function basesOfCreation({ graph }: Head): readonly (Revision | undefined)[] {
  const bases = new Set<Revision | undefined>([undefined]);
  for (const { parents } of graph.nodes) {
    const [parent] = parents;
    if (parent !== undefined && nodeOf(graph, parent)?.deleted === true) bases.add(parent);
    if (bases.size > RESURRECTIONS_MAX) break;
  }
  return [...bases];
}

/** A revision's attachments and body, wherever they are kept; undefined when only its id is. */
export function recordOf(turn: Turn, head: Head, revision: Revision): BodyRecord | undefined {
  if (revision === head.winner) return head;
  return nodeOf(head.graph, revision)?.stored === true ? turn.body(head.id, revision) : undefined;
}

export type SettledAttachments =
  | { readonly kind: 'settled'; readonly stubs: readonly AttachmentStub[] }
  | { readonly kind: 'missing'; readonly name: string };

/** @param find an attachment that a revision before has */
export function settleAttachments(
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

export function missingStub(name: string): TercetError {
  return failure(
    'missing_stub',
    `Invalid attachment stub: no earlier revision here has the attachment "${name}".`,
  );
}

function lastGeneration(): TercetError {
  return failure('bad_request', 'The revision has the highest generation there is.');
}
