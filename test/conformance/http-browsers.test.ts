/** What pages in a browser may do with a node: sent as browsers send it, with `Origin`, `Host` and odd types. */

import { request as send } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

const foreign = 'https://evil.example';
const allowed = 'https://app.example';
const cors = {
  origins: [allowed],
  ...{ credentials: true, headers: ['content-type'], methods: ['GET', 'PUT', 'POST'], maxAgeSeconds: 60 },
};

let party: TestApp;
let guarded: TestApp;

beforeAll(async () => {
  party = await startTestApp();
  guarded = await startTestApp({ cors, admins: { root: 'secret' } });
  for (const app of [party, guarded]) await request(app, 'PUT', '/db', {});
});

afterAll(async () => {
  for (const app of [party, guarded]) {
    expect(app.defects).toEqual([]);
    await app.close();
  }
});

/** `fetch` would not let a test choose its Host and Origin. */
function request(
  { port }: TestApp,
  method: string,
  path: string,
  headers: Record<string, string>,
  body = '',
): Promise<number> {
  return new Promise((resolve, reject) => {
    const authorization = `Basic ${Buffer.from('root:secret').toString('base64')}`;
    const credentials = port === guarded?.port ? { authorization } : {};
    const all = { ...credentials, 'content-length': Buffer.byteLength(body), ...headers };
    send({ host: '127.0.0.1', port, method, path, headers: all }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end(body);
  });
}

const json = { 'content-type': 'application/json' };

test.each([
  ['POST', '/db/_bulk_docs', { ...json, origin: foreign }, '{"docs":[]}'],
  ['POST', '/_replicate', { ...json, origin: foreign }, '{}'],
  ['POST', '/_session', { origin: foreign, 'content-type': 'application/x-www-form-urlencoded' }, 'name=a'],
  ['PUT', '/db/x', { origin: foreign, 'sec-fetch-site': 'cross-site' }, '{}'],
  ['DELETE', '/db', { origin: 'null' }, ''],
])('a page of another origin may not %s %s', async (method, path, headers, body) => {
  expect(await request(party, method, path, headers, body)).toBe(403);
  expect(await request(guarded, method, path, headers, body)).toBe(403);
});

test('pages of the node itself and of allowed origins write, and pages of others read what all may read', async () => {
  const write = (app: TestApp, headers: Record<string, string>) =>
    request(app, 'POST', '/db/_bulk_docs', { ...json, ...headers }, '{"docs":[]}');
  expect(await write(party, {})).toBe(201);
  expect(await write(party, { origin: 'http://127.0.0.1:5984', host: '127.0.0.1:5984' })).toBe(201);
  expect(await write(guarded, { origin: 'https://db.example', host: 'db.example' })).toBe(201);
  expect(await write(guarded, { origin: 'https://db.example', 'sec-fetch-site': 'same-origin' })).toBe(201);
  expect(await write(guarded, { origin: allowed })).toBe(201);
  expect(await write(party, { origin: allowed })).toBe(403);
  expect(await request(party, 'GET', '/db', { origin: foreign })).toBe(200);
});

test.each([
  ['localhost', 200],
  ['LOCALHOST:5984', 200],
  ['127.0.0.1:5984', 200],
  ['[::1]:5984', 200],
  ['evil.example', 403],
  ['localhost.evil.example', 403],
  ['127.0.0.1.evil.example:5984', 403],
])('a node without an admin, asked as %j, answers %d', async (host, status) => {
  expect(await request(party, 'GET', '/db', { host })).toBe(status);
  expect(await request(guarded, 'GET', '/db', { host })).toBe(200);
});

test('a POST says that its body is JSON; a PUT need not, as curl does not', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  expect(await request(party, 'POST', '/db', {}, '{}')).toBe(415);
  expect(await request(party, 'POST', '/db', form, '{}')).toBe(415);
  expect(await request(party, 'POST', '/db', json, '{}')).toBe(201);
  expect(await request(party, 'POST', '/db/_compact', {})).toBe(202);
  expect(await request(party, 'PUT', '/db/curl', form, '{}')).toBe(201);
  expect(await request(party, 'PUT', '/db/none', {}, '{}')).toBe(201);
  expect(await request(party, 'PUT', '/db/_security', form, '{}')).toBe(200);
});
