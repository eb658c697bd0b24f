import { afterEach, expect, it } from 'vitest';
import { bodyValue, edit } from '../database/test-database.ts';
import { until } from '../runtime/test-peers.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { closeReplicaNodes, type ReplicaNode, startReplica, startReplicas } from './test-replicas.ts';

afterEach(closeReplicaNodes);

function isWhole({ replicas }: ReplicaNode): boolean | undefined {
  return replicas.place('carts')?.isWhole;
}

it('counts for no read with a disk that was lost, also after a restart, until it has what it acknowledged', async () => {
  const [n1, n2, n3] = await startReplicas(3, { hints: false, antiEntropy: false, readRepair: 'off' });
  const names = ['n1', 'n2', 'n3'];
  const { settings } = n1!.replicas.place('carts')!;
  expect([n1!, n2!, n3!].map(isWhole)).toEqual([true, true, true]);
  await n3!.close();
  await n1!.database.edit([edit('c1', { n: 1 })], { quorum: { w: 2 } });
  expect(bodyValue(n2!.database, 'c1')).toEqual({ n: 1 });
  await n1!.close();
  await n2!.close();
  const stale = await startReplica('n3', { names, settings, store: n3!.store });

  const lost = { names, settings, store: createMemoryStore(), disk: 'ffffffff' };
  const empty = await startReplica('n2', lost);
  const refused = { code: 'consistency_unavailable', reason: expect.stringContaining('only n3 answered') };
  await expect(empty.replicas.read('carts', 'c1', { r: 2 })).rejects.toMatchObject(refused);
  await expect(stale.replicas.read('carts', 'c1', { r: 2 })).rejects.toMatchObject(refused);
  expect(await empty.replicas.read('carts', 'c1', { r: 1 })).toMatchObject({ from: ['n3'] });
  await empty.database.edit([edit('c2', { n: 2 })], { quorum: { w: 2 } });
  expect(bodyValue(stale.database, 'c2')).toEqual({ n: 2 });
  await empty.close();
  const again = await startReplica('n2', lost);
  await expect(stale.replicas.read('carts', 'c1', { r: 2 })).rejects.toMatchObject(refused);

  await startReplica('n1', { names, settings, store: n1!.store });
  await until(() => expect(isWhole(again)).toBe(true));
  expect(bodyValue(again.database, 'c1')).toEqual({ n: 1 });
  const { from } = await again.replicas.read('carts', 'c1', { r: 3 });
  expect(from.toSorted()).toEqual(names);
  await again.close();
  expect(isWhole(await startReplica('n2', lost))).toBe(true);
});

it('is whole with what all others have, where too few of them know their own state', async () => {
  const [n1, n2, n3] = await startReplicas(3, { hints: false, antiEntropy: false });
  const names = ['n1', 'n2', 'n3'];
  const { settings } = n1!.replicas.place('carts')!;
  await n1!.database.edit([edit('c1', { n: 1 })], { quorum: { w: 3 } });
  await n2!.close();
  await n3!.close();
  const lost = () => ({ names, settings, store: createMemoryStore(), disk: 'ffffffff' });
  const second = await startReplica('n2', lost());
  await until(() => expect(bodyValue(second.database, 'c1')).toEqual({ n: 1 }));
  expect(isWhole(second)).toBe(false);
  const fill = { taken: [{ node: 'n1', isWhole: true }], needed: 1, documents: 1, expected: 1, error: null };
  await until(async () => {
    for (const asked of [n1!, second]) {
      const told = await asked.replicas.standingsOf('carts');
      expect(told.get('n1')).toMatchObject({ isWhole: true });
      expect(told.get('n2')).toMatchObject({ isWhole: false, fill });
      expect(told.has('n3')).toBe(false);
    }
  });
  expect(second.replicas.activeTasks()).toMatchObject([
    {
      ...{ type: 'replica_fill', node: 'n2', database: 'carts', filled_from: ['n1'], replicas_needed: 1 },
      ...{ documents_done: 1, documents_total: 1 },
    },
  ]);
  const third = await startReplica('n3', lost());
  await until(() => expect([isWhole(second), isWhole(third)]).toEqual([true, true]));
  expect(bodyValue(third.database, 'c1')).toEqual({ n: 1 });
  expect([...second.replicas.activeTasks(), ...third.replicas.activeTasks()]).toEqual([]);
});

it('does not take for new what its lost disk has forgotten', async () => {
  const [n1, n2, n3] = await startReplicas(3, { hints: false, antiEntropy: false, readRepair: 'off' });
  const names = ['n1', 'n2', 'n3'];
  const { settings } = n1!.replicas.place('carts')!;
  const [made] = await n1!.database.edit([edit('c1', { n: 1 })], { quorum: { w: 3 } });
  expect(made).toMatchObject({ kind: 'written' });
  await n2!.close();
  await n3!.close();
  const empty = await startReplica('n3', { names, settings, store: createMemoryStore(), disk: 'ffffffff' });
  expect(isWhole(empty)).toBe(false);
  const [again] = await empty.database.edit([edit('c1', { n: 2 })], { quorum: { w: 1 } });
  expect(again).toMatchObject({ kind: 'failed', error: { code: 'conflict' } });
  const [fresh] = await empty.database.edit([edit('c2', {})], { quorum: { w: 1 } });
  expect(fresh).toMatchObject({ kind: 'written' });
});
