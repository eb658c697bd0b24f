/** What a replication does when the other end lies, refuses, breaks off or is not there. */

import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TercetNode } from '../../src/node.ts';
import { type Double, sourceDouble, startDouble, startProxy } from './remote-double.ts';
import {
  call,
  contentOf,
  eventually,
  fillWithEverything,
  ok,
  openWorld,
  type World,
} from './replication-world.ts';

let world: World;
let here: TercetNode;
let there: TercetNode;
const doubles: Double[] = [];
let copies = 0;

beforeAll(async () => {
  world = openWorld();
  [here, there] = await Promise.all([world.openNode('n1'), world.openNode('n2')]);
});

afterAll(async () => {
  await Promise.all(doubles.map((double) => double.close()));
  await world.close();
});

async function keep(starting: Promise<Double>): Promise<Double> {
  const double = await starting;
  doubles.push(double);
  return double;
}

function pull(source: string, options: object = {}) {
  copies += 1;
  const request = { source, target: `copy-${copies}`, create_target: true, ...options };
  return { target: `${here.url}/copy-${copies}`, reply: call(here.url, 'POST', '/_replicate', request) };
}

const rev = `1-${'a'.repeat(32)}`;
const changesOf = (rows: unknown, more: object = {}) => ({
  changes: { results: rows, last_seq: 1, pending: 0, ...more },
});
const bulkGetOf = (row: unknown) => ({ bulk_get: { results: [{ id: 'one', docs: [row] }] } });

describe('a source that answers nonsense', () => {
  test.concurrent.each([
    ['no JSON for the database', { info: '<html>' }],
    ['a list for the database', { info: [] }],
    ['changes without results', { changes: {} }],
    ['changes that are cut off', { changes: '{"results":[' }],
    ['changes without a last sequence', { changes: { results: [] } }],
    ['a row without an id', changesOf([{ changes: [{ rev }] }])],
    ['a row of null', changesOf([null])],
    ['a malformed revision', changesOf([{ id: 'one', changes: [{ rev: 'new' }] }])],
    [
      'more rows than were asked for',
      changesOf(Array.from({ length: 1_001 }, () => ({ id: 'one', changes: [{ rev }] }))),
    ],
    ['documents without results', { bulk_get: { results: 'all' } }],
    ['a document without a history', bulkGetOf({ ok: { _id: 'one', _rev: rev } })],
    [
      'a source in trouble in place of a document',
      bulkGetOf({ error: { id: 'one', rev, error: 'service_unavailable', reason: 'x' } }),
    ],
    ['a broken connection', { changes: (response: ServerResponse) => response.destroy() }],
    ['an error', { changes: (response: ServerResponse) => response.writeHead(500).end('{"error":"boom"}') }],
  ])('%s fails the replication with a reason, and nothing else', async (_name, change) => {
    const double = await keep(startDouble(sourceDouble(change)));
    const reply = await pull(`${double.url}/double`).reply;
    expect(reply).toMatchObject({
      status: 502,
      body: { error: 'replication_failed', reason: expect.any(String) },
    });
    expect((await call(here.url, 'GET', '/')).status).toBe(200);
  });

  test.concurrent.each([
    [401, 'unauthorized'],
    [403, 'forbidden'],
  ])('a status of %i is passed on at once', async (status, error) => {
    const refuse = (response: ServerResponse) =>
      response.writeHead(status).end('{"error":"x","reason":"no"}');
    const double = await keep(startDouble(sourceDouble({ info: refuse })));
    expect(await pull(`${double.url}/double`).reply).toMatchObject({ status, body: { error } });
  });

  test('a document that no node may take is counted, and the others arrive', async () => {
    const good = { _id: 'one', _rev: rev, _revisions: { start: 1, ids: ['a'.repeat(32)] } };
    const docs = [
      { ok: { ...good, _unknown: 1 } },
      { ok: { ...good, _id: '_odd' } },
      { ok: { ...good, fine: true } },
    ];
    const double = await keep(startDouble(sourceDouble({ bulk_get: { results: [{ id: 'one', docs }] } })));
    const { target, reply } = pull(`${double.url}/double`);
    expect((await reply).body.history[0]).toMatchObject({
      docs_read: 3,
      docs_written: 1,
      doc_write_failures: 2,
    });
    expect(await ok(target, 'GET', '/one')).toMatchObject({ fine: true });
  });

  test('names such as __proto__ in replies are names like any other', async () => {
    const document = `{"_id":"one","_rev":"${rev}","_revisions":{"start":1,"ids":["${'a'.repeat(32)}"]},"__proto__":{"x":1}}`;
    const double = await keep(
      startDouble(sourceDouble({ bulk_get: `{"results":[{"id":"one","docs":[{"ok":${document}}]}]}` })),
    );
    const { target, reply } = pull(`${double.url}/double`);
    // CouchDB's rule for members that start with an underscore.
    expect((await reply).body.history[0]).toMatchObject({ doc_write_failures: 1 });
    expect((await call(target, 'GET', '/one')).status).toBe(404);
    expect(({} as { readonly x?: number }).x).toBeUndefined();
  });
});

