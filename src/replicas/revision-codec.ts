/**
 * Revisions between replicas, as bytes; many in one frame, of several databases.
 *
 *   insert    u16 databases: utf8 identity each │ revisions: u16 database │ u8 has an owner [utf8 owner] │ revision
 *   revision  utf8 id │ u8 flags │ f64 generation │ u32 ids: u8 length, text each (0: 16 bytes of hex) │
 *             [u32 attachments (JSON)] │ [u16 parents: utf8 each] │ [u48 ms │ u16 counter │ utf8 node] │ u32 body
 *
 * A path is sent as far back as a receiver probably needs it. One that knows none of it asks for the rest: joined as it is,
 * the revision would stand beside its own ancestor. `owner`: whom a stand-in keeps the revision for.
 */

import type { WholeRevision } from '../database/whole-documents.ts';
import { type Revision, revisionOf } from '../document/revision.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';

export interface InsertItem {
  /** See SharedIdentity in database/model.ts. */
  readonly identity: string;
  readonly revision: WholeRevision;
  /** Send all of the path, not the end of it. */
  readonly isWhole?: boolean;
  readonly owner?: string | undefined;
}

export interface ArrivedRevision extends InsertItem {
  readonly isWhole: boolean;
}

/** So many ids of a longer path are sent at first. */
const idsAtFirst = 8;

const flag = { deleted: 1, attachments: 2, whole: 4, parents: 8, stamp: 16 } as const;
const hexId = /^[0-9a-f]{32}$/;

export function encodeInserts(items: readonly InsertItem[]): Uint8Array {
  const identities = [...new Set(items.map(({ identity }) => identity))];
  const places = new Map(identities.map((identity, place) => [identity, place]));
  const prepared = items.map((item) => prepare(item));
  const named = [...identities, ...items.map(({ owner = '' }) => owner)];
  const bytesMax = prepared.reduce((sum, each) => sum + each.bytesMax + 3, 2 + 2 * named.length);
  const writer = new ByteWriter(bytesMax + named.reduce((sum, { length }) => sum + 3 * length, 0));
  writer.u16(identities.length);
  for (const identity of identities) writer.utf8(identity);
  for (const [index, { identity, owner }] of items.entries()) {
    writer.u16(places.get(identity) as number).u8(owner === undefined ? 0 : 1);
    if (owner !== undefined) writer.utf8(owner);
    writeRevision(writer, prepared[index] as Prepared);
  }
  return writer.written();
}

/** What is given are views of `bytes`. @throws GarbageError */
export function decodeInserts(bytes: Uint8Array): ArrivedRevision[] {
  const reader = new ByteReader(bytes);
  const identities = reader.utf8s(reader.u16());
  const items: ArrivedRevision[] = [];
  while (!reader.isAtEnd) {
    const identity = identities[reader.u16()];
    if (identity === undefined) throw new GarbageError('a revision of a database that was not named');
    const owner = reader.u8() === 0 ? undefined : reader.utf8();
    const { isWhole, revision } = readRevision(reader);
    items.push({ identity, revision, isWhole, owner });
  }
  return items;
}

/** All leaves of a document, or the tombstones of its grave. */
export interface HeldDocument {
  readonly revisions: readonly WholeRevision[];
  readonly grave: readonly Revision[];
}

/** `not_now`: the answer was full, ask again. `no_database` to a read: or not all of it yet. */
export type ToldDocument = HeldDocument | 'not_now' | 'no_database';

/** On its way. `in_parts`: it is more than an answer may be, and has to be asked for as document-parts.ts says. */
export type SentDocument = ToldDocument | 'in_parts';

/** What a replica has of documents, each as all of its leaves. */
export function encodeDocuments(documents: readonly SentDocument[]): Uint8Array {
  const prepared = documents.map((told) =>
    typeof told === 'string'
      ? []
      : told.revisions.map((revision) => prepare({ identity: '', revision, isWhole: true })),
  );
  const graves = documents.flatMap((told) => (typeof told === 'string' ? [] : told.grave));
  const graveBytes = graves.reduce((sum, { length }) => sum + 2 + 3 * length, 6 * documents.length);
  const bytesMax = prepared.flat().reduce((sum, each) => sum + each.bytesMax, graveBytes);
  const writer = new ByteWriter(bytesMax);
  for (const [index, told] of documents.entries()) {
    if (typeof told === 'string') {
      writer.u32(codes[told]);
      continue;
    }
    writer.u32(told.revisions.length).u16(told.grave.length);
    for (const tombstone of told.grave) writer.utf8(tombstone);
    for (const revision of prepared[index] as readonly Prepared[]) writeRevision(writer, revision);
  }
  return writer.written();
}

