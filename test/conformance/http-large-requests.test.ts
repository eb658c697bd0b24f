/** Requests that name very much: bounded, and served in turns, so that the neighbours hardly notice. */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { limits } from '../../src/config.ts';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp();
  await app.request('PUT', '/db');
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

function named(ids: number): Record<string, string[]> {
  return Object.fromEntries(Array.from({ length: ids }, (_, index) => [`id${index}`, ['1-a']]));
}

test.each([
  ['_revs_diff', limits.comparedRevisionsMax],
  ['_missing_revs', limits.comparedRevisionsMax],
  ['_purge', limits.purgedRevisionsMax],
])('%s takes as many ids and revisions as its limit says', async (path, max) => {
  const much = await app.request('POST', `/db/${path}`, named(max / 2));
  expect(much.status).toBe(path === '_purge' ? 201 : 200);
  const tooMuch = await app.request('POST', `/db/${path}`, named(max / 2 + 1));
  expect([tooMuch.status, tooMuch.json.error]).toEqual([413, 'too_large']);
  const inOne = { a: Array.from({ length: max }, (_, index) => `${index + 1}-a`) };
  expect((await app.request('POST', `/db/${path}`, inOne)).status).toBe(413);
});

test.each(['_revs_diff', '_missing_revs', '_purge'])('%s takes revisions only', async (path) => {
  const reply = await app.request('POST', `/db/${path}`, { a: ['1-a', 'junk'] });
  expect([reply.status, reply.json]).toEqual([400, { error: 'bad_request', reason: 'Invalid rev format' }]);
});

/** The largest number of calls between two turns of the event loop. */
function callsPerTurn(target: object, method: string): { most(): number } {
  let inTurn = 0;
  let most = 0;
  const original = Reflect.get(target, method) as (...args: unknown[]) => unknown;
  vi.spyOn(target as Record<string, () => unknown>, method).mockImplementation((...args: unknown[]) => {
    if (inTurn === 0) {
      setImmediate(() => {
        inTurn = 0;
      });
    }
    inTurn += 1;
    most = Math.max(most, inTurn);
    return original.apply(target, args);
  });
  return { most: () => most };
}

test.each([
  ['revisionsDifference', '_revs_diff', named(5_000)],
  ['allDocumentsByIds', '_all_docs', { keys: Object.keys(named(5_000)) }],
  ['readOpenRevisions', '_bulk_get', { docs: Object.keys(named(5_000)).map((id) => ({ id })) }],
])('%s for %s lets others through', async (method, path, body) => {
  const calls = callsPerTurn(app.databases.get('db'), method);
  expect((await app.request('POST', `/db/${path}`, body)).status).toBe(200);
  expect(calls.most()).toBeGreaterThan(1);
  expect(calls.most()).toBeLessThanOrEqual(1_000);
  vi.restoreAllMocks();
});

test('a selector may name many values but not many conditions', async () => {
  await app.request('PUT', '/db/wanted', { name: 'n9' });
  const names = Array.from({ length: 50_000 }, (_, index) => `n${index}`);
  const ask = (selector: object) => app.request('POST', '/db/_changes?filter=_selector', { selector });
  expect((await ask({ name: { $in: names } })).json.results).toMatchObject([{ id: 'wanted' }]);
  const refused = await ask({ $or: names.map((name) => ({ name })) });
  expect(refused.status).toBe(400);
  expect(refused.json.reason).toBe('Selector error: more than 10000 conditions');
});

test('a replicated document that breaks a rule does not hold up the others', async () => {
  const docs = [
    { _id: 'good', _rev: '1-a' },
    { _id: 'no-rev', x: 1 },
    { _id: 'odd', _rev: '1-a', _odd: 1 },
    { _id: '_odd', _rev: '1-a' },
    { _id: 'good-too', _rev: '1-a' },
  ];
  const reply = await app.request('POST', '/db/_bulk_docs', { docs, new_edits: false });
  expect(reply.status).toBe(201);
  expect(reply.json).toMatchObject([
    { id: 'no-rev', error: 'bad_request' },
    { id: 'odd', error: 'doc_validation' },
    { id: '_odd', error: 'illegal_docid' },
  ]);
  expect((await app.request('GET', '/db/good-too')).status).toBe(200);
  expect((await app.request('POST', '/db/_bulk_docs', { docs })).status).toBe(400);
});
