/** Who belongs to the group (thesis §4), and what a forced membership does to those it leaves behind. */

import { describe, expect, it } from 'vitest';
import { asIndex, asTerm } from './entry.ts';
import { membershipOf } from './log-changes.ts';
import type { MembershipChange } from './membership.ts';
import { changed } from './membership.ts';
import type { TestGroup } from './test-group.ts';
import {
  crash,
  createGroup,
  cut,
  dataEntry,
  fetchState,
  flushDisk,
  fromPeer,
  give,
  groupLedBy,
  heal,
  join,
  leaderOf,
  logOf,
  members,
  nextId,
  nodeId,
  noticesOf,
  proposeText,
  replicaOf,
  settle,
  tick,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];

function change(kind: Exclude<MembershipChange['kind'], 'move'>, node: string): MembershipChange {
  return { kind, node: nodeId(node) };
}

function ask(group: TestGroup, name: string, wanted: MembershipChange): number {
  const id = nextId();
  give(group, replicaOf(group, name), { kind: 'change_membership', id, change: wanted });
  return id;
}

function outcomeOf(group: TestGroup, name: string, id: number): string | undefined {
  return noticesOf(replicaOf(group, name), 'membership_change_ended').find((notice) => notice.id === id)
    ?.outcome;
}

function membersSeenBy(group: TestGroup, name: string): string[] {
  const membership = membershipOf(replicaOf(group, name).raft);
  return (membership?.members ?? []).map(({ id, kind }) => (kind === 'voter' ? id : `${id}:${kind}`));
}

describe('changes of a membership', () => {
  const membership = { members: members('n1', 'l1:learner', 'w1:witness'), lineage: asTerm(0) };

  it.each([
    [change('add_learner', 'n2'), ['n1', 'l1:learner', 'w1:witness', 'n2:learner']],
    [change('add_witness', 'w2'), ['n1', 'l1:learner', 'w1:witness', 'w2:witness']],
    [change('promote_learner', 'l1'), ['n1', 'l1', 'w1:witness']],
    [change('remove', 'w1'), ['n1', 'l1:learner']],
  ])('%o', (wanted, expected) => {
    const result = changed(membership, wanted);
    expect(result).toEqual({
      kind: 'changed',
      membership: { members: members(...expected), lineage: 0 },
    });
  });

  it.each([
    [change('add_learner', 'n1'), 'already_so'],
    [change('promote_learner', 'n1'), 'already_so'],
    [change('promote_learner', 'n9'), 'no_such_member'],
    [change('remove', 'n9'), 'no_such_member'],
    [change('remove', 'n1'), 'last_voter'],
  ])('%o changes nothing: %s', (wanted, kind) => {
    expect(changed(membership, wanted)).toEqual({ kind });
  });
});

