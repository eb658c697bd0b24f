/** `/{db}/_changes` in all its forms; feed.ts has the frame around the rows. */

import type { Database } from '../../database/database.ts';
import type { ChangeRow, ChangesFilter, ChangesQuery } from '../../database/model.ts';
import { failure } from '../../errors.ts';
import { hasBody, readJsonObject } from '../body.ts';
import { changesFilter } from '../changes-filter.ts';
import { type DocumentView, stubsOnly, writeDocument } from '../document-answer.ts';
import type { Exchange } from '../exchange.ts';
import { type Feed, startFeed } from '../feed.ts';
import { count, flag, type Query, queryWithBody } from '../query.ts';
import type { JsonObject } from '../services.ts';

/** Members of a POST body that are not parameters. */
const notParameters: ReadonlySet<string> = new Set(['selector', 'fields']);

interface RowView {
  readonly includeDocuments: boolean;
  readonly document: DocumentView;
  /** Only every so many rows carry their sequence. */
  readonly sequenceInterval: number;
}

export async function changes(exchange: Exchange, database: Database): Promise<void> {
  const body = hasBody(exchange.request) && exchange.method === 'POST' ? await readJsonObject(exchange) : {};
  const query = mergedQuery(exchange.query, body);
  const filter = changesFilter(database, query, body);
  const view = rowView(query);
  const wanted = wantedChanges(query, filter, view);
  const feed = startFeed(exchange, query);
  if (feed === undefined) return;
  try {
    const isLive = feed.kind !== 'normal';
    const batches = database.changes({ ...wanted, since: feed.since, live: isLive, signal: feed.signal });
    feed.open();
    const left = wanted.limit ?? Number.POSITIVE_INFINITY;
    const { last, pending } = await sendRows({ exchange, database, feed, view, left }, batches);
    feed.end(last ?? feed.since, pending);
  } finally {
    feed.release();
  }
}

interface Sending {
  readonly exchange: Exchange;
  readonly database: Database;
  readonly feed: Feed;
  readonly view: RowView;
  /** Rows still wanted. */
  readonly left: number;
}

async function sendRows(
  sending: Sending,
  batches: ReturnType<Database['changes']>,
): Promise<{ last: string | undefined; pending: number }> {
  const { feed } = sending;
  let rows = 0;
  let last: string | undefined;
  let pending = 0;
  for await (const batch of batches) {
    for (const row of batch.rows) {
      rows += 1;
      await sendRow(sending, row, rows);
      last = row.sequence;
      if (feed.answer.isFull) await feed.flush();
    }
    last = batch.lastSequence;
    pending = batch.pending;
    await feed.flush();
    if (rows >= sending.left) break;
    // Held open until there is something: once there is, the rest of what has happened goes with it.
    if (feed.kind === 'longpoll' && rows > 0 && pending === 0) break;
  }
  return { last, pending };
}

/** Synchronous unless the row carries attachments: most feeds are long, and most rows small. */
function sendRow(sending: Sending, row: ChangeRow, number: number): Promise<void> | undefined {
  const { feed, view } = sending;
  const { answer } = feed;
  const sequence = number % view.sequenceInterval === 0 ? row.sequence : null;
  feed.openRow();
  answer.text(rowHead(row, sequence));
  if (!view.includeDocuments) {
    answer.text('}');
    feed.closeRow(sequence);
    return undefined;
  }
  answer.text(',"doc":');
  const close = (): void => {
    answer.text('}');
    feed.closeRow(sequence);
  };
  if (row.document === undefined) {
    answer.text('null');
    return close() as undefined;
  }
  const pending = writeDocument(sending.exchange, sending.database, answer, row.document, view.document);
  return pending === undefined ? (close() as undefined) : pending.then(close);
}

function rowHead(row: ChangeRow, sequence: string | null): string {
  const revisions = row.revisions.map((revision) => `{"rev":"${revision}"}`).join(',');
  const seq = sequence === null ? 'null' : `"${sequence}"`;
  const deleted = row.deleted ? ',"deleted":true' : '';
  return `{"seq":${seq},"id":${JSON.stringify(row.id)},"changes":[${revisions}]${deleted}`;
}

function mergedQuery(query: Query, body: JsonObject): Query {
  const parameters = Object.entries(body).filter(([name]) => !notParameters.has(name));
  return parameters.length === 0 ? query : queryWithBody(query, Object.fromEntries(parameters));
}

function rowView(query: Query): RowView {
  const sequenceInterval = count(query, 'seq_interval') ?? 1;
  return {
    includeDocuments: flag(query, 'include_docs'),
    document: { ...stubsOnly, content: flag(query, 'attachments') ? 'all' : 'stubs' },
    sequenceInterval: Math.max(1, sequenceInterval),
  };
}

function wantedChanges(
  query: Query,
  filter: ChangesFilter | undefined,
  view: RowView,
): Omit<ChangesQuery, 'since'> {
  const style = query.get('style') ?? 'main_only';
  if (style !== 'main_only' && style !== 'all_docs') {
    throw failure('bad_request', 'Supported `style` values: main_only, all_docs');
  }
  const limit = count(query, 'limit');
  return {
    style,
    descending: flag(query, 'descending'),
    includeDocuments: view.includeDocuments,
    conflicts: flag(query, 'conflicts'),
    ...(limit === undefined ? {} : { limit }),
    ...(filter === undefined ? {} : { filter }),
  };
}
