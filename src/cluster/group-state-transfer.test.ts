import { afterEach, describe, expect, it } from 'vitest';
import type { AckSettings } from '../database/model.ts';
import { write } from '../database/test-database.ts';
import { until } from '../runtime/test-peers.ts';
import {
  type ClusterNode,
  type ClusterNodeOptions,
  closeClusterNodes,
  createDirectory,
  leaderAmong,
  refusingCatalog,
  startClusterNode,
} from './test-clusters.ts';
import { recordsOf } from './test-state-transfer.ts';

const ack: AckSettings = {
  policy: 'semi-sync',
  followers: 'majority',
  onTimeout: 'block',
  timeoutMs: 10_000,
};
const names = ['n1', 'n2', 'n3'];

afterEach(closeClusterNodes);

async function started(options: ClusterNodeOptions = {}) {
  const nodes = await Promise.all(names.map((name) => startClusterNode(name, names, undefined, options)));
  const leader = await leaderAmong(nodes);
  await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
  await writeMany(leader, 'first', 5);
  await untilEqual(nodes);
  return { nodes, leader, follower: nodes.find((node) => node !== leader)! };
}

async function writeMany(leader: ClusterNode, tag: string, count: number): Promise<void> {
  const ledger = leader.databases.get('ledger');
  for (let n = 0; n < count; n += 1) await write(ledger, `${tag}-${n}`, { n });
}

async function untilEqual(nodes: readonly ClusterNode[]): Promise<void> {
  await until(async () => {
    const all = await Promise.all(nodes.map(stateOf));
    for (const state of all) expect(state).toEqual(all[0]);
  });
}

async function stateOf({ cluster, databases, directory: { store } }: ClusterNode) {
  return { applied: cluster.status().applied, records: await recordsOf({ databases, store }, 'ledger') };
}

/** Writes so much that the log no longer reaches back to whoever is away. */
async function outgrow(leader: ClusterNode): Promise<void> {
  await writeMany(leader, 'meanwhile', 40);
  const ledger = leader.databases.get('ledger');
  await write(
    ledger,
    'first-1',
    { changed: true },
    ledger.read('first-1').kind === 'found' ? revision(leader) : undefined,
  );
  await leader.databases.get('ledger').writeLocal('checkpoint', undefined, Buffer.from('{}'));
}

function revision({ databases }: ClusterNode): string {
  const outcome = databases.get('ledger').read('first-1');
  if (outcome.kind !== 'found') throw new Error('it was written');
  return outcome.document.revision;
}

function fetches({ complaints }: ClusterNode): string[] {
  return complaints.filter((line) => line.startsWith('the log no longer reaches back'));
}

describe('a member that was away longer than the log reaches', () => {
  it('catches up by a state and goes on with the log', async () => {
    const { nodes, leader, follower } = await started();
    await follower.close();
    await outgrow(leader);
    const back = await startClusterNode(follower.name, names, follower.directory);
    const all = [...nodes.filter((node) => node !== follower), back];
    await untilEqual(all);
    expect(fetches(back).join()).toContain('changes');
    await writeMany(await leaderAmong(all), 'after', 3);
    await untilEqual(all);
    expect((await back.cluster.readBarrier()).index).toBeLessThanOrEqual(back.cluster.status().applied);
  });

  it('catches up while writes go on, and again after a restart', async () => {
    const { nodes, leader, follower } = await started();
    await follower.close();
    await outgrow(leader);
    const writing = writeMany(leader, 'still', 60);
    const back = await startClusterNode(follower.name, names, follower.directory);
    await writing;
    const rest = nodes.filter((node) => node !== follower);
    await untilEqual([...rest, back]);
    await back.close();
    const again = await startClusterNode(follower.name, names, follower.directory);
    await untilEqual([...rest, again]);
  });

  it('tries again when the disk refuses the state', async () => {
    const { nodes, leader, follower } = await started();
    await follower.close();
    await outgrow(leader);
    const { directory, refused } = refusingCatalog(follower.directory, 3);
    const back = await startClusterNode(follower.name, names, directory);
    await until(() => expect(refused()).toBe(3));
    await untilEqual([...nodes.filter((node) => node !== follower), back]);
    expect(back.complaints.join()).toContain('the replica stopped until the disk takes writes again');
  });

  it('gets the whole with a new disk, and becomes a voter', async () => {
    const { nodes, leader, follower } = await started();
    await follower.close();
    await outgrow(leader);
    const back = await startClusterNode(follower.name, names, createDirectory());
    const all = [...nodes.filter((node) => node !== follower), back];
    await until(() => {
      const { members } = leader.cluster.status();
      const voters = members.filter(({ kind }) => kind === 'voter').map(({ name }) => name);
      expect(voters.sort()).toEqual(names);
      expect(members).toHaveLength(3);
    });
    await untilEqual(all);
    expect(fetches(back)).not.toEqual([]);
  });
});

describe('a witness that is to be a learner, with the data directory that it has', () => {
  it('fetches every document, though its log goes on where it was', async () => {
    const { nodes, leader } = await started({ isAdvertised: true });
    const { nodes: membership } = leader.cluster;
    const witness = await startClusterNode('w', names, undefined, {
      isAdvertised: true,
      mayFound: false,
    });
    await membership.add({ name: 'w', url: witness.url, kind: 'witness' });
    await writeMany(leader, 'meanwhile', 20);
    await until(() => expect(witness.cluster.status().commit).toBe(leader.cluster.status().commit));
    expect(witness.databases.has('ledger')).toBe(false);
    await membership.remove('w');
    await writeMany(leader, 'after', 2);
    await membership.add({ name: 'w', url: witness.url, kind: 'learner' });
    await untilEqual([...nodes, witness]);
    expect(fetches(witness).join()).toContain('whole');
    // Its answer may take a moment longer than the state.
    await until(async () => void (await membership.promote('w')));
    await writeMany(leader, 'as a voter', 2);
    await untilEqual([...nodes, witness]);
  });
});
