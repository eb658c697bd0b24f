/** Another node takes the place of an owner that is gone: what it has to know first, and what does not count any more. */

import { afterEach, expect, it } from 'vitest';
import type { Replication } from '../database/model.ts';
import { bodyValue, edit } from '../database/test-database.ts';
import type { QuorumReceipt } from '../database/writes.ts';
import { settingsFrom } from '../leaderless/presets.ts';
import { until } from '../runtime/test-peers.ts';
import { closeReplicaNodes, type ReplicaNode, startReplica } from './test-replicas.ts';

afterEach(closeReplicaNodes);

const names = ['n1', 'n2', 'n3', 'n4'];
/** Patient: what is asserted here follows from answers, not from their lateness. */
const patient = { writeTimeoutMs: 20_000, readTimeoutMs: 20_000 };
const quiet = { ...patient, readRepair: 'off', antiEntropy: false, quorum: 'strict' } as const;
const settings = settingsFrom(quiet, 3);

/** Owners n1, n2 and n3, and a node that is none. */
async function started(members: () => readonly string[] = () => names) {
  const nodes: ReplicaNode[] = [];
  for (const name of names) nodes.push(await startReplica(name, { names, settings, members }));
  return nodes as [ReplicaNode, ReplicaNode, ReplicaNode, ReplicaNode];
}

/** As the log says it to these nodes. */
async function replace(nodes: readonly ReplicaNode[], joined: string): Promise<void> {
  for (const { databases } of nodes) {
    const present = databases.replication('carts') as Extract<Replication, { strategy: 'leaderless' }>;
    const owners = present.owners!.map((owner) =>
      owner.node === 'n2' ? { node: 'n4', disk: '00000000', joined, replaced: ['n2'] } : owner,
    );
    await databases.configure('carts', { ...present, owners });
  }
}

async function receiptOf({ database }: ReplicaNode, id: string): Promise<QuorumReceipt> {
  const receipts: QuorumReceipt[] = [];
  await database.edit([edit(id, { n: 1 })], { onQuorum: (receipt) => receipts.push(receipt) });
  return receipts[0]!;
}

it('is filled before it counts for reads, and gets the hints of the one that is gone', async () => {
  const [n1, n2, n3, n4] = await started();
  await n1.database.edit([edit('old', { n: 1 })], { quorum: { w: 3 } });
  await n2.close();
  await n1.database.edit([edit('missed', { n: 1 })], { quorum: { w: 2 } });
  await until(() => expect(n1.replicas.figures().hintsPending.get('n2')?.hints).toBeGreaterThan(0));

  await replace([n1, n3, n4], 'T1');
  expect(n4.replicas.place('carts')).toMatchObject({ isOwner: true, isWhole: false });
  expect(n1.replicas.place('carts')).toMatchObject({ owners: ['n1', 'n4', 'n3'], standIns: ['n2'] });
  await until(() => expect(n4.replicas.place('carts')!.isWhole).toBe(true));
  for (const id of ['old', 'missed']) expect(bodyValue(n4.database, id)).toEqual({ n: 1 });
  await until(() => expect(n1.replicas.figures().hintsPending.size).toBe(0));
  const { handed_on: handedOn } = n1.replicas.figures().hints;
  expect(handedOn).toBeGreaterThan(0);

  await n3.close();
  expect((await n1.replicas.read('carts', 'old', { r: 2 })).from.toSorted()).toEqual(['n1', 'n4']);
  await n4.close();
  const { store } = n4;
  const again = await startReplica('n4', { names, settings, store });
  expect(again.replicas.place('carts')!.isWhole).toBe(true);
});

it('is filled again when it becomes an owner another time, whatever it was filled with before', async () => {
  const [n1, n2, n3, n4] = await started();
  await replace([n1, n2, n3, n4], 'T1');
  await until(() => expect(n4.replicas.place('carts')!.isWhole).toBe(true));
  await n1.close();
  await n3.close();
  const present = n4.databases.replication('carts') as Extract<Replication, { strategy: 'leaderless' }>;
  const owners = present.owners!.map((owner) => (owner.node === 'n4' ? { ...owner, joined: 'T2' } : owner));
  await n4.databases.configure('carts', { ...present, owners });
  expect(n4.replicas.place('carts')!.isWhole).toBe(false);
});

