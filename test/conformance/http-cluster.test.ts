import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatOnBehalfOf } from '../../src/access/on-behalf-of.ts';
import { type FakeNode, startFakeNode } from './fake-cluster.ts';

const admins = { root: 'secret' };
const basic = (name: string, password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});
const root = basic('root', 'secret');
const json = { 'content-type': 'application/json' };

let leader: FakeNode;
let follower: FakeNode;

beforeAll(async () => {
  leader = await startFakeNode('n1', { admins });
  follower = await startFakeNode('n2', { admins, peers: [{ name: 'n1', url: leader.app.url }] });
  for (const { app } of [leader, follower]) {
    expect((await app.request('PUT', '/ledger?strategy=single-leader', undefined, root)).status).toBe(201);
    expect((await app.request('PUT', '/notes?strategy=multi-leader', undefined, root)).status).toBe(201);
  }
});
beforeEach(() => {
  leader.group.place = { kind: 'here' };
  follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
  follower.group.followerWrites = 'forward';
});
afterAll(async () => {
  await follower.app.close();
  await leader.app.close();
  expect([...leader.app.defects, ...follower.app.defects]).toEqual([]);
  expect(follower.group.listening()).toBe(0);
});

/** Of the leader's replica: what a forwarded write must have changed. */
async function onLeader(path: string) {
  return leader.app.request('GET', path, undefined, root);
}

describe('a write at a follower', () => {
  it('is made by the leader, whose answer the client gets', async () => {
    const {
      status,
      json: written,
      headers,
    } = await follower.app.request('PUT', '/ledger/e1', { a: 1 }, root);
    expect(status).toBe(201);
    expect(written).toMatchObject({ ok: true, id: 'e1' });
    expect(headers.get('etag')).toBe(`"${written.rev}"`);
    expect(headers.get('tercet-position')).toBe('4-101');
    expect((await onLeader('/ledger/e1')).json).toMatchObject({ a: 1, _rev: written.rev });
    expect(follower.app.databases.get('ledger').read('e1').kind).toBe('missing');
  });

  it('keeps its query, its conditions and its errors', async () => {
    const { json: first } = await follower.app.request('PUT', '/ledger/e2', { a: 1 }, root);
    const stale = await follower.app.request('PUT', '/ledger/e2', { a: 2 }, root);
    expect(stale.status).toBe(409);
    expect(stale.json).toEqual({ error: 'conflict', reason: 'Document update conflict.' });
    expect(stale.headers.get('tercet-write')).toBe('did_not_happen');
    const matching = { ...root, 'if-match': first.rev };
    const { status, json: second } = await follower.app.request('PUT', '/ledger/e2', { a: 2 }, matching);
    expect(status).toBe(201);
    const gone = await follower.app.request('DELETE', `/ledger/e2?rev=${second.rev}`, undefined, root);
    expect(gone.status).toBe(200);
    expect((await onLeader('/ledger/e2')).json.reason).toBe('deleted');
  });

  it.each([
    ['POST', '/ledger', { _id: 'posted' }, 201],
    ['POST', '/ledger/_bulk_docs', { docs: [{ _id: 'bulk' }] }, 201],
    ['PUT', '/ledger/_local/checkpoint', { a: 1 }, 201],
    ['PUT', '/ledger/_revs_limit', 7, 200],
    ['POST', '/ledger/_ensure_full_commit', {}, 201],
    ['POST', '/ledger/_purge', {}, 201],
    ['PUT', '/ledger/_design/d', { language: 'query' }, 201],
  ])('is forwarded: %s %s', async (method, path, body, status) => {
    const heardBefore = follower.app.databases.get('ledger').currentSequence();
    const reply = await follower.app.request(method, path, JSON.stringify(body), { ...root, ...json });
    expect([reply.status, reply.headers.get('tercet-position')]).toEqual([status, expect.any(String)]);
    expect(follower.app.databases.get('ledger').currentSequence()).toBe(heardBefore);
  });

  it('may have an id with a slash, dots or any other character', async () => {
    const ids = ['a/b', '...', 'ä ö', '_design/x/y', 'q?&#%'];
    for (const id of ids) {
      const path = `/ledger/${encodeURIComponent(id)}`;
      const { status, json: written } = await follower.app.request('PUT', path, {}, root);
      expect([status, written.id]).toEqual([201, id]);
    }
  });

  it('streams an attachment of any size, with and without a length', async () => {
    const content = Buffer.alloc(3_000_000, 'tercet ');
    const whole = await follower.app.request('PUT', '/ledger/with/sized.txt', content, {
      ...root,
      'content-type': 'text/plain',
    });
    expect(whole.status).toBe(201);
    const stream = new ReadableStream({
      start: (controller) => {
        for (let at = 0; at < content.length; at += 100_000)
          controller.enqueue(content.subarray(at, at + 100_000));
        controller.close();
      },
    });
    const chunked = await fetch(`${follower.app.url}/ledger/with/chunked.txt?rev=${whole.json.rev}`, {
      ...{ method: 'PUT', body: stream, duplex: 'half' as const },
      headers: { ...root, 'content-type': 'text/plain' },
    });
    expect(chunked.status).toBe(201);
    for (const name of ['sized.txt', 'chunked.txt']) {
      expect((await onLeader(`/ledger/with/${name}`)).text).toBe(content.toString());
    }
  });

  it('may be compressed, and have attachments beside it', async () => {
    const zipped = gzipSync(JSON.stringify({ a: 'x'.repeat(100_000) }));
    const headers = { ...root, ...json, 'content-encoding': 'gzip' };
    expect((await follower.app.request('PUT', '/ledger/zipped', zipped, headers)).status).toBe(201);
    const document = { _attachments: { 'a.txt': { follows: true, content_type: 'text/plain', length: 3 } } };
    const related = [
      ...['--x', 'Content-Type: application/json', '', JSON.stringify(document)],
      ...['--x', 'Content-Disposition: attachment; filename="a.txt"', '', 'abc', '--x--', ''],
    ].join('\r\n');
    const type = { ...root, 'content-type': 'multipart/related; boundary=x' };
    expect((await follower.app.request('PUT', '/ledger/related', related, type)).status).toBe(201);
    expect((await onLeader('/ledger/related/a.txt')).text).toBe('abc');
    expect((await onLeader('/ledger/zipped')).json.a).toHaveLength(100_000);
  });

  it('is invited to send its body when it asks first', async () => {
    const body = '{"a":1}';
    for (const [id, padding] of [
      ['small', 0],
      ['large', 100_000],
    ] as const) {
      const text = `${body}${' '.repeat(padding)}`;
      const answer = await follower.app.raw(
        [
          `PUT /ledger/expecting-${id} HTTP/1.1`,
          ...['Host: x', 'Expect: 100-continue', 'Connection: close', `Authorization: ${root.authorization}`],
          ...['Content-Type: application/json', `Content-Length: ${text.length}`, '', text],
        ].join('\r\n'),
      );
      expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 Created/);
    }
  });

  it('is refused by the leader when it is too large', async () => {
    const huge = { a: 'x'.repeat(9_000_000) };
    const { status, json: refused } = await follower.app.request('PUT', '/ledger/huge', huge, root);
    expect([status, refused.error]).toEqual([413, 'document_too_large']);
  });
});