describe('membership changes by one (thesis §4.1)', () => {
  it('a node joins as a learner, catches up, and becomes a voter, while writes go on', () => {
    const group = groupLedBy(three);
    join(group, nodeId('n4'));
    const added = ask(group, 'n1', change('add_learner', 'n4'));
    proposeText(group, 'n1', 'x');
    tick(group, 5);
    const promoted = ask(group, 'n1', change('promote_learner', 'n4'));
    proposeText(group, 'n1', 'y');
    tick(group, 5);
    expect([outcomeOf(group, 'n1', added), outcomeOf(group, 'n1', promoted)]).toEqual([
      'committed',
      'committed',
    ]);
    expect(membersSeenBy(group, 'n4')).toEqual(['n1', 'n2', 'n3', 'n4']);
    expect(logOf(replicaOf(group, 'n4'))).toBe(logOf(replicaOf(group, 'n1')));
  });

  it('a new membership counts as soon as it is in the log', () => {
    const group = groupLedBy(['n1']);
    join(group, nodeId('n2'));
    ask(group, 'n1', change('add_learner', 'n2'));
    tick(group, 5);
    cut(group, 'n1', 'n2');
    ask(group, 'n1', change('promote_learner', 'n2'));
    settle(group);
    const { commit } = replicaOf(group, 'n1').raft;
    expect(commit).toBe(2);
  });

  it('one change at a time', () => {
    const group = groupLedBy(three);
    const first = ask(group, 'n1', change('add_learner', 'n4'));
    const second = ask(group, 'n1', change('add_learner', 'n5'));
    expect([outcomeOf(group, 'n1', first), outcomeOf(group, 'n1', second)]).toEqual([
      undefined,
      'change_in_progress',
    ]);
  });

  it('not before the leader has committed an entry of its term (erratum to thesis §4.1)', () => {
    const group = createGroup({ names: three });
    const lineage = asTerm(0);
    fromPeer(group, 'n2', 'n1', { kind: 'timeout_now', term: asTerm(0), lineage });
    flushDisk(group, replicaOf(group, 'n1'));
    fromPeer(group, 'n2', 'n1', { kind: 'vote_response', granted: true, term: asTerm(1), lineage });
    expect(replicaOf(group, 'n1').raft.role.kind).toBe('leader');
    expect(outcomeOf(group, 'n1', ask(group, 'n1', change('add_learner', 'n4')))).toBe('not_ready');
    settle(group);
    const later = ask(group, 'n1', change('add_learner', 'n4'));
    settle(group);
    expect(outcomeOf(group, 'n1', later)).toBe('committed');
  });

  it('a learner that lags too far behind does not become a voter', () => {
    const group = groupLedBy(three, { promotionLagEntriesMax: 3 });
    ask(group, 'n1', change('add_learner', 'n4'));
    for (const text of ['a', 'b', 'c', 'd']) proposeText(group, 'n1', text);
    settle(group);
    expect(outcomeOf(group, 'n1', ask(group, 'n1', change('promote_learner', 'n4')))).toBe('lagging');
  });

  it('a membership that is truncated was never in force', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    const id = ask(group, 'n1', change('remove', 'n3'));
    expect(membersSeenBy(group, 'n1')).toEqual(['n1', 'n2']);
    tick(group, 100);
    heal(group);
    for (const { raft } of group.replicas.values()) raft.electionTicks = 20;
    tick(group, 100);
    expect(outcomeOf(group, 'n1', id)).toBe('unknown');
    expect(membersSeenBy(group, 'n1')).toEqual(three);
  });

  it('a leader that removes itself leads until that is committed, and does not count itself (thesis §4.2.2)', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    const id = ask(group, 'n1', change('remove', 'n1'));
    settle(group);
    expect([replicaOf(group, 'n1').raft.role.kind, replicaOf(group, 'n1').raft.commit]).toEqual([
      'leader',
      1,
    ]);
    heal(group);
    tick(group, 20);
    expect(outcomeOf(group, 'n1', id)).toBe('committed');
    expect(replicaOf(group, 'n1').raft.role.kind).toBe('follower');
    for (const { raft } of group.replicas.values()) raft.electionTicks = 15;
    tick(group, 100);
    expect(leaderOf(group)?.id).not.toBe('n1');
    expect(leaderOf(group)?.raft.term).toBeGreaterThan(1);
  });

  it('a node that was removed cannot bring about elections (thesis §4.2.3)', () => {
    const group = groupLedBy(three);
    ask(group, 'n1', change('remove', 'n3'));
    settle(group);
    replicaOf(group, 'n3').raft.electionTicks = 12;
    tick(group, 200);
    expect(leaderOf(group)?.raft.term).toBe(1);
  });

  it('a node with a wiped disk is another replica: its votes count for nothing', () => {
    const group = groupLedBy(three);
    crash(replicaOf(group, 'n2'));
    crash(replicaOf(group, 'n3'));
    const wiped = join(group, nodeId('n3~2'));
    const last = { index: asIndex(9), term: asTerm(9) };
    const base = { term: asTerm(9), lineage: asTerm(0), last } as const;
    fromPeer(group, 'n2', 'n3~2', { kind: 'vote_request', ...base, reason: 'transfer' });
    flushDisk(group, wiped);
    expect(group.network.map(({ message }) => message)).toMatchObject([{ granted: false }]);
  });
});

