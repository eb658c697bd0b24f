/**
 * Leaderless databases on real processes: a replica that missed a write while it was stopped, and what brings it up to
 * date: a read, hints, comparing; after its disk was lost, comparing alone. Each preset is told by what it leaves undone.
 */

import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createLeaderless, untilAllAnswer } from './leaderless-cluster.ts';
import { ask, type Reply, untilStatus } from './single-leader-cluster.ts';

/** Nodes are killed and started again, which takes a busy machine its time. */
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const harness = openHarness();
let nodes: readonly TestNode[];
let first: TestNode;
let third: TestNode;

beforeAll(async () => {
  nodes = await harness.startCluster(3);
  [first, , third] = nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => harness.close());

async function put(node: TestNode, path: string, body: object): Promise<Reply> {
  const reply = await ask('PUT', `${node.url}/${path}`, body);
  if (reply === undefined || reply.status >= 300) throw new Error(`PUT ${path}: ${JSON.stringify(reply)}`);
  return reply;
}

/** What a node's own replica shows, whatever the others have. */
async function alone(node: TestNode, path: string): Promise<unknown> {
  return (await ask('GET', `${node.url}/${path}?coordinator=client`))?.json.version;
}

function untilAlone(node: TestNode, path: string, version: number): Promise<unknown> {
  return waitUntil(`${node.name} has version ${version} of ${path}`, async () => {
    return (await alone(node, path)) === version;
  });
}

/** The third replica has version 6 of each path, the others 7. */
async function missAWrite(paths: readonly string[]): Promise<void> {
  const revs = new Map<string, unknown>();
  for (const path of paths) {
    await untilAllAnswer(first, path.split('/')[0]!);
    const reply = await put(first, `${path}?w=3`, { version: 6 });
    expect([reply.status, reply.headers.get('tercet-quorum')]).toEqual([201, 'w=3/3; n1,n2,n3']);
    revs.set(path, reply.json.rev);
  }
  await third.kill();
  for (const path of paths) {
    const reply = await put(first, path, { version: 7, _rev: revs.get(path) });
    expect([reply.status, reply.headers.get('tercet-quorum')]).toEqual([
      201,
      expect.stringMatching(/^w=2\/3; /),
    ]);
  }
  await third.start();
}

async function expectStale(paths: readonly string[]): Promise<void> {
  for (const path of paths) expect(await alone(third, path)).toBe(6);
}

describe('Three replicas, of which the third misses a write', () => {
  test('a reader takes version 7 beside version 6 and writes it back; who reads one sees the stale one', async () => {
    await createLeaderless(nodes, 'read', 'hints=false&anti_entropy=false');
    await missAWrite(['read/cart']);
    await expectStale(['read/cart']);
    const stale = await ask('GET', `${third.url}/read/cart?r=1`);
    expect([stale?.json.version, stale?.headers.get('tercet-consistency')]).toEqual([
      6,
      'eventual; r=1/3; n3',
    ]);
    await untilAllAnswer(third, 'read');
    const fresh = await ask('GET', `${third.url}/read/cart?r=3&conflicts=true&revs=true`);
    expect(fresh?.json).toMatchObject({ version: 7, _revisions: { start: 2 } });
    expect(fresh?.json._conflicts).toBeUndefined();
    expect(fresh?.headers.get('tercet-consistency')).toBe('quorum; r=3/3; n1,n2,n3');
    await untilAlone(third, 'read/cart', 7);
  });

  test('what nobody reads comes back by comparing replicas', async () => {
    await createLeaderless(nodes, 'unread', 'hints=false&read_repair=off&anti_entropy=false');
    await missAWrite(['unread/a', 'unread/b']);
    await expectStale(['unread/a', 'unread/b']);
    await untilAllAnswer(first, 'unread');
    const compared = await ask('POST', `${first.url}/unread/_anti_entropy`, {});
    expect(compared?.json.ok).toBe(true);
    for (const path of ['unread/a', 'unread/b']) expect(await alone(third, path)).toBe(7);
    await untilAllAnswer(third, 'unread');
    const again = await ask('POST', `${third.url}/unread/_anti_entropy`, {});
    expect(again?.json.replicas).toMatchObject([{ outcome: 'equal' }, { outcome: 'equal' }]);
  });

  test('a disk that was lost is filled again by comparing alone', async () => {
    await createLeaderless(nodes, 'wiped', 'hints=false&read_repair=off&anti_entropy=true');
    await untilAllAnswer(first, 'wiped');
    // More than comparing brings in a moment, in requests that a busy machine answers in time.
    const text = 'x'.repeat(100_000);
    const docs = Array.from({ length: 200 }, (_, n) => ({ _id: `d${n}`, version: n, text }));
    for (let at = 0; at < docs.length; at += 10) {
      await untilStatus(201, 'POST', `${first.url}/wiped/_bulk_docs?w=3`, { docs: docs.slice(at, at + 10) });
    }
    const attached = await fetch(`${first.url}/wiped/d7/note.txt?rev=${await revOf('wiped/d7')}`, {
      method: 'PUT',
      headers: { 'content-type': 'text/plain' },
      body: 'kept under its digest',
    });
    expect(attached.status).toBe(201);
    await third.kill();
    await rm(third.dataDirectory, { recursive: true });
    await third.start();
    // Any node tells how far it is, and the one itself that it is at it.
    await Promise.all([
      waitUntil('its filling is shown', async () => (await standingOf('wiped', third)) === 'filling'),
      waitUntil('the task is shown', async () => {
        const tasks = (await ask('GET', `${third.url}/_active_tasks`))?.json as unknown as readonly object[];
        return tasks?.some((task) => 'type' in task && task.type === 'replica_fill');
      }),
    ]);
    await waitUntil('all documents are back', async () => {
      return (await ask('GET', `${third.url}/wiped`))?.json.doc_count === docs.length;
    });
    await waitUntil('the attachment is back', async () => {
      const note = await fetch(`${third.url}/wiped/d7/note.txt?coordinator=client`);
      return (await note.text()) === 'kept under its digest';
    });
    await waitUntil('it is whole again', async () => (await standingOf('wiped', third)) === 'whole');
  });
});

/** As the first node shows it. */
async function standingOf(database: string, node: TestNode): Promise<unknown> {
  const shown = (await ask('GET', `${first.url}/${database}/_replication`))?.json;
  const replicas = (shown?.replicas ?? []) as readonly { readonly node: string; readonly state: unknown }[];
  return replicas.find((replica) => replica.node === node.name)?.state;
}

async function revOf(path: string): Promise<unknown> {
  return (await ask('GET', `${first.url}/${path}`))?.json._rev;
}

describe('A request', () => {
  test('names its own counts, is told who answered, and is refused where they make no sense', async () => {
    await createLeaderless(nodes, 'counts', '');
    await untilAllAnswer(first, 'counts');
    const all = await put(first, 'counts/cart?w=3&pw=3', { version: 1 });
    expect(all.headers.get('tercet-quorum')).toBe('w=3/3; n1,n2,n3');
    for (const query of ['r=0', 'r=4', 'w=x', 'n=2', 'pr=-1', 'consistency=linearizable']) {
      const refused = await ask('GET', `${first.url}/counts/cart?${query}`);
      expect([query, refused?.status]).toEqual([query, 400]);
      expect(refused?.json.error).toBe('query_parse_error');
    }
    const list = await ask('GET', `${first.url}/counts/_all_docs`);
    expect(list?.headers.get('tercet-consistency')).toBe('eventual; r=1/3; n1');
    expect((await ask('GET', `${first.url}/counts/_all_docs?r=2`))?.status).toBe(400);
    const missing = await ask('GET', `${first.url}/counts/nothing?r=3`);
    expect([missing?.status, missing?.headers.get('tercet-consistency')]).toEqual([
      404,
      'quorum; r=3/3; n1,n2,n3',
    ]);
    await untilStatus(200, 'PUT', `${third.url}/counts/_security`, { members: { names: ['anna'] } });
    for (const node of nodes) {
      await waitUntil(`${node.name} knows who may read`, async () => {
        const members = (await ask('GET', `${node.url}/counts/_security`))?.json.members;
        return (members as { names: string[] }).names[0] === 'anna';
      });
    }
    const metrics = await (await fetch(`${first.url}/metrics`)).text();
    expect(metrics).toContain('tercet_anti_entropy_rounds_total{outcome="equal"}');
  });
});

describe('Presets', () => {
  test('voldemort leaves stale what nobody reads; a read mends it', async () => {
    await createLeaderless(nodes, 'voldemort', 'preset=voldemort&hints=false');
    await createLeaderless(nodes, 'dynamo', 'preset=dynamo&hints=false');
    await missAWrite(['voldemort/unread', 'voldemort/read', 'dynamo/unread']);
    // The other one, which differs in this alone, heals without being asked.
    await untilAlone(third, 'dynamo/unread', 7);
    await untilAllAnswer(first, 'voldemort');
    await ask('GET', `${first.url}/voldemort/read?r=3`);
    await untilAlone(third, 'voldemort/read', 7);
    expect(await alone(third, 'voldemort/unread')).toBe(6);
    const shown = await ask('GET', `${first.url}/voldemort/_replication`);
    const replicas = shown?.json.replicas as { last_anti_entropy: unknown }[];
    expect(replicas.map((replica) => replica.last_anti_entropy)).toEqual([null, null, null]);
  });

  test('riak keeps siblings of concurrent writes, cassandra keeps the last one', async () => {
    for (const preset of ['riak', 'cassandra']) {
      await createLeaderless(nodes, preset, `preset=${preset}`);
      // Nobody has read the other's: two first revisions.
      await ask('PUT', `${first.url}/${preset}/cart?coordinator=client`, { version: 1 });
      await ask('PUT', `${third.url}/${preset}/cart?coordinator=client`, { version: 2 });
      await waitUntil(`${preset} has joined both`, async () => {
        const reply = await ask('GET', `${first.url}/${preset}/cart?r=3&conflicts=true`);
        const siblings = (reply?.json._conflicts as string[] | undefined)?.length ?? 0;
        return preset === 'riak' ? siblings === 1 : siblings === 0 && reply?.json.version === 2;
      });
    }
  });

  test('a sloppy quorum takes a write that a strict one does not confirm', async () => {
    await createLeaderless(nodes, 'sloppy', 'preset=dynamo&n=2&w=2&r=1');
    await createLeaderless(nodes, 'strict', 'preset=cassandra&n=2&w=2&r=1');
    for (const name of ['sloppy', 'strict']) {
      const shown = await ask('GET', `${first.url}/${name}/_replication`);
      const replicas = shown?.json.replicas as { node: string; kind: string }[];
      const owners = replicas.filter(({ kind }) => kind === 'owner').map(({ node }) => node);
      const [asked, dead] = owners.map((owner) => nodes.find((node) => node.name === owner)!);
      await dead!.kill();
      const reply = await put(asked!, `${name}/cart`, { version: 1 });
      expect(reply.status).toBe(name === 'sloppy' ? 201 : 202);
      expect(reply.headers.get('tercet-quorum')).toMatch(
        name === 'sloppy' ? /^w=2\/2; .* stands in$/ : /^w=1\/2; asked=2/,
      );
      await dead!.start();
      await untilAlone(dead!, `${name}/cart`, 1);
    }
  });
});