describe('who asks', () => {
  beforeAll(async () => {
    for (const name of ['anna', 'bert']) {
      const user = { name, password: 'pass', roles: [], type: 'user' };
      await follower.app.request('PUT', `/_users/org.couchdb.user:${name}`, user, root);
    }
    const security = { members: { names: ['anna'] } };
    expect((await follower.app.request('PUT', '/ledger/_security', security, root)).status).toBe(200);
  });
  afterAll(async () => {
    await leader.app.request('PUT', '/ledger/_security', {}, root);
  });

  it('is found out by the follower and believed by the leader', async () => {
    const write = async (headers: Record<string, string>) =>
      (await follower.app.request('POST', '/ledger', {}, headers)).status;
    expect(await write(basic('anna', 'pass'))).toBe(201);
    expect(await write(basic('bert', 'pass'))).toBe(403);
    expect(await write(basic('anna', 'wrong'))).toBe(401);
    expect(await write({})).toBe(401);
    // Anna is known to the follower only.
    expect((await leader.app.request('POST', '/ledger', {}, basic('anna', 'pass'))).status).toBe(401);
  });

  it('may have a session of the follower', async () => {
    const login = { name: 'anna', password: 'pass' };
    const { headers } = await follower.app.request('POST', '/_session', login);
    const cookie = headers.get('set-cookie')?.split(';')[0] ?? '';
    expect((await follower.app.request('POST', '/ledger', {}, { cookie })).status).toBe(201);
  });

  it('is not for a client to say', async () => {
    const admin = { name: 'root', roles: ['_admin'], isAdmin: true, isPeer: true, by: 'peer' } as const;
    const claimed = { 'tercet-on-behalf-of': formatOnBehalfOf(admin), 'tercet-forwarded': 'n2' };
    for (const { app } of [leader, follower]) {
      expect((await app.request('PUT', '/made-up', undefined, claimed)).status).toBe(401);
    }
    expect((await leader.app.request('POST', '/ledger', {}, claimed)).status).toBe(401);
    const forged = { ...claimed, 'tercet-peer': 'n2 1 aaaaaaaaaaaaaaaa forged' };
    expect((await leader.app.request('POST', '/ledger', {}, forged)).status).toBe(401);
  });
});