describe('witnesses and state transfer', () => {
  it('a witness votes and keeps positions, but gets no documents', () => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness']);
    cut(group, 'n1', 'n2');
    proposeText(group, 'n1', 'x');
    settle(group);
    const w1 = replicaOf(group, 'w1');
    expect(replicaOf(group, 'n1').raft.commit).toBe(2);
    expect(w1.raft.log.entries.map(({ body }) => body.kind)).toEqual(['epoch', 'withheld']);
  });

  it('a witness keeps a replica that lacks what it has seen from leading', () => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness']);
    cut(group, 'n1', 'n2');
    proposeText(group, 'n1', 'x');
    settle(group);
    crash(replicaOf(group, 'n1'));
    replicaOf(group, 'n2').raft.electionTicks = 12;
    tick(group, 200);
    expect(leaderOf(group)).toBeUndefined();
  });

  function groupWithTruncatedLog(extra: string): TestGroup {
    const group = groupLedBy(['n1', 'n2', extra]);
    const name = extra.split(':')[0] as string;
    cut(group, 'n1', name);
    for (const text of ['a', 'b', 'c']) proposeText(group, 'n1', text);
    tick(group, 3);
    for (const leader of ['n1', 'n2'])
      give(group, replicaOf(group, leader), { kind: 'truncate_prefix', through: asIndex(3) });
    settle(group);
    heal(group);
    tick(group, 20);
    return group;
  }

  it('a follower too far behind fetches the state, then gets the entries after it', () => {
    const group = groupWithTruncatedLog('n3');
    const n3 = replicaOf(group, 'n3');
    expect(noticesOf(n3, 'state_needed')).toEqual([
      { kind: 'state_needed', from: 'n1', atLeast: 4, scope: 'changes' },
    ]);
    fetchState(group, n3, replicaOf(group, 'n1'));
    proposeText(group, 'n1', 'd');
    tick(group, 3);
    expect(logOf(n3)).toBe('[4:1] 5:1');
    expect(n3.applied).toEqual(replicaOf(group, 'n1').applied);
    expect(n3.raft.epochs).toEqual(replicaOf(group, 'n1').raft.epochs);
  });

  it('a state is offered again when nothing came of it', () => {
    const group = groupWithTruncatedLog('n3');
    tick(group, 2 * group.options.stateTransferTicksMax);
    expect(noticesOf(replicaOf(group, 'n3'), 'state_needed').length).toBeGreaterThan(1);
  });

  it('a witness too far behind needs nothing but the position', () => {
    const group = groupWithTruncatedLog('w1:witness');
    expect(noticesOf(replicaOf(group, 'w1'), 'state_needed')).toEqual([]);
    expect(logOf(replicaOf(group, 'w1'))).toBe('[4:1]');
  });

  it('a state that replaces a log hands over the entries that were not committed', () => {
    const group = groupLedBy(three);
    const n3 = replicaOf(group, 'n3');
    fromPeer(group, 'n1', 'n3', {
      kind: 'append_request',
      term: asTerm(1),
      lineage: asTerm(0),
      previous: { index: asIndex(1), term: asTerm(1) },
      entries: [dataEntry(2, 1)],
      commit: asIndex(1),
    });
    const point = { index: asIndex(5), term: asTerm(2), membership: membershipOf(n3.raft), epochs: [] };
    give(group, n3, { kind: 'state_installed', point });
    expect(noticesOf(n3, 'recovered').flatMap(({ entries }) => entries.map(({ index }) => index))).toEqual([
      2,
    ]);
    expect(logOf(n3)).toBe('[5:2]');
  });
});

