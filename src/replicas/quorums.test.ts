import { afterEach, describe, expect, it } from 'vitest';
import { bodyValue, edit, revisionOf, write } from '../database/test-database.ts';
import type { QuorumReceipt } from '../database/writes.ts';
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
});
