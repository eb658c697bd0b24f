/** Lists of databases: `/_all_dbs`, `/_dbs_info`, `/_db_updates`. */

import { failure } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { startFeed } from '../feed.ts';
import { member } from '../json-guard.ts';
import { count, flag, flagUnlessFalse, json, type Query } from '../query.ts';
import { sendJson } from '../respond.ts';
import { startStream } from '../streamed-answer.ts';
import { databaseInfo } from './database.ts';

const databasesInfoKeysMax = 1_000;

export function allDatabases(exchange: Exchange): void {
  sendJson(exchange, 200, selectNames(exchange.services.databases.names(), exchange.query));
}

/** The names that `startkey`, `endkey`, `descending`, `skip` and `limit` leave over. */
function selectNames(names: readonly string[], query: Query): string[] {
  const from = keyOf(query, 'startkey', 'start_key');
  const to = keyOf(query, 'endkey', 'end_key');
  const descending = flag(query, 'descending');
  const inclusiveEnd = flagUnlessFalse(query, 'inclusive_end');
  const sorted = names.toSorted();
  if (descending) sorted.reverse();
  const inOrder = (a: string, b: string): boolean => (descending ? a >= b : a <= b);
  const skip = count(query, 'skip') ?? 0;
  return sorted
    .filter((name) => from === undefined || inOrder(from, name))
    .filter((name) => to === undefined || (inOrder(name, to) && (inclusiveEnd || name !== to)))
    .slice(skip, skip + (count(query, 'limit') ?? sorted.length));
}

export async function databasesInfo(exchange: Exchange): Promise<void> {
  const { databases } = exchange.services;
  const answer = startStream(exchange);
  if (answer === undefined) return;
  let separator = '[';
  for (const name of await wantedNames(exchange)) {
    const row = databases.has(name)
      ? { key: name, info: await databaseInfo(exchange, databases.get(name)) }
      : { key: name, error: 'not_found' };
    answer.text(`${separator}${JSON.stringify(row)}`);
    separator = ',\n';
    if (answer.isFull) await answer.flush();
  }
  answer.text(separator === '[' ? '[]\n' : ']\n');
  answer.end();
}

async function wantedNames(exchange: Exchange): Promise<readonly string[]> {
  if (exchange.method !== 'POST') return selectNames(exchange.services.databases.names(), exchange.query);
  const keys = member(await readJsonObject(exchange), 'keys');
  if (!Array.isArray(keys)) throw failure('bad_request', '`keys` member must exist.');
  if (keys.length > databasesInfoKeysMax) throw failure('bad_request', '`keys` has too many items.');
  return keys.map(String);
}

export async function databaseUpdates(exchange: Exchange): Promise<void> {
  const { updates } = exchange.shared;
  const feed = startFeed(exchange);
  if (feed === undefined) return;
  const limit = count(exchange.query, 'limit') ?? Number.POSITIVE_INFINITY;
  let last = feed.since;
  let rows = 0;
  feed.open();
  try {
    while (!feed.isOver()) {
      const news = updates.after(last);
      for (const update of news) {
        if (rows >= limit) break;
        last = updates.sequenceOf(update);
        feed.row(last, JSON.stringify({ db_name: update.name, type: update.kind, seq: last }));
        rows += 1;
      }
      if (news.length === 0) last = updates.lastSequence();
      await feed.flush();
      if (rows >= limit || feed.kind === 'normal' || (feed.kind === 'longpoll' && rows > 0)) break;
      if (updates.after(last).length === 0) await updates.next(feed.signal);
    }
    feed.end(last, 0);
  } finally {
    feed.release();
  }
}

function keyOf(query: Query, name: string, alias: string): string | undefined {
  const value = json(query, name) ?? json(query, alias);
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw failure('query_parse_error', `\`${name}\` must be a string.`);
  return value;
}
