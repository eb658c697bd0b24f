/** Who may do what over HTTP, with admins set: server admins, database admins, members, users, strangers. */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});
const who: Readonly<Record<string, Record<string, string>>> = {
  admin: basic('root', 'secret'),
  chief: basic('chief', 'c'),
  member: basic('anna', 'a'),
  other: basic('zoe', 'z'),
  nobody: {},
};

async function addUser(name: string, password: string): Promise<void> {
  const user = { name, password, roles: [], type: 'user' };
  const reply = await app.request('PUT', `/_users/org.couchdb.user:${name}`, user, who.admin);
  expect(reply.status).toBe(201);
}

beforeAll(async () => {
  app = await startTestApp({ admins: { root: 'secret' } });
  await app.request('PUT', '/db', undefined, who.admin);
  await addUser('chief', 'c');
  await addUser('anna', 'a');
  await addUser('zoe', 'z');
  const security = { admins: { names: ['chief'] }, members: { names: ['anna'] } };
  expect((await app.request('PUT', '/db/_security', security, who.admin)).status).toBe(200);
  await app.request('PUT', '/db/doc', { x: 1 }, who.admin);
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

test.each([
  ['GET', '/', [200, 200, 200, 200, 200]],
  ['GET', '/_up', [200, 200, 200, 200, 200]],
  ['GET', '/_all_dbs', [200, 401, 401, 401, 401]],
  ['GET', '/_db_updates', [200, 401, 401, 401, 401]],
  ['GET', '/_active_tasks', [200, 401, 401, 401, 401]],
  ['GET', '/_scheduler/jobs', [200, 401, 401, 401, 401]],
  ['GET', '/_node/_local/_stats', [200, 401, 401, 401, 401]],
  ['POST', '/_replicate', [200, 401, 401, 401, 401]],
  ['PUT', '/db', [412, 401, 401, 401, 401]],
  ['DELETE', '/none', [404, 401, 401, 401, 401]],
  ['GET', '/db', [200, 200, 200, 403, 401]],
  ['GET', '/db/doc', [200, 200, 200, 403, 401]],
  ['GET', '/db/_all_docs', [200, 200, 200, 403, 401]],
  ['GET', '/db/_changes', [200, 200, 200, 403, 401]],
  ['GET', '/db/_local_docs', [200, 200, 200, 403, 401]],
  ['GET', '/db/_security', [200, 200, 200, 403, 401]],
  ['POST', '/db/_revs_diff', [200, 200, 200, 403, 401]],
  ['POST', '/db/_bulk_get', [400, 400, 400, 403, 401]],
  ['POST', '/db/_ensure_full_commit', [201, 201, 201, 403, 401]],
  ['POST', '/db/_compact', [202, 202, 403, 403, 401]],
  ['GET', '/db/_quarantine', [400, 400, 403, 403, 401]],
  ['POST', '/db/_purge', [201, 401, 401, 401, 401]],
  ['PUT', '/db/_revs_limit', [400, 400, 403, 403, 401]],
  ['PUT', '/db/_security', [200, 200, 403, 403, 401]],
  ['GET', '/_users/_all_docs', [200, 401, 401, 401, 401]],
  ['GET', '/_users/_changes?include_docs=true', [200, 401, 401, 401, 401]],
  ['GET', '/_users/org.couchdb.user:anna', [200, 404, 200, 404, 401]],
  ['DELETE', '/_users/org.couchdb.user:anna', [409, 404, 409, 404, 401]],
  ['DELETE', '/_users/org.couchdb.user:anna/x', [409, 404, 409, 404, 401]],
  ['PUT', '/_users/org.couchdb.user:anna/x', [409, 404, 409, 404, 401]],
  ['PUT', '/_users/_local/x', [201, 401, 401, 401, 401]],
  ['GET', '/_users/_local/x', [200, 401, 401, 401, 401]],
  ['DELETE', '/_users/_local/x?rev=0-1', [200, 401, 401, 401, 401]],
  ['GET', '/_users/_local_docs', [200, 401, 401, 401, 401]],
  ['PUT', '/db/_local/y', [201, 409, 409, 403, 401]],
  ['GET', '/db/_local/y', [200, 200, 200, 403, 401]],
  ['GET', '/_replicator/_all_docs', [200, 403, 403, 403, 401]],
])('%s %s', async (method, path, expected) => {
  const security = { admins: { names: ['chief'] }, members: { names: ['anna'] } };
  const body = method === 'GET' ? undefined : path === '/db/_security' ? security : {};
  const statuses: number[] = [];
  for (const headers of Object.values(who)) {
    statuses.push((await app.request(method, path, body, headers)).status);
  }
  expect(statuses).toEqual(expected);
});

test('only database admins write design documents, one by one and in bulk', async () => {
  const refused = await app.request('PUT', '/db/_design/x', {}, who.member);
  expect([refused.status, refused.json.error]).toEqual([403, 'forbidden']);
  const rows = await app.request(
    'POST',
    '/db/_bulk_docs',
    { docs: [{ _id: '_design/x' }, { _id: 'y' }] },
    who.member,
  );
  expect(rows.json).toMatchObject([
    { id: '_design/x', error: 'forbidden' },
    { ok: true, id: 'y' },
  ]);
  expect((await app.request('PUT', '/db/_design/x', {}, who.chief)).status).toBe(201);
  expect((await app.request('PUT', '/db/_design/x/a.txt', 'x', who.member)).status).toBe(403);
});

test('local documents of users are for admins by POST, in bulk and as copies too', async () => {
  const local = { _id: '_local/z' };
  for (const headers of [who.member, who.nobody]) {
    expect((await app.request('POST', '/_users', local, headers)).status).toBe(401);
    const rows = await app.request('POST', '/_users/_bulk_docs', { docs: [local] }, headers);
    expect(rows.json).toMatchObject([{ id: '_local/z', error: 'unauthorized' }]);
    const copy = { ...headers, destination: '_local/z' };
    const path = '/_users/org.couchdb.user:anna';
    expect((await app.request('COPY', path, undefined, copy)).status).toBe(401);
  }
  expect((await app.request('GET', '/_users/_local/z', undefined, who.admin)).status).toBe(404);
});

test.each(['org.couchdb.user:new', 'org.couchdb.user:anna', '_design/x'])(
  'no content is stored for a multipart PUT of %s by a stranger',
  async (id) => {
    const users = app.databases.get('_users');
    const stored = vi.spyOn(users, 'storeBlob');
    const document = { _attachments: { a: { follows: true, length: 1, content_type: 'a/b' } } };
    const body = `--x\r\n\r\n${JSON.stringify(document)}\r\n--x\r\n\r\na\r\n--x--`;
    const headers = { 'content-type': 'multipart/related; boundary=x' };
    expect((await app.request('PUT', `/_users/${id}`, body, headers)).status).toBe(401);
    expect(stored).not.toHaveBeenCalled();
    stored.mockRestore();
  },
);

test('a security object comes back with all that was put in', async () => {
  await app.request('PUT', '/kept', undefined, who.admin);
  const admins = { names: ['chief'], roles: [], note: 'n' };
  const security = { admins, members: { names: [], roles: ['staff'] }, custom: { a: [1] }, cloudant: 1 };
  await app.request('PUT', '/kept/_security', security, who.admin);
  expect((await app.request('GET', '/kept/_security', undefined, who.admin)).json).toEqual(security);
});

test('no answer shows a password or its hash, and only the own document is shown', async () => {
  const path = '/_users/org.couchdb.user:anna';
  const id = 'org.couchdb.user:anna';
  const secrets = /password"|derived_key|"salt"|secret/;
  for (const headers of [who.member, who.admin]) {
    expect((await app.request('GET', path, undefined, headers)).text).not.toMatch(secrets);
    expect((await app.request('GET', `${path}?open_revs=all`, undefined, headers)).text).not.toMatch(secrets);
    const bulk = await app.request('POST', '/_users/_bulk_get', { docs: [{ id }] }, headers);
    expect(bulk.json.results[0].docs[0].ok._id).toBe(id);
    expect(bulk.text).not.toMatch(secrets);
  }
  for (const list of ['_all_docs', '_changes']) {
    const reply = await app.request('GET', `/_users/${list}?include_docs=true`, undefined, who.admin);
    expect(reply.text).toContain(id);
    expect(reply.text).not.toMatch(secrets);
  }
  const foreign = await app.request('POST', '/_users/_bulk_get', { docs: [{ id }] }, who.other);
  expect(foreign.json.results[0].docs[0].error.error).toBe('not_found');
  expect(foreign.text).not.toMatch(secrets);
});

test('strangers do not learn which users exist, existed or never did', async () => {
  await addUser('gone', 'g');
  const gone = '/_users/org.couchdb.user:gone';
  const { _rev } = (await app.request('GET', gone, undefined, who.admin)).json;
  expect((await app.request('DELETE', `${gone}?rev=${_rev}`, undefined, who.admin)).status).toBe(200);
  const tried = ['anna', 'gone', 'never'].map((name) => `org.couchdb.user:${name}`);
  for (const headers of [who.nobody, who.other]) {
    const requests = tried.map(async (id) => {
      const path = `/_users/${id}`;
      const copy = { ...headers, destination: 'org.couchdb.user:copy' };
      const replies = [
        await app.request('GET', path, undefined, headers),
        await app.request('HEAD', path, undefined, headers),
        await app.request('GET', `${path}?open_revs=all`, undefined, headers),
        await app.request('GET', `${path}?rev=1-a`, undefined, headers),
        await app.request('GET', `${path}/photo`, undefined, headers),
        await app.request('PUT', `${path}/photo?rev=1-a`, 'x', headers),
        await app.request('DELETE', path, undefined, headers),
        await app.request('DELETE', `${path}?rev=1-a`, undefined, headers),
        await app.request('PUT', path, { _id: id }, headers),
        await app.request('COPY', path, undefined, copy),
        await app.request('POST', '/_users/_bulk_get', { docs: [{ id }] }, headers),
        await app.request('POST', '/_users/_bulk_get', { docs: [{ id, rev: '1-a' }] }, headers),
        await app.request('POST', '/_users/_bulk_docs', { docs: [{ _id: id }] }, headers),
      ];
      return replies.map(({ status, text }) => `${status} ${text.replaceAll(id, 'ID')}`);
    });
    const [existing, deleted, unknown] = await Promise.all(requests);
    expect(deleted).toEqual(existing);
    expect(unknown).toEqual(existing);
  }
});

test('a user changes the own password but not the own roles', async () => {
  await addUser('kim', 'k');
  const path = '/_users/org.couchdb.user:kim';
  const kim = basic('kim', 'k');
  const document = (await app.request('GET', path, undefined, kim)).json;
  const raised = await app.request('PUT', path, { ...document, roles: ['_admin'] }, kim);
  expect(raised.status).toBe(403);
  const rows = await app.request(
    'POST',
    '/_users/_bulk_docs',
    { docs: [{ ...document, roles: ['chef'] }] },
    kim,
  );
  expect(rows.json).toMatchObject([{ error: 'forbidden' }]);
  expect((await app.request('PUT', path, { ...document, password: 'new' }, kim)).status).toBe(201);
  expect((await app.request('GET', '/_session', undefined, kim)).status).toBe(401);
  expect((await app.request('GET', '/_session', undefined, basic('kim', 'new'))).status).toBe(200);
});

test.each([
  ['JSON', JSON.stringify({ name: 'anna', password: 'a' }), 'application/json'],
  ['a form', 'name=anna&password=a', 'application/x-www-form-urlencoded'],
])('a session is opened by %s, used by its cookie, and closed', async (_what, body, type) => {
  const opened = await app.request('POST', '/_session', body, { 'content-type': type });
  expect([opened.status, opened.json]).toEqual([200, { ok: true, name: 'anna', roles: [] }]);
  const setCookie = opened.headers.get('set-cookie') ?? '';
  for (const part of [/^AuthSession=/, /Expires=/, /Path=\//, /HttpOnly/]) expect(setCookie).toMatch(part);
  const cookie = setCookie.split(';')[0] as string;
  const session = await app.request('GET', '/_session', undefined, { cookie });
  expect(session.json.userCtx).toEqual({ name: 'anna', roles: [] });
  expect(session.json.info.authenticated).toBe('cookie');
  expect((await app.request('GET', '/db/doc', undefined, { cookie })).status).toBe(200);
  const closed = await app.request('DELETE', '/_session', undefined, { cookie });
  expect(closed.headers.get('set-cookie')).toMatch(/^AuthSession=;/);
});

test('wrong credentials are 401, and a malformed header is nobody', async () => {
  const wrong = await app.request('POST', '/_session', { name: 'anna', password: 'x' });
  expect([wrong.status, wrong.json]).toEqual([
    401,
    { error: 'unauthorized', reason: 'Name or password is incorrect.' },
  ]);
  expect((await app.request('GET', '/', undefined, basic('anna', 'wrong'))).status).toBe(401);
  const odd = await app.request('GET', '/_session', undefined, { authorization: 'nonsense' });
  expect(odd.json.userCtx).toEqual({ name: null, roles: [] });
});

test('who guesses too often is told when to ask again', async () => {
  let reply = await app.request('GET', '/', undefined, basic('chief', 'guess'));
  for (let guess = 0; guess < 10 && reply.status === 401; guess += 1) {
    expect(reply.headers.get('retry-after')).toBeNull();
    reply = await app.request('GET', '/', undefined, basic('chief', `guess ${guess}`));
  }
  expect(reply.status).toBe(429);
  expect(reply.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
});
