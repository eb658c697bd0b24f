/** Linearizable reads (thesis §6.4). */

import { describe, expect, it } from 'vitest';
import { asTerm } from './entry.ts';
import type { TestGroup } from './test-group.ts';
import {
  createGroup,
  cut,
  flushDisk,
  fromPeer,
  give,
  groupLedBy,
  heal,
  nextId,
  noticesOf,
  proposeText,
  replicaOf,
  settle,
  tick,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];
const lease = { leaseTicks: 8 };

function read(group: TestGroup, name: string): number {
  const id = nextId();
  give(group, replicaOf(group, name), { kind: 'read', id });
  return id;
}

/** `2 by quorum`, or why not. */
function answerTo(group: TestGroup, name: string, id: number): string | undefined {
  const replica = replicaOf(group, name);
  const ready = noticesOf(replica, 'read_ready').find((notice) => notice.id === id);
  const refused = noticesOf(replica, 'read_refused').find((notice) => notice.id === id);
  return ready === undefined ? refused?.reason : `${ready.index} by ${ready.by}`;
}

describe('ReadIndex', () => {
  it('a leader answers once a majority has confirmed that it leads', () => {
    const group = groupLedBy(three);
    const id = read(group, 'n1');
    expect(answerTo(group, 'n1', id)).toBeUndefined();
    settle(group);
    expect(answerTo(group, 'n1', id)).toBe('1 by quorum');
  });

  it('reads that come while a round is on its way share the next one', () => {
    const group = groupLedBy(three);
    const ids = [read(group, 'n1'), read(group, 'n1'), read(group, 'n1')];
    const rounds = () => group.network.filter(({ message }) => message.kind === 'heartbeat_request').length;
    expect(rounds()).toBe(2);
    settle(group);
    expect(ids.map((id) => answerTo(group, 'n1', id))).toEqual(ids.map(() => '1 by quorum'));
    const { role } = replicaOf(group, 'n1').raft;
    const before = role.kind === 'leader' ? role.reads.round : 0;
    expect(before - 2).toBe(Math.floor(group.now / 2) - 6);
  });

  it('a leader that was replaced without knowing answers nothing', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    const id = read(group, 'n1');
    settle(group);
    expect(answerTo(group, 'n1', id)).toBeUndefined();
    tick(group, 60);
    expect(answerTo(group, 'n1', id)).toBe('leadership_lost');
  });

  it('a new leader answers once it has committed an entry of its own term', () => {
    const group = groupLedBy(three);
    proposeText(group, 'n1', 'x');
    settle(group);
    fromPeer(group, 'n1', 'n2', { kind: 'timeout_now', term: asTerm(1), lineage: asTerm(0) });
    const n2 = replicaOf(group, 'n2');
    flushDisk(group, n2);
    fromPeer(group, 'n3', 'n2', {
      kind: 'vote_response',
      granted: true,
      term: asTerm(2),
      lineage: asTerm(0),
    });
    expect(n2.raft.role.kind).toBe('leader');
    const id = read(group, 'n2');
    expect(answerTo(group, 'n2', id)).toBeUndefined();
    settle(group);
    expect(answerTo(group, 'n2', id)).toBe('3 by quorum');
  });

  it('a leader alone is its own majority', () => {
    const group = groupLedBy(['n1']);
    expect(answerTo(group, 'n1', read(group, 'n1'))).toBe('1 by quorum');
  });

  it('a follower asks its leader, once for all reads that wait', () => {
    const group = groupLedBy(three);
    const first = read(group, 'n2');
    const later = [read(group, 'n2'), read(group, 'n2')];
    const questions = () => group.network.filter(({ message }) => message.kind === 'read_index_request');
    expect(questions()).toHaveLength(1);
    settle(group);
    for (const id of [first, ...later]) expect(answerTo(group, 'n2', id)).toBe('1 by quorum');
  });

  it('a follower asks again when question or answer is lost', () => {
    const group = groupLedBy(three);
    const id = read(group, 'n2');
    group.network = [];
    tick(group, 5);
    expect(answerTo(group, 'n2', id)).toBe('1 by quorum');
  });

  it('an answer from before a restart does not pass for one to a new question', () => {
    const group = groupLedBy(three);
    const question = () => {
      read(group, 'n2');
      const sent = group.network.find(({ message }) => message.kind === 'read_index_request');
      group.network = [];
      return sent?.message.kind === 'read_index_request' ? sent.message.request : undefined;
    };
    const before = question();
    const [n2] = [replicaOf(group, 'n2')];
    const restarted = createGroup({ names: three, seed: 7 });
    restarted.now = group.now;
    n2.raft = replicaOf(restarted, 'n2').raft;
    tick(group, 3);
    expect(question()).not.toBe(before);
  });

  it('a follower refuses when it knows no leader, or waits in vain', () => {
    const group = groupLedBy(three, { readTicksMax: 8 });
    cut(group, 'n2', 'n1');
    const id = read(group, 'n2');
    tick(group, 9);
    expect(answerTo(group, 'n2', id)).toBe('timed_out');
    tick(group, 60);
    heal(group);
    const alone = createGroup({ names: three });
    expect(answerTo(alone, 'n1', read(alone, 'n1'))).toBe('no_leader');
  });
});

