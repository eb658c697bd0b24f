/** PreVote, CheckQuorum, transfer and appointment. */

import { describe, expect, it } from 'vitest';
import type { Entry, Membership } from './entry.ts';
import { asIndex, asTerm } from './entry.ts';
import type { AppendRequest } from './messages.ts';
import {
  crash,
  createGroup,
  cut,
  fromPeer,
  give,
  groupLedBy,
  groupWith,
  heal,
  leaderOf,
  logOf,
  members,
  nextId,
  nodeId,
  noticesOf,
  proposeText,
  replicaOf,
  restart,
  settle,
  tick,
  timeOut,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];
const lineage = asTerm(0);
const patience = 60;

describe('PreVote (thesis §9.6)', () => {
  it('a replica that is cut off does not raise its term, and disturbs nobody when it comes back', () => {
    const group = groupLedBy(three);
    cut(group, 'n3', 'n1');
    cut(group, 'n3', 'n2');
    replicaOf(group, 'n3').raft.electionTicks = 12;
    tick(group, 10 * patience);
    expect(replicaOf(group, 'n3').raft.term).toBe(1);
    heal(group);
    tick(group, patience);
    expect(leaderOf(group)?.id).toBe('n1');
    expect([...group.replicas.values()].map(({ raft }) => raft.term)).toEqual([1, 1, 1]);
  });

  it('whoever hears a leader grants nothing, not even to a longer log', () => {
    const group = groupLedBy(three);
    const last = { index: asIndex(9), term: asTerm(1) };
    for (const kind of ['pre_vote_request', 'vote_request'] as const)
      fromPeer(group, 'n3', 'n2', { kind, term: asTerm(5), lineage, last, reason: 'timeout' });
    expect(group.network.map(({ message }) => message)).toMatchObject([
      { kind: 'pre_vote_response', granted: false },
    ]);
    expect(replicaOf(group, 'n2').raft.term).toBe(1);
  });

  it('a replica that has just started withholds its votes: it may have heard a leader right before', () => {
    const group = groupLedBy(three);
    const n2 = replicaOf(group, 'n2');
    crash(n2);
    restart(group, n2);
    const last = { index: asIndex(9), term: asTerm(1) };
    fromPeer(group, 'n3', 'n2', { kind: 'vote_request', term: asTerm(5), lineage, last, reason: 'timeout' });
    expect([n2.raft.term, n2.raft.vote]).toEqual([1, 'n1']);
  });

  it("a pre-vote counts though whoever gives it is in a lower term: asking for one has raised nobody's", () => {
    const group = groupWith({ n1: [1], n2: [1], n3: [1, 5] });
    crash(replicaOf(group, 'n1'));
    timeOut(group, 'n3');
    expect(replicaOf(group, 'n2').raft.term).toBe(6);
    expect(leaderOf(group)?.id).toBe('n3');
  });

  it('a pre-vote that was given for another term than the one to stand in does not count', () => {
    const group = groupWith({ n1: [1], n2: [1], n3: [1, 5] });
    for (const name of ['n1', 'n2']) cut(group, name, 'n3');
    timeOut(group, 'n3');
    const answer = { kind: 'pre_vote_response', term: asTerm(1), lineage, granted: true } as const;
    heal(group);
    fromPeer(group, 'n2', 'n3', { ...answer, standingFor: asTerm(5) });
    expect(replicaOf(group, 'n3').raft).toMatchObject({ term: 5, role: { kind: 'pre_candidate' } });
    fromPeer(group, 'n2', 'n3', { ...answer, standingFor: asTerm(6) });
    expect(replicaOf(group, 'n3').raft).toMatchObject({ term: 6, role: { kind: 'candidate' } });
  });

  it('a replica with a higher term than its leader brings about a new election instead of being stuck', () => {
    const group = groupLedBy(three);
    fromPeer(group, 'n2', 'n3', { kind: 'timeout_now', term: asTerm(1), lineage });
    crash(replicaOf(group, 'n3'));
    restart(group, replicaOf(group, 'n3'));
    fromPeer(group, 'n2', 'n3', { kind: 'timeout_now', term: asTerm(1), lineage });
    group.network = [];
    settle(group);
    tick(group, 3 * patience);
    expect(leaderOf(group)).toBeDefined();
    expect(new Set([...group.replicas.values()].map(({ raft }) => raft.term)).size).toBe(1);
  });
});

