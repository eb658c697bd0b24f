/** Documents over HTTP: reading, writing, revisions, conflicts, local documents, bulk requests. */

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Reply, startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;
let number = 0;
let db = '';

beforeAll(async () => {
  app = await startTestApp();
});

beforeEach(async () => {
  number += 1;
  db = `/db${number}`;
  expect((await app.request('PUT', db)).status).toBe(201);
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

async function put(id: string, body: object): Promise<string> {
  const reply = await app.request('PUT', `${db}/${id}`, body);
  expect(reply.status).toBe(201);
  return reply.json.rev;
}

const get = (path: string, headers?: Record<string, string>): Promise<Reply> =>
  app.request('GET', `${db}/${path}`, undefined, headers);

test('a document is written, read, changed and deleted', async () => {
  const created = await app.request('PUT', `${db}/a`, { x: 1, _id: 'ignored' });
  expect(created.json).toEqual({ ok: true, id: 'a', rev: expect.stringMatching(/^1-[0-9a-f]{32}$/) });
  expect(created.headers.get('etag')).toBe(`"${created.json.rev}"`);
  expect(created.headers.get('location')).toBe(`${db}/a`);
  expect((await get('a')).json).toEqual({ _id: 'a', _rev: created.json.rev, x: 1 });
  const changed = await app.request('PUT', `${db}/a`, { x: 2, _rev: created.json.rev });
  expect(changed.json.rev).toMatch(/^2-/);
  const deleted = await app.request('DELETE', `${db}/a?rev=${changed.json.rev}`);
  expect([deleted.status, deleted.json.ok]).toEqual([200, true]);
  expect((await get('a')).json).toEqual({ error: 'not_found', reason: 'deleted' });
  expect((await get(`a?rev=${deleted.json.rev}`)).json._deleted).toBe(true);
  expect((await get('b')).json).toEqual({ error: 'not_found', reason: 'missing' });
});

test('a stale revision is a conflict and an absent one too', async () => {
  const first = await put('a', {});
  await put('a', { _rev: first });
  const conflict = { error: 'conflict', reason: 'Document update conflict.' };
  expect(await app.request('PUT', `${db}/a`, { _rev: first })).toMatchObject({ status: 409, json: conflict });
  expect(await app.request('PUT', `${db}/a`, {})).toMatchObject({ status: 409, json: conflict });
  expect((await app.request('DELETE', `${db}/a`)).status).toBe(409);
  expect((await app.request('DELETE', `${db}/a?rev=${first}`)).status).toBe(409);
  expect((await app.request('DELETE', `${db}/none`)).status).toBe(404);
  expect((await app.request('DELETE', `${db}/none?rev=1-a`)).status).toBe(404);
});

test('the base revision may come by query or If-Match, which must agree', async () => {
  const first = await put('a', {});
  const second = await app.request('PUT', `${db}/a?rev=${first}`, { n: 2 });
  expect(second.status).toBe(201);
  const third = await app.request('PUT', `${db}/a`, { n: 3 }, { 'if-match': `"${second.json.rev}"` });
  expect(third.status).toBe(201);
  const odd = await app.request('PUT', `${db}/a?rev=${third.json.rev}`, {}, { 'if-match': '"1-a"' });
  expect([odd.status, odd.json.reason]).toEqual([400, 'Document rev and etag have different values']);
  expect((await app.request('DELETE', `${db}/a`, undefined, { 'if-match': third.json.rev })).status).toBe(
    200,
  );
});

test('a reader that has the revision is told so, and HEAD has the same headers', async () => {
  const rev = await put('a', { x: 1 });
  expect((await get('a', { 'if-none-match': `"${rev}"` })).status).toBe(304);
  expect((await get('a', { 'if-none-match': 'W/"x", "1-y"' })).status).toBe(200);
  const full = await get('a');
  const head = await app.request('HEAD', `${db}/a`);
  expect([head.status, head.text]).toEqual([200, '']);
  for (const name of ['etag', 'content-length', 'content-type']) {
    expect(head.headers.get(name)).toBe(full.headers.get(name));
  }
  expect((await app.request('HEAD', `${db}/none`)).status).toBe(404);
});

test.each([
  ['a%2Fb', 'a/b'],
  ['%E2%82%AC%F0%9F%98%80', '€😀'],
  ['a%20b+c', 'a b+c'],
  ['_design/x%2Fy', '_design/x/y'],
  ['_design%2Fz', '_design/z'],
  ['%22quoted%22%5C', '"quoted"\\'],
])('the id in /%s is %j', async (path, id) => {
  await put(path, { here: true });
  expect((await get(path)).json).toMatchObject({ _id: id, here: true });
  const list = await get(`_all_docs?key=${encodeURIComponent(JSON.stringify(id))}`);
  expect(list.json.rows).toMatchObject([{ id, key: id }]);
});

test('a POST makes an id where there is none', async () => {
  const made = await app.request('POST', `${db}/`, { x: 1 });
  expect(made.json.id).toMatch(/^[0-9a-f]{32}$/);
  expect((await app.request('POST', db, { _id: 'own' })).json.id).toBe('own');
});

async function makeConflict(): Promise<{ winner: string; loser: string }> {
  const revisions = ['2-b', '2-a'].map((_rev) => ({
    _id: 'c',
    _rev,
    _revisions: { start: 2, ids: [_rev[2], '0'] },
  }));
  const reply = await app.request('POST', `${db}/_bulk_docs`, { docs: revisions, new_edits: false });
  expect([reply.status, reply.json]).toEqual([201, []]);
  return { winner: '2-b', loser: '2-a' };
}

test('conflicts, histories and leaves are shown to those who ask', async () => {
  const { winner, loser } = await makeConflict();
  expect((await get('c')).json).toEqual({ _id: 'c', _rev: winner });
  expect((await get('c?conflicts=true')).json._conflicts).toEqual([loser]);
  expect((await get('c?revs=true')).json._revisions).toEqual({ start: 2, ids: ['b', '0'] });
  expect((await get('c?revs_info=true')).json._revs_info).toEqual([
    { rev: '2-b', status: 'available' },
    { rev: '1-0', status: 'missing' },
  ]);
  const meta = (await get('c?meta=true')).json;
  expect([meta._conflicts, meta._revs_info.length]).toEqual([[loser], 2]);
  expect((await get('c?local_seq=true')).json._local_seq).toEqual(expect.any(Number));
  const leaves = (await get('c?open_revs=all')).json;
  expect(leaves.map((row: { ok: { _rev: string } }) => row.ok._rev).sort()).toEqual([loser, winner]);
  const some = await get(`c?open_revs=${encodeURIComponent('["2-a","9-z"]')}&revs=true`);
  expect(some.json).toMatchObject([{ ok: { _rev: '2-a', _revisions: { start: 2 } } }, { missing: '9-z' }]);
  await app.request('DELETE', `${db}/c?rev=${loser}`);
  expect((await get('c?deleted_conflicts=true')).json._deleted_conflicts).toHaveLength(1);
  expect((await get('none?open_revs=all')).status).toBe(404);
});

test('answers that change while the revision stays have no ETag', async () => {
  const { loser } = await makeConflict();
  for (const query of ['conflicts=true', 'meta=true', 'revs_info=true', 'local_seq=true', 'open_revs=all']) {
    expect((await get(`c?${query}`)).headers.get('etag')).toBeNull();
  }
  expect((await get(`c?rev=${loser}`)).headers.get('etag')).toBe(`"${loser}"`);
});

test('a replicated revision is taken as it is, by PUT too', async () => {
  const reply = await app.request('PUT', `${db}/r?new_edits=false`, { _rev: '3-abc', x: 1 });
  expect(reply.json).toEqual({ ok: true, id: 'r', rev: '3-abc' });
  expect((await app.request('PUT', `${db}/r?new_edits=false`, { _rev: '3-abc', x: 1 })).status).toBe(201);
  expect((await get('r')).json).toEqual({ _id: 'r', _rev: '3-abc', x: 1 });
});

test('COPY to a local document writes one, and leaves no ordinary document of that name', async () => {
  await app.request('PUT', `${db}/to-copy`, { n: 1 });
  const to = (destination: string) => app.request('COPY', `${db}/to-copy`, undefined, { destination });
  expect([(await to('_local/kept')).status, (await to('_local/kept')).status]).toEqual([201, 409]);
  expect((await to('_local/kept?rev=0-1')).json).toEqual({ ok: true, id: '_local/kept', rev: '0-2' });
  expect((await app.request('GET', `${db}/_local/kept`)).json).toEqual({
    ...{ _id: '_local/kept', _rev: '0-2', n: 1 },
  });
  expect((await app.request('GET', `${db}/_all_docs`)).text).not.toContain('_local/');
});

test('COPY takes body and attachments along, onto a new or a named revision', async () => {
  await put('a', { x: 1, _attachments: { f: { content_type: 'text/plain', data: 'YQ==' } } });
  const copy = await app.request('COPY', `${db}/a`, undefined, { destination: 'b%2Fc' });
  expect([copy.status, copy.json.id]).toEqual([201, 'b/c']);
  expect((await get('b%2Fc/f')).text).toBe('a');
  expect((await app.request('COPY', `${db}/a`, undefined, { destination: 'b%2Fc' })).status).toBe(409);
  const onto = { destination: `b%2Fc?rev=${copy.json.rev}` };
  expect((await app.request('COPY', `${db}/a`, undefined, onto)).json.rev).toMatch(/^2-/);
});

test('rows of a bulk write stand or fall alone, in the order of the request', async () => {
  const rev = await put('a', {});
  const docs = [
    { _id: 'a' },
    { _id: 'b', x: 1 },
    { y: 1 },
    { _id: 'a', _rev: rev },
    { _id: '_local/l', z: 1 },
  ];
  const reply = await app.request('POST', `${db}/_bulk_docs`, { docs });
  expect(reply.status).toBe(201);
  expect(reply.json).toMatchObject([
    { id: 'a', error: 'conflict', reason: 'Document update conflict.' },
    { ok: true, id: 'b', rev: expect.stringMatching(/^1-/) },
    { ok: true, id: expect.stringMatching(/^[0-9a-f]{32}$/) },
    { ok: true, id: 'a', rev: expect.stringMatching(/^2-/) },
    { ok: true, id: '_local/l', rev: '0-1' },
  ]);
});

test('_bulk_get answers each wanted revision where it stands', async () => {
  await makeConflict();
  const docs = [
    { id: 'c', rev: '2-a' },
    { id: 'c' },
    { id: 'c', rev: '1-0' },
    { id: 'none' },
    { id: 'c', rev: 'x' },
  ];
  const reply = await app.request('POST', `${db}/_bulk_get?revs=true`, { docs });
  const found = reply.json.results.map((row: { id: string; docs: object[] }) => row.docs[0]);
  expect(found).toMatchObject([
    { ok: { _rev: '2-a', _revisions: { start: 2, ids: ['a', '0'] } } },
    { ok: { _rev: '2-b' } },
    { error: { id: 'c', rev: '1-0', error: 'not_found', reason: 'missing' } },
    { error: { id: 'none', rev: 'undefined', error: 'not_found' } },
    { error: { id: 'c', rev: 'x', error: 'bad_request' } },
  ]);
  const latest = await app.request('POST', `${db}/_bulk_get?latest=true`, {
    docs: [{ id: 'c', rev: '1-0' }],
  });
  expect(latest.json.results[0].docs.map((row: { ok: { _rev: string } }) => row.ok._rev).sort()).toEqual([
    '2-a',
    '2-b',
  ]);
  expect((await app.request('POST', `${db}/_bulk_get`, { docs: [] })).json).toEqual({ results: [] });
});

test('_bulk_get without a revision answers all leaves, deleted ones too', async () => {
  await makeConflict();
  const rev = await put('gone', {});
  const deleted = (await app.request('DELETE', `${db}/gone?rev=${rev}`)).json.rev;
  const docs = [{ id: 'c' }, { id: 'gone' }];
  const { results } = (await app.request('POST', `${db}/_bulk_get`, { docs })).json;
  expect(results[0].docs.map((row: { ok: { _rev: string } }) => row.ok._rev).sort()).toEqual(['2-a', '2-b']);
  expect(results[1].docs).toEqual([{ ok: { _id: 'gone', _rev: deleted, _deleted: true } }]);
});

test('missing revisions are told, with possible ancestors', async () => {
  await makeConflict();
  const wanted = { c: ['2-a', '3-x'], n: ['1-a'] };
  expect((await app.request('POST', `${db}/_revs_diff`, wanted)).json).toEqual({
    c: { missing: ['3-x'], possible_ancestors: expect.arrayContaining(['2-a', '2-b']) },
    n: { missing: ['1-a'] },
  });
  expect((await app.request('POST', `${db}/_missing_revs`, wanted)).json).toEqual({
    missing_revs: { c: ['3-x'], n: ['1-a'] },
  });
});

test('a local document has a revision of its own kind and stays out of lists', async () => {
  expect((await app.request('PUT', `${db}/_local/cp`, { n: 1 })).json).toEqual({
    ok: true,
    id: '_local/cp',
    rev: '0-1',
  });
  expect((await app.request('PUT', `${db}/_local/cp`, { n: 2 })).status).toBe(409);
  expect((await app.request('PUT', `${db}/_local/cp`, { n: 2, _rev: '0-1' })).json.rev).toBe('0-2');
  expect((await get('_local/cp')).json).toEqual({ _id: '_local/cp', _rev: '0-2', n: 2 });
  expect((await get('_all_docs')).json.rows).toEqual([]);
  expect((await get('_local_docs')).json.rows).toMatchObject([{ id: '_local/cp', value: { rev: '0-2' } }]);
  expect((await app.request('DELETE', `${db}/_local/cp?rev=0-1`)).status).toBe(409);
  expect((await app.request('DELETE', `${db}/_local/cp?rev=0-2`)).status).toBe(200);
  expect((await get('_local/cp')).status).toBe(404);
});

test('a compressed request body is understood', async () => {
  const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
  const reply = await app.request('PUT', `${db}/z`, gzipSync('{"x":1}'), headers);
  expect(reply.status).toBe(201);
  expect((await get('z')).json.x).toBe(1);
});

test('a purged revision is gone without a trace', async () => {
  await makeConflict();
  const reply = await app.request('POST', `${db}/_purge`, { c: ['2-b', '1-x'], none: ['1-a'] });
  expect([reply.status, reply.json.purged]).toEqual([201, { c: ['2-b'], none: [] }]);
  expect((await get('c')).json._rev).toBe('2-a');
});
