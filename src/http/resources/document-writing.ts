/** PUT, POST, DELETE and COPY of one document; a PUT may be a `multipart/related` body with its attachments. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { DocumentRevision, EditOutcome } from '../../database/model.ts';
import { checkDocumentId, type ParsedDocument } from '../../document/document.ts';
import type { Revision } from '../../document/revision.ts';
import { failure } from '../../errors.ts';
import { readJson, readJsonObject } from '../body.ts';
import { renderForReader, requireReader } from '../document-answer.ts';
import {
  admit,
  baseRevision,
  documentEdit,
  type FollowingContents,
  type IncomingDocument,
  needsAdmission,
  parseIncoming,
  refuseHopeless,
  refuseValidation,
  replicatedRevision,
  revisionParameter,
  storeAttachments,
  writtenRevision,
} from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { idempotencyKeyOf } from '../idempotency.ts';
import { asObject } from '../json-guard.ts';
import { decodePercent, flagUnlessFalse, parseQuery } from '../query.ts';
import { sendJson } from '../respond.ts';
import type { DocumentTarget } from '../router.ts';
import type { JsonObject } from '../services.ts';
import {
  applyLocal,
  deleteLocalDocument,
  localAttachmentsRefused,
  parseLocal,
  putLocalDocument,
} from './local-documents.ts';
import { readRelated } from './related-body.ts';
import { newUuid } from './root.ts';

const tombstoneBody = Buffer.from('{}');

export async function putDocument(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  if (target.id.startsWith('_local/')) return putLocalDocument(exchange, database, target);
  const { id } = target;
  const admitPut = (object: JsonObject) => {
    // The id of the path is the document's, whatever its body says.
    const isNamedOtherwise = Object.hasOwn(object, '_id') && object._id !== id;
    const value = isNamedOtherwise ? { ...object, _id: id } : object;
    const parsed = parseIncoming(exchange, value);
    checkDocumentId(id, limits.documentIdBytesMax);
    return admitWrite(exchange, database, { id, parsed }, value);
  };
  if (exchange.header('content-type')?.toLowerCase().startsWith('multipart/related')) {
    const { admitted, contents } = await readRelated(exchange, database, admitPut);
    await write(exchange, database, admitted, contents);
  } else {
    const object = asObject(await readJson(exchange), 'Document must be a JSON object');
    await write(exchange, database, await admitPut(object));
  }
}

export async function postDocument(exchange: Exchange, database: Database): Promise<void> {
  const value = await readJsonObject(exchange);
  const named = Object.hasOwn(value, '_id') ? value._id : undefined;
  if (typeof named === 'string' && named.startsWith('_local/')) {
    const rev = await applyLocal(exchange, database, parseLocal(exchange, value));
    sendJson(exchange, 201, { ok: true, id: named, rev });
    return;
  }
  const parsed = parseIncoming(exchange, value);
  const id = parsed.id ?? idempotencyKeyOf(exchange) ?? newUuid();
  await write(exchange, database, await admitWrite(exchange, database, { id, parsed }, value));
}

/** A write that everybody who has a say in it agrees to, before any content of its attachments is stored. */
interface AdmittedWrite {
  readonly incoming: IncomingDocument;
  readonly isReplicated: boolean;
  readonly base: Revision | undefined;
}

async function admitWrite(
  exchange: Exchange,
  database: Database,
  incoming: IncomingDocument,
  value: JsonObject,
): Promise<AdmittedWrite> {
  const isReplicated = !flagUnlessFalse(exchange.query, 'new_edits');
  const base = isReplicated ? undefined : baseRevision(exchange, incoming.parsed.revision);
  const settled = needsAdmission(exchange, database, incoming.id)
    ? await admit(exchange, database, withRevision(incoming, base), value)
    : incoming;
  if (!isReplicated) {
    refuseValidation(settled);
    if (settled.parsed.attachments.length > 0) await refuseHopeless(exchange, database, settled, base);
  }
  return { incoming: settled, isReplicated, base };
}

async function write(
  exchange: Exchange,
  database: Database,
  { incoming, isReplicated, base }: AdmittedWrite,
  contents?: FollowingContents,
): Promise<void> {
  const { id, parsed } = incoming;
  const inputs = parsed.attachments;
  const attachments = inputs.length === 0 ? [] : await storeAttachments(exchange, database, inputs, contents);
  if (!isReplicated) {
    const edit = documentEdit(exchange, incoming, base, attachments);
    const [outcome] = await database.edit([edit], exchange.writeOptions);
    sendWritten(exchange, database, { id, revision: writtenRevision(outcome) });
    return;
  }
  const replicated = replicatedRevision(incoming, attachments);
  const [failed] = await database.insert([replicated], exchange.writeOptions);
  if (failed?.kind === 'failed') throw failed.error;
  sendWritten(exchange, database, { id, revision: replicated.revision });
}

/** The revision may have come by `?rev` or `If-Match`: a hook sees it where it always is. */
function withRevision(incoming: IncomingDocument, base: Revision | undefined): IncomingDocument {
  return { id: incoming.id, parsed: { ...incoming.parsed, revision: base ?? incoming.parsed.revision } };
}

