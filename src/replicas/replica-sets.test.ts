import { describe, expect, it } from 'vitest';
import type { Replication } from '../database/model.ts';
import { openTestDatabases } from '../database/test-database.ts';
import { placementOf } from '../leaderless/placement.ts';
import { settingsFrom } from '../leaderless/presets.ts';
import { digest128 } from '../runtime/digest.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { ReplicaSets } from './replica-sets.ts';

const settings = settingsFrom({}, 3);
const inLog = { strategy: 'leaderless', reference: 1, identity: 'carts-1', settings } as const;
const owners = ['n2', 'n4', 'n1'].map((node) => ({ node, disk: '00000000' }));

async function setsOf(replication: Replication) {
  const databases = await openTestDatabases(createMemoryStore());
  await databases.create('carts', { incarnation: 'abcd', replication });
  let nodes: readonly string[] = ['n1', 'n2', 'n3', 'n4'];
  const sets = new ReplicaSets({
    self: 'n1',
    disk: '00000000',
    nodes: () => nodes,
    members: () => nodes,
    digest: digest128,
  });
  sets.begin(databases);
  return {
    sets,
    become: (others: readonly string[]) => {
      nodes = others;
    },
  };
}

describe('the replicas of a database', () => {
  it('stay where they were placed while nodes come and go, and only the stand-ins are others', async () => {
    const { become, sets } = await setsOf({ ...inLog, owners });
    expect(sets.of('carts')).toMatchObject({ owners: ['n2', 'n4', 'n1'], standIns: ['n3'], isOwner: true });
    for (let count = 5; count < 12; count += 1) {
      const nodes = Array.from({ length: count }, (_, at) => `n${at + 1}`);
      become(nodes);
      const set = sets.of('carts');
      expect(set?.owners).toEqual(['n2', 'n4', 'n1']);
      expect(set?.standIns.toSorted()).toEqual(nodes.filter((node) => !set?.owners.includes(node)).sort());
    }
    become(['n1', 'n3']);
    expect(sets.of('carts')).toMatchObject({ owners: ['n2', 'n4', 'n1'], standIns: ['n3'] });
  });

  it('follow the nodes in a database of before owners were chosen', async () => {
    const { become, sets } = await setsOf(inLog);
    const nodes = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'];
    become(nodes);
    const placed = placementOf({ database: 'carts-1', nodes, n: 3 }, digest128);
    expect(sets.of('carts')).toMatchObject(placed);
  });
});
