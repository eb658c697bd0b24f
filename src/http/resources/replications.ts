/** Replications of this node: `/_replicate`, `/_scheduler/*`, `/_active_tasks`. */

import { failure } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { count } from '../query.ts';
import { sendJson } from '../respond.ts';

const listLengthDefault = 25;

export async function replicate(exchange: Exchange): Promise<void> {
  const request = await readJsonObject(exchange);
  const { status, body } = await exchange.services.replications.replicate(request, exchange.principal);
  sendJson(exchange, status, body);
}

export function activeTasks(exchange: Exchange): void {
  const { leaderless, replications } = exchange.services;
  sendJson(exchange, 200, [...replications.activeTasks(), ...(leaderless?.activeTasks() ?? [])]);
}

/** `/_scheduler/jobs[/id]`, `/_scheduler/docs[/database[/id]]`. */
export function scheduler(exchange: Exchange): void {
  const { segments } = exchange;
  const { replications } = exchange.services;
  const [, list, first, ...rest] = segments;
  if (list === 'jobs') {
    if (first === undefined) sendPage(exchange, 'jobs', replications.jobs());
    else sendOne(exchange, replications.jobs(), 'id', first);
  } else if (list === 'docs') {
    // The database's name may have been written with its slash as it is: `/_scheduler/docs/a/_replicator/id`.
    const end = segments.indexOf('_replicator', 2) + 1;
    const name = end === 0 ? first : segments.slice(2, end).join('/');
    const id = end === 0 ? rest.join('/') : segments.slice(end).join('/');
    const all = replications
      .documents()
      .filter((row) => name === undefined || memberOf(row, 'database') === name);
    if (id === '') sendPage(exchange, 'docs', all);
    else sendOne(exchange, all, 'doc_id', id);
  } else {
    throw failure('not_found', 'missing');
  }
}

function sendPage(exchange: Exchange, name: 'jobs' | 'docs', all: readonly object[]): void {
  const states = exchange.query.get('states')?.split(',');
  const wanted =
    states === undefined ? all : all.filter((row) => states.includes(String(memberOf(row, 'state'))));
  const skip = count(exchange.query, 'skip') ?? 0;
  const page = wanted.slice(skip, skip + (count(exchange.query, 'limit') ?? listLengthDefault));
  sendJson(exchange, 200, { total_rows: wanted.length, offset: skip, [name]: page });
}

function sendOne(exchange: Exchange, all: readonly object[], key: string, value: string): void {
  const found = all.find((row) => memberOf(row, key) === value);
  if (found === undefined) throw failure('not_found', 'missing');
  sendJson(exchange, 200, found);
}

function memberOf(row: object, name: string): unknown {
  return (row as Readonly<Record<string, unknown>>)[name];
}