describe('CheckQuorum (thesis §6.2)', () => {
  it('a leader that a majority does not answer steps down', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    tick(group, group.options.electionTicksMin + 1);
    expect(replicaOf(group, 'n1').raft.role).toMatchObject({ kind: 'follower', leader: undefined });
  });

  it('a leader that slept steps down with its first tick, before it answers anything', () => {
    const group = groupLedBy(three);
    const n1 = replicaOf(group, 'n1');
    give(group, n1, { kind: 'tick', now: group.now + 1000, random: 0.5 });
    expect(n1.raft.role.kind).toBe('follower');
  });

  it("ticks that a replica slept through are nobody's silence, unless others have certainly gone on", () => {
    const { electionTicksMax, electionTicksMin } = createGroup({ names: three }).options;
    const kindsAfter = (missed: number) => {
      const group = groupLedBy(three);
      const now = group.now + electionTicksMax + 1;
      return three.map((name) => {
        const replica = replicaOf(group, name);
        give(group, replica, { kind: 'tick', now, missed, random: 0.5 });
        return replica.raft.role.kind;
      });
    };
    expect(kindsAfter(electionTicksMax - 1)).toEqual(['leader', 'follower', 'follower']);
    expect(kindsAfter(electionTicksMax)).toEqual(['follower', 'pre_candidate', 'pre_candidate']);
    expect(kindsAfter(electionTicksMax - electionTicksMin)[0]).toBe('follower');
  });

  it('one follower of two is enough to go on', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n2');
    tick(group, 5 * patience);
    expect(leaderOf(group)?.id).toBe('n1');
  });
});

describe('leadership transfer (thesis §3.10)', () => {
  function transfer(group: ReturnType<typeof groupLedBy>, to?: string): number {
    const id = nextId();
    const wanted = to === undefined ? undefined : nodeId(to);
    give(group, replicaOf(group, 'n1'), { kind: 'transfer', id, to: wanted });
    return id;
  }

  it('the target leads the next term without waiting for silence', () => {
    const group = groupLedBy(three);
    const id = transfer(group, 'n3');
    settle(group);
    expect(leaderOf(group)?.id).toBe('n3');
    expect(noticesOf(replicaOf(group, 'n1'), 'transfer_ended')).toEqual([
      { kind: 'transfer_ended', id, outcome: 'done' },
    ]);
  });

  it('the target first gets the whole log; meanwhile proposals are rejected with its name', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    proposeText(group, 'n1', 'x');
    settle(group);
    transfer(group, 'n3');
    const id = proposeText(group, 'n1', 'y');
    expect(noticesOf(replicaOf(group, 'n1'), 'proposal_rejected')).toEqual([
      { kind: 'proposal_rejected', id, reason: 'transferring', leader: 'n3' },
    ]);
    heal(group);
    for (let ticks = 0; ticks < patience && leaderOf(group)?.id !== 'n3'; ticks++) tick(group);
    expect(leaderOf(group)?.id).toBe('n3');
    expect(logOf(replicaOf(group, 'n3'))).toBe('1:1 2:1 3:2');
  });

  it('without a target the follower that is furthest takes over', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n2');
    proposeText(group, 'n1', 'x');
    settle(group);
    heal(group);
    transfer(group);
    settle(group);
    expect(leaderOf(group)?.id).toBe('n3');
  });

  it('a transfer to somebody silent ends, and the leader takes proposals again', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    const id = transfer(group, 'n3');
    tick(group, group.options.electionTicksMax);
    expect(noticesOf(replicaOf(group, 'n1'), 'transfer_ended')).toEqual([
      { kind: 'transfer_ended', id, outcome: 'timed_out' },
    ]);
    proposeText(group, 'n1', 'x');
    settle(group);
    expect(leaderOf(group)?.raft.commit).toBe(2);
  });

  it.each([
    { from: 'n1', to: 'n1', outcome: 'no_such_voter' },
    { from: 'n1', to: 'n9', outcome: 'no_such_voter' },
    { from: 'n1', to: 'w1', outcome: 'no_such_voter' },
    { from: 'n2', to: 'n1', outcome: 'not_leader' },
  ])('from $from to $to ends at once: $outcome', ({ from, to, outcome }) => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness']);
    const id = nextId();
    give(group, replicaOf(group, from), { kind: 'transfer', id, to: nodeId(to) });
    expect(noticesOf(replicaOf(group, from), 'transfer_ended')).toEqual([
      { kind: 'transfer_ended', id, outcome },
    ]);
  });
});