describe('a write that finds no leader', () => {
  it('waits for one, and then says that it did not happen', async () => {
    follower.group.place = { kind: 'none' };
    const { status, json: refused, headers } = await follower.app.request('PUT', '/ledger/none', {}, root);
    expect([status, refused.error, headers.get('tercet-write')]).toEqual([
      503,
      'no_leader',
      'did_not_happen',
    ]);
  });

  it('is told at once, as a read is, that the node was removed, and what to do', async () => {
    const advice = 'n2 was removed from the cluster (n1 says so): ask another node.';
    follower.group.place = { kind: 'removed', advice };
    const { status, json: refused, headers } = await follower.app.request('PUT', '/ledger/gone', {}, root);
    expect([status, refused, headers.get('tercet-write')]).toEqual([
      503,
      { error: 'removed_from_cluster', reason: advice },
      'did_not_happen',
    ]);
    follower.group.status = { removal: { by: 'n1', index: 120, advice }, kind: undefined };
    const shown = (await follower.app.request('GET', '/_cluster', undefined, root)).json;
    expect(shown).toMatchObject({ kind: null, leader: null, removed: { by: 'n1', index: 120, advice } });
    expect((await follower.app.request('GET', '/readyz', undefined, root)).json).toMatchObject({
      checks: { membership: advice },
    });
    follower.group.status = {};
  });

  it('goes on as soon as somebody leads', async () => {
    follower.group.place = { kind: 'none' };
    const writing = follower.app.request('PUT', '/ledger/soon', {}, root);
    await expect.poll(() => follower.group.listening()).toBe(2);
    follower.group.lead({ kind: 'there', name: 'n1', url: leader.app.url });
    expect((await writing).status).toBe(201);
  });

  it('goes no further than one hop', async () => {
    leader.group.place = { kind: 'there', name: 'n2', url: follower.app.url };
    const { status, json: refused, headers } = await follower.app.request('PUT', '/ledger/loop', {}, root);
    expect([status, refused.error, headers.get('tercet-write')]).toEqual([
      503,
      'not_leader',
      'did_not_happen',
    ]);
    expect(headers.get('tercet-leader')).toBe(leader.app.url);
  });

  it('is sent again when the leader knows first that it leads no more', async () => {
    leader.group.place = { kind: 'there', name: 'n2', url: follower.app.url };
    const writing = follower.app.request('PUT', '/ledger/again', { a: 'kept' }, root);
    await expect.poll(() => follower.group.listening()).toBe(2);
    follower.group.lead({ kind: 'here' });
    expect((await writing).status).toBe(201);
    expect(follower.app.databases.get('ledger').read('again').kind).toBe('found');
  });

  it('is made here when this node turns out to lead, with the body that was read for another', async () => {
    const becomeLeader = async (path: string, body: string | Buffer, headers: Record<string, string>) => {
      follower.group.place = { kind: 'there', name: 'n1', url: 'http://127.0.0.1:1' };
      const writing = follower.app.request('PUT', path, body, { ...root, ...headers });
      await expect.poll(() => follower.group.listening()).toBe(2);
      follower.group.lead({ kind: 'here' });
      return (await writing).status;
    };
    const zipped = gzipSync('{"a":"zipped"}');
    expect(await becomeLeader('/ledger/held', zipped, { ...json, 'content-encoding': 'gzip' })).toBe(201);
    expect(await becomeLeader('/ledger/held-too/a.txt', 'attached', {})).toBe(201);
    const here = (path: string) => follower.app.request('GET', path, undefined, root);
    expect((await here('/ledger/held')).json.a).toBe('zipped');
    expect((await here('/ledger/held-too/a.txt')).text).toBe('attached');
  });

  it('is told where to go where followers do not forward', async () => {
    follower.group.followerWrites = 'refuse';
    const { status, json: refused, headers } = await follower.app.request('PUT', '/ledger/refused', {}, root);
    expect([status, refused.error, headers.get('tercet-write')]).toEqual([
      503,
      'not_leader',
      'did_not_happen',
    ]);
    expect(headers.get('tercet-leader')).toBe(leader.app.url);
    expect((await onLeader('/ledger/refused')).status).toBe(404);
  });
});

describe('databases without a leader', () => {
  it('take writes on every node, as ever', async () => {
    follower.group.place = { kind: 'none' };
    const { status, headers } = await follower.app.request('PUT', '/notes/n', {}, root);
    expect(status).toBe(201);
    const told = [...headers.keys()].filter((name) => name.startsWith('tercet-'));
    expect(told).toEqual([]);
    expect((await onLeader('/notes/n')).status).toBe(404);
  });

  it('are compacted where they are asked to, with or without a leader', async () => {
    follower.group.place = { kind: 'none' };
    for (const path of ['/notes/_compact', '/ledger/_compact']) {
      expect((await follower.app.request('POST', path, {}, root)).status).toBe(202);
    }
  });
});
