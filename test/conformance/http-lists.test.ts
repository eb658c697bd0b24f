/** Lists and settings over HTTP: documents by id, databases, the node itself. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

const ids = ['a', 'b', 'c', 'd'];

beforeAll(async () => {
  const row = { id: 'job1', doc_id: 'rep', database: 'x/_replicator', state: 'running' };
  app = await startTestApp({
    cors: {
      ...{ origins: ['https://app.example'], credentials: true, maxAgeSeconds: 60 },
      ...{ headers: ['content-type'], methods: ['GET', 'PUT'] },
    },
    replications: { jobs: () => [row], documents: () => [row, { ...row, doc_id: 'other', state: 'failed' }] },
  });
  await app.request('PUT', '/db');
  const docs = [...ids.map((_id) => ({ _id, n: _id })), { _id: '_design/one' }, { _id: '_design/two' }];
  await app.request('POST', '/db/_bulk_docs', { docs });
  const gone = (await app.request('PUT', '/db/gone', {})).json.rev;
  await app.request('DELETE', `/db/gone?rev=${gone}`);
  await app.request('PUT', '/db/_local/l1', { x: 1 });
  await app.request('PUT', '/db/_local/l2', {});
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

interface Row {
  readonly id: string;
}

const idsOf = (rows: readonly Row[]) => rows.map((row) => row.id);
const enc = encodeURIComponent;

test.each([
  ['startkey="b"', ['b', 'c', 'd']],
  ['startkey="b"&endkey="c"', ['b', 'c']],
  ['start_key="b"&end_key="c"&inclusive_end=false', ['b']],
  ['startkey="c"&endkey="b"', []],
  ['startkey="c"&endkey="a"&descending=true', ['c', 'b', 'a']],
  ['descending=true&limit=2', ['d', 'c']],
  ['startkey="a"&skip=1&limit=2', ['b', 'c']],
  ['key="c"', ['c']],
  ['key="gone"', []],
  ['keys=["d","a"]', ['d', 'a']],
  ['limit=0', []],
  ['startkey=1&endkey="b"', ['_design/one', '_design/two', 'a', 'b']],
  ['startkey={}', []],
])('_all_docs?%s gives %j', async (query, expected) => {
  const escaped = query
    .split('&')
    .map((pair) => pair.replace(/=(.*)/, (_all, value: string) => `=${enc(value)}`))
    .join('&');
  const reply = await app.request('GET', `/db/_all_docs?${escaped}`);
  expect(reply.status).toBe(200);
  expect(reply.json.total_rows).toBe(6);
  expect(idsOf(reply.json.rows)).toEqual(expected);
});

test('rows are lines, with values, documents and the sequence where asked for', async () => {
  const reply = await app.request('GET', '/db/_all_docs?include_docs=true&update_seq=true&startkey=%22c%22');
  expect(reply.text.split('\n')).toHaveLength(5);
  const [first] = reply.json.rows;
  expect(first).toEqual({
    id: 'c',
    key: 'c',
    value: { rev: first.value.rev },
    doc: { _id: 'c', _rev: first.value.rev, n: 'c' },
  });
  expect(reply.json.update_seq).toBe((await app.request('GET', '/db')).json.update_seq);
});

test('named rows come in the order of their names, deleted and unknown ones too', async () => {
  const reply = await app.request('POST', '/db/_all_docs', {
    keys: ['gone', 'none', 'a', 5],
    include_docs: true,
  });
  expect(reply.json.rows).toMatchObject([
    { id: 'gone', value: { deleted: true }, doc: null },
    { key: 'none', error: 'not_found' },
    { id: 'a', doc: { n: 'a' } },
    { key: 5, error: 'not_found' },
  ]);
});

test('design documents and local documents have lists of their own', async () => {
  const design = (await app.request('GET', '/db/_design_docs')).json;
  expect([design.total_rows, idsOf(design.rows)]).toEqual([2, ['_design/one', '_design/two']]);
  const named = await app.request('POST', '/db/_design_docs', { keys: ['_design/two'] });
  expect(idsOf(named.json.rows)).toEqual(['_design/two']);
  const local = (await app.request('GET', '/db/_local_docs?include_docs=true&limit=1')).json;
  expect(local).toMatchObject({ total_rows: null, offset: null, rows: [{ id: '_local/l1', doc: { x: 1 } }] });
});

test('several lists are asked for at once', async () => {
  const queries = [{ keys: ['a'] }, { startkey: 'c', limit: 1 }, { key: 'none' }];
  const reply = await app.request('POST', '/db/_all_docs/queries', { queries });
  expect(reply.json.results.map((list: { rows: Row[] }) => idsOf(list.rows))).toEqual([['a'], ['c'], []]);
});

test('a database describes itself, with and without a slash at the end', async () => {
  for (const path of ['/db', '/db/']) {
    const { json } = await app.request('GET', path);
    expect(json).toMatchObject({ db_name: 'db', doc_count: 6, doc_del_count: 1, instance_start_time: '0' });
    expect(json.update_seq).toMatch(/^[\w.~-]+$/);
    expect(json.sizes).toMatchObject({ file: expect.any(Number), active: expect.any(Number) });
  }
});

test('databases are created, listed and deleted', async () => {
  expect((await app.request('PUT', '/x%2Fy+z')).status).toBe(201);
  expect((await app.request('PUT', '/x%2Fy+z/')).json.error).toBe('file_exists');
  expect((await app.request('GET', '/_all_dbs?startkey=%22db%22&limit=2')).json).toEqual(['db', 'x/y+z']);
  expect((await app.request('GET', '/_all_dbs?descending=true&limit=1')).json).toEqual(['x/y+z']);
  const info = await app.request('POST', '/_dbs_info', { keys: ['x/y+z', 'none'] });
  expect(info.json).toMatchObject([
    { key: 'x/y+z', info: { db_name: 'x/y+z' } },
    { key: 'none', error: 'not_found' },
  ]);
  expect((await app.request('DELETE', '/x%2Fy+z?rev=1-a')).status).toBe(400);
  expect((await app.request('DELETE', '/x%2Fy+z')).json).toEqual({ ok: true });
  expect((await app.request('GET', '/x%2Fy+z')).json).toEqual({
    error: 'not_found',
    reason: 'Database does not exist.',
  });
  expect((await app.request('PUT', '/other?strategy=leaderless')).status).toBe(501);
});

test('updates of databases are told, and a long poll waits for the next', async () => {
  const first = (await app.request('GET', '/_db_updates')).json;
  expect(first.results.some((row: { db_name: string }) => row.db_name === 'db')).toBe(true);
  const poll = app.request('GET', `/_db_updates?feed=longpoll&since=${first.last_seq}`);
  await app.request('PUT', '/fresh');
  const { results, last_seq } = (await poll).json;
  expect(results).toEqual([{ db_name: 'fresh', type: 'created', seq: last_seq }]);
});

test('settings are read and changed', async () => {
  const security = { admins: { names: ['a'], roles: [] }, members: { names: [], roles: ['r'] } };
  expect(
    (await app.request('PUT', '/db/_security', { ...security, members: { roles: ['r'] } })).json.ok,
  ).toBe(true);
  expect((await app.request('GET', '/db/_security')).json).toEqual(security);
  for (const name of ['_revs_limit', '_purged_infos_limit']) {
    expect((await app.request('PUT', `/db/${name}`, '7')).json).toEqual({ ok: true });
    expect((await app.request('GET', `/db/${name}`)).json).toBe(7);
  }
  expect((await app.request('POST', '/db/_ensure_full_commit')).json).toEqual({
    ok: true,
    instance_start_time: '0',
  });
  expect((await app.request('POST', '/db/_compact', {})).status).toBe(202);
  expect((await app.request('POST', '/db/_view_cleanup', {})).status).toBe(202);
});

test.each([
  ['/', { couchdb: 'Welcome', version: '3.5.0', uuid: 'c'.repeat(32), vendor: { name: 'Tercet' } }],
  ['/_up', { status: 'ok' }],
  ['/_membership', { all_nodes: ['n1'], cluster_nodes: ['n1'] }],
  ['/_cluster_setup', { state: 'single_node_enabled' }],
  ['/_session', { ok: true, userCtx: { name: null, roles: ['_admin'] } }],
  ['/_node/_local', { name: 'n1' }],
  ['/_node/n1/_stats', { couchdb: { httpd: { requests: { type: 'counter' } } } }],
  ['/_node/_local/_stats/couchdb/httpd/requests', { type: 'counter' }],
  ['/_node/_local/_system', { pid: process.pid, uptime: expect.any(Number) }],
  ['/_node/_local/_config', { couchdb: { max_document_size: '8000000' } }],
  ['/_node/_local/_config/cors', { origins: 'https://app.example' }],
  ['/_scheduler/jobs', { total_rows: 1, offset: 0, jobs: [{ id: 'job1' }] }],
  ['/_scheduler/jobs/job1', { id: 'job1' }],
  ['/_scheduler/docs?limit=1', { total_rows: 2, docs: [{ doc_id: 'rep' }] }],
  ['/_scheduler/docs?states=failed', { total_rows: 1, docs: [{ doc_id: 'other' }] }],
  ['/_scheduler/docs/x%2F_replicator', { total_rows: 2 }],
  ['/_scheduler/docs/x/_replicator/rep', { doc_id: 'rep' }],
  ['/_scheduler/docs/_replicator', { total_rows: 0 }],
])('GET %s', async (path, expected) => {
  const reply = await app.request('GET', path);
  expect(reply.status).toBe(200);
  expect(reply.json).toMatchObject(expected);
});

test('metrics are told in the text form of Prometheus', async () => {
  const reply = await app.request('GET', '/_node/_local/_prometheus');
  expect(reply.headers.get('content-type')).toMatch(/^text\/plain/);
  expect(reply.text).toMatch(/^couchdb_httpd_requests_total \d+$/m);
});

test('uuids are 32 lowercase hex digits, all different', async () => {
  const { uuids } = (await app.request('GET', '/_uuids?count=50')).json;
  expect(new Set(uuids).size).toBe(50);
  for (const uuid of uuids) expect(uuid).toMatch(/^[0-9a-f]{32}$/);
});

test.each([
  ['POST', '/db/_find', 501],
  ['POST', '/db/_explain', 501],
  ['GET', '/db/_index', 501],
  ['GET', '/db/_design/one/_view/v', 501],
  ['GET', '/db/_design/one/_info', 501],
  ['GET', '/db/_design/one/_show/s', 404],
  ['GET', '/db/_design/one/_list/l/v', 404],
  ['POST', '/db/_design/one/_update/u', 404],
  ['GET', '/db/_design/one/_rewrite/r', 404],
  ['GET', '/db/_shards', 404],
])('%s %s is not there: %d, with a reason', async (method, path, status) => {
  const reply = await app.request(method, path, method === 'POST' ? {} : undefined);
  expect([reply.status, typeof reply.json.reason]).toEqual([status, 'string']);
});

test('another origin is let in where it is configured, and nowhere else', async () => {
  const origin = 'https://app.example';
  const preflight = { origin, 'access-control-request-method': 'PUT' };
  const asked = await app.request('OPTIONS', '/db/a', undefined, preflight);
  expect(asked.status).toBe(204);
  expect(asked.headers.get('access-control-allow-origin')).toBe(origin);
  expect(asked.headers.get('access-control-allow-methods')).toBe('GET, PUT');
  const refused = { ...preflight, origin: 'https://evil.example' };
  const foreign = await app.request('OPTIONS', '/db/a', undefined, refused);
  expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  const plain = await app.request('GET', '/db/none', undefined, { origin });
  expect([plain.status, plain.headers.get('access-control-allow-origin')]).toEqual([404, origin]);
  expect(plain.headers.get('access-control-allow-credentials')).toBe('true');
  expect((await app.request('GET', '/')).headers.get('access-control-allow-origin')).toBeNull();
});
