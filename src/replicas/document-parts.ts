/**
 * A document whose leaves are more than one frame carries is told in parts, each asked for by itself:
 *
 *   n1  what have you of c1?  ─► n2: it comes in parts
 *   n1  c1, beside nothing    ─► n2: its leaves are a b c; here are a b
 *   n1  c1, beside a b        ─► n2: its leaves are a b d; here is d, and that was the last
 *
 * The document may change meanwhile. What counts are the leaves that the last answer names: c, superseded by d, is none.
 *
 *   question  utf8 identity │ utf8 id │ u8 1: for a read │ leaves that are known: utf8 each
 *   answer    u8 0: it is not here; 1: more is to be asked for; 2: the last │ u32 leaves: utf8 each │ documents of a
 *             revision each, as revision-codec.ts writes them
 */

import type { WholeRevision } from '../database/whole-documents.ts';
import type { Revision } from '../document/revision.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { DocumentName } from './answer-codec.ts';
import { decodeDocuments, encodeDocuments, type HeldDocument } from './revision-codec.ts';

export interface PartQuestion extends DocumentName {
  /** Only of a replica that may count for one. */
  readonly isRead: boolean;
  readonly known: readonly Revision[];
}

export interface DocumentPart {
  readonly isLast: boolean;
  /** All of them. */
  readonly leaves: readonly Revision[];
  /** Some of those that are not known there. */
  readonly revisions: readonly WholeRevision[];
}

/** @throws what `ask` throws, GarbageError */
export async function gatherParts(
  ask: (known: readonly Revision[]) => Promise<DocumentPart | 'no_database'>,
): Promise<HeldDocument | 'no_database'> {
  const gathered = new Map<Revision, WholeRevision>();
  for (;;) {
    const before = gathered.size;
    const part = await ask([...gathered.keys()]);
    if (part === 'no_database') return part;
    for (const revision of part.revisions) gathered.set(revision.revision, revision);
    if (part.isLast) return { revisions: part.leaves.flatMap((leaf) => gathered.get(leaf) ?? []), grave: [] };
    if (gathered.size === before) throw new GarbageError('a part of a document with nothing in it');
  }
}

export function encodePartQuestion({ id, identity, isRead, known }: PartQuestion): Uint8Array {
  const writer = new ByteWriter(8 + 3 * (identity.length + id.length) + bytesOfNames(known));
  writer
    .utf8(identity)
    .utf8(id)
    .u8(isRead ? 1 : 0);
  for (const revision of known) writer.utf8(revision);
  return writer.written();
}

/** @throws GarbageError */
export function decodePartQuestion(bytes: Uint8Array): PartQuestion {
  const reader = new ByteReader(bytes);
  const [identity, id, isRead] = [reader.utf8(), reader.utf8(), reader.u8() === 1];
  const known: Revision[] = [];
  while (!reader.isAtEnd) known.push(reader.utf8() as Revision);
  return { identity, id, isRead, known };
}

export function encodePart(part: DocumentPart | 'no_database'): Uint8Array {
  if (part === 'no_database') return Uint8Array.of(notHere);
  const { isLast, leaves, revisions } = part;
  const held = encodeDocuments(revisions.map((revision) => ({ revisions: [revision], grave: [] })));
  const writer = new ByteWriter(5 + bytesOfNames(leaves) + held.length);
  writer.u8(isLast ? last : more).u32(leaves.length);
  for (const leaf of leaves) writer.utf8(leaf);
  return writer.bytes(held).written();
}

/** @throws GarbageError */
export function decodePart(bytes: Uint8Array): DocumentPart | 'no_database' {
  const reader = new ByteReader(bytes);
  const code = reader.u8();
  if (code === notHere) return 'no_database';
  const leaves: Revision[] = [];
  for (let left = reader.u32(); left > 0; left--) leaves.push(reader.utf8() as Revision);
  const revisions = decodeDocuments(reader.rest()).flatMap((told) =>
    typeof told === 'string' ? [] : told.revisions,
  );
  return { isLast: code === last, leaves, revisions };
}

const notHere = 0;
const more = 1;
const last = 2;

function bytesOfNames(revisions: readonly Revision[]): number {
  return revisions.reduce((sum, { length }) => sum + 2 + 3 * length, 0);
}
