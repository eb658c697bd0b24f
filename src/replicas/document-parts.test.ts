import { afterEach, describe, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import { arrival } from '../database/test-database.ts';
import type { QuorumReceipt } from '../database/writes.ts';
import { settingsFrom } from '../leaderless/presets.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { until } from '../runtime/test-peers.ts';
import { gatherParts } from './document-parts.ts';
import { closeReplicaNodes, startReplica } from './test-replicas.ts';

afterEach(closeReplicaNodes);

const names = ['n1', 'n2'];
/** Five of them are more than a frame carries. */
const siblings = Array.from({ length: 5 }, (_, n) => {
  const text = `${n}`.repeat(3_000_000);
  return arrival('c1', 1, [`${n + 1}`.repeat(32)], { text });
});
const revisions = siblings.map(({ revision }) => revision);

async function startPair(wishes: Partial<LeaderlessSettings> = {}) {
  const quiet = { hints: false, readRepair: 'off', antiEntropy: false } as const;
  const times = { readTimeoutMs: 20_000, writeTimeoutMs: 20_000 };
  const settings = settingsFrom({ preset: 'voldemort', ...times, ...quiet, ...wishes }, 2);
  const limits = { frameBytesMax: 10_000_000 };
  const n1 = await startReplica('n1', { names, settings, limits });
  return [n1, await startReplica('n2', { names, settings, limits })] as const;
}

function leavesOf(database: Database): readonly string[] {
  return database
    .readOpenRevisions('c1', 'all', {})
    .map((leaf) => (leaf.kind === 'found' ? leaf.document.revision : ''))
    .toSorted();
}

describe('siblings that are more than a frame carries', () => {
  it('are fetched and sent when replicas are compared', async () => {
    const [n1, n2] = await startPair();
    await n1.database.insert(siblings, { coordinator: 'client' });
    expect(await n2.replicas.compareNow('carts')).toMatchObject([{ outcome: 'repaired', fetched: 1 }]);
    expect(leavesOf(n2.database)).toEqual(revisions);
  });

  it('are read together, and repaired', async () => {
    const [n1, n2] = await startPair({ readRepair: 'blocking' });
    await n1.database.insert(siblings, { coordinator: 'client' });
    expect((await n1.replicas.read('carts', 'c1', { r: 2 })).from.toSorted()).toEqual(names);
    await until(() => expect(leavesOf(n2.database)).toEqual(revisions));
    const other = arrival('c1', 1, ['e'.repeat(32)], {});
    await n1.database.insert([other], { coordinator: 'client' });
    await n2.replicas.read('carts', 'c1', { r: 2 });
    expect(leavesOf(n2.database)).toEqual([...revisions, other.revision]);
  });

  it('are confirmed when they are written at once', async () => {
    const [n1, n2] = await startPair();
    const receipts: QuorumReceipt[] = [];
    const onQuorum = (receipt: QuorumReceipt) => receipts.push(receipt);
    await n1.database.insert(siblings, { quorum: { w: 2 }, onQuorum });
    expect(receipts).toMatchObject([{ met: true, reached: 2 }]);
    expect(leavesOf(n2.database)).toEqual(revisions);
  });
});

describe('a document in parts', () => {
  const [a, b, c] = siblings as unknown as readonly [never, never, { revision: never }];

  it('is what the last part says, though it changed meanwhile', async () => {
    const parts = [
      { isLast: false, leaves: [revisions[0], revisions[1]], revisions: [a] },
      { isLast: true, leaves: [revisions[0], revisions[2]], revisions: [c] },
    ] as never[];
    const asked: unknown[] = [];
    const held = await gatherParts(async (known) => {
      asked.push(known);
      return parts.shift()!;
    });
    expect(held).toEqual({ revisions: [a, c], grave: [] });
    expect(asked).toEqual([[], [revisions[0]]]);
  });

  it('is not asked for without end', async () => {
    const part = { isLast: false, leaves: [revisions[1]], revisions: [b] } as never;
    await expect(gatherParts(async () => part)).rejects.toThrow('a part of a document with nothing in it');
  });

  it('is not there when it goes away meanwhile', async () => {
    expect(await gatherParts(async () => 'no_database')).toBe('no_database');
  });
});