describe('leases', () => {
  it('spare the round while the majority has promised to elect nobody else', () => {
    const group = groupLedBy(three, lease);
    tick(group, 4);
    expect(answerTo(group, 'n1', read(group, 'n1'))).toBe('1 by lease');
    const id = read(group, 'n2');
    settle(group);
    expect(answerTo(group, 'n2', id)).toBe('1 by lease');
  });

  it('last as long as they say after the round that gave them', () => {
    const group = groupLedBy(three, lease);
    tick(group, 4);
    const { role } = replicaOf(group, 'n1').raft;
    const until = role.kind === 'leader' ? role.reads.leaseUntil : 0;
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    tick(group, until - group.now - 1);
    expect(answerTo(group, 'n1', read(group, 'n1'))).toBe('1 by lease');
    tick(group);
    expect(answerTo(group, 'n1', read(group, 'n1'))).toBeUndefined();
  });

  it('end before anybody else can be elected', () => {
    const group = groupLedBy(three, lease);
    tick(group, 4);
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    for (const { raft } of group.replicas.values()) raft.electionTicks = group.options.electionTicksMin;
    for (let ticks = 0; ticks < 60; ticks++) {
      const answer = answerTo(group, 'n1', read(group, 'n1'));
      const isElected = ['n2', 'n3'].some((name) => replicaOf(group, name).raft.role.kind === 'leader');
      expect(isElected && answer?.endsWith('lease')).toBe(false);
      tick(group);
    }
    expect(replicaOf(group, 'n2').raft.term).toBeGreaterThan(1);
  });

  it('are over for good once the leader has told somebody to stand', () => {
    const group = groupLedBy(three, lease);
    tick(group, 4);
    give(group, replicaOf(group, 'n1'), { kind: 'transfer', id: nextId(), to: undefined });
    group.network = [];
    for (const replica of group.replicas.values()) replica.queue = [];
    tick(group, group.options.electionTicksMax);
    const id = read(group, 'n1');
    expect(answerTo(group, 'n1', id)).toBeUndefined();
    settle(group);
    expect(answerTo(group, 'n1', id)).toBe('1 by quorum');
  });

  it('are not given where an operator may appoint somebody else at any moment', () => {
    const group = createGroup({ names: three, options: { ...lease, leaderChoice: 'appointed' } });
    give(group, replicaOf(group, 'n1'), { kind: 'promote', id: nextId() });
    tick(group, 10);
    const id = read(group, 'n1');
    settle(group);
    expect(answerTo(group, 'n1', id)).toBe('1 by quorum');
  });
});
