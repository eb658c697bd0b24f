/** `_bulk_get`: named revisions of many documents, as JSON or, when asked for, as `multipart/mixed`. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { OpenRevision } from '../../database/model.ts';
import { parseRevision } from '../../document/revision.ts';
import { failure, type TercetError } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import { type DocumentView, lookupRefusal, readerRefusal, writeDocument } from '../document-answer.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member } from '../json-guard.ts';
import {
  finishMultipart,
  multipartType,
  newBoundary,
  writeErrorPart,
  writeRevisionPart,
} from '../multipart-writer.ts';
import { flag } from '../query.ts';
import { errorRow } from '../respond.ts';
import { type StreamedAnswer, startStream } from '../streamed-answer.ts';
import { afterRow } from '../turns.ts';
import { documentView } from './document-reading.ts';

interface Wanted {
  readonly id: string;
  /** None: every leaf. */
  readonly revision: string | undefined;
  readonly view: DocumentView;
}

interface Reading {
  readonly exchange: Exchange;
  readonly database: Database;
  readonly latest: boolean;
}

type Found =
  | { readonly kind: 'revisions'; readonly revisions: readonly OpenRevision[] }
  | { readonly kind: 'refused'; readonly error: TercetError };

export async function readBulk(exchange: Exchange, database: Database): Promise<void> {
  const documents = member(await readJsonObject(exchange), 'docs');
  if (!Array.isArray(documents)) throw failure('bad_request', 'Missing JSON list of `docs`.');
  if (documents.length > limits.bulkDocumentsMax)
    throw failure('too_large', 'The request has too many documents.');
  const reading = { exchange, database, latest: flag(exchange.query, 'latest') };
  const wanted = documents.map((item) => parseWanted(exchange, item));
  if (/multipart\/(mixed|related)/.test(exchange.header('accept') ?? '')) await sendParts(reading, wanted);
  else await sendRows(reading, wanted);
}

function parseWanted(exchange: Exchange, item: unknown): Wanted {
  const object = asObject(item, 'Each of `docs` must be a JSON object.');
  const id = member(object, 'id');
  const revision = member(object, 'rev');
  const since = member(object, 'atts_since');
  if (typeof id !== 'string') throw failure('bad_request', 'Each of `docs` needs an `id`, a string.');
  if (revision !== undefined && typeof revision !== 'string')
    throw failure('bad_request', '`rev` must be a string.');
  const view = documentView(exchange.query, undefined);
  if (!Array.isArray(since)) return { id, revision, view };
  const known = since.map((text) => parseRevision(String(text))).filter((rev) => rev !== undefined);
  return { id, revision, view: { ...view, since: known } };
}

/** What there is of one document. A revision that is a tombstone exists; a missing one never ends a client's batch. */
function find(reading: Reading, wanted: Wanted): Found {
  const { exchange, database, latest } = reading;
  const { id, revision, view } = wanted;
  const refusal = lookupRefusal(exchange, database, id);
  if (refusal !== undefined) return { kind: 'refused', error: refusal };
  const path = view.path || view.since !== undefined;
  if (revision === undefined) {
    const revisions = database.readOpenRevisions(id, 'all', { path });
    return revisions.length === 0 ? { kind: 'refused', error: missing() } : { kind: 'revisions', revisions };
  }
  if (parseRevision(revision) === undefined) {
    return { kind: 'refused', error: failure('bad_request', 'Invalid rev format') };
  }
  return { kind: 'revisions', revisions: database.readOpenRevisions(id, [revision], { latest, path }) };
}

async function sendRows(reading: Reading, wanted: readonly Wanted[]): Promise<void> {
  const answer = startStream(reading.exchange);
  if (answer === undefined) return;
  let separator = '{"results":[\n';
  let rows = 0;
  for (const item of wanted) {
    answer.text(`${separator}{"id":${JSON.stringify(item.id)},"docs":[`);
    separator = ',\n';
    const pending = writeRow(reading, answer, item);
    if (pending !== undefined) await pending;
    answer.text(']}');
    if (answer.isFull) await answer.flush();
    rows += 1;
    const turn = afterRow(rows);
    if (turn !== undefined) await turn;
  }
  answer.text(wanted.length === 0 ? '{"results":[]}\n' : '\n]}\n');
  answer.end();
}

/** Synchronous unless there are attachments to read. */
function writeRow(reading: Reading, answer: StreamedAnswer, wanted: Wanted): Promise<void> | undefined {
  const found = find(reading, wanted);
  if (found.kind === 'refused') {
    answer.text(errorItem(wanted, found.error));
    return undefined;
  }
  const [first, ...rest] = found.revisions;
  if (first === undefined) {
    answer.text(errorItem(wanted, missing()));
    return undefined;
  }
  const pending = writeItem(reading, answer, { wanted, revision: first });
  if (rest.length === 0) return pending;
  return writeRest(reading, answer, { wanted, rest, pending });
}

async function writeRest(
  reading: Reading,
  answer: StreamedAnswer,
  row: {
    readonly wanted: Wanted;
    readonly rest: readonly OpenRevision[];
    readonly pending: Promise<void> | undefined;
  },
): Promise<void> {
  await row.pending;
  for (const revision of row.rest) {
    answer.text(',');
    await writeItem(reading, answer, { wanted: row.wanted, revision });
  }
}

function writeItem(
  { exchange, database }: Reading,
  answer: StreamedAnswer,
  { wanted, revision }: { readonly wanted: Wanted; readonly revision: OpenRevision },
): Promise<void> | undefined {
  if (revision.kind === 'missing') {
    answer.text(errorItem({ ...wanted, revision: revision.revision }, missing()));
    return undefined;
  }
  const refusal = readerRefusal(exchange, database, revision.document);
  if (refusal !== undefined) {
    answer.text(errorItem(wanted, refusal));
    return undefined;
  }
  answer.text('{"ok":');
  const pending = writeDocument(exchange, database, answer, revision.document, wanted.view);
  if (pending !== undefined) return pending.then(() => answer.text('}'));
  answer.text('}');
  return undefined;
}

async function sendParts({ exchange, database, latest }: Reading, wanted: readonly Wanted[]): Promise<void> {
  const boundary = newBoundary();
  const answer = startStream(exchange, { contentType: multipartType('mixed', boundary) });
  if (answer === undefined) return;
  const writing = { exchange, database, answer, boundary };
  for (const item of wanted) {
    const found = find({ exchange, database, latest }, item);
    const revisions = found.kind === 'revisions' ? found.revisions : [];
    if (found.kind === 'refused') writeErrorPart(writing, errorBody(item, found.error));
    for (const revision of revisions) {
      const refusal =
        revision.kind === 'found' ? readerRefusal(exchange, database, revision.document) : missing();
      if (refusal !== undefined) writeErrorPart(writing, errorBody(item, refusal));
      else await writeRevisionPart(writing, revision, item.view);
      if (answer.isFull) await answer.flush();
    }
  }
  finishMultipart(answer, boundary);
  answer.end();
}

function missing(): TercetError {
  return failure('not_found', 'missing');
}

function errorBody(wanted: Wanted, error: TercetError): object {
  return { id: wanted.id, rev: wanted.revision ?? 'undefined', ...errorRow(error) };
}

function errorItem(wanted: Wanted, error: TercetError): string {
  return JSON.stringify({ error: errorBody(wanted, error) });
}