/** @throws GarbageError */
export function decodeDocuments(bytes: Uint8Array): SentDocument[] {
  const reader = new ByteReader(bytes);
  const documents: SentDocument[] = [];
  while (!reader.isAtEnd) {
    const count = reader.u32();
    const word = words.find((each) => codes[each] === count);
    if (word !== undefined) documents.push(word);
    else documents.push(readHeld(reader, count));
  }
  return documents;
}

/** In the place of how many revisions there are. */
const codes = { not_now: 0xffff_ffff, no_database: 0xffff_fffe, in_parts: 0xffff_fffd } as const;
const words = ['not_now', 'no_database', 'in_parts'] as const;

/** A count that is wrong makes nobody allocate. */
function readHeld(reader: ByteReader, count: number): HeldDocument {
  const grave: Revision[] = [];
  for (let left = reader.u16(); left > 0; left--) grave.push(reader.utf8() as Revision);
  const revisions: WholeRevision[] = [];
  while (revisions.length < count) revisions.push(readRevision(reader).revision);
  return { revisions, grave };
}

interface Prepared {
  readonly revision: WholeRevision;
  readonly ids: readonly string[];
  readonly attachments: Uint8Array | undefined;
  readonly bytesMax: number;
}

function prepare({ revision, isWhole = false }: InsertItem): Prepared {
  const { attachments: edits, body, id, parents = [], path, stamp } = revision;
  const ids = isWhole || path.ids.length <= 2 * idsAtFirst ? path.ids : path.ids.slice(0, idsAtFirst);
  const attachments = edits.length === 0 ? undefined : Buffer.from(JSON.stringify(edits));
  const idBytes = ids.reduce((sum, each) => sum + 17 + each.length, 0);
  const parentBytes = parents.reduce((sum, parent) => sum + 2 + 3 * parent.length, 0);
  const texts = 3 * (id.length + (stamp?.node.length ?? 0)) + idBytes + parentBytes;
  const bytesMax = 48 + texts + (attachments?.length ?? 0) + body.length;
  return { revision, ids, attachments, bytesMax };
}

function writeRevision(writer: ByteWriter, { revision, ids, attachments }: Prepared): void {
  const { body, deleted, id, parents, path, stamp } = revision;
  const isWhole = ids.length === path.ids.length;
  writer
    .utf8(id)
    .u8(
      (deleted ? flag.deleted : 0) |
        (attachments === undefined ? 0 : flag.attachments) |
        (isWhole ? flag.whole : 0) |
        (parents === undefined ? 0 : flag.parents) |
        (stamp === undefined ? 0 : flag.stamp),
    );
  writer.f64(path.start).u32(ids.length);
  for (const each of ids) {
    if (hexId.test(each)) writer.u8(0).hex(each);
    else writer.u8(each.length).text(each);
  }
  if (attachments !== undefined) writer.u32(attachments.length).bytes(attachments);
  if (parents !== undefined) {
    writer.u16(parents.length);
    for (const parent of parents) writer.utf8(parent);
  }
  if (stamp !== undefined) writer.u48(stamp.ms).u16(stamp.counter).utf8(stamp.node);
  writer.u32(body.length).bytes(body);
}

function readRevision(reader: ByteReader): { revision: WholeRevision; isWhole: boolean } {
  const id = reader.utf8();
  const flags = reader.u8();
  const start = reader.f64();
  const ids: string[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    const length = reader.u8();
    ids.push(length === 0 ? reader.hex(16) : reader.text(length));
  }
  const first = ids[0];
  if (first === undefined || start < ids.length) throw new GarbageError('a revision without its path');
  const attachments = (flags & flag.attachments) === 0 ? [] : readAttachments(reader);
  const revision: Revision = revisionOf(start, first);
  const parents = (flags & flag.parents) === 0 ? undefined : readParents(reader);
  const stamp =
    (flags & flag.stamp) === 0 ? undefined : { ms: reader.u48(), counter: reader.u16(), node: reader.utf8() };
  const deleted = (flags & flag.deleted) !== 0;
  const body = reader.bytes(reader.u32());
  return {
    revision: { id, revision, deleted, body, attachments, path: { start, ids }, parents, stamp },
    isWhole: (flags & flag.whole) !== 0,
  };
}

function readParents(reader: ByteReader): readonly Revision[] {
  return reader.utf8s(reader.u16()) as Revision[];
}

function readAttachments(reader: ByteReader): WholeRevision['attachments'] {
  try {
    return JSON.parse(Buffer.from(reader.bytes(reader.u32())).toString()) as WholeRevision['attachments'];
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new GarbageError('attachments that are no JSON', { cause: error });
    throw error;
  }
}
