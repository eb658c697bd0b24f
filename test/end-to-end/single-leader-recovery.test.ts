/** What a deposed leader of a real cluster held alone, and clients that go on at another node. */

import PouchDB from 'pouchdb';
import memoryAdapter from 'pouchdb-adapter-memory';
import { afterEach, expect, test } from 'vitest';
import { type CuttableCluster, startCuttableCluster } from './cuttable-network.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { letters } from './incompressible.ts';
import { remotePouchDB } from './remote-pouchdb.ts';
import {
  agreedLeader,
  ask,
  branchesOn,
  changesOf,
  createLedger,
  untilStatus,
  viewOf,
} from './single-leader-cluster.ts';

PouchDB.plugin(memoryAdapter);

const harness = openHarness();
let cluster: CuttableCluster | undefined;
afterEach(async () => {
  await harness.close();
  await cluster?.close();
  cluster = undefined;
});

/** Asks again while it certainly did not happen, as when leaders change. */
function put(node: TestNode, id: string, body: object, query = ''): Promise<string> {
  return waitUntil(`${id} is written at ${node.name}`, async () => {
    const reply = await ask('PUT', `${node.url}/ledger/${id}${query}`, body);
    if (reply?.status === 503 && reply.headers.get('tercet-write') === 'did_not_happen') return false;
    expect(reply?.status, `${id}: ${JSON.stringify(reply?.json)}`).toBe(201);
    return String(reply!.json.rev);
  });
}

async function sameChanges(nodes: readonly TestNode[]): Promise<boolean> {
  const seen = (await Promise.all(nodes.map(changesOf))).map((changes) => JSON.stringify(changes));
  return seen.every((changes) => changes === seen[0]);
}

interface Note {
  readonly epoch: number;
  readonly revisions: readonly { readonly id: string; readonly rev: string; readonly kept_by?: string }[];
}

test('a write that only the deposed leader had is current or a closed branch once it is back, and is noted', async () => {
  cluster = await startCuttableCluster(harness, 3);
  const { nodes } = cluster;
  await createLedger(nodes);
  const { leader, term } = await agreedLeader(nodes);
  const first = await put(leader, 'contested', { by: 'everybody' });

  cluster.isolate(leader);
  const [alone, old] = await Promise.all([
    put(leader, 'alone', { by: 'the old leader' }, '?ack=async'),
    put(leader, 'contested', { by: 'the old leader', _rev: first }, '?ack=async'),
  ]);
  const others = nodes.filter((node) => node !== leader);
  const { leader: newLeader } = await agreedLeader(others);
  await untilStatus(404, 'GET', `${newLeader.url}/ledger/alone`);
  const latest = await put(newLeader, 'contested', { by: 'the new leader', _rev: first });
  cluster.heal(leader);

  const lost = [
    { id: 'alone', rev: alone },
    { id: 'contested', rev: old, kept_by: expect.stringMatching(/^3-/) },
  ];
  for (const node of nodes) {
    const note = await waitUntil(`${node.name} notes what came back`, async () => {
      const reply = await ask('GET', `${node.url}/ledger/_local/recovered-epoch-${term}`);
      const known = reply?.status === 200 ? (reply.json as unknown as Note) : undefined;
      return known?.revisions.length === lost.length && known;
    });
    expect(note).toMatchObject({ epoch: term, revisions: expect.arrayContaining(lost) });
    const current = await untilStatus(200, 'GET', `${node.url}/ledger/alone`);
    expect(current.json).toMatchObject({ _rev: alone, by: 'the old leader' });
    const contested = (await untilStatus(200, 'GET', `${node.url}/ledger/contested?conflicts=true`)).json;
    expect(contested).toMatchObject({ _rev: latest, by: 'the new leader' });
    expect(contested).not.toHaveProperty('_conflicts');
    const keptBy = note.revisions.find(({ id }) => id === 'contested')?.kept_by;
    for (const rev of [old, keptBy]) {
      const branch = await untilStatus(200, 'GET', `${node.url}/ledger/contested?rev=${rev}`);
      expect(branch.json).toMatchObject({ by: 'the old leader' });
    }
  }
  await untilStatus(409, 'PUT', `${newLeader.url}/ledger/contested`, { _rev: old });
  await put(newLeader, 'contested', { _rev: latest, by: 'the next' });
  await waitUntil('all nodes have the same changes', () => sameChanges(nodes));
}, 60_000);

test('a write that the deposed leader left open never displaces what was acknowledged since', async () => {
  cluster = await startCuttableCluster(harness, 3);
  const { nodes } = cluster;
  await createLedger(nodes);
  const { leader } = await agreedLeader(nodes);
  // Of two revisions of one generation either may be the winner; of so many pairs some would go the wrong way.
  const ids = Array.from({ length: 16 }, (_, n) => `entry-${n}`);

  cluster.isolate(leader);
  const open = ids.map((id) => ask('PUT', `${leader.url}/ledger/${id}`, { id, by: 'the old leader' }));
  const { leader: newLeader } = await agreedLeader(nodes.filter((node) => node !== leader));
  const outcomes = (await Promise.all(open)).map((reply) => reply?.headers.get('tercet-write'));
  // Refused ones never came into its log; those left open did.
  expect(outcomes).toContain('unknown');
  for (const id of ids) await put(newLeader, id, { id, by: 'the new leader' });
  cluster.heal(leader);
  await waitUntil('it has handed back what it held alone', () => leader.output().includes('came back as'));

  for (const node of nodes) {
    for (const id of ids) {
      const { json } = await untilStatus(200, 'GET', `${node.url}/ledger/${id}`);
      expect(json).toMatchObject({ by: 'the new leader' });
    }
    expect(await branchesOn(node), node.name).toEqual([]);
  }
}, 60_000);

