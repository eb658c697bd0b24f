import { expect, it } from 'vitest';
import type { NodeId } from '../replication/strategy.ts';
import { readLog } from '../runtime/driver-log.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { asIndex, asTerm, type Entry, type Member, type StatePoint } from '../single-leader/entry.ts';
import { raftDefaults } from '../single-leader/state.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { GroupReplica, type WrittenLog } from './group-replica.ts';

const [self, other] = ['n1#00000001', 'n2#00000001'] as NodeId[] as [NodeId, NodeId];
const lineage = asTerm(1_000_000);
const members: readonly Member[] = [
  { id: self, kind: 'voter' },
  { id: other, kind: 'voter' },
];

/** Through index 5, all of it applied. */
function writtenLog(): WrittenLog {
  const start: StatePoint = {
    index: asIndex(0),
    term: asTerm(0),
    membership: { members, lineage: asTerm(0) },
    epochs: [],
  };
  const entries = [1, 2, 3, 4, 5].map((index): Entry => {
    return { index: asIndex(index), term: asTerm(1), body: { kind: 'data', data: new Uint8Array([index]) } };
  });
  const hardState = { term: asTerm(1), vote: undefined, lineage: asTerm(0) };
  const found = { start: asIndex(0), last: asIndex(5) };
  return { ...readLog([]), found, durable: { hardState, start, entries } };
}

function startReplica() {
  const gate = { isOpen: true, open: () => {} };
  const opened = new Promise<void>((resolve) => {
    gate.open = resolve;
  });
  const store = createMemoryStore({ sync: async () => (gate.isOpen ? undefined : opened) });
  const replica = new GroupReplica({
    ...{ self, raft: raftDefaults, tickMs: 1_000, store, clock: systemClock, random: systemRandom },
    stateMachine: { appliedIndex: () => 5, apply: async () => {} },
    read: writtenLog(),
    ...{ send: () => {}, notice: () => {}, isApplyAwaited: () => false, applied: () => {} },
    failed: (error) => {
      throw error;
    },
    broken: (error) => {
      throw error;
    },
  });
  replica.start();
  return { gate, replica };
}

const forced: StatePoint = {
  index: asIndex(3),
  term: lineage,
  membership: { members, lineage },
  epochs: [],
};

function fence(replica: GroupReplica): void {
  const stamp = { term: lineage, lineage };
  replica.receive(other, { kind: 'heartbeat_request', ...stamp, commit: asIndex(0), round: 0 });
}

it('does not count what a forced membership went on without, from the moment the core takes another state for it', async () => {
  const { gate, replica } = startReplica();
  fence(replica);
  expect(replica.appliedIndex).toBe(5);
  gate.isOpen = false;
  const installing = replica.installState({ point: forced, scope: 'whole' }, []);
  // The core knows the forced membership by now, and would have reads confirmed as of index 3 or 4.
  expect(replica.raft.memberships.at(-1)?.membership.lineage).toBe(lineage);
  expect(replica.appliedIndex).toBe(0);
  gate.open();
  const visible = await installing;
  expect(replica.appliedIndex).toBe(0);
  visible?.();
  expect(replica.appliedIndex).toBe(3);
  await replica.stop();
});

it('installs nothing that the core has no place for any more', async () => {
  const { replica } = startReplica();
  expect(await replica.installState({ point: forced, scope: 'whole' }, [])).toBeUndefined();
  expect(await replica.installState({ point: forced, scope: 'changes' }, [])).toBeUndefined();
  fence(replica);
  expect(await replica.installState({ point: forced, scope: 'changes' }, [])).toBeUndefined();
  expect(replica.appliedIndex).toBe(5);
  expect(await replica.installState({ point: forced, scope: 'whole' }, [])).toBeDefined();
  await replica.stop();
});
