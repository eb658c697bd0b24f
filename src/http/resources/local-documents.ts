/** `_local/{id}`: documents that are never replicated. They have no history: their revision is `0-1`, `0-2` ... */

import type { Database } from '../../database/database.ts';
import { renderDocument } from '../../document/document.ts';
import { failure } from '../../errors.ts';
import { readJson } from '../body.ts';
import { parseIncoming } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { requireLocalDocuments } from '../gate.ts';
import { asObject, member } from '../json-guard.ts';
import { sendBytes, sendJson, sendNotModified } from '../respond.ts';
import type { DocumentTarget } from '../router.ts';
import type { JsonObject } from '../services.ts';

const localRevisionPattern = /^0-\d{1,15}$/;

export const localAttachmentsRefused = '_local documents do not accept attachments.';

export interface LocalWrite {
  readonly id: string;
  readonly base: string | undefined;
  readonly deleted: boolean;
  readonly body: Uint8Array;
}

export function readLocalDocument(exchange: Exchange, database: Database, { id }: DocumentTarget): void {
  requireLocalDocuments(exchange, database);
  const local = database.readLocal(id);
  if (local === undefined) throw failure('not_found', 'missing');
  const etag = `"${local.revision}"`;
  if (sendNotModified(exchange, etag)) return;
  sendBytes(exchange, 200, 'application/json', renderLocal(id, local), ['ETag', etag]);
}

export function renderLocal(
  id: string,
  local: { readonly revision: string; readonly body: Uint8Array },
): Uint8Array {
  return renderDocument({ id, revision: local.revision, deleted: false, body: local.body, attachments: [] });
}

export async function putLocalDocument(
  exchange: Exchange,
  database: Database,
  { id }: DocumentTarget,
): Promise<void> {
  requireLocalDocuments(exchange, database);
  const object = asObject(await readJson(exchange), 'Document must be a JSON object');
  const write = parseLocal(exchange, { ...object, _id: id });
  const base = exchange.query.get('rev') ?? write.base;
  const revision = await applyLocal(
    exchange,
    database,
    base === undefined ? write : { ...write, base: localRevision(base) },
  );
  sendJson(exchange, 201, { ok: true, id, rev: revision }, ['ETag', `"${revision}"`]);
}

export async function deleteLocalDocument(
  exchange: Exchange,
  database: Database,
  { id }: DocumentTarget,
): Promise<void> {
  requireLocalDocuments(exchange, database);
  const named = exchange.query.get('rev') ?? exchange.header('if-match')?.replaceAll('"', '');
  await database.deleteLocal(id, named === undefined ? undefined : localRevision(named));
  sendJson(exchange, 200, { ok: true, id, rev: '0-0' });
}

/** @throws TercetError `bad_request`, `illegal_docid`, `doc_validation` */
export function parseLocal(exchange: Exchange, object: JsonObject): LocalWrite {
  const named = member(object, '_rev');
  // Its revision is not one of a revision graph, so the parser of documents must not see it.
  const { _rev: _local, ...rest } = object;
  const parsed = parseIncoming(exchange, rest);
  if (parsed.attachments.length > 0) {
    throw failure('bad_request', localAttachmentsRefused);
  }
  if (named !== undefined && typeof named !== 'string') throw failure('bad_request', 'Invalid rev format');
  const base = named === undefined ? undefined : localRevision(named);
  return { id: parsed.id as string, base, deleted: parsed.deleted, body: parsed.body };
}

/** Gives the new revision. @throws TercetError `conflict`, `not_found`, `unauthorized`, `forbidden` */
export async function applyLocal(exchange: Exchange, database: Database, write: LocalWrite): Promise<string> {
  requireLocalDocuments(exchange, database);
  if (write.deleted) {
    await database.deleteLocal(write.id, write.base);
    return '0-0';
  }
  return (await database.writeLocal(write.id, write.base, write.body)).revision;
}

function localRevision(text: string): string {
  if (!localRevisionPattern.test(text)) throw failure('bad_request', 'Invalid rev format');
  return text;
}
