/** `_bulk_docs`: many documents in one request; each stands or falls alone. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { AttachmentEdit, EditOutcome } from '../../database/model.ts';
import type { WriteOptions } from '../../database/writes.ts';
import { failure, TercetError } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import {
  admit,
  documentEdit,
  type IncomingDocument,
  needsAdmission,
  parseIncoming,
  refuseHopeless,
  refuseValidation,
  replicatedRevision,
  revisionMissing,
  storeAttachments,
} from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { idempotencyKeyOf } from '../idempotency.ts';
import { asObject, member } from '../json-guard.ts';
import { errorRow, sendJson } from '../respond.ts';
import type { JsonObject } from '../services.ts';
import { afterRow } from '../turns.ts';
import { applyLocal, type LocalWrite, parseLocal } from './local-documents.ts';
import { newUuid } from './root.ts';

/** A row of the request after parsing, which refuses the whole request of a client's own edits; what follows can only fail
 * row by row. */
type Row =
  | { readonly kind: 'document'; readonly incoming: IncomingDocument; readonly value: JsonObject }
  | { readonly kind: 'local'; readonly write: LocalWrite }
  | Settled;

/** A row after its hooks ran and its attachments were stored. */
type Prepared =
  | {
      readonly kind: 'ready';
      readonly incoming: IncomingDocument;
      readonly attachments: readonly AttachmentEdit[];
    }
  | Settled;

interface Settled {
  readonly kind: 'settled';
  readonly result: RowResult;
}

type RowResult =
  | { readonly kind: 'written'; readonly id: string; readonly revision: string }
  | { readonly kind: 'failed'; readonly id: string; readonly error: TercetError };

const noAttachments: readonly AttachmentEdit[] = [];

export async function writeBulk(exchange: Exchange, database: Database): Promise<void> {
  const body = await readJsonObject(exchange);
  const documents = member(body, 'docs');
  if (!Array.isArray(documents)) throw failure('bad_request', 'POST body must include `docs` parameter.');
  if (documents.length > limits.bulkDocumentsMax)
    throw failure('too_large', 'The request has too many documents.');
  const newEdits = member(body, 'new_edits') ?? true;
  if (typeof newEdits !== 'boolean') throw failure('bad_request', '`new_edits` parameter must be a boolean.');
  const rows: Row[] = [];
  for (const value of documents) {
    rows.push(newEdits ? parseRow(exchange, value, rows.length) : parseReplicated(exchange, value));
    const turn = afterRow(rows.length);
    if (turn !== undefined) await turn;
  }
  const prepared: Prepared[] = [];
  for (const row of rows) {
    const isReady = isPlain(exchange, database, row);
    prepared.push(isReady ? ready(row) : await prepare(exchange, database, { row, newEdits }));
  }
  const results = newEdits
    ? await edit(exchange, database, prepared)
    : await insert(database, prepared, exchange.writeOptions);
  sendJson(exchange, 201, results.map(resultRow));
}

function parseRow(exchange: Exchange, value: unknown, place: number): Row {
  const object = asObject(value, 'Document must be a JSON object');
  const id = member(object, '_id');
  if (typeof id === 'string' && id.startsWith('_local/'))
    return { kind: 'local', write: parseLocal(exchange, object) };
  const parsed = parseIncoming(exchange, object);
  const named = parsed.id ?? idempotencyKeyOf(exchange, place) ?? newUuid();
  return { kind: 'document', incoming: { id: named, parsed }, value: object };
}

/** One document that breaks a rule must not hold up the others of a replication, whose sender cannot mend it. */
function parseReplicated(exchange: Exchange, value: unknown): Row {
  const id = member(asObject(value, 'Document must be a JSON object'), '_id');
  try {
    const row = parseRow(exchange, value, 0);
    if (row.kind === 'document' && row.incoming.parsed.revision === undefined) throw revisionMissing();
    return row;
  } catch (error) {
    if (typeof id !== 'string' || !(error instanceof TercetError) || error.status >= 500) throw error;
    return { kind: 'settled', result: { kind: 'failed', id, error } };
  }
}

type PlainRow = Extract<Row, { kind: 'document' }>;

/** Nothing to wait for before the write: by far most rows. */
function isPlain(exchange: Exchange, database: Database, row: Row): row is PlainRow {
  if (row.kind !== 'document' || row.incoming.parsed.attachments.length > 0) return false;
  return !needsAdmission(exchange, database, row.incoming.id);
}

function ready(row: PlainRow): Prepared {
  return { kind: 'ready', incoming: row.incoming, attachments: noAttachments };
}

async function prepare(
  exchange: Exchange,
  database: Database,
  { row, newEdits }: { readonly row: Row; readonly newEdits: boolean },
): Promise<Prepared> {
  if (row.kind === 'settled') return row;
  const id = row.kind === 'local' ? row.write.id : row.incoming.id;
  try {
    if (row.kind === 'local') {
      const revision = await applyLocal(exchange, database, row.write);
      return { kind: 'settled', result: { kind: 'written', id, revision } };
    }
    const incoming = await admit(exchange, database, row.incoming, row.value);
    if (newEdits) {
      refuseValidation(incoming);
      await refuseHopeless(exchange, database, incoming, incoming.parsed.revision);
    }
    const attachments = await storeAttachments(exchange, database, incoming.parsed.attachments);
    return { kind: 'ready', incoming, attachments };
  } catch (error) {
    if (!(error instanceof TercetError) || !isOfRow(error)) throw error;
    return { kind: 'settled', result: { kind: 'failed', id, error } };
  }
}

/** Whether the document is at fault, rather than the node. */
function isOfRow({ code, status }: TercetError): boolean {
  return status < 500 || code === 'not_implemented';
}

/** Results in the order of the request. */
async function edit(
  exchange: Exchange,
  database: Database,
  prepared: readonly Prepared[],
): Promise<RowResult[]> {
  const edits = prepared.flatMap((row, place) => {
    if (row.kind !== 'ready') return [];
    const { attachments, incoming } = row;
    return [documentEdit(exchange, incoming, incoming.parsed.revision, attachments, place)];
  });
  const outcomes = edits.length === 0 ? [] : await database.edit(edits, exchange.writeOptions);
  let next = 0;
  return prepared.map((row) => {
    if (row.kind === 'settled') return row.result;
    const outcome = outcomes[next++] as EditOutcome;
    return outcome;
  });
}

/** Only what failed: a replicator takes silence for success. */
async function insert(
  database: Database,
  prepared: readonly Prepared[],
  options: WriteOptions,
): Promise<RowResult[]> {
  const failed: RowResult[] = [];
  const revisions = prepared.flatMap((row) => {
    if (row.kind === 'ready') return [replicatedRevision(row.incoming, row.attachments)];
    if (row.result.kind === 'failed') failed.push(row.result);
    return [];
  });
  return revisions.length === 0 ? failed : [...failed, ...(await database.insert(revisions, options))];
}

function resultRow(result: RowResult): object {
  if (result.kind === 'written') return { ok: true, id: result.id, rev: result.revision };
  return { id: result.id, ...errorRow(result.error) };
}
