/** Cores under drops, reorders, duplicates, crashes and cuts, from a seed; the simulator goes further. */

import { describe, expect, it } from 'vitest';
import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { Entry, LogIndex, LogPosition } from './entry.ts';
import { asIndex } from './entry.ts';
import type { RaftEffect } from './events.ts';
import { entryAt, lastIndex, termAt } from './log.ts';
import { membershipOf } from './log-changes.ts';
import type { Replica, TestGroup } from './test-group.ts';
import {
  crash,
  createGroup,
  cut,
  deliver,
  fetchState,
  flushDisk,
  give,
  heal,
  join,
  leaderOf,
  nextId,
  nodeId,
  proposeText,
  restart,
  tick,
} from './test-group.ts';

/** What held at some moment and must hold for ever. */
interface Witnessed {
  readonly leaders: Map<string, NodeId>;
  /** By index. */
  readonly committed: Map<number, LogPosition>;
  readonly acknowledged: LogPosition[];
  /** The commit index that everybody together had reached when a read was asked for. */
  readonly reads: Map<number, number>;
  readsAnswered: number;
  recovered: number;
}

function highestCommitted(seen: Witnessed): number {
  return Math.max(0, ...seen.committed.keys());
}

function observe(seen: Witnessed, replica: Replica, effect: RaftEffect): void {
  switch (effect.kind) {
    case 'role':
      if (effect.role === 'leader') checkNewLeader(seen, replica);
      return;
    case 'apply':
      for (const entry of effect.entries) checkApplied(seen, entry);
      return;
    case 'acknowledged':
      if (effect.outcome === 'met' && effect.receipt.committed) seen.acknowledged.push(effect.receipt);
      return;
    case 'read_ready':
      assert(effect.index >= (seen.reads.get(effect.id) ?? 0), 'a read sees what was committed before it');
      seen.readsAnswered += 1;
      return;
    case 'recovered':
      seen.recovered += effect.entries.length;
      return;
    default:
  }
}

function checkNewLeader(seen: Witnessed, { id, raft }: Replica): void {
  const known = seen.leaders.get(`${raft.lineage}/${raft.term}`);
  assert(known === undefined || known === id, 'election safety (§5.2)');
  seen.leaders.set(`${raft.lineage}/${raft.term}`, id);
  for (const { index, term } of seen.committed.values()) {
    const isThere = index <= raft.log.start.index || termAt(raft.log, index) === term;
    assert(isThere, `leader completeness (§5.4): ${id} lacks ${index}:${term}`);
  }
}

function checkApplied(seen: Witnessed, { index, term }: Entry): void {
  const known = seen.committed.get(index);
  assert(known === undefined || known.term === term, 'state machine safety (§5.4.3)');
  seen.committed.set(index, { index, term });
}

function checkLogMatching(group: TestGroup): void {
  const replicas = [...group.replicas.values()];
  for (const [at, one] of replicas.entries()) {
    for (const other of replicas.slice(at + 1)) {
      let index = asIndex(Math.min(lastIndex(one.raft.log), lastIndex(other.raft.log)));
      let mustMatch = false;
      const isInBoth = (place: LogIndex) =>
        entryAt(one.raft.log, place) !== undefined && entryAt(other.raft.log, place) !== undefined;
      for (; isInBoth(index); index = asIndex(index - 1)) {
        const isEqual = termAt(one.raft.log, index) === termAt(other.raft.log, index);
        assert(isEqual || !mustMatch, 'log matching (§5.3)');
        mustMatch ||= isEqual;
      }
    }
  }
}

type Chance = readonly [weight: number, act: (group: TestGroup, seen: Witnessed) => void];

function pick<T>(group: TestGroup, items: readonly T[]): T | undefined {
  return items[Math.floor(group.random() * items.length)];
}

function anyReplica(group: TestGroup): Replica {
  return pick(group, [...group.replicas.values()]) as Replica;
}

const chances: readonly Chance[] = [
  [20, tickOne],
  [150, deliverAny],
  [30, flushSome],
  [3, (group) => void group.network.splice(Math.floor(group.random() * group.network.length), 1)],
  [2, repeatAny],
  [12, (group) => void proposeText(group, anyReplica(group).id, 'x')],
  [9, readAnywhere],
  [1.5, crashAny],
  [6, restartAny],
  [0.7, isolateLeader],
  [0.8, (group) => cut(group, anyReplica(group).id, anyReplica(group).id)],
  [1.2, heal],
  [0.3, (group) => give(group, anyReplica(group), { kind: 'transfer', id: nextId(), to: undefined })],
  [0.5, truncateSomewhere],
  [2, fetchWhereNeeded],
  [0.6, changeMembers],
];

/** Clocks run apart: a leader that is cut off may sleep, and not know that it was replaced. */
function tickOne(group: TestGroup): void {
  group.now += group.random() < 0.4 ? 1 : 0;
  const replica = anyReplica(group);
  const isAsleep = group.cuts.size >= 2 && replica.raft.role.kind === 'leader' && group.random() < 0.95;
  if (!isAsleep) give(group, replica, tickEvent(group));
}

function isolateLeader(group: TestGroup): void {
  const leader = leaderOf(group);
  if (leader === undefined) return;
  for (const id of group.replicas.keys()) cut(group, leader.id, id);
}

