/** Dropping a database of the group, and what a crash or a full disk makes of it. */

import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { failure } from '../errors.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { type Command, encodeCommand } from './commands.ts';
import type { CommittedEntry } from './group.ts';
import { applyInBatches, openReplica, TestLog } from './test-log.ts';

const ack = { policy: 'semi-sync', followers: 'majority', onTimeout: 'fail', timeoutMs: 1_000 } as const;

function created(incarnation: string): Command {
  return { kind: 'create', name: 'ledger', incarnation, replication: { strategy: 'single-leader', ack } };
}

function logOf(...commands: readonly Command[]): readonly CommittedEntry[] {
  return commands.map((command, at) => {
    return { index: at + 1, term: 1, data: encodeCommand(command) } as unknown as CommittedEntry;
  });
}

const twoOfOneName = logOf(created('aa'), created('bb'), { kind: 'drop', database: 1 });

it('a creation that lost to another of its name does not win when a crash repeats it after the drop', async () => {
  const disk = { isStuck: false };
  const sync = async () => {
    if (disk.isStuck) await new Promise<never>(() => {});
  };
  const replica = await openReplica(createMemoryStore({ sync }));
  await applyInBatches(replica, twoOfOneName.slice(0, 1), [1]);
  const dropped = new Promise<void>((resolve) => {
    replica.databases.onUpdate(() => {
      disk.isStuck = true;
      resolve();
    });
  });
  // Never settles: it dies with its store.
  void applyInBatches(replica, twoOfOneName.slice(1), [2]);
  await dropped;
  await setImmediate();
  const survivor = replica.store.crash();
  disk.isStuck = false;
  const restarted = await openReplica(survivor);
  await applyInBatches(restarted, twoOfOneName.slice(restarted.catalog.appliedIndex()), [1]);
  expect(restarted.databases.names()).toEqual([]);
});

it('a drop that a full disk refused is not passed over when it is tried again', async () => {
  const disk = { isFull: false };
  const sync = async () => {
    if (disk.isFull) throw failure('insufficient_storage');
  };
  const replica = await openReplica(createMemoryStore({ sync }));
  await applyInBatches(replica, twoOfOneName.slice(0, 2), [2]);
  disk.isFull = true;
  await expect(applyInBatches(replica, twoOfOneName.slice(2), [1])).rejects.toMatchObject({ status: 507 });
  expect(replica.databases.names()).toEqual(['ledger']);
  disk.isFull = false;
  await applyInBatches(replica, twoOfOneName.slice(2), [1]);
  expect(replica.databases.names()).toEqual([]);
});

it('one that is created and dropped before its creator is answered is of unknown outcome', async () => {
  const log = new TestLog();
  const { cluster } = await log.openLeader();
  const creating = cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
  await cluster.log.log([{ kind: 'drop', database: 1 }], ack, {});
  await expect(creating).rejects.toMatchObject({ error: 'write_outcome_unknown' });
});
