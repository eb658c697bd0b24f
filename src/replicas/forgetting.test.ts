import { afterEach, expect, it } from 'vitest';
import { bodyOf, edit, revisionOf, write } from '../database/test-database.ts';
import type { Revision } from '../document/revision.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { closeReplicaNodes, type ReplicaNode, startReplica, startReplicas } from './test-replicas.ts';

afterEach(closeReplicaNodes);

const hourMs = 3_600_000;
const names = ['n1', 'n2', 'n3'];

/** Three replicas with a document, and a clock that can be put forward. */
async function started() {
  let aheadMs = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const quiet = { hints: false, antiEntropy: false, readRepair: 'off', tombstoneHorizonMs: hourMs } as const;
  const nodes = await startReplicas(3, quiet, clock);
  const [n1, n2, n3] = nodes as [ReplicaNode, ReplicaNode, ReplicaNode];
  const [made] = await n1.database.edit([edit('c1', { alive: true })], { quorum: { w: 3 } });
  const { settings } = n1.replicas.place('carts')!;
  return {
    ...{ n1, n2, n3, first: revisionOf(made), again: { names, settings, clock } },
    hourPasses: () => {
      aheadMs += 1.1 * hourMs;
    },
  };
}

function counts({ database }: ReplicaNode) {
  return database.leaderless!.counts();
}

async function forgottenOn(node: ReplicaNode): Promise<number> {
  await node.replicas.compareNow('carts');
  return counts(node).graves;
}

function remove({ database }: ReplicaNode, id: string, base: Revision) {
  return database.edit([edit(id, {}, base, true)]);
}

it('forgets a deletion once it is old and every owner has it; who brings back the dead is asked', async () => {
  const { again, first, hourPasses, n1, n2, n3 } = await started();
  await n3.close();
  await remove(n1, 'c1', first);
  hourPasses();
  expect([await forgottenOn(n1), await forgottenOn(n2)]).toEqual([0, 0]);

  const back = await startReplica('n3', { ...again, store: n3.store });
  for (const node of [n1, n2, back]) expect(await forgottenOn(node)).toBe(1);
  expect((await n1.replicas.compareNow('carts')).map(({ outcome }) => outcome)).toEqual(['equal', 'equal']);

  const edited = 'e'.repeat(32);
  const path = { start: 2, ids: [edited, first.slice(2)] };
  const old = { id: 'c1', revision: `2-${edited}` as Revision, path, deleted: false, attachments: [] };
  await back.database.insert([{ ...old, body: bodyOf({ phone: true }) }]);
  expect(counts(back)).toMatchObject({ graves: 1, quarantined: 1 });
  expect(back.database.read('c1').kind).not.toBe('found');
});

it('keeps a deletion that is young, and those that a checkpoint is not past, until it is past or does not move', async () => {
  const { first, hourPasses, n1, n2 } = await started();
  const read = (sequence: string) => Buffer.from(JSON.stringify({ source_last_seq: sequence }));
  const written = await n1.database.writeLocal(
    '_local/phone',
    undefined,
    read(n1.database.currentSequence()),
  );
  await remove(n1, 'c1', first);
  expect(await forgottenOn(n2)).toBe(0);
  hourPasses();
  await n1.database.writeLocal('_local/other', undefined, Buffer.from('{"last_seq":"0-feed"}'));
  expect([await forgottenOn(n1), await forgottenOn(n2)]).toEqual([0, 1]);
  const second = await write(n1.database, 'c2', {});
  await n1.database.writeLocal('_local/phone', written.revision, read(n1.database.currentSequence()));
  expect(await forgottenOn(n1)).toBe(1);

  await remove(n1, 'c2', second);
  hourPasses();
  expect(await forgottenOn(n1)).toBe(2);
});