function tickEvent(group: TestGroup) {
  return { kind: 'tick', now: group.now, random: group.random() } as const;
}

function deliverAny(group: TestGroup): void {
  // Mostly in order, now and then overtaking.
  const at = group.random() < 0.7 ? 0 : Math.floor(group.random() * group.network.length);
  const [sent] = group.network.splice(at, 1);
  if (sent !== undefined) deliver(group, sent);
}

function repeatAny(group: TestGroup): void {
  const sent = pick(group, group.network);
  if (sent !== undefined && group.network.length < 500) group.network.push(sent);
}

function flushSome(group: TestGroup): void {
  const replica = anyReplica(group);
  const isSlow = [...group.replicas.values()].indexOf(replica) === Math.floor(group.now / 25) % 3;
  if (!replica.isUp || (isSlow && group.random() < 0.9)) return;
  flushDisk(group, replica, 1 + Math.floor(group.random() * replica.queue.length));
}

function readAnywhere(group: TestGroup, seen: Witnessed): void {
  const id = nextId();
  seen.reads.set(id, highestCommitted(seen));
  give(group, anyReplica(group), { kind: 'read', id });
}

function crashAny(group: TestGroup): void {
  const replica = anyReplica(group);
  // A torn queue: some of what was on its way made it.
  if (replica.isUp && group.random() < 0.5) flushSome(group);
  crash(replica);
}

function restartAny(group: TestGroup): void {
  const replica = anyReplica(group);
  if (!replica.isUp) restart(group, replica);
}

function truncateSomewhere(group: TestGroup): void {
  const replica = anyReplica(group);
  const through = asIndex(Math.min(replica.disk.applied, replica.raft.commit));
  give(group, replica, { kind: 'truncate_prefix', through });
}

function fetchWhereNeeded(group: TestGroup): void {
  for (const replica of group.replicas.values()) {
    const wanted = replica.raft.stateAsked;
    const source = wanted === undefined ? undefined : group.replicas.get(wanted.from);
    if (replica.isUp && source?.isUp) fetchState(group, replica, source);
  }
}

function changeMembers(group: TestGroup): void {
  const replica = anyReplica(group);
  const node = pick(group, ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'].map(nodeId)) as NodeId;
  if (!group.replicas.has(node)) join(group, node);
  const kind = pick(group, ['add_learner', 'promote_learner', 'promote_learner', 'remove'] as const);
  const isSmall = (membershipOf(replica.raft)?.members.length ?? 0) <= 3;
  if (kind === undefined || (kind === 'remove' && isSmall)) return;
  give(group, replica, { kind: 'change_membership', id: nextId(), change: { kind, node } });
}

const weights = chances.reduce((sum, [weight]) => sum + weight, 0);

function act(group: TestGroup, seen: Witnessed): void {
  let left = group.random() * weights;
  for (const [weight, run] of chances) {
    left -= weight;
    if (left < 0) {
      run(group, seen);
      return;
    }
  }
}

function runSeed(seed: number, names: readonly string[], steps: number): Witnessed {
  const seen: Witnessed = {
    leaders: new Map(),
    committed: new Map(),
    acknowledged: [],
    reads: new Map(),
    readsAnswered: 0,
    recovered: 0,
  };
  const options = {
    heartbeatTicks: 1,
    electionTicksMin: 6,
    electionTicksMax: 12,
    inflightAppendsMax: 4,
    promotionLagEntriesMax: 5,
    stateTransferTicksMax: 20,
  };
  const group = createGroup({ names, options, seed, observe: (...told) => observe(seen, ...told) });
  for (let done = 0; done < steps; done++) {
    act(group, seen);
    if (done % 50 === 0) checkLogMatching(group);
  }
  heal(group);
  for (const replica of group.replicas.values()) if (!replica.isUp) restart(group, replica);
  const before = highestCommitted(seen);
  for (let round = 0; round < 12; round++) {
    tick(group, 20);
    fetchWhereNeeded(group);
    for (const { id } of group.replicas.values()) proposeText(group, id, 'after healing');
  }
  checkLogMatching(group);
  assert(highestCommitted(seen) > before, 'a healed group makes progress');
  for (const { index, term } of seen.acknowledged)
    assert(seen.committed.get(index)?.term === term, 'what was acknowledged is kept');
  return seen;
}

describe('Raft cores under faults', () => {
  it.each([
    { names: ['n1', 'n2', 'n3'], seeds: 30, steps: 3000 },
    { names: ['n1', 'n2', 'n3', 'n4', 'n5'], seeds: 15, steps: 4000 },
    { names: ['n1', 'n2', 'w1:witness'], seeds: 10, steps: 3000 },
  ])('$names keep election safety, log matching, leader completeness and state machine safety', (row) => {
    let committed = 0;
    let leaders = 0;
    let reads = 0;
    for (let seed = 1; seed <= row.seeds; seed++) {
      const seen = runSeed(seed, row.names, row.steps);
      committed += seen.committed.size;
      leaders += seen.leaders.size;
      reads += seen.readsAnswered;
    }
    // Nothing was proved if nothing happened.
    expect(committed).toBeGreaterThan(row.seeds * 8);
    expect(leaders).toBeGreaterThan(row.seeds * 2);
    expect(reads).toBeGreaterThan(row.seeds);
  });
});