it("one that has not heard that its place is another's gets no answer that counts", async () => {
  const [n1, n2, n3, n4] = await started();
  await n1.database.edit([edit('c1', { n: 1 })], { quorum: { w: 3 } });
  await replace([n1, n3, n4], 'T1');
  expect(n2.replicas.place('carts')!.owners).toEqual(['n1', 'n2', 'n3']);
  expect(await receiptOf(n2, 'c2')).toMatchObject({ met: false, owners: ['n2'] });
  await expect(n2.replicas.read('carts', 'c1', { r: 2 })).rejects.toMatchObject({
    code: 'consistency_unavailable',
  });
  expect(await receiptOf(n1, 'c3')).toMatchObject({ met: true });
});

it('one that has not heard that it is an owner now has no answer that counts, and is not what others are filled from', async () => {
  const [n1, n2, n3, n4] = await started();
  // What clients coordinate is not brought to the others.
  for (const { database } of [n2, n3]) await database.edit([edit('c1', { n: 1 })], { coordinator: 'client' });
  await replace([n1, n3], 'T1');
  await n2.close();
  await n3.close();
  expect(n4.replicas.place('carts')).toMatchObject({ isOwner: false, isWhole: false });
  const read = n1.replicas.read('carts', 'c1', { r: 2 });
  await expect(read).rejects.toMatchObject({ code: 'consistency_unavailable' });
  expect((await n1.replicas.standingsOf('carts')).get('n4')).toMatchObject({ isWhole: false });
});

it('one that was replaced is no owner again before it has heard of that', async () => {
  const [n1, , n3] = await started(() => ['n1', 'n2', 'n3']);
  await replace([n1, n3], 'T1');
  const why = { reason: expect.stringContaining('n2 has not heard yet what the cluster decided') };
  await expect(n1.replicas.confirmRemoved('carts', { node: 'n4', by: 'n2' })).rejects.toMatchObject(why);
});

it('one that was taken out of the cluster is neither asked nor answered', async () => {
  let members: readonly string[] = names;
  const [n1, n2, n3] = await started(() => members);
  expect(await receiptOf(n1, 'c1')).toMatchObject({ met: true });
  await n3.close();
  expect(await receiptOf(n1, 'c2')).toMatchObject({ met: true });
  members = ['n1', 'n3', 'n4'];
  const { owners } = await receiptOf(n1, 'c3');
  expect(owners).toEqual(['n1']);
  expect(await receiptOf(n2, 'c4')).toMatchObject({ met: false, owners: ['n2'] });
  expect(bodyValue(n1.database, 'c4')).toBeUndefined();
  await expect(n1.replicas.confirmRemoved('carts', { node: 'n2', by: 'n4' })).rejects.toMatchObject({
    reason: expect.stringContaining('n3 does not answer'),
  });
});

it('is replaced when all other owners have heard that it was removed', async () => {
  const heard = new Map(names.map((name) => [name, names]));
  const nodes: ReplicaNode[] = [];
  for (const name of names) {
    nodes.push(await startReplica(name, { names, settings, members: () => heard.get(name)! }));
  }
  const rest = ['n1', 'n3', 'n4'];
  heard.set('n1', rest);
  const asked = nodes[3]!.replicas;
  const why = { reason: expect.stringContaining('n3 has not heard yet that n2 was removed') };
  await expect(asked.confirmRemoved('carts', { node: 'n2', by: 'n4' })).rejects.toMatchObject(why);
  heard.set('n3', rest);
  const notYet = { reason: expect.stringContaining('n4 has not heard yet what the cluster decided') };
  await expect(asked.confirmRemoved('carts', { node: 'n2', by: 'n4' })).rejects.toMatchObject(notYet);
  heard.set('n4', rest);
  await asked.confirmRemoved('carts', { node: 'n2', by: 'n4' });
  // One that was removed too is not waited for.
  await nodes[2]!.close();
  await expect(asked.confirmRemoved('carts', { node: 'n2', by: 'n4' })).rejects.toMatchObject({
    code: 'service_unavailable',
  });
  heard.set('n4', ['n1', 'n4']);
  await asked.confirmRemoved('carts', { node: 'n2', by: 'n4' });
});