export async function deleteDocument(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  const { id } = target;
  if (id.startsWith('_local/')) return deleteLocalDocument(exchange, database, target);
  const base = baseRevision(exchange, undefined);
  if (base === undefined) {
    await database.readable(id);
    const outcome = database.read(id);
    if (outcome.kind === 'found') requireReader(exchange, database, outcome.document);
    throw outcome.kind === 'found' ? failure('conflict') : failure('not_found', outcome.kind);
  }
  const parsed: ParsedDocument = {
    id,
    revision: base,
    deleted: true,
    path: undefined,
    body: tombstoneBody,
    attachments: [],
  };
  const settled = await admit(exchange, database, { id, parsed }, {});
  const [outcome] = await database.edit([documentEdit(exchange, settled, base, [])], exchange.writeOptions);
  const revision = deletedRevision(database, id, outcome);
  sendJson(exchange, 200, { ok: true, id, rev: revision }, ['ETag', `"${revision}"`]);
}

/** Deleting what never was is 404, not 409. */
function deletedRevision(database: Database, id: string, outcome: EditOutcome | undefined): Revision {
  if (
    outcome?.kind === 'failed' &&
    outcome.error.code === 'conflict' &&
    database.read(id).kind === 'missing'
  ) {
    throw failure('not_found', 'missing');
  }
  return writtenRevision(outcome);
}

export async function copyDocument(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): Promise<void> {
  const destination = parseDestination(exchange.header('destination'));
  const named = exchange.query.get('rev');
  await database.readable(target.id);
  const source = database.read(target.id, named === undefined ? {} : { revision: revisionParameter(named) });
  if (source.kind !== 'found') throw failure('not_found', source.kind);
  const { body, attachments } = source.document;
  const value = bodyForReader(exchange, database, source.document);
  if (destination.id.startsWith('_local/')) {
    return copyToLocal(exchange, database, { source: source.document, value, destination });
  }
  const base = destination.rev === undefined ? undefined : revisionParameter(destination.rev);
  const parsed: ParsedDocument = {
    ...parseIncoming(exchange, { _id: destination.id }),
    revision: base,
    body,
  };
  const settled = await admit(exchange, database, { id: destination.id, parsed }, value);
  refuseValidation(settled);
  const copies = attachments.map(({ name, contentType, blob, digest, length }) => {
    return { kind: 'stored', name, contentType, blob: { blob, digest, length } } as const;
  });
  const edit = documentEdit(exchange, settled, base, copies);
  const [outcome] = await database.edit([edit], exchange.writeOptions);
  sendWritten(exchange, database, { id: destination.id, revision: writtenRevision(outcome) });
}

interface Copy {
  readonly source: DocumentRevision;
  /** The source's body as its reader sees it. */
  readonly value: JsonObject;
  readonly destination: Destination;
}

async function copyToLocal(exchange: Exchange, database: Database, copy: Copy): Promise<void> {
  const { id, rev: named } = copy.destination;
  if (copy.source.attachments.length > 0) throw failure('bad_request', localAttachmentsRefused);
  const write = parseLocal(exchange, { ...copy.value, _id: id, ...(named !== undefined && { _rev: named }) });
  const rev = await applyLocal(exchange, database, write);
  sendJson(exchange, 201, { ok: true, id, rev }, ['ETag', `"${rev}"`]);
}

/** What a copy is made of: no more than its maker may see. @throws TercetError when a hook hides the document */
function bodyForReader(exchange: Exchange, database: Database, document: DocumentRevision): JsonObject {
  const shown = asObject(
    JSON.parse(Buffer.from(renderForReader(exchange, database, document)).toString('utf8')),
  );
  return Object.fromEntries(Object.entries(shown).filter(([name]) => !name.startsWith('_')));
}

interface Destination {
  readonly id: string;
  readonly rev: string | undefined;
}

/** `Destination: id?rev=1-a`, the id perhaps percent-encoded or the end of a whole URL. */
function parseDestination(header: string | undefined): Destination {
  if (header === undefined || header === '')
    throw failure('bad_request', 'Destination header is mandatory for COPY.');
  if (/^https?:\/\//i.test(header)) throw failure('bad_request', 'Destination URL must be relative.');
  const question = header.indexOf('?');
  const id = decodePercent(question < 0 ? header : header.slice(0, question));
  const rev = question < 0 ? undefined : parseQuery(header.slice(question + 1)).get('rev');
  return { id, rev };
}

function sendWritten(
  exchange: Exchange,
  database: Database,
  { id, revision }: { readonly id: string; readonly revision: Revision },
): void {
  const path = id.startsWith('_design/')
    ? `_design/${encodeURIComponent(id.slice(8))}`
    : encodeURIComponent(id);
  const location = `/${encodeURIComponent(database.name)}/${path}`;
  sendJson(exchange, 201, { ok: true, id, rev: revision }, ['ETag', `"${revision}"`, 'Location', location]);
}
