/** A leader that removes itself, and is needed until that is committed (thesis §4.2.2, Figure 4.6). */

import { describe, expect, it } from 'vitest';
import type { Entry, Membership } from './entry.ts';
import { asIndex, asTerm } from './entry.ts';
import type { TestGroup } from './test-group.ts';
import {
  crash,
  createGroup,
  cut,
  flushDisk,
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
  restart,
  settle,
  tick,
} from './test-group.ts';

const patience = 120;
const n1 = nodeId('n1');

/** n1 logs that it goes; nobody else hears of it. */
function removeUnheard(group: TestGroup): void {
  const leader = replicaOf(group, 'n1');
  const change = { kind: 'remove', node: n1 } as const;
  give(group, leader, { kind: 'change_membership', id: nextId(), change });
  group.network = [];
  flushDisk(group, leader);
}

function removedUnheard(...names: readonly string[]): TestGroup {
  const group = groupLedBy(names);
  removeUnheard(group);
  crash(replicaOf(group, 'n1'));
  return group;
}

function membersSeenBy(group: TestGroup, name: string): string[] | undefined {
  const { memberships } = replicaOf(group, name).raft;
  return memberships.at(-1)?.membership.members.map(({ id }) => id);
}

/** Everyone who led from here on, in order. */
function leadersDuring(group: TestGroup, ticks: number): string[] {
  const leaders: string[] = [];
  for (let passed = 0; passed < ticks; passed++) {
    tick(group);
    const leader = leaderOf(group)?.id;
    if (leader !== undefined && leader !== leaders.at(-1)) leaders.push(leader);
  }
  return leaders;
}

describe('a leader that removed itself and stopped before anybody heard of it (thesis §4.2.2)', () => {
  it('of two stands again, or the other one, whose log is shorter, would wait for ever (Figure 4.6)', () => {
    const group = removedUnheard('n1', 'n2');
    expect(leadersDuring(group, patience)).toEqual([]);
    restart(group, replicaOf(group, 'n1'));
    tick(group, patience);
    expect(leaderOf(group)?.id).toBe('n2');
    expect(membersSeenBy(group, 'n2')).toEqual(['n2']);
    expect(replicaOf(group, 'n1').raft.role.kind).toBe('follower');
  });

  it('of four stands again while one of the others is away', () => {
    const group = removedUnheard('n1', 'n2', 'n3', 'n4');
    crash(replicaOf(group, 'n4'));
    restart(group, replicaOf(group, 'n1'));
    tick(group, patience);
    const leader = leaderOf(group)?.id ?? '';
    expect(['n2', 'n3']).toContain(leader);
    expect(membersSeenBy(group, leader)).toEqual(['n2', 'n3', 'n4']);
    proposeText(group, leader, 'x');
    tick(group, 3);
    expect(replicaOf(group, 'n2').applied).toEqual(replicaOf(group, 'n3').applied);
  });

  it('does not count its own vote', () => {
    const group = removedUnheard('n1', 'n2', 'n3');
    crash(replicaOf(group, 'n3'));
    restart(group, replicaOf(group, 'n1'));
    expect(leadersDuring(group, 2 * patience)).toEqual([]);
    expect(replicaOf(group, 'n1').raft.term).toBe(1);
    restart(group, replicaOf(group, 'n3'));
    tick(group, patience);
    expect(leaderOf(group)).toBeDefined();
  });

  it('stays as it was where the others elect one of them without it', () => {
    const group = removedUnheard('n1', 'n2', 'n3');
    tick(group, patience);
    const term = leaderOf(group)?.raft.term;
    restart(group, replicaOf(group, 'n1'));
    tick(group, patience);
    expect(membersSeenBy(group, 'n1')).toEqual(['n1', 'n2', 'n3']);
    expect(logOf(replicaOf(group, 'n1'))).toBe(logOf(replicaOf(group, 'n2')));
    expect(leaderOf(group)?.raft.term).toBe(term);
  });

  it('stands by itself where leaders are appointed, if it was appointed last', () => {
    const group = createGroup({ names: ['n1', 'n2'], options: { leaderChoice: 'appointed' } });
    give(group, replicaOf(group, 'n1'), { kind: 'promote', id: nextId() });
    settle(group);
    removeUnheard(group);
    crash(replicaOf(group, 'n1'));
    restart(group, replicaOf(group, 'n1'));
    tick(group, patience);
    expect(membersSeenBy(group, 'n2')).toEqual(['n2']);
    expect(replicaOf(group, 'n2').raft.memberships.at(-1)?.index).toBeLessThanOrEqual(
      replicaOf(group, 'n2').raft.commit,
    );
  });
});