describe('a forced membership', () => {
  const forcedTerm = asTerm(1_000_000);

  /** n1 went on alone; n2 and n3 had committed more, and come back. */
  function splitGroup(): TestGroup {
    const group = groupLedBy(three);
    proposeText(group, 'n1', 'shared');
    tick(group, 3);
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    for (const { raft } of group.replicas.values()) raft.electionTicks = 15;
    tick(group, 60);
    proposeText(group, leaderOf(group)?.id ?? '', 'lost side');
    settle(group);
    const id = nextId();
    const remaining = members('n1', 'n2:learner', 'n3:learner');
    give(group, replicaOf(group, 'n1'), { kind: 'force', id, term: forcedTerm, members: remaining });
    settle(group);
    proposeText(group, 'n1', 'after');
    settle(group);
    return group;
  }

  it('lets a replica without a majority lead', () => {
    const group = splitGroup();
    const n1 = replicaOf(group, 'n1');
    expect(n1.raft.role.kind).toBe('leader');
    expect(logOf(n1)).toBe('1:1 2:1 3:1000000 4:1000000 5:1000000');
    expect(n1.raft.commit).toBe(5);
    expect(noticesOf(n1, 'promotion_ended')).toMatchObject([{ outcome: 'elected' }]);
  });

  it('fences the other side when it returns, though it was a majority and committed', () => {
    const group = splitGroup();
    heal(group);
    tick(group, 60);
    for (const name of ['n2', 'n3']) {
      const replica = replicaOf(group, name);
      expect(replica.raft.role).toMatchObject({ kind: 'follower', leader: 'n1' });
      expect(noticesOf(replica, 'fenced_out')).toEqual([{ kind: 'fenced_out', lineage: forcedTerm }]);
      expect(noticesOf(replica, 'state_needed')).toMatchObject([{ from: 'n1', scope: 'whole' }]);
    }
    expect(leaderOf(group)?.id).toBe('n1');
  });

  it('the other side cannot elect anybody any more, not even alone among themselves', () => {
    const group = splitGroup();
    heal(group);
    tick(group, 60);
    crash(replicaOf(group, 'n1'));
    tick(group, 300);
    expect(leaderOf(group)).toBeUndefined();
    expect(replicaOf(group, 'n2').raft.term).toBe(forcedTerm);
  });

  it('a replica that is fenced out does not even ask whether it should stand', () => {
    const group = splitGroup();
    heal(group);
    tick(group, 60);
    crash(replicaOf(group, 'n1'));
    group.network = [];
    replicaOf(group, 'n2').raft.electionTicks = 12;
    group.now += 100;
    give(group, replicaOf(group, 'n2'), { kind: 'tick', now: group.now, random: 0 });
    expect(new Set(group.network.map(({ message }) => message.kind))).toEqual(
      new Set(['read_index_request']),
    );
  });

  it('has the last word whatever term the other side has reached', () => {
    const group = splitGroup();
    const late = { term: asTerm(forcedTerm + 1), lineage: asTerm(0) };
    const last = { index: asIndex(9), term: asTerm(forcedTerm) };
    heal(group);
    fromPeer(group, 'n2', 'n1', { kind: 'fenced', ...late });
    fromPeer(group, 'n2', 'n1', { kind: 'vote_request', ...late, last, reason: 'transfer' });
    expect(leaderOf(group)?.id).toBe('n1');
    expect(group.network.at(-1)).toMatchObject({
      to: 'n2',
      message: { kind: 'fenced', lineage: forcedTerm },
    });
  });

  it('what only the other side holds is handed over when it takes the state of the forced one', () => {
    const group = splitGroup();
    heal(group);
    tick(group, 60);
    const n2 = replicaOf(group, 'n2');
    fetchState(group, n2, replicaOf(group, 'n1'));
    tick(group, 10);
    const text = noticesOf(n2, 'recovered').flatMap(({ entries }) =>
      entries.map(({ body }) => (body.kind === 'data' ? new TextDecoder().decode(body.data) : body.kind)),
    );
    expect(text).toEqual(['shared', 'lost side']);
    expect(n2.applied).toEqual(replicaOf(group, 'n1').applied);
    expect(membersSeenBy(group, 'n2')).toEqual(['n1', 'n2:learner', 'n3:learner']);
  });

  it.each([
    { term: 1, names: ['n1'], outcome: 'not_elected', why: 'a term that is not ahead' },
    { term: 99, names: ['n2'], outcome: 'no_voter', why: 'members without the replica itself' },
  ])('is refused for $why', ({ term, names, outcome }) => {
    const group = groupLedBy(three);
    const id = nextId();
    give(group, replicaOf(group, 'n1'), {
      kind: 'force',
      id,
      term: asTerm(term),
      members: members(...names),
    });
    expect(noticesOf(replicaOf(group, 'n1'), 'promotion_ended')).toEqual([
      { kind: 'promotion_ended', id, outcome },
    ]);
    expect(leaderOf(group)?.id).toBe('n1');
  });
});