describe('an appointed leader', () => {
  const appointed = { leaderChoice: 'appointed' } as const;

  function promoted(group: ReturnType<typeof createGroup>, name: string): string | undefined {
    const id = nextId();
    give(group, replicaOf(group, name), { kind: 'promote', id });
    tick(group, patience);
    return noticesOf(replicaOf(group, name), 'promotion_ended').find((notice) => notice.id === id)?.outcome;
  }

  it('nobody leads until somebody is promoted', () => {
    const group = createGroup({ names: three, options: appointed });
    tick(group, 10 * patience);
    expect(leaderOf(group)).toBeUndefined();
    expect(promoted(group, 'n2')).toBe('elected');
    expect(leaderOf(group)?.id).toBe('n2');
  });

  it('promoting another one fences the leader by a higher term', () => {
    const group = createGroup({ names: three, options: appointed });
    promoted(group, 'n1');
    expect(promoted(group, 'n2')).toBe('elected');
    expect(replicaOf(group, 'n1').raft.role).toMatchObject({ kind: 'follower', leader: 'n2' });
    expect(replicaOf(group, 'n1').raft.term).toBe(2);
  });

  it('when the leader is lost the others wait for an operator', () => {
    const group = createGroup({ names: three, options: appointed });
    promoted(group, 'n1');
    crash(replicaOf(group, 'n1'));
    tick(group, 10 * patience);
    expect(leaderOf(group)).toBeUndefined();
    // A leader that is silent for so long is not shown as one.
    expect(replicaOf(group, 'n2').raft.role).toMatchObject({ kind: 'follower', leader: undefined });
    expect(promoted(group, 'n3')).toBe('elected');
  });

  it('the one appointed last leads again by itself after it was away', () => {
    const group = createGroup({ names: three, options: appointed });
    promoted(group, 'n1');
    crash(replicaOf(group, 'n1'));
    tick(group, patience);
    restart(group, replicaOf(group, 'n1'));
    tick(group, patience);
    expect(leaderOf(group)?.id).toBe('n1');
  });

  it('a minority cannot promote, and its attempt raises no term', () => {
    const group = createGroup({ names: three, options: appointed });
    promoted(group, 'n1');
    cut(group, 'n2', 'n1');
    cut(group, 'n2', 'n3');
    expect(promoted(group, 'n2')).toBe('not_elected');
    expect(replicaOf(group, 'n2').raft.term).toBe(1);
  });

  it('a replica that lacks committed entries is not elected, whoever wants it', () => {
    const group = groupWith({ n1: [1, 1], n2: [1, 1], n3: [1] }, { options: appointed });
    expect(promoted(group, 'n3')).toBe('not_elected');
  });

  it('in a group with elections a promotion is for when there is no leader', () => {
    const group = groupLedBy(three);
    expect(promoted(group, 'n1')).toBe('already_leader');
    expect(promoted(group, 'n2')).toBe('leader_alive');
    const other = createGroup({ names: three });
    tick(other, other.options.electionTicksMin - 1);
    for (const { raft } of other.replicas.values()) raft.electionTicks = 1000;
    tick(other, 1);
    expect(promoted(other, 'n3')).toBe('elected');
  });

  it('a witness never leads, promoted or not', () => {
    const group = createGroup({ names: ['n1', 'n2', 'w1:witness'] });
    timeOut(group, 'w1');
    expect(leaderOf(group)).toBeUndefined();
    expect(promoted(group, 'w1')).toBe('no_voter');
  });

  it('whoever was about to stand, and learns that it is no voter, does not', () => {
    const group = createGroup({ names: [...three, 'n4:learner'], options: appointed });
    const n4 = replicaOf(group, 'n4');
    const append = (term: number, previous: number, bodies: readonly Entry['body'][]): AppendRequest => ({
      ...{ kind: 'append_request', term: asTerm(term), lineage, commit: asIndex(0) },
      previous: { index: asIndex(previous), term: asTerm(Math.min(previous, 1)) },
      entries: bodies.map((body, at) => ({ index: asIndex(previous + at + 1), term: asTerm(term), body })),
    });
    const asVoter: Membership = { members: members('n1', 'n2', 'n3', 'n4'), lineage };
    const began = (leader: string): Entry['body'] => ({ kind: 'epoch', leader: nodeId(leader) });
    fromPeer(group, 'n1', 'n4', append(1, 0, [began('n1'), { kind: 'membership', membership: asVoter }]));
    fromPeer(group, 'n3', 'n4', { kind: 'fenced', term: asTerm(2), lineage });
    give(group, n4, { kind: 'promote', id: nextId() });
    expect(n4.raft.role.kind).toBe('pre_candidate');
    // Whoever was elected meanwhile never heard that it is a voter.
    fromPeer(group, 'n2', 'n4', append(2, 1, [began('n2')]));
    const answer = { kind: 'pre_vote_response', term: asTerm(2), standingFor: asTerm(3), lineage } as const;
    for (const voter of ['n1', 'n3']) fromPeer(group, voter, 'n4', { ...answer, granted: true });
    expect([n4.raft.role.kind, n4.raft.term]).toEqual(['follower', 2]);
  });
});
