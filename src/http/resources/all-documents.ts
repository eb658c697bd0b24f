/** `_all_docs`, `_design_docs` and `_local_docs`: documents in the order of their ids, by range or by name. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { AllDocumentsQuery, AllDocumentsRow } from '../../database/model.ts';
import { failure } from '../../errors.ts';
import { hasBody, readJsonObject } from '../body.ts';
import { type DocumentView, stubsOnly, writeDocument } from '../document-answer.ts';
import type { Exchange } from '../exchange.ts';
import { type IdRange, idRange, narrowed } from '../id-range.ts';
import { asObject, member } from '../json-guard.ts';
import { count, flag, json, type Query, queryWithBody } from '../query.ts';
import { type StreamedAnswer, startStream } from '../streamed-answer.ts';
import { afterRow } from '../turns.ts';
import { renderLocal } from './local-documents.ts';

const queriesMax = 100;
const designIds = { startKey: '_design/', endKey: '_design0' } as const;

interface List {
  readonly exchange: Exchange;
  readonly database: Database;
  readonly answer: StreamedAnswer;
}

export async function allDocuments(exchange: Exchange, database: Database): Promise<void> {
  const [query] = await requestedQueries(exchange);
  await sendOne(exchange, database, { query: query as Query, isDesign: false });
}

export async function designDocuments(exchange: Exchange, database: Database): Promise<void> {
  const [query] = await requestedQueries(exchange);
  await sendOne(exchange, database, { query: query as Query, isDesign: true });
}

/** `/_all_docs/queries`: several lists in one answer. */
export async function queryDocuments(exchange: Exchange, database: Database): Promise<void> {
  await sendQueries(exchange, database, false);
}

export async function queryDesignDocuments(exchange: Exchange, database: Database): Promise<void> {
  await sendQueries(exchange, database, true);
}

interface ListRequest {
  readonly query: Query;
  readonly isDesign: boolean;
}

async function sendOne(exchange: Exchange, database: Database, request: ListRequest): Promise<void> {
  const write = prepareList(database, request);
  const answer = startStream(exchange);
  if (answer === undefined) return;
  await write({ exchange, database, answer });
  answer.text('\n');
  answer.end();
}

async function sendQueries(exchange: Exchange, database: Database, isDesign: boolean): Promise<void> {
  const lists = (await requestedQueries(exchange)).map((query) => prepareList(database, { query, isDesign }));
  const answer = startStream(exchange);
  if (answer === undefined) return;
  let separator = '{"results":[\n';
  for (const write of lists) {
    answer.text(separator);
    await write({ exchange, database, answer });
    separator = ',\n';
  }
  answer.text('\n]}\n');
  answer.end();
}

/** The query of the URL with what a POST body says; one for each of the body's `queries` where it has them. */
async function requestedQueries(exchange: Exchange): Promise<readonly Query[]> {
  if (exchange.method !== 'POST' || !hasBody(exchange.request)) return [exchange.query];
  const body = await readJsonObject(exchange);
  const queries = member(body, 'queries');
  if (exchange.segments[2] !== 'queries') return [queryWithBody(exchange.query, body)];
  if (!Array.isArray(queries)) throw failure('bad_request', '`queries` must be a JSON list.');
  if (queries.length > queriesMax) throw failure('bad_request', '`queries` has too many items.');
  return queries.map((item) =>
    queryWithBody(exchange.query, asObject(item, 'Each query must be a JSON object.')),
  );
}

/** Checks a list's parameters, then gives what writes it: nothing is sent before all is known to make sense. */
function prepareList(database: Database, { query, isDesign }: ListRequest): (list: List) => Promise<void> {
  const keys = wantedKeys(query);
  const view: DocumentView = { ...stubsOnly, content: flag(query, 'attachments') ? 'all' : 'stubs' };
  const options = { includeDocuments: flag(query, 'include_docs'), conflicts: flag(query, 'conflicts') };
  const sequence = flag(query, 'update_seq');
  const page = { skip: count(query, 'skip') ?? 0, limit: count(query, 'limit') ?? Number.MAX_SAFE_INTEGER };
  const head = (total: number, offset: number | null): string => {
    const updateSequence = sequence ? `"update_seq":"${database.currentSequence()}",` : '';
    return `{"total_rows":${total},${updateSequence}"offset":${offset},"rows":[\n`;
  };
  if (keys !== undefined) {
    const wanted = flag(query, 'descending') ? keys.toReversed() : keys;
    const selected = wanted.slice(page.skip, page.skip + page.limit);
    return (list) =>
      writeByKeys(list, { keys: selected, head: head(database.documentCount(), null), options, view });
  }
  const asked = idRange(query);
  const range = isDesign ? narrowed(asked, designIds) : asked;
  return async (list) => {
    const total = isDesign ? await designCount(database) : database.documentCount();
    const offset = asked.kind === 'range' && asked.startKey === undefined ? Math.min(page.skip, total) : null;
    await writeRange(list, { range, head: head(total, offset), options: { ...options, ...page }, view });
  };
}

function wantedKeys(query: Query): readonly unknown[] | undefined {
  const keys = json(query, 'keys');
  if (keys === undefined) return undefined;
  if (!Array.isArray(keys)) throw failure('bad_request', '`keys` parameter must be an array.');
  if (keys.length > limits.bulkDocumentsMax) throw failure('bad_request', '`keys` has too many items.');
  return keys;
}