describe('a source that lacks something', () => {
  test('without _bulk_get each document is read by itself', async () => {
    await ok(there.url, 'PUT', '/plain');
    await fillWithEverything(`${there.url}/plain`);
    const proxy = await keep(
      startProxy(there.url, (request, response) => {
        if (!request.url?.includes('_bulk_get')) return 'forward';
        response.writeHead(405).end('{"error":"method_not_allowed","reason":"x"}');
        return 'handled';
      }),
    );
    const { target, reply } = pull(`${proxy.url}/plain`);
    expect((await reply).body).toMatchObject({ ok: true, history: [{ doc_write_failures: 0 }] });
    expect(await contentOf(target)).toEqual(await contentOf(`${there.url}/plain`));
  });
});

describe('a connection that breaks again and again', () => {
  test('delays a continuous replication and loses nothing', async () => {
    await ok(there.url, 'PUT', '/shaky');
    const docs = Array.from({ length: 600 }, (_, number) => ({ _id: `d${number}` }));
    await ok(there.url, 'POST', '/shaky/_bulk_docs', { docs });
    let requests = 0;
    const proxy = await keep(
      startProxy(there.url, (request) => {
        requests += 1;
        if (requests % 9 !== 0) return 'forward';
        request.socket.destroy();
        return 'handled';
      }),
    );
    const { target, reply } = pull(`${proxy.url}/shaky`, {
      continuous: true,
      worker_batch_size: 50,
      checkpoint_interval: 100,
    });
    expect((await reply).status).toBe(202);
    await eventually(
      async () => (await call(target, 'GET', '')).body?.doc_count === 600,
      'all documents arrive',
    );
  });

  test('a source that falls silent is given up', async () => {
    const double = await keep(startDouble(sourceDouble({ changes: () => undefined })));
    const { reply } = pull(`${double.url}/double`, { continuous: true, connection_timeout: 3_000 });
    const id = (await reply).body._local_id;
    await eventually(async () => {
      const { history } = await ok(here.url, 'GET', `/_scheduler/jobs/${encodeURIComponent(id)}`);
      return history.some((event: { readonly reason?: string }) =>
        event.reason?.includes('silent for 3000 ms'),
      );
    }, 'the silence is noticed');
    await ok(here.url, 'POST', '/_replicate', { cancel: true, replication_id: id });
  });

  test('a source that vanishes sends the job into back-off, and the node goes on', async () => {
    const double = await startDouble(sourceDouble({}));
    const { reply } = pull(`${double.url}/double`, { continuous: true });
    const id = (await reply).body._local_id;
    await double.close();
    const job = async () =>
      (await ok(here.url, 'GET', '/_scheduler/jobs?limit=100')).jobs.find(
        (one: { id: string }) => one.id === id,
      );
    await eventually(async () => 'error' in (await job()).info, 'the job is in back-off');
    expect((await job()).history[0]).toMatchObject({
      type: 'crashed',
      reason: expect.stringContaining(double.url),
    });
    expect((await call(here.url, 'POST', '/_replicate', { cancel: true, replication_id: id })).status).toBe(
      200,
    );
  });
});

describe('requests that cannot be understood', () => {
  test.each([
    ['no source', { target: 'b' }],
    ['a number', { source: 1, target: 'b' }],
    ['an empty name', { source: '', target: 'b' }],
    ['another protocol', { source: 'ftp://x/y', target: 'b' }],
    ['a malformed URL', { source: 'http://[/db', target: 'b' }],
    ['a URL without a database', { source: 'http://127.0.0.1:1/', target: 'b' }],
    [
      'headers that split the request',
      { source: { url: 'http://127.0.0.1:1/x', headers: { a: 'b\r\nc: d' } }, target: 'b' },
    ],
    [
      'half credentials',
      { source: { url: 'http://127.0.0.1:1/x', auth: { basic: { username: 'u' } } }, target: 'b' },
    ],
    ['continuous as text', { source: 'a', target: 'b', continuous: 'yes' }],
    ['ids that are no strings', { source: 'a', target: 'b', doc_ids: [1] }],
    ['two selections', { source: 'a', target: 'b', doc_ids: [], selector: {} }],
    ['a selector that is none', { source: 'a', target: 'b', selector: [] }],
    ['a filter without a design document', { source: 'a', target: 'b', filter: 'f' }],
    ['a proxy', { source: 'a', target: 'b', source_proxy: 'http://127.0.0.1:1' }],
    ['a negative batch size', { source: 'a', target: 'b', worker_batch_size: -1 }],
    ['a list', []],
  ])('%s is answered 400', async (_name, request) => {
    const reply = await call(here.url, 'POST', '/_replicate', request);
    expect(reply).toMatchObject({ status: 400, body: { reason: expect.any(String) } });
  });

  test('a filter function of a local source is answered 501, not ignored', async () => {
    await ok(here.url, 'PUT', '/filtered');
    const request = { source: 'filtered', target: 'b', create_target: true, filter: 'app/mine' };
    expect((await call(here.url, 'POST', '/_replicate', request)).status).toBe(501);
  });
});
