/** `_changes` over HTTP in its four forms, its filters, and what happens when either side lets go. */

import { createConnection, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;
let number = 0;
let db = '';

beforeAll(async () => {
  app = await startTestApp();
});

beforeEach(async () => {
  number += 1;
  db = `/db${number}`;
  await app.request('PUT', db);
  for (const id of ['a', 'b', 'c'])
    await app.request('PUT', `${db}/${id}`, { kind: id === 'b' ? 'odd' : 'even' });
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

const get = (query: string) => app.request('GET', `${db}/_changes${query}`);
const idsOf = (rows: readonly { id: string }[]) => rows.map((row) => row.id);

test('the normal feed has a row a line and ends with where it stands', async () => {
  const { text, json } = await get('');
  const lines = text.split('\n');
  expect(lines[0]).toBe('{"results":[');
  expect(lines[1]).toMatch(/^\{"seq":"[^"]+","id":"a","changes":\[\{"rev":"1-[0-9a-f]{32}"\}\]\},$/);
  expect(lines[4]).toBe('],');
  expect(lines[5]).toMatch(/^"last_seq":"[^"]+","pending":0\}$/);
  expect(json.last_seq).toBe(json.results[2].seq);
});

test.each([
  ['?limit=2', ['a', 'b']],
  ['?limit=0', []],
  ['?descending=true', ['c', 'b', 'a']],
  ['?descending=true&limit=1', ['c']],
  ['?since=now', []],
  ['?since=0', ['a', 'b', 'c']],
  ['?filter=_doc_ids&doc_ids=["b","x"]', ['b']],
  ['?filter=_design', []],
])('_changes%s gives %j', async (query, expected) => {
  expect(idsOf((await get(query.replace(/"/g, '%22'))).json.results)).toEqual(expected);
});

test('a reader goes on from any sequence it has seen, and hears what is still to come', async () => {
  const first = (await get('?limit=1')).json;
  expect(first.pending).toBe(2);
  const rest = (await get(`?since=${first.last_seq}`)).json;
  expect([idsOf(rest.results), rest.pending]).toEqual([['b', 'c'], 0]);
});

test('a limit counts rows after the filter', async () => {
  const body = { selector: { kind: 'even' } };
  const reply = await app.request('POST', `${db}/_changes?filter=_selector&limit=2`, body);
  expect(idsOf(reply.json.results)).toEqual(['a', 'c']);
  const ids = await app.request('POST', `${db}/_changes?filter=_doc_ids`, { doc_ids: ['c'] });
  expect(idsOf(ids.json.results)).toEqual(['c']);
  const none = await app.request('POST', `${db}/_changes?filter=_selector`, { selector: { kind: 'none' } });
  expect([none.json.results, none.json.pending]).toEqual([[], 0]);
});

test('documents come along, tombstones too', async () => {
  const { rev } = (await app.request('PUT', `${db}/d`, { x: 1 })).json;
  await app.request('DELETE', `${db}/d?rev=${rev}`);
  const last = (await get('?include_docs=true')).json.results.at(-1);
  expect(last).toMatchObject({ id: 'd', deleted: true, doc: { _id: 'd', _deleted: true } });
});

test('every leaf is named where asked for, and sequences only at intervals', async () => {
  const docs = ['2-x', '2-y'].map((_rev) => ({
    _id: 'd',
    _rev,
    _revisions: { start: 2, ids: [_rev[2], '0'] },
  }));
  await app.request('POST', `${db}/_bulk_docs`, { docs, new_edits: false });
  const all = (await get('?style=all_docs&conflicts=true&include_docs=true')).json.results.at(-1);
  expect(all.changes).toEqual([{ rev: '2-y' }, { rev: '2-x' }]);
  expect(all.doc._conflicts).toEqual(['2-x']);
  const sequences = (await get('?seq_interval=2')).json.results.map(
    (row: { seq: string | null }) => row.seq !== null,
  );
  expect(sequences).toEqual([false, true, false, true]);
});

test('filters of design documents are told apart: missing, without filters, not offered', async () => {
  await app.request('PUT', `${db}/_design/x`, { views: {} });
  await app.request('PUT', `${db}/_design/y`, { filters: { f: 'function () {}' } });
  const outcome = async (query: string) => {
    const { status, json } = await get(query);
    return [status, json.reason];
  };
  expect(await outcome('?filter=none/f')).toEqual([404, 'missing']);
  expect(await outcome('?filter=x/f')).toEqual([404, 'missing json key: filters']);
  expect(await outcome('?filter=y/g')).toEqual([404, 'missing json key: g']);
  expect((await outcome('?filter=y/f'))[0]).toBe(501);
  expect(await outcome('?filter=_view&view=y/v')).toEqual([404, 'missing json key: views']);
  expect((await outcome('?feed=continuous&filter=x/f'))[0]).toBe(404);
});

test('a long poll answers at once with what there is, and waits when there is nothing', async () => {
  expect(idsOf((await get('?feed=longpoll')).json.results)).toEqual(['a', 'b', 'c']);
  const { last_seq } = (await get('')).json;
  const poll = get(`?feed=longpoll&since=${last_seq}&timeout=20000`);
  await app.request('PUT', `${db}/new`, {});
  expect(idsOf((await poll).json.results)).toEqual(['new']);
});

test('a long poll that hears nothing tells where it stands when its time is over', async () => {
  const { last_seq } = (await get('')).json;
  const reply = await get(`?feed=longpoll&since=${last_seq}&timeout=50`);
  expect(reply.json).toEqual({ results: [], last_seq, pending: 0 });
});

test('a long poll passes over changes that its filter leaves out', async () => {
  const { last_seq } = (await get('')).json;
  const path = `${db}/_changes?feed=longpoll&since=${last_seq}&filter=_doc_ids`;
  const poll = app.request('POST', path, { doc_ids: ['wanted'] });
  await app.request('PUT', `${db}/unwanted`, {});
  await app.request('PUT', `${db}/wanted`, {});
  expect(idsOf((await poll).json.results)).toEqual(['wanted']);
});

/** Opens a feed and gives its text as it grows. */
async function openFeed(query: string, headers: Record<string, string> = {}) {
  const abort = new AbortController();
  const response = await fetch(`${app.url}${db}/_changes${query}`, { signal: abort.signal, headers });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    response,
    close: () => abort.abort(),
    /** Reads until the text so far matches, or the feed ends. */
    until: async (pattern: RegExp): Promise<string> => {
      while (!pattern.test(text)) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
      }
      expect(text).toMatch(pattern);
      return text;
    },
  };
}

test('a continuous feed sends each change as it comes, and heartbeats in between', async () => {
  const feed = await openFeed('?feed=continuous&heartbeat=20');
  await feed.until(/"id":"c".*\n/);
  await feed.until(/\n\n\n/);
  await app.request('PUT', `${db}/live`, { x: 1 });
  const text = await feed.until(/"id":"live".*\n/);
  for (const line of text.split('\n').filter((row) => row !== ''))
    expect(JSON.parse(line).id).toEqual(expect.any(String));
  feed.close();
});

test('a continuous feed ends at its limit or its timeout, saying where it stands', async () => {
  const limited = await get('?feed=continuous&limit=2');
  const rows = limited.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect([rows.length, rows[2].last_seq]).toEqual([3, rows[1].seq]);
  const quiet = await get('?feed=continuous&since=now&timeout=50');
  expect(JSON.parse(quiet.text)).toMatchObject({ last_seq: expect.any(String), pending: 0 });
});

test('server-sent events carry ids to go on from', async () => {
  const feed = await openFeed('?feed=eventsource&heartbeat=20');
  expect(feed.response.headers.get('content-type')).toBe('text/event-stream');
  const text = await feed.until(/"id":"c"[^\n]*\nid: \S+\n\n/);
  await feed.until(/event: heartbeat\ndata: \n\n/);
  feed.close();
  const id = /id: (\S+)/.exec(text)?.[1] as string;
  const rest = await openFeed('?feed=eventsource&timeout=50', { 'last-event-id': id });
  const more = await rest.until(/"id":"c"/);
  expect(more).not.toContain('"id":"a"');
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) expect(performance.now()).toBeLessThan(deadline);
}

const liveFeeds = async () => (await app.request('GET', '/_node/_local/_system')).json.feeds;

test('a reader that goes away frees its feed', async () => {
  await until(async () => (await liveFeeds()) === 0);
  const sockets = await Promise.all(
    Array.from({ length: 20 }, () => {
      return new Promise<Socket>((resolve) => {
        const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => {
          socket.write(`GET ${db}/_changes?feed=continuous&since=now HTTP/1.1\r\nHost: localhost\r\n\r\n`);
        });
        socket.once('data', () => resolve(socket));
      });
    }),
  );
  expect(await liveFeeds()).toBe(20);
  for (const socket of sockets) socket.destroy();
  await until(async () => (await liveFeeds()) === 0);
});

test('a feed ends when its database is deleted', async () => {
  const feed = await openFeed('?feed=continuous&since=now&heartbeat=true');
  await app.request('DELETE', db);
  await until(async () => (await liveFeeds()) === 0);
  await expect(feed.until(/never/)).rejects.toThrow();
});

test('closing the server ends its feeds', async () => {
  const other = await startTestApp();
  await other.request('PUT', '/db');
  const response = await fetch(`${other.url}/db/_changes?feed=continuous&heartbeat=1000`);
  const cut = expect(response.text()).rejects.toThrow();
  await other.close();
  await cut;
});
