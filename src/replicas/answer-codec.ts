/**
 * What replicas ask for by id, and what they answer, as bytes.
 *
 *   ids       u16 databases: utf8 identity each │ u16 database, utf8 id …
 *   verdicts  u8 kind each; 2 (lacks contents), 3 and 4 (refused), 5 (rejected): utf8 what
 *   digests   u8 1: 16 bytes; 0: nothing is known of the document; 2: the database is not here
 */

import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';

export interface DocumentName {
  /** See SharedIdentity in database/model.ts. */
  readonly identity: string;
  readonly id: string;
}

/** What a replica made of a revision that it was sent. */
export type Verdict =
  /** It is durable there; perhaps it was before. */
  | { readonly kind: 'kept' }
  /** Of its path none is known there, and it was not sent whole. */
  | { readonly kind: 'lacks_path' }
  /** Contents of attachments, by their SHA-256, must be there first. */
  | { readonly kind: 'lacks_contents'; readonly blobs: readonly string[] }
  /** It is not joined there, now or later: it is in quarantine, say. */
  | { readonly kind: 'rejected'; readonly reason: string }
  /** Not now. `mayBeKept`: the disk failed, and nobody knows. */
  | { readonly kind: 'refused'; readonly reason: string; readonly mayBeKept: boolean };

/** What a replica holds of a document; see digestOfLeaves in replication/hash-buckets.ts. */
export type ToldDigest =
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'no_document' }
  /** Or not all of it yet: see leaderless/rejoining.ts. */
  | { readonly kind: 'no_database' };

const kept = 0;
const lacksPath = 1;
const lacksContents = 2;
const refused = 3;
const failed = 4;
const rejected = 5;

const noDocument = 0;
const hasDigest = 1;
const noDatabase = 2;
const digestBytes = 16;

const keptVerdict: Verdict = { kind: 'kept' };

export function encodeNames(names: readonly DocumentName[]): Uint8Array {
  const identities = [...new Set(names.map(({ identity }) => identity))];
  const places = new Map(identities.map((identity, place) => [identity, place]));
  const idBytes = names.reduce((sum, { id }) => sum + 4 + 3 * id.length, 2);
  const writer = new ByteWriter(identities.reduce((sum, { length }) => sum + 2 + 3 * length, idBytes));
  writer.u16(identities.length);
  for (const identity of identities) writer.utf8(identity);
  for (const { identity, id } of names) writer.u16(places.get(identity) as number).utf8(id);
  return writer.written();
}

/** @throws GarbageError */
export function decodeNames(bytes: Uint8Array): DocumentName[] {
  const reader = new ByteReader(bytes);
  const identities = reader.utf8s(reader.u16());
  const names: DocumentName[] = [];
  while (!reader.isAtEnd) {
    const identity = identities[reader.u16()];
    if (identity === undefined) throw new GarbageError('a document of a database that was not named');
    names.push({ identity, id: reader.utf8() });
  }
  return names;
}

export function encodeVerdicts(verdicts: readonly Verdict[]): Uint8Array {
  const texts = verdicts.map(textOf);
  const writer = new ByteWriter(texts.reduce((sum, { length }) => sum + 3 + 3 * length, 0));
  for (const [index, verdict] of verdicts.entries()) {
    writer.u8(codeOf(verdict));
    if (verdict.kind !== 'kept' && verdict.kind !== 'lacks_path') writer.utf8(texts[index] as string);
  }
  return writer.written();
}

/** @throws GarbageError */
export function decodeVerdicts(bytes: Uint8Array): Verdict[] {
  const reader = new ByteReader(bytes);
  const verdicts: Verdict[] = [];
  while (!reader.isAtEnd) verdicts.push(readVerdict(reader));
  return verdicts;
}

export function encodeDigests(documents: readonly ToldDigest[]): Uint8Array {
  const writer = new ByteWriter(documents.length * (1 + digestBytes));
  for (const told of documents) {
    if (told.kind === 'digest') writer.u8(hasDigest).hex(told.digest);
    else writer.u8(told.kind === 'no_document' ? noDocument : noDatabase);
  }
  return writer.written();
}

/** @throws GarbageError */
export function decodeDigests(bytes: Uint8Array): ToldDigest[] {
  const reader = new ByteReader(bytes);
  const documents: ToldDigest[] = [];
  while (!reader.isAtEnd) {
    const code = reader.u8();
    if (code === hasDigest) documents.push({ kind: 'digest', digest: reader.hex(digestBytes) });
    else if (code === noDocument) documents.push({ kind: 'no_document' });
    else documents.push({ kind: 'no_database' });
  }
  return documents;
}

function codeOf(verdict: Verdict): number {
  switch (verdict.kind) {
    case 'kept':
      return kept;
    case 'lacks_path':
      return lacksPath;
    case 'lacks_contents':
      return lacksContents;
    case 'refused':
      return verdict.mayBeKept ? failed : refused;
    case 'rejected':
      return rejected;
  }
}

function textOf(verdict: Verdict): string {
  if (verdict.kind === 'lacks_contents') return verdict.blobs.join(' ');
  return 'reason' in verdict ? verdict.reason : '';
}

function readVerdict(reader: ByteReader): Verdict {
  const code = reader.u8();
  switch (code) {
    case kept:
      return keptVerdict;
    case lacksPath:
      return { kind: 'lacks_path' };
    case lacksContents:
      return { kind: 'lacks_contents', blobs: reader.utf8().split(' ') };
    case refused:
    case failed:
      return { kind: 'refused', reason: reader.utf8(), mayBeKept: code === failed };
    case rejected:
      return { kind: 'rejected', reason: reader.utf8() };
    default:
      throw new GarbageError(`a verdict of kind ${code}`);
  }
}