/** Several chunks of it. */
const attachmentLetters = 400_000;

/** A document with an attachment that no other `number` has. */
function withFile(number: number): object {
  const data = Buffer.from(letters(number, attachmentLetters)).toString('base64');
  return { number, _attachments: { file: { content_type: 'application/octet-stream', data } } };
}

async function hasFile(node: TestNode, path: string, number: number): Promise<boolean> {
  const answer = await fetch(`${node.url}/ledger/${path}`);
  return (await answer.text()) === letters(number, attachmentLetters);
}

test('attachments outlive a forced promotion: what it has, what it goes on with, what only the lost majority had', async () => {
  const nodes = await harness.startCluster(3);
  await createLedger(nodes);
  const { leader } = await agreedLeader(nodes);
  const [left] = nodes.filter((node) => node !== leader) as [TestNode];
  const majority = nodes.filter((node) => node !== left);
  await put(leader, 'everywhere', withFile(1));
  const first = await put(leader, 'contested', { by: 'everybody' });
  await untilStatus(200, 'GET', `${left.url}/ledger/contested`);
  await left.kill();
  const alone = await put(leader, 'alone', withFile(2));
  const old = await put(leader, 'contested', { ...withFile(3), _rev: first });
  await Promise.all(majority.map((node) => node.kill()));

  await left.start();
  await waitUntil(`${left.name} is forced`, async () => {
    // Refused once it is done, should the answer that said so have been lost.
    await ask('POST', `${left.url}/_cluster/promote`, { node: left.name, force: true });
    return (await viewOf(left))?.role === 'leader';
  });
  await waitUntil('it has what was everywhere', () => hasFile(left, 'everywhere/file', 1));
  await untilStatus(404, 'GET', `${left.url}/ledger/alone`);
  await put(left, 'contested', { ...withFile(4), _rev: first });

  await Promise.all(majority.map((node) => node.start()));
  for (const node of nodes) {
    for (const [path, number] of [
      ['everywhere/file', 1],
      [`alone/file?rev=${alone}`, 2],
      [`contested/file?rev=${old}`, 3],
      ['contested/file', 4],
    ] as const) {
      await waitUntil(`${node.name} has ${path}`, () => hasFile(node, path, number));
    }
    const { json } = await untilStatus(200, 'GET', `${node.url}/ledger/contested?conflicts=true`);
    expect(json).toMatchObject({ number: 4 });
    expect(json).not.toHaveProperty('_conflicts');
  }
  await agreedLeader(nodes);
  await waitUntil('all nodes have the same changes', () => sameChanges(nodes));
}, 60_000);

/** Whether the checkpoints that a device keeps in the ledger cover so many of its own documents, and all the ledger's. */
async function isSyncNoted(node: TestNode, ownDocuments: number): Promise<boolean> {
  const { json } = (await ask('GET', `${node.url}/ledger/_local_docs?include_docs=true`)) ?? {};
  const rows = (json?.rows ?? []) as { doc: { last_seq?: unknown } }[];
  const sequences = rows.map(({ doc }) => doc.last_seq);
  // A device's own sequences are numbers, a node's are tokens.
  const isPushNoted = sequences.some((sequence) => Number(sequence) >= ownDocuments);
  const token = sequences.find((sequence) => typeof sequence === 'string');
  if (!isPushNoted || token === undefined) return false;
  const after = await ask('GET', `${node.url}/ledger/_changes?since=${encodeURIComponent(String(token))}`);
  const changes = (after?.json.results ?? []) as { id: string }[];
  return after?.status === 200 && changes.every(({ id }) => !id.startsWith('ledger-'));
}

test('a live sync that moves to another node when the leader dies goes on from its checkpoint', async () => {
  const nodes = await harness.startCluster(3);
  await createLedger(nodes);
  const { leader } = await agreedLeader(nodes);
  const others = nodes.filter((node) => node !== leader);
  const device = new PouchDB('device', { adapter: 'memory' });
  await device.bulkDocs(Array.from({ length: 200 }, (_, n) => ({ _id: `device-${n}` })));
  const entries = Array.from({ length: 200 }, (_, n) => ({ _id: `ledger-${n}`, n }));
  await untilStatus(201, 'POST', `${leader.url}/ledger/_bulk_docs`, { docs: entries });

  const has = async (id: string) => (await device.allDocs()).rows.some((row) => row.id === id);
  const before = device.sync(remotePouchDB(`${leader.url}/ledger`), { live: true, retry: true });
  await waitUntil('the device has everything', async () => (await device.info()).doc_count === 400);
  await waitUntil('both directions have noted how far they are', () => isSyncNoted(leader, 200));
  before.cancel();
  await Promise.allSettled([before]);
  await waitUntil('all nodes have the same changes', () => sameChanges(nodes));
  await leader.kill();

  const next = (await agreedLeader(others)).leader;
  const follower = others.find((node) => node !== next)!;
  await put(follower, 'after the failover', {});
  await device.put({ _id: 'from the device' });
  let read = 0;
  const after = device.sync(remotePouchDB(`${follower.url}/ledger`), { live: true, retry: true });
  after.on('change', (information) => {
    read += (information as { change: { docs_read: number } }).change.docs_read;
  });
  await waitUntil('the device has the new entry', () => has('after the failover'));
  await untilStatus(200, 'GET', `${next.url}/ledger/from the device`);
  // One document each way; not the four hundred from before.
  await waitUntil('the sync has told of both', () => read >= 2);
  expect(read).toBeLessThanOrEqual(3);
  after.cancel();
  await Promise.allSettled([after]);
  await leader.start();
  await waitUntil('all nodes have the same changes', () => sameChanges(nodes));
}, 60_000);
