/**
 * Leaderless databases on real processes: contents of attachments reach a replica that was away, by each way of repair;
 * a node that owns nothing passes requests on; a purge takes all replicas; reads that repair before they answer.
 */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createLeaderless } from './leaderless-cluster.ts';
import { ask, type Reply } from './single-leader-cluster.ts';

/** Nodes are killed and started again, which takes a busy machine its time. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const harness = openHarness();
let nodes: readonly TestNode[];
let first: TestNode;
let second: TestNode;
let third: TestNode;

beforeAll(async () => {
  nodes = await harness.startCluster(3);
  [first, second, third] = nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => harness.close());

/** Larger than one chunk, and different in every database. */
const contentOf = (database: string) => Buffer.alloc(300_000, `${database} `);

function memo(database: string) {
  const data = contentOf(database).toString('base64');
  return { said: database, _attachments: { 'picture.bin': { content_type: 'image/x-test', data } } };
}

async function put(node: TestNode, path: string, body: object): Promise<Reply> {
  const reply = await ask('PUT', `${node.url}/${path}`, body);
  if (reply === undefined || reply.status >= 300) throw new Error(`PUT ${path}: ${JSON.stringify(reply)}`);
  return reply;
}

/** The attachment's bytes as a node's own replica has them; undefined when it has not. */
async function pictureOn(node: TestNode, database: string): Promise<Buffer | undefined> {
  const answer = await fetch(`${node.url}/${database}/memo/picture.bin?coordinator=client`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return answer.status === 200 ? bytes : undefined;
}

function untilThere(node: TestNode, database: string): Promise<unknown> {
  return waitUntil(`${node.name} has the attachment of ${database}`, async () => {
    return (await pictureOn(node, database))?.equals(contentOf(database));
  });
}

test('an attachment that a replica missed arrives by a hint, by a read, by a read that waits, and by comparing', async () => {
  const quiet = 'hints=false&anti_entropy=false';
  await createLeaderless(nodes, 'hinted', 'w=2&r=2&anti_entropy=false&read_repair=off');
  await createLeaderless(nodes, 'read', `w=2&r=2&${quiet}`);
  await createLeaderless(nodes, 'waited', `w=2&r=2&read_repair=blocking&${quiet}`);
  await createLeaderless(nodes, 'compared', `w=2&r=2&read_repair=off&${quiet}`);
  const databases = ['hinted', 'read', 'waited', 'compared'];
  await third.kill();
  for (const database of databases) {
    const written = await put(first, `${database}/memo`, memo(database));
    expect(written.headers.get('tercet-quorum')).toBe('w=2/3; n1,n2');
    const answer = await ask('GET', `${second.url}/${database}/memo?attachments=true`);
    expect(answer?.json).toMatchObject(memo(database));
    expect(answer?.headers.get('tercet-consistency')).toMatch(/^quorum; r=2\/3; n[12],n[12]$/);
  }
  const purge = { memo: ['1-a'] };
  expect(await ask('POST', `${first.url}/read/_purge`, purge)).toMatchObject({ status: 503 });
  await third.start();

  await untilThere(third, 'hinted');
  for (const database of ['read', 'waited', 'compared']) {
    expect(await pictureOn(third, database)).toBeUndefined();
  }
  const read = await ask('GET', `${third.url}/read/memo?attachments=true&r=3`);
  expect(read?.json).toMatchObject(memo('read'));
  await untilThere(third, 'read');

  const waited = await ask('GET', `${third.url}/waited/memo?r=3`);
  expect(waited).toMatchObject({ status: 200, json: { said: 'waited' } });
  expect((await pictureOn(third, 'waited'))?.equals(contentOf('waited'))).toBe(true);

  expect(await ask('POST', `${third.url}/compared/_anti_entropy`)).toMatchObject({ json: { ok: true } });
  expect((await pictureOn(third, 'compared'))?.equals(contentOf('compared'))).toBe(true);
});

test('a node that owns nothing of a database takes its reads and writes, with attachments', async () => {
  await createLeaderless(nodes, 'two', 'n=2');
  const shown = await ask('GET', `${first.url}/two/_replication`);
  const replicas = (shown?.json.replicas ?? []) as readonly { node: string; kind: string }[];
  const kinds = new Map(replicas.map((one) => [one.node, one.kind]));
  const other = nodes.find(({ name }) => kinds.get(name) === 'stand-in')!;
  const written = await put(other, 'two/memo', memo('two'));
  expect(written.headers.get('tercet-quorum')).toMatch(/^w=2\/2; /);
  for (const node of nodes) {
    const answer = await ask('GET', `${node.url}/two/memo?attachments=true&r=2`);
    expect(answer?.json).toMatchObject({ _rev: written.json.rev, ...memo('two') });
  }
  const streamed = await fetch(`${other.url}/two/memo/other.txt?rev=${String(written.json.rev)}`, {
    method: 'PUT',
    headers: { 'content-type': 'text/plain' },
    body: 'streamed through',
  });
  expect(streamed.status).toBe(201);
  for (const node of nodes) {
    expect(await (await fetch(`${node.url}/two/memo/other.txt`)).text()).toBe('streamed through');
  }
});

test('a purge removes a revision from all replicas, and comparing them brings nothing back', async () => {
  await createLeaderless(nodes, 'purged', '');
  const { rev } = (await put(second, 'purged/memo?w=3', { said: 'gone' })).json as { rev: string };
  await put(second, 'purged/kept?w=3', { said: 'kept' });
  const purged = await ask('POST', `${first.url}/purged/_purge`, { memo: [rev] });
  expect(purged).toMatchObject({ json: { purged: { memo: [rev] } } });
  for (const node of nodes) {
    const compared = await ask('POST', `${node.url}/purged/_anti_entropy`);
    const equal = [{ outcome: 'equal' }, { outcome: 'equal' }];
    expect(compared?.json).toMatchObject({ ok: true, replicas: equal });
    expect((await ask('GET', `${node.url}/purged/memo?r=3`))?.status).toBe(404);
    expect((await ask('GET', `${node.url}/purged/kept?r=3`))?.status).toBe(200);
  }
});
