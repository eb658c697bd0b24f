/** A leaderless database and the dead over HTTP: who was away does not bring them back, an admin may. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { settingsFrom } from '../../src/leaderless/presets.ts';
import { startTestApp, type TestApp } from './http-app.ts';

const admin = { authorization: `Basic ${btoa('root:secret')}` };
const old = 'b'.repeat(32);
let app: TestApp;
let number = 0;
let db = '';
/** The document's revisions: alive, then dead. */
let live = '';
let dead = '';

const request = (method: string, path: string, body?: unknown) =>
  app.request(method, `${db}${path}`, body, admin);

beforeAll(async () => {
  app = await startTestApp({ admins: { root: 'secret' } });
});

beforeEach(async () => {
  number += 1;
  db = `/carts${number}`;
  const settings = settingsFrom({}, 3);
  const replication = {
    strategy: 'leaderless',
    reference: number,
    identity: `f${number}`,
    settings,
  } as const;
  const database = await app.databases.create(db.slice(1), { incarnation: `i${number}`, replication });
  live = (await request('PUT', '/memo', { was: 'alive' })).json.rev;
  dead = (await request('DELETE', `/memo?rev=${live}`)).json.rev;
  expect(await database.leaderless?.forgetTombstones(new Map([['memo', [dead as never]]]))).toEqual(['memo']);
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

/** What a PouchDB that was away for long sends: its edit of a copy from before the deletion. */
function pushOld() {
  const _revisions = { start: 2, ids: [old, live.slice(2)] };
  const docs = [{ _id: 'memo', _rev: `2-${old}`, _revisions, phone: true }];
  return request('POST', '/_bulk_docs', { docs, new_edits: false });
}

test('who coordinates is told of the grave, and nobody else', async () => {
  const leaves = (query: string) => request('GET', `/memo?open_revs=all&revs=true${query}`);
  const told = await leaves('&coordinator=client');
  expect([told.status, told.json]).toEqual([200, [{ grave: [dead] }]]);
  expect((await leaves('')).status).toBe(404);
  expect((await request('GET', '/never?open_revs=all&coordinator=client')).status).toBe(404);
  await request('PUT', '/memo', { anew: true });
  const rows = (await leaves('&coordinator=client')).json as { ok: { anew: boolean } }[];
  expect(rows.map(({ ok }) => ok.anew)).toEqual([true]);
});

test('a phone that was away for a year does not bring a document back', async () => {
  expect((await request('POST', '/_revs_diff', { memo: [live, dead, `2-${old}`] })).json).toEqual({
    memo: { missing: [`2-${old}`] },
  });
  const pushed = await pushOld();
  expect([pushed.status, pushed.json]).toEqual([
    201,
    [{ id: 'memo', error: 'forbidden', reason: expect.stringContaining('quarantine') }],
  ]);
  expect((await request('GET', '/memo')).status).toBe(404);
  expect((await request('GET', '/_changes')).json.results).toEqual([]);
  const listed = await request('GET', '/_quarantine');
  const row = { id: 'memo', rev: `2-${old}`, deleted: false, since: expect.stringMatching(/^20.*Z$/) };
  expect([listed.status, listed.json]).toEqual([200, { total: 1, rows: [row] }]);
  expect((await request('GET', `/_quarantine?id=memo&rev=2-${old}`)).json).toEqual({
    ...{ _id: 'memo', _rev: `2-${old}`, phone: true },
    _revisions: { start: 2, ids: [old, live.slice(2)] },
  });
});

test('an admin accepts what is in quarantine, or throws it away', async () => {
  await pushOld();
  const named = { id: 'memo', rev: `2-${old}` };
  const unknown = { id: 'nobody', rev: '1-a' };
  const accepted = await request('POST', '/_quarantine', { accept: [named, unknown], discard: [named] });
  expect([accepted.status, accepted.json]).toEqual([
    200,
    {
      accepted: [
        { ok: true, ...named, became: expect.stringMatching(/^3-/) },
        { ...unknown, error: 'not_found', reason: 'missing' },
      ],
      discarded: [{ ...named, error: 'not_found', reason: 'missing' }],
    },
  ]);
  const document = await request('GET', '/memo?conflicts=true&deleted_conflicts=true');
  expect(document.json).toMatchObject({ _rev: accepted.json.accepted[0].became, phone: true });
  expect(document.json._conflicts).toBeUndefined();
  expect((await request('GET', '/_quarantine')).json).toEqual({ total: 0, rows: [] });
});

test('discarding leaves the dead alone', async () => {
  await pushOld();
  const named = { id: 'memo', rev: `2-${old}` };
  const discarded = await request('POST', '/_quarantine', { discard: [named] });
  expect(discarded.json).toEqual({ accepted: [], discarded: [{ ok: true, ...named }] });
  expect((await request('GET', '/memo')).status).toBe(404);
  expect((await request('GET', `/_quarantine?id=memo&rev=2-${old}`)).status).toBe(404);
});

test('a list is read in pages', async () => {
  await pushOld();
  const other = 'a'.repeat(32);
  const _revisions = { start: 2, ids: [other, live.slice(2)] };
  const docs = [{ _id: 'memo', _rev: `2-${other}`, _revisions, tablet: true }];
  await request('POST', '/_bulk_docs', { docs, new_edits: false });
  const first = (await request('GET', '/_quarantine?limit=1')).json;
  expect(first).toMatchObject({ total: 2, rows: [{ rev: `2-${other}` }] });
  const after = encodeURIComponent(JSON.stringify(['memo', `2-${other}`]));
  expect((await request('GET', `/_quarantine?after=${after}`)).json.rows).toMatchObject([
    { rev: `2-${old}` },
  ]);
  expect((await request('GET', '/_quarantine?limit=0')).json).toEqual({ total: 2, rows: [] });
});

test.each([
  ['GET', '/_quarantine?limit=-1', undefined],
  ['GET', '/_quarantine?after=x', undefined],
  ['GET', '/_quarantine?after=["a"]', undefined],
  ['GET', '/_quarantine?id=memo', undefined],
  ['GET', '/_quarantine?id=memo&rev=none', undefined],
  ['POST', '/_quarantine', []],
  ['POST', '/_quarantine', { accept: {} }],
  ['POST', '/_quarantine', { accept: ['memo'] }],
  ['POST', '/_quarantine', { discard: [{ id: 'memo' }] }],
  ['POST', '/_quarantine', { discard: [{ id: 'memo', rev: 'none' }] }],
])('%s %s %j is 400', async (method, path, body) => {
  expect((await request(method, path, body)).status).toBe(400);
});

test('is for database admins, of leaderless databases', async () => {
  expect((await app.request('GET', `${db}/_quarantine`)).status).toBe(401);
  expect((await app.request('PUT', '/plain', undefined, admin)).status).toBe(201);
  expect((await app.request('GET', '/plain/_quarantine', undefined, admin)).status).toBe(400);
  await app.request('DELETE', '/plain', undefined, admin);
});
