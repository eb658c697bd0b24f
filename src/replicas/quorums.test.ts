import { afterEach, describe, expect, it } from 'vitest';
import { bodyValue, edit, revisionOf, write } from '../database/test-database.ts';
import type { QuorumReceipt } from '../database/writes.ts';
import { settingsFrom } from '../leaderless/presets.ts';
import { until } from '../runtime/test-peers.ts';
import { closeReplicaNodes, startReplica, startReplicas } from './test-replicas.ts';

afterEach(closeReplicaNodes);

describe('writes and reads of a leaderless database', () => {
  it('are on all three replicas, and any two of them answer for it', async () => {
    const [n1, n2, n3] = await startReplicas(3);
    const receipts: QuorumReceipt[] = [];
    const [outcome] = await n1!.database.edit([edit('c1', { milk: 1 })], {
      quorum: { w: 3 },
      onQuorum: (receipt) => receipts.push(receipt),
    });
    expect(receipts).toMatchObject([{ met: true, n: 3, w: 3, reached: 3 }]);
    for (const { database } of [n1!, n2!, n3!]) expect(bodyValue(database, 'c1')).toEqual({ milk: 1 });
    const answer = await n2!.replicas.read('carts', 'c1', { r: 3 });
    expect(answer.from.toSorted()).toEqual(['n1', 'n2', 'n3']);
    expect(answer.reader).toBeUndefined();
    await write(n3!.database, 'c1', { milk: 2 }, revisionOf(outcome));
    await until(() => expect(bodyValue(n2!.database, 'c1')).toEqual({ milk: 2 }));
  });

  it('heals by a read what a replica missed', async () => {
    const [n1, n2, n3] = await startReplicas(3, { hints: false });
    const names = ['n1', 'n2', 'n3'];
    const first = await write(n1!.database, 'c1', { version: 6 });
    await until(() => expect(bodyValue(n3!.database, 'c1')).toEqual({ version: 6 }));
    const settings = n1!.replicas.place('carts')!.settings;
    await n3!.close();
    await write(n1!.database, 'c1', { version: 7 }, first);
    const back = await startReplica('n3', { names, settings, store: n3!.store });
    expect(bodyValue(back.database, 'c1')).toEqual({ version: 6 });
    const { from, reader } = await back.replicas.read('carts', 'c1', { r: 3 });
    expect(from).toHaveLength(3);
    const read = reader?.read('c1');
    expect(read?.kind === 'found' && JSON.parse(Buffer.from(read.document.body).toString())).toEqual({
      version: 7,
    });
    await until(() => expect(bodyValue(back.database, 'c1')).toEqual({ version: 7 }));
    expect(bodyValue(n2!.database, 'c1')).toEqual({ version: 7 });
  });

  it('heals by comparing what nobody reads, in both directions', async () => {
    const [n1, n2, n3] = await startReplicas(3, { hints: false, readRepair: 'off', antiEntropy: false });
    const names = ['n1', 'n2', 'n3'];
    const settings = n1!.replicas.place('carts')!.settings;
    await n3!.close();
    const unread = Array.from({ length: 150 }, (_, n) => edit(`unread-${n}`, { n }));
    await n1!.database.edit(unread);
    await n2!.close();
    const back = await startReplica('n3', { names, settings, store: n3!.store });
    await back.database.edit([edit('only-here', { n: 1 })], { quorum: { w: 1 } });
    expect(bodyValue(back.database, 'unread-7')).toBeUndefined();
    const rounds = await n1!.replicas.compareNow('carts');
    expect(rounds).toMatchObject([
      { peer: 'n2', outcome: 'failed' },
      { peer: 'n3', outcome: 'repaired' },
    ]);
    for (let n = 0; n < 150; n += 1) expect(bodyValue(back.database, `unread-${n}`)).toEqual({ n });
    expect(bodyValue(n1!.database, 'only-here')).toEqual({ n: 1 });
    const again = await back.replicas.compareNow('carts');
    expect(again.find(({ peer }) => peer === 'n1')).toMatchObject({ outcome: 'equal' });
  });

  it('sends by comparing more than a frame may have, in several', async () => {
    const quiet = { hints: false, readRepair: 'off', antiEntropy: false } as const;
    const settings = settingsFrom(quiet, 3);
    const names = ['n1', 'n2', 'n3'];
    const limits = { frameBytesMax: 6_000_000 };
    const n1 = await startReplica('n1', { names, settings, limits });
    const text = 'x'.repeat(1_000_000);
    const ids = Array.from({ length: 12 }, (_, at) => `large-${at}`);
    for (const id of ids) await n1.database.edit([edit(id, { text })], { quorum: { w: 1 } });
    const n2 = await startReplica('n2', { names, settings, limits });
    const [round] = await n1.replicas.compareNow('carts');
    expect(round).toMatchObject({ peer: 'n2', outcome: 'repaired', sent: ids.length });
    for (const id of ids) expect(bodyValue(n2.database, id)).toEqual({ text });
  });

  it('brings by hints what a replica missed, once it is back', async () => {
    const [n1, , n3] = await startReplicas(3, { antiEntropy: false, readRepair: 'off' });
    const names = ['n1', 'n2', 'n3'];
    const settings = n1!.replicas.place('carts')!.settings;
    await n3!.close();
    const receipts: QuorumReceipt[] = [];
    const [made] = await n1!.database.edit([edit('c1', { n: 1 })], {
      onQuorum: (receipt) => receipts.push(receipt),
    });
    await write(n1!.database, 'c1', { n: 2 }, revisionOf(made));
    expect(receipts).toMatchObject([{ met: true, reached: 2, owners: expect.not.arrayContaining(['n3']) }]);
    await until(() => expect(n1!.replicas.figures().hintsPending.get('n3')?.hints).toBe(2));
    const back = await startReplica('n3', { names, settings, store: n3!.store });
    await until(() => expect(bodyValue(back.database, 'c1')).toEqual({ n: 2 }));
    await until(() => expect(n1!.replicas.figures().hintsPending.size).toBe(0));
  });

  it('say honestly what was not reached', async () => {
    const [n1, n2, n3] = await startReplicas(3, { antiEntropy: false });
    const made = await write(n1!.database, 'c1', { n: 1 });
    await Promise.all([n2!.close(), n3!.close()]);
    const receipts: QuorumReceipt[] = [];
    const options = { onQuorum: (receipt: QuorumReceipt) => receipts.push(receipt) };
    const [outcome] = await n1!.database.edit([edit('c1', { n: 2 }, made)], options);
    expect(outcome?.kind).toBe('written');
    expect(receipts).toEqual([{ met: false, n: 3, w: 2, reached: 1, owners: ['n1'], standIns: [] }]);
    await expect(n1!.replicas.read('carts', 'c1', {})).rejects.toMatchObject({
      code: 'consistency_unavailable',
      reason: expect.stringContaining('only n1 answered'),
    });
    expect(await n1!.replicas.read('carts', 'c1', { r: 1 })).toMatchObject({ from: ['n1'] });
    await expect(n1!.replicas.read('carts', 'c1', { r: 4 })).rejects.toMatchObject({ status: 400 });
  });

  it('join a base that only another replica knows, and refuse one that was superseded', async () => {
    const [n1, , n3] = await startReplicas(3, { hints: false, antiEntropy: false, readRepair: 'off' });
    const names = ['n1', 'n2', 'n3'];
    const settings = n1!.replicas.place('carts')!.settings;
    const first = await write(n1!.database, 'c1', { n: 1 });
    await until(() => expect(bodyValue(n3!.database, 'c1')).toEqual({ n: 1 }));
    await n3!.close();
    const second = await write(n1!.database, 'c1', { n: 2 }, first);
    const back = await startReplica('n3', { names, settings, store: n3!.store });
    const third = await write(back.database, 'c1', { n: 3 }, second);
    await until(() => expect(bodyValue(n1!.database, 'c1')).toEqual({ n: 3 }));
    const [refused] = await n1!.database.edit([edit('c1', { n: 4 }, second)]);
    expect(refused).toMatchObject({ kind: 'failed', error: { code: 'conflict' } });
    expect(n1!.database.readOpenRevisions('c1', 'all')).toMatchObject([{ document: { revision: third } }]);
  });
});
