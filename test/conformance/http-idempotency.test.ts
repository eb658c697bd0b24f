/** `Idempotency-Key`: what is sent again is done once, whatever became of the document meanwhile. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp();
  expect((await app.request('PUT', '/notes')).status).toBe(201);
});
afterAll(async () => {
  await app.close();
  expect(app.defects).toEqual([]);
});

function keyed(method: string, path: string, body: unknown, key: string) {
  return app.request(method, path, body, { 'idempotency-key': key });
}

async function twice(method: string, path: string, body: unknown, key: string) {
  const replies = [await keyed(method, path, body, key), await keyed(method, path, body, key)];
  return replies.map(({ status, json }) => [status, json.id ?? json.error, json.rev ?? json.reason]);
}

async function revisionsOf(id: string) {
  const { json } = await app.request('GET', `/notes/${id}?revs=true&conflicts=true`);
  return [(json._revisions as { ids: string[] }).ids.length, json._conflicts];
}

describe('a request with an Idempotency-Key', () => {
  it('that makes a document makes it once', async () => {
    const [first, second] = await twice('PUT', '/notes/made', { n: 1 }, 'k1');
    expect(first).toEqual([201, 'made', expect.stringMatching(/^1-/)]);
    expect(second).toEqual(first);
    expect(await revisionsOf('made')).toEqual([1, undefined]);
  });

  it('that makes a document without a name makes one document', async () => {
    const before = (await app.request('GET', '/notes')).json.doc_count as number;
    const [first, second] = await twice('POST', '/notes', { n: 1 }, 'k2');
    expect(first?.[0]).toBe(201);
    expect(second).toEqual(first);
    const [other] = await twice('POST', '/notes', { n: 1 }, 'k3');
    expect(other?.[1]).not.toBe(first?.[1]);
    expect((await app.request('GET', '/notes')).json.doc_count).toBe(before + 2);
  });

  it('that changes a document changes it once, also when others have changed it since', async () => {
    const { json } = await app.request('PUT', '/notes/counter', { n: 1 });
    const increment = { _rev: json.rev, n: 2 };
    const { json: second } = await keyed('PUT', '/notes/counter', increment, 'k4');
    expect((await app.request('PUT', '/notes/counter', { _rev: second.rev, n: 3 })).status).toBe(201);
    const again = await keyed('PUT', '/notes/counter', increment, 'k4');
    expect([again.status, again.json.rev]).toEqual([201, second.rev]);
    expect((await app.request('GET', '/notes/counter')).json.n).toBe(3);
    expect(await revisionsOf('counter')).toEqual([3, undefined]);
  });

  it('is told from an equal request with another key, without one, and of another user', async () => {
    const { json } = await app.request('PUT', '/notes/shared', { n: 1 });
    const increment = { _rev: json.rev, n: 2 };
    expect((await keyed('PUT', '/notes/shared', increment, 'mine')).status).toBe(201);
    expect((await keyed('PUT', '/notes/shared', increment, 'yours')).status).toBe(409);
    expect((await app.request('PUT', '/notes/shared', increment)).status).toBe(409);
  });

  it('that deletes a document deletes it once, and that makes it anew makes it anew once', async () => {
    const { json } = await app.request('PUT', '/notes/phoenix', { n: 1 });
    const [gone, goneAgain] = await twice('DELETE', `/notes/phoenix?rev=${json.rev}`, undefined, 'k5');
    expect(gone).toEqual([200, 'phoenix', expect.stringMatching(/^2-/)]);
    expect(goneAgain).toEqual(gone);
    const [risen, risenAgain] = await twice('PUT', '/notes/phoenix', { n: 2 }, 'k6');
    expect(risen).toEqual([201, 'phoenix', expect.stringMatching(/^3-/)]);
    expect(risenAgain).toEqual(risen);
    const deleted = await app.request('DELETE', `/notes/phoenix?rev=${risen?.[2]}`);
    expect(deleted.status).toBe(200);
    const late = await keyed('PUT', '/notes/phoenix', { n: 2 }, 'k6');
    expect([late.status, late.json.rev]).toEqual([201, risen?.[2]]);
    expect((await app.request('GET', '/notes/phoenix')).status).toBe(404);
  });

  it('of many documents does each of them once', async () => {
    const docs = [{ n: 1 }, { _id: 'bulk', n: 2 }, { n: 1 }];
    const replies = [
      await keyed('POST', '/notes/_bulk_docs', { docs }, 'k7'),
      await keyed('POST', '/notes/_bulk_docs', { docs }, 'k7'),
    ];
    const rows = replies[0]?.json as unknown as readonly { id: string; rev: string }[];
    expect(new Set(rows.map(({ id }) => id)).size).toBe(3);
    expect(rows.every(({ rev }) => rev.startsWith('1-'))).toBe(true);
    expect(replies[1]?.json).toEqual(rows);
  });

  it('with attachments stores them once', async () => {
    const data = Buffer.from('once').toString('base64');
    const document = { _attachments: { 'a.txt': { content_type: 'text/plain', data } } };
    const [first, second] = await twice('PUT', '/notes/attached', document, 'k8');
    expect(first?.[0]).toBe(201);
    expect(second).toEqual(first);
  });

  it('that says something else than before is judged as any other', async () => {
    expect((await keyed('PUT', '/notes/other', { n: 1 }, 'k9')).status).toBe(201);
    expect((await keyed('PUT', '/notes/other', { n: 2 }, 'k9')).status).toBe(409);
    expect((await keyed('POST', '/notes', { n: 1 }, 'k10')).status).toBe(201);
    expect((await keyed('POST', '/notes', { n: 2 }, 'k10')).status).toBe(409);
  });

  it('takes a key with quotes for the same without, and refuses what is no key', async () => {
    const [first] = await twice('PUT', '/notes/quoted', {}, '"k11"');
    expect((await keyed('PUT', '/notes/quoted', {}, 'k11')).json.rev).toBe(first?.[2]);
    for (const key of ['', '""', 'k'.repeat(256), 'caf\u00e9']) {
      const { status, json } = await keyed('PUT', '/notes/refused', {}, key);
      expect([status, json.error]).toEqual([400, 'bad_request']);
    }
    expect((await app.request('GET', '/notes/refused')).status).toBe(404);
  });
});
