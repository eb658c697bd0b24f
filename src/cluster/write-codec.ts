/**
 * Ordinary document writes in the log, which is nearly all of it, as bytes that cost little to make and to read.
 *
 *   u8 format │ u48 database │ u8 told early │ u16 count │ revisions: id │ u8 deleted │ u48 generation │ u16 digests │
 *   digests, 16 bytes each, newest first │ u32 length │ body
 *
 * Ids are UTF-8 behind their length. Revisions with attachments, or made elsewhere with ids of another form, are left to the
 * general format (commands.ts).
 */

import type { Revision } from '../document/revision.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import type { Command, LoggedRevision } from './commands.ts';

export const writeFormat = 2;

type Write = Extract<Command, { kind: 'write' }>;

const digestPattern = /^[0-9a-f]{32}$/;
const digestBytes = 16;
const countMax = 0xffff;
const idUnitsMax = Math.floor(countMax / 3);
const fixedBytes = 16;

/** Undefined: it needs the general format. */
export function encodeWrite({ database, isToldEarly, revisions }: Write): Uint8Array | undefined {
  if (revisions.length > countMax || !revisions.every(isOrdinary)) return undefined;
  let bytesMax = fixedBytes;
  for (const { id, path, body } of revisions)
    bytesMax += fixedBytes + 3 * id.length + digestBytes * path.ids.length + body.length;
  const writer = new ByteWriter(bytesMax);
  writer
    .u8(writeFormat)
    .u48(database)
    .u8(isToldEarly === true ? 1 : 0)
    .u16(revisions.length);
  for (const { id, path, deleted, body } of revisions) {
    writer
      .utf8(id)
      .u8(deleted ? 1 : 0)
      .u48(path.start)
      .u16(path.ids.length);
    for (const digest of path.ids) writer.hex(digest);
    writer.u32(body.length).bytes(body);
  }
  return writer.written();
}

/** Bodies are views of `bytes`. @throws GarbageError */
export function decodeWrite(bytes: Uint8Array): Write {
  const reader = new ByteReader(bytes);
  reader.u8();
  const [database, isToldEarly, count] = [reader.u48(), reader.u8() === 1, reader.u16()];
  const revisions: LoggedRevision[] = [];
  for (let at = 0; at < count; at += 1) revisions.push(readRevision(reader));
  reader.end();
  return { kind: 'write', database, revisions, ...(isToldEarly && { isToldEarly }) };
}

function readRevision(reader: ByteReader): LoggedRevision {
  const id = reader.utf8();
  const deleted = reader.u8() === 1;
  const start = reader.u48();
  const ids: string[] = [];
  for (let left = reader.u16(); left > 0; left -= 1) ids.push(reader.hex(digestBytes));
  const revision = `${start}-${ids[0]}` as Revision;
  return { id, revision, path: { start, ids }, deleted, attachments: [], body: reader.bytes(reader.u32()) };
}

function isOrdinary({ attachments, id, path, revision }: LoggedRevision): boolean {
  const { ids, start } = path;
  return (
    attachments.length === 0 &&
    id.length <= idUnitsMax &&
    ids.length <= countMax &&
    ids.every((digest) => digestPattern.test(digest)) &&
    revision === `${start}-${ids[0]}`
  );
}