describe('a leader outside of its own membership', () => {
  it('counts for nothing: not for commits, not for reads, not for whether it is in touch', () => {
    const group = groupLedBy(['n1', 'n2', 'n3', 'n4']);
    for (const other of ['n3', 'n4']) cut(group, 'n1', other);
    const change = { kind: 'remove', node: n1 } as const;
    const leader = replicaOf(group, 'n1');
    give(group, leader, { kind: 'change_membership', id: nextId(), change });
    const read = nextId();
    give(group, leader, { kind: 'read', id: read });
    settle(group);
    expect([leader.raft.role.kind, leader.raft.commit]).toEqual(['leader', 1]);
    expect(noticesOf(leader, 'read_ready')).toEqual([]);
    tick(group, group.options.electionTicksMin + 1);
    expect(leader.raft.role.kind).toBe('follower');
    expect(noticesOf(leader, 'read_refused')).toEqual([
      { kind: 'read_refused', id: read, reason: 'leadership_lost' },
    ]);
  });

  it('stands again when it lost a majority for a while, and goes for good once that is committed', () => {
    const group = groupLedBy(['n1', 'n2']);
    removeUnheard(group);
    cut(group, 'n1', 'n2');
    tick(group, group.options.electionTicksMin + 1);
    expect(replicaOf(group, 'n1').raft.role.kind).toBe('follower');
    heal(group);
    expect(leadersDuring(group, patience)).toEqual(['n2']);
    crash(replicaOf(group, 'n2'));
    const promotion = nextId();
    give(group, replicaOf(group, 'n1'), { kind: 'promote', id: promotion });
    expect(noticesOf(replicaOf(group, 'n1'), 'promotion_ended')).toEqual([
      { kind: 'promotion_ended', id: promotion, outcome: 'no_voter' },
    ]);
  });

  it('changes nothing more about who is in the group', () => {
    const group = groupLedBy(['n1', 'n2', 'n3', 'n4']);
    removeUnheard(group);
    const id = nextId();
    const change = { kind: 'remove', node: nodeId('n4') } as const;
    give(group, replicaOf(group, 'n1'), { kind: 'change_membership', id, change });
    expect(noticesOf(replicaOf(group, 'n1'), 'membership_change_ended')).toEqual([
      { kind: 'membership_change_ended', id, outcome: 'change_in_progress' },
    ]);
  });
});

describe('whoever finds in its log that it is no member', () => {
  interface Found {
    readonly why: string;
    readonly before?: string;
    readonly lineageBefore?: number;
    /** Who led when it was removed. */
    readonly leader?: string;
    /** What it heard of. */
    readonly lineage?: number;
    readonly applied?: number;
    readonly stands: boolean;
  }

  function entry(index: number, body: Entry['body']): Entry {
    return { index: asIndex(index), term: asTerm(7), body };
  }

  function outcomeOfPromotion(found: Found): string | undefined {
    const { before = 'n1', lineageBefore = 5, leader = 'n1', lineage = 5, applied = 1 } = found;
    const old: Membership = { members: members(before, 'n2', 'n3'), lineage: asTerm(lineageBefore) };
    const group = createGroup({ names: [] });
    const replica = join(group, n1, {
      hardState: { term: asTerm(7), vote: undefined, lineage: asTerm(lineage) },
      start: { index: asIndex(0), term: asTerm(0), membership: old, epochs: [] },
      entries: [
        entry(1, { kind: 'epoch', leader: nodeId(leader) }),
        entry(2, {
          kind: 'membership',
          membership: { members: members('n2', 'n3'), lineage: asTerm(5) },
        }),
      ],
      applied: asIndex(applied),
    });
    group.now = 2 * group.options.electionTicksMin;
    give(group, replica, { kind: 'tick', now: group.now, random: 0 });
    give(group, replica, { kind: 'promote', id: nextId() });
    return noticesOf(replica, 'promotion_ended')[0]?.outcome ?? replica.raft.role.kind;
  }

  it.each<Found>([
    { why: 'removed itself, as a voter', stands: true },
    { why: 'removed itself, and knows that it is committed', applied: 2, stands: false },
    { why: 'was removed by another leader, and is being taken in again', leader: 'n2', stands: false },
    { why: 'was a learner', before: 'n1:learner', stands: false },
    { why: 'was a witness', before: 'n1:witness', stands: false },
    { why: 'was left behind by a forced membership', lineageBefore: 0, stands: false },
    { why: 'was fenced out since', lineage: 6, stands: false },
  ])('$why: stands $stands', (found) => {
    expect(outcomeOfPromotion(found)).toBe(found.stands ? 'pre_candidate' : 'no_voter');
  });
});
