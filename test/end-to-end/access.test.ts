import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';

const harness = openHarness();
afterAll(() => harness.close());

const root = 'root:toor';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

interface Asking {
  readonly as?: string;
  readonly cookie?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

async function ask(
  method: string,
  url: string,
  { as, cookie, body, headers = {} }: Asking = {},
): Promise<Answer> {
  const answer = await fetch(url, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(as && { authorization: `Basic ${Buffer.from(as).toString('base64')}` }),
      ...(cookie && { cookie }),
      ...headers,
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] };
}

const user = (name: string, password: string, roles: readonly string[] = []) => ({
  name,
  type: 'user',
  roles,
  password,
});
const userUrl = (url: string, name: string) => `${url}/_users/org.couchdb.user:${name}`;

describe('a node with an admin', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await harness.startNode({ environment: { TERCET_ADMIN: root } });
    await ask('PUT', userUrl(node.url, 'anna'), { as: root, body: user('anna', 'first', ['staff']) });
    await ask('PUT', `${node.url}/billing`, { as: root });
  });

  test('asks strangers who they are before they create, list or read', async () => {
    for (const [method, path] of [
      ['PUT', '/other'],
      ['GET', '/_all_dbs'],
      ['GET', '/billing'],
      ['GET', '/billing/_all_docs'],
      ['PUT', '/billing/doc'],
      ['POST', '/_replicate'],
      ['GET', '/_active_tasks'],
      ['GET', '/_users/_all_docs'],
      ['GET', '/_users/org.couchdb.user:anna'],
    ] as const) {
      const { status, body } = await ask(method, node.url + path, method === 'GET' ? {} : { body: {} });
      expect([method, path, status, body.error]).toEqual([method, path, 401, 'unauthorized']);
    }
    expect((await ask('GET', node.url)).status).toBe(200);
    expect((await ask('GET', `${node.url}/_up`)).status).toBe(200);
  });

  test('keeps a password out of every answer, file and log', async () => {
    const secretWord = 'xyzzy-unguessable';
    const url = userUrl(node.url, 'bela');
    expect((await ask('PUT', url, { as: root, body: user('bela', secretWord) })).status).toBe(201);
    for (const as of [root, `bela:${secretWord}`]) {
      const { body } = await ask('GET', url, { as });
      expect(Object.keys(body).sort()).toEqual(['_id', '_rev', 'name', 'roles', 'type']);
    }
    const list = await ask('GET', `${node.url}/_users/_all_docs?include_docs=true`, { as: root });
    expect(JSON.stringify(list.body)).not.toMatch(/derived_key|xyzzy/);
    const changes = await ask('GET', `${node.url}/_users/_changes?include_docs=true`, { as: root });
    expect(JSON.stringify(changes.body)).not.toMatch(/derived_key|xyzzy/);
    expect(node.output()).not.toMatch(/xyzzy|toor/);
  });

  test('_security says who may use a database', async () => {
    const read = (as?: string) => ask('GET', `${node.url}/billing/_all_docs`, as === undefined ? {} : { as });
    expect((await read('anna:first')).status).toBe(403);
    const staff = { admins: { names: [], roles: [] }, members: { names: [], roles: ['staff'] } };
    expect((await ask('PUT', `${node.url}/billing/_security`, { as: root, body: staff })).status).toBe(200);
    expect((await read('anna:first')).status).toBe(200);
    expect((await read()).status).toBe(401);
    expect(
      (await ask('PUT', `${node.url}/billing/_security`, { as: 'anna:first', body: staff })).status,
    ).toBe(403);
    expect((await ask('PUT', `${node.url}/billing/_design/d`, { as: 'anna:first', body: {} })).status).toBe(
      403,
    );
    expect((await ask('DELETE', `${node.url}/billing`, { as: 'anna:first' })).status).toBe(401);
  });

  test('a session works by cookie, and a new password ends it', async () => {
    const opened = await ask('POST', `${node.url}/_session`, { body: { name: 'anna', password: 'first' } });
    expect(opened).toMatchObject({ status: 200, body: { ok: true, name: 'anna', roles: ['staff'] } });
    const setCookie = opened.headers.get('set-cookie')!;
    expect(setCookie).toMatch(/^AuthSession=.*Expires=.*Path=\/; HttpOnly; SameSite=Strict/);
    const cookie = setCookie.split(';')[0]!;
    const session = async () => (await ask('GET', `${node.url}/_session`, { cookie })).body.userCtx;
    expect(await session()).toEqual({ name: 'anna', roles: ['staff'] });

    const url = userUrl(node.url, 'anna');
    const { _rev } = (await ask('GET', url, { cookie })).body;
    const changed = { ...user('anna', 'second', ['staff']), _rev };
    expect((await ask('PUT', url, { cookie, body: { ...changed, roles: ['boss'] } })).body.reason).toMatch(
      /roles/,
    );
    expect((await ask('PUT', url, { cookie, body: changed })).status).toBe(201);
    expect(await session()).toEqual({ name: null, roles: [] });
    expect((await ask('GET', url, { as: 'anna:first' })).body).toMatchObject({
      error: 'unauthorized',
      reason: 'Name or password is incorrect.',
    });
    expect((await ask('GET', url, { as: 'anna:second' })).status).toBe(200);
  });

  test('guessing is slowed down, and does not lock out who is elsewhere or signed in', async () => {
    await ask('PUT', userUrl(node.url, 'dora'), { as: root, body: user('dora', 'right') });
    expect((await ask('GET', `${node.url}/_session`, { as: 'dora:right' })).status).toBe(200);
    const statuses: number[] = [];
    for (let guess = 0; guess < 20 && !statuses.includes(429); guess += 1) {
      const { status } = await ask('POST', `${node.url}/_session`, {
        body: { name: 'dora', password: `guess ${guess}` },
      });
      statuses.push(status);
    }
    expect(statuses.slice(0, 6)).toEqual([401, 401, 401, 401, 401, 401]);
    expect(statuses).toContain(429);
    expect((await ask('GET', userUrl(node.url, 'dora'), { as: 'dora:right' })).status).toBe(200);
  });

  test('a flood of logins leaves other requests alone', async () => {
    const flood = Array.from({ length: 30 }, (_, index) =>
      ask('GET', node.url, { as: `nobody${index}:wrong` }).then(({ status }) => status),
    );
    expect((await ask('GET', `${node.url}/_up`)).status).toBe(200);
    const statuses = new Set(await Promise.all(flood));
    expect([...statuses]).toEqual([401]);
  });

  test('a cookie is good after a restart', async () => {
    const opened = await ask('POST', `${node.url}/_session`, { body: { name: 'root', password: 'toor' } });
    const cookie = opened.headers.get('set-cookie')!.split(';')[0]!;
    await node.kill();
    await node.start();
    expect((await ask('GET', `${node.url}/_all_dbs`, { cookie })).status).toBe(200);
  });
});

