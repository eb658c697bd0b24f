/** `/{db}/{doc}/{attachment}`: contents on their own, streamed both ways, with ranges. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { AttachmentEdit, DocumentRevision } from '../../database/model.ts';
import { checkAttachmentName, checkContentType, isContentType } from '../../document/attachment-input.ts';
import { type AttachmentStub, checkDocumentId, type ParsedDocument } from '../../document/document.ts';
import type { Revision } from '../../document/revision.ts';
import { failure } from '../../errors.ts';
import { streamBody } from '../body.ts';
import { requireReader } from '../document-answer.ts';
import { admit, baseRevision, documentEdit, revisionParameter, writtenRevision } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { requireDocumentWrite } from '../gate.ts';
import { parseRange } from '../ranges.ts';
import { sendError, sendJson, sendNotModified, writeHead } from '../respond.ts';
import type { DocumentTarget } from '../router.ts';
import { StreamedAnswer } from '../streamed-answer.ts';
import { localAttachmentsRefused } from './local-documents.ts';

const contentTypeDefault = 'application/octet-stream';
const emptyBody = Buffer.from('{}');

export async function readAttachment(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  refuseLocal(target);
  const named = exchange.query.get('rev');
  const reader = exchange.documents ?? database;
  const outcome = reader.read(target.id, named === undefined ? {} : { revision: revisionParameter(named) });
  if (outcome.kind !== 'found') throw failure('not_found', outcome.kind);
  // Whoever may not see the document may not see what is attached to it.
  requireReader(exchange, database, outcome.document);
  const attachment = outcome.document.attachments.find((stub) => stub.name === target.attachment);
  if (attachment === undefined) throw failure('not_found', 'Document is missing attachment');
  await sendContent(exchange, database, attachment);
}

async function sendContent(
  exchange: Exchange,
  database: Database,
  attachment: AttachmentStub,
): Promise<void> {
  const digest = attachment.digest.replace(/^md5-/, '');
  const etag = `"${digest}"`;
  if (sendNotModified(exchange, etag)) return;
  // One that no header can carry is refused everywhere on its way in, but may stand in older data.
  const contentType = isContentType(attachment.contentType) ? attachment.contentType : contentTypeDefault;
  const headers = [
    ...['Content-Type', contentType, 'ETag', etag, 'Accept-Ranges', 'bytes'],
    // Attachments are whatever users stored: a browser must not run them with the node's own rights.
    ...['Content-Security-Policy', 'sandbox', 'Cache-Control', 'must-revalidate'],
  ];
  const { length } = attachment;
  const condition = exchange.header('if-range');
  const range = condition === undefined || condition === etag ? exchange.header('range') : undefined;
  const piece = parseRange(range, length);
  if (piece.kind === 'unsatisfiable') {
    sendError(exchange, failure('requested_range_not_satisfiable'), ['Content-Range', `bytes */${length}`]);
    return;
  }
  const { start, end } = piece.kind === 'piece' ? piece : { start: 0, end: length };
  headers.push('Content-Length', String(end - start));
  if (piece.kind === 'piece') headers.push('Content-Range', `bytes ${start}-${end - 1}/${length}`);
  else headers.push('Content-MD5', digest);
  writeHead(exchange, piece.kind === 'piece' ? 206 : 200, headers);
  await sendBytesOf(exchange, database, { blob: attachment.blob, start, end });
}

async function sendBytesOf(
  exchange: Exchange,
  database: Database,
  { blob, start, end }: { readonly blob: string; readonly start: number; readonly end: number },
): Promise<void> {
  if (exchange.method === 'HEAD' || start === end) {
    exchange.response.end();
    return;
  }
  const answer = new StreamedAnswer(exchange, {});
  for await (const chunk of database.readBlob(blob, { start, end })) {
    answer.bytes(chunk);
    if (answer.isFull) await answer.flush();
  }
  answer.end();
}

export async function putAttachment(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  refuseLocal(target);
  const name = target.attachment ?? '';
  checkDocumentId(target.id, limits.documentIdBytesMax);
  checkAttachmentName(name, limits.attachmentNameBytesMax);
  const contentType = exchange.header('content-type') ?? contentTypeDefault;
  checkContentType(name, contentType);
  const base = baseRevision(exchange, undefined);
  await database.readable(target.id);
  const document = documentToChange(exchange, database, { id: target.id, base });
  await admitChange(exchange, database, { id: target.id, document, base });
  const { attachmentBytesMax } = exchange.services.http.limits;
  const blob = await database.storeBlob(streamBody(exchange, attachmentBytesMax), attachmentBytesMax);
  const md5 = exchange.header('content-md5');
  if (md5 !== undefined && `md5-${md5}` !== blob.digest) {
    throw failure('bad_request', 'The content does not have the digest that Content-MD5 says.');
  }
  const kept = otherAttachments(document, name);
  const change = {
    id: target.id,
    document,
    base,
    attachments: [...kept, { kind: 'stored', name, contentType, blob }],
  } as const;
  await saveChange(exchange, database, change, 201);
}

export async function deleteAttachment(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  refuseLocal(target);
  const base = baseRevision(exchange, undefined);
  await database.readable(target.id);
  const document = documentToChange(exchange, database, { id: target.id, base });
  if (document === undefined) throw failure('not_found', 'missing');
  if (!document.attachments.some((stub) => stub.name === target.attachment)) {
    throw failure('not_found', 'Document is missing attachment');
  }
  await admitChange(exchange, database, { id: target.id, document, base });
  const attachments = otherAttachments(document, target.attachment ?? '');
  await saveChange(exchange, database, { id: target.id, document, base, attachments }, 200);
}

interface Change {
  readonly id: string;
  /** What the attachment is added to or taken from; none where the attachment makes the document. */
  readonly document: DocumentRevision | undefined;
  readonly base: Revision | undefined;
}

/** Refuses a hopeless change before its content is sent. @throws TercetError `conflict`, `forbidden`, `unauthorized` */
function documentToChange(
  exchange: Exchange,
  database: Database,
  { id, base }: Omit<Change, 'document'>,
): DocumentRevision | undefined {
  requireDocumentWrite(exchange, database, id);
  const outcome = database.read(id, base === undefined ? {} : { revision: base });
  if (outcome.kind === 'found') requireReader(exchange, database, outcome.document);
  if ((outcome.kind === 'found') !== (base !== undefined)) throw failure('conflict');
  return outcome.kind === 'found' ? outcome.document : undefined;
}

/** The body stays as it is, so a hook may refuse a change but not alter it. */
async function admitChange(
  exchange: Exchange,
  database: Database,
  { id, document, base }: Change,
): Promise<void> {
  const value = document === undefined ? {} : JSON.parse(Buffer.from(document.body).toString('utf8'));
  await admit(exchange, database, { id, parsed: parsedChange(id, document, base) }, value);
}

async function saveChange(
  exchange: Exchange,
  database: Database,
  change: Change & { readonly attachments: readonly AttachmentEdit[] },
  status: 200 | 201,
): Promise<void> {
  const { id, document, base, attachments } = change;
  const edit = documentEdit(exchange, { id, parsed: parsedChange(id, document, base) }, base, attachments);
  const [outcome] = await database.edit([edit], exchange.writeOptions);
  const revision = writtenRevision(outcome);
  sendJson(exchange, status, { ok: true, id, rev: revision }, ['ETag', `"${revision}"`]);
}

function parsedChange(
  id: string,
  document: DocumentRevision | undefined,
  revision: Revision | undefined,
): ParsedDocument {
  const body = document?.body ?? emptyBody;
  return { id, revision, deleted: false, path: undefined, body, attachments: [] };
}

function otherAttachments(document: DocumentRevision | undefined, name: string): AttachmentEdit[] {
  const others = document?.attachments.filter((stub) => stub.name !== name) ?? [];
  return others.map((stub) => ({ kind: 'keep', name: stub.name, digest: stub.digest, revpos: stub.revpos }));
}

function refuseLocal({ id }: DocumentTarget): void {
  if (id.startsWith('_local/')) throw failure('bad_request', localAttachmentsRefused);
}