async function designCount(database: Database): Promise<number> {
  let total = 0;
  for await (const rows of database.allDocuments({ ...designIds, inclusiveEnd: false })) total += rows.length;
  return total;
}

interface RangeList {
  readonly range: IdRange;
  readonly head: string;
  readonly options: AllDocumentsQuery;
  readonly view: DocumentView;
}

async function writeRange(list: List, { range, head, options, view }: RangeList): Promise<void> {
  const { answer } = list;
  answer.text(head);
  let separator = '';
  if (range.kind === 'range') {
    const { kind: _kind, ...bounds } = range;
    for await (const rows of list.database.allDocuments({ ...bounds, ...options })) {
      for (const row of rows) {
        answer.text(separator);
        separator = ',\n';
        const pending = writeRow(list, row, { withDocument: options.includeDocuments === true, view });
        if (pending !== undefined) await pending;
        if (answer.isFull) await answer.flush();
      }
    }
  }
  answer.text('\n]}');
}

interface KeyedList {
  readonly keys: readonly unknown[];
  readonly head: string;
  readonly options: { readonly includeDocuments: boolean; readonly conflicts: boolean };
  readonly view: DocumentView;
}

async function writeByKeys(list: List, { keys, head, options, view }: KeyedList): Promise<void> {
  const { answer, database } = list;
  answer.text(head);
  let separator = '';
  let rows = 0;
  // One at a time, so that many large documents are never in memory together.
  for (const key of keys) {
    const [row] = database.allDocumentsByIds([typeof key === 'string' ? key : ''], options);
    answer.text(separator);
    separator = ',\n';
    if (row === undefined) answer.text(JSON.stringify({ key, error: 'not_found' }));
    else {
      const pending = writeRow(list, row, { withDocument: options.includeDocuments, view });
      if (pending !== undefined) await pending;
    }
    if (answer.isFull) await answer.flush();
    rows += 1;
    const turn = afterRow(rows);
    if (turn !== undefined) await turn;
  }
  answer.text('\n]}');
}

/** Synchronous unless attachments have to be read. */
function writeRow(
  { exchange, database, answer }: List,
  row: AllDocumentsRow,
  { withDocument, view }: { readonly withDocument: boolean; readonly view: DocumentView },
): Promise<void> | undefined {
  const id = JSON.stringify(row.id);
  const deleted = row.deleted ? ',"deleted":true' : '';
  const head = `{"id":${id},"key":${id},"value":{"rev":"${row.revision}"${deleted}}`;
  if (!withDocument) {
    answer.text(`${head}}`);
    return undefined;
  }
  if (row.document === undefined) {
    answer.text(`${head},"doc":null}`);
    return undefined;
  }
  answer.text(`${head},"doc":`);
  const pending = writeDocument(exchange, database, answer, row.document, view);
  if (pending !== undefined) return pending.then(() => answer.text('}'));
  answer.text('}');
  return undefined;
}

/** Local documents have no totals, in CouchDB either. */
export async function localDocuments(exchange: Exchange, database: Database): Promise<void> {
  const [query = exchange.query] = await requestedQueries(exchange);
  const range = idRange(query);
  const keys = wantedKeys(query);
  const withDocument = flag(query, 'include_docs');
  const page = { skip: count(query, 'skip') ?? 0, limit: count(query, 'limit') ?? Number.MAX_SAFE_INTEGER };
  const answer = startStream(exchange);
  if (answer === undefined) return;
  answer.text('{"total_rows":null,"offset":null,"rows":[\n');
  let separator = '';
  const chunks = keys === undefined ? localRange(database, range, page) : localByKeys(database, keys);
  for await (const rows of chunks) {
    for (const row of rows) {
      answer.text(`${separator}${localRow(row, withDocument)}`);
      separator = ',\n';
      if (answer.isFull) await answer.flush();
    }
  }
  answer.text('\n]}\n');
  answer.end();
}

type LocalRow =
  | { readonly id: string; readonly revision: string; readonly body: Uint8Array }
  | { readonly missing: unknown };

async function* localRange(
  database: Database,
  range: IdRange,
  page: { readonly skip: number; readonly limit: number },
): AsyncGenerator<readonly LocalRow[]> {
  if (range.kind === 'nothing') return;
  const { kind: _kind, ...bounds } = range;
  yield* database.localDocuments({ ...bounds, ...page });
}

async function* localByKeys(
  database: Database,
  keys: readonly unknown[],
): AsyncGenerator<readonly LocalRow[]> {
  for (const key of keys) {
    const local = typeof key === 'string' ? database.readLocal(key) : undefined;
    yield [
      local === undefined
        ? { missing: key }
        : { id: key as string, revision: local.revision, body: local.body },
    ];
  }
}

function localRow(row: LocalRow, withDocument: boolean): string {
  if ('missing' in row) return JSON.stringify({ key: row.missing, error: 'not_found' });
  const id = JSON.stringify(row.id);
  const document = withDocument ? `,"doc":${Buffer.from(renderLocal(row.id, row)).toString('utf8')}` : '';
  return `{"id":${id},"key":${id},"value":{"rev":"${row.revision}"}${document}}`;
}