describe('three nodes with a shared secret', () => {
  test('share users and sessions, and let nobody else in', async () => {
    const secretFile = join(await harness.temporaryDirectory(), 'secret');
    await writeFile(secretFile, 'a secret of more than sixteen characters\n');
    const nodes = await harness.startCluster(3, {
      flags: ['--secret-file', secretFile],
      environment: { TERCET_ADMIN: root },
    });
    const [one, two, three] = nodes as [TestNode, TestNode, TestNode];
    await waitUntil('the user is written', async () => {
      const body = user('anna', 'secret', ['staff']);
      const { status } = await ask('PUT', userUrl(one.url, 'anna'), { as: root, body });
      return status === 201 || status === 409;
    });
    const session = { body: { name: 'anna', password: 'secret' } };
    const opened = await waitUntil('the user is known on n2', async () => {
      const answer = await ask('POST', `${two.url}/_session`, session);
      return answer.status === 200 && answer;
    });
    const cookie = opened.headers.get('set-cookie')!.split(';')[0]!;
    await waitUntil('the cookie of n2 is good on n3', async () => {
      const { body } = await ask('GET', `${three.url}/_session`, { cookie });
      return (body.userCtx as { name: string | null }).name === 'anna';
    });
    const forged = { 'tercet-peer': `n2 ${Date.now()} ${'a'.repeat(16)} ${'b'.repeat(43)}` };
    const refused = await ask('GET', `${one.url}/_users/_all_docs`, { headers: forged });
    expect(refused).toMatchObject({ status: 401, body: { reason: expect.stringContaining('same secret') } });
  }, 60_000);
});

test('a node that everybody may use cannot be reached from outside', async () => {
  const node = await harness.startNode();
  const { body } = await ask('GET', `${node.url}/_session`);
  expect(body.userCtx).toEqual({ name: null, roles: ['_admin'] });
  const outside = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.internal === false && address.family === 'IPv4');
  for (const address of outside) {
    const isReachable = await new Promise((resolve) => {
      const socket = connect(node.port, address!.address);
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    expect(isReachable).toBe(false);
  }
});
