/** Whose state a replica may build upon: after a forced membership, and when it is a witness no longer. */

import { describe, expect, it } from 'vitest';
import { asIndex, asTerm, type Membership, type StatePoint } from './entry.ts';
import type { MembershipChange } from './membership.ts';
import { mayInstall } from './raft.ts';
import {
  crash,
  createGroup,
  cut,
  fetchState,
  fromPeer,
  give,
  groupLedBy,
  heal,
  leaderOf,
  members,
  nextId,
  nodeId,
  noticesOf,
  proposeText,
  type Replica,
  replicaOf,
  restart,
  settle,
  type TestGroup,
  tick,
  timeOut,
} from './test-group.ts';

const forcedTerm = asTerm(1_000_000);
const patience = 60;

function force(group: TestGroup, name: string, ...names: readonly string[]): void {
  const id = nextId();
  give(group, replicaOf(group, name), { kind: 'force', id, term: forcedTerm, members: members(...names) });
  settle(group);
}

function isolate(group: TestGroup, name: string): void {
  for (const id of group.replicas.keys()) if (id !== name) cut(group, name, id);
}

function pointOf(index: number, membership: Membership): StatePoint {
  return { index: asIndex(index), term: membership.lineage, membership, epochs: [] };
}

/** As a driver does that gets what it was last told to fetch. */
function install(group: TestGroup, replica: Replica, source: Replica): boolean {
  const { scope } = noticesOf(replica, 'state_needed').at(-1)!;
  const point = pointOf(source.raft.commit, source.raft.memberships.at(-1)!.membership);
  if (!mayInstall(replica.raft, scope, point)) return false;
  fetchState(group, replica, source);
  return true;
}

function change(group: TestGroup, kind: Exclude<MembershipChange['kind'], 'move'>, node: string): void {
  const leader = leaderOf(group)!;
  give(group, leader, { kind: 'change_membership', id: nextId(), change: { kind, node: nodeId(node) } });
  tick(group, 3);
}

describe('a state fetched across a forced membership', () => {
  const forced: Membership = { members: members('n1'), lineage: forcedTerm };
  const before: Membership = { members: members('n1', 'n2', 'n3'), lineage: asTerm(0) };

  it('is not laid as changes over what another lineage had', () => {
    const { raft } = replicaOf(groupLedBy(['n1', 'n2', 'n3']), 'n3');
    expect(mayInstall(raft, 'changes', pointOf(9, before))).toBe(true);
    // Whoever was asked has gone over to the forced membership, and this replica has not heard of it.
    expect(mayInstall(raft, 'changes', pointOf(9, forced))).toBe(false);
  });

  it('is dropped when it is asked for as what this replica no longer needs', () => {
    const group = groupLedBy(['n1', 'n2', 'n3']);
    const { raft } = replicaOf(group, 'n3');
    const stamp = { term: forcedTerm, lineage: forcedTerm };
    fromPeer(group, 'n1', 'n3', { kind: 'heartbeat_request', ...stamp, commit: asIndex(0), round: 1 });
    // Fenced out: what is here is not to be built upon.
    expect(mayInstall(raft, 'changes', pointOf(9, forced))).toBe(false);
    expect(mayInstall(raft, 'whole', pointOf(9, forced))).toBe(true);
    const previous = { index: raft.commit, term: asTerm(1) };
    const index = asIndex(raft.commit + 1);
    const entries = [{ index, term: forcedTerm, body: { kind: 'membership', membership: forced } }] as const;
    fromPeer(group, 'n1', 'n3', { kind: 'append_request', ...stamp, previous, entries, commit: index });
    // Caught up by the log: it holds entries that it has promised to keep, and an older state would drop them.
    expect(mayInstall(raft, 'whole', pointOf(1, forced))).toBe(false);
  });

  it('hands over all that is given up, also when the core that asked for it has ended since', () => {
    const group = groupLedBy(['n1', 'n2', 'n3']);
    isolate(group, 'n1');
    for (const { raft } of group.replicas.values()) raft.electionTicks = 15;
    tick(group, patience);
    proposeText(group, leaderOf(group)!.id, 'lost side');
    settle(group);
    force(group, 'n1', 'n1', 'n2:learner', 'n3:learner');
    for (const text of ['a', 'b', 'c', 'd']) proposeText(group, 'n1', text);
    settle(group);
    heal(group);
    tick(group, patience);
    const n2 = replicaOf(group, 'n2');
    // As after a failed disk: a new core knows nothing of what was asked for.
    n2.raft.stateAsked = undefined;
    fetchState(group, n2, replicaOf(group, 'n1'));
    const texts = noticesOf(n2, 'recovered').flatMap(({ entries }) =>
      entries.map(({ body }) => (body.kind === 'data' ? new TextDecoder().decode(body.data) : body.kind)),
    );
    expect(texts).toEqual(['lost side']);
  });
});

describe('a witness that is to be something else, on the disk that it has', () => {
  /** w1 kept positions of `a` and `b`, was removed, and is a learner again. */
  function formerWitness(options = {}): TestGroup {
    const group = groupLedBy(['n1', 'n2', 'w1:witness'], options);
    for (const text of ['a', 'b']) proposeText(group, 'n1', text);
    tick(group, 3);
    change(group, 'remove', 'w1');
    proposeText(group, 'n1', 'c');
    tick(group, 3);
    change(group, 'add_learner', 'w1');
    tick(group, patience);
    return group;
  }

  it.each([
    { appendBytesMax: 1_000_000, how: 'in one append' },
    { appendBytesMax: 1, how: 'one entry after the other' },
  ])('needs the whole state, whether it hears of it $how', ({ appendBytesMax }) => {
    const group = formerWitness({ appendBytesMax });
    const w1 = replicaOf(group, 'w1');
    expect(noticesOf(w1, 'state_needed').at(-1)).toMatchObject({ from: 'n1', scope: 'whole' });
    expect(w1.raft.log.entries.map(({ body }) => body.kind)).toEqual(['epoch', 'withheld', 'withheld']);
    change(group, 'promote_learner', 'w1');
    expect(noticesOf(replicaOf(group, 'n1'), 'membership_change_ended').at(-1)?.outcome).toBe('lagging');
  });

  it('takes no data as the witness that it thinks it is, when it has been behind all the while', () => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness'], { appendBytesMax: 1 });
    isolate(group, 'w1');
    for (const text of ['a', 'b']) proposeText(group, 'n1', text);
    tick(group, 3);
    change(group, 'remove', 'w1');
    change(group, 'add_learner', 'w1');
    heal(group);
    tick(group, patience);
    const w1 = replicaOf(group, 'w1');
    expect(w1.raft.log.entries.map(({ body }) => body.kind)).toEqual(['epoch']);
    expect(noticesOf(w1, 'state_needed').at(-1)).toMatchObject({ scope: 'whole' });
    expect(install(group, w1, replicaOf(group, 'n1'))).toBe(true);
    tick(group, patience);
    expect(w1.applied).toEqual(replicaOf(group, 'n1').applied);
  });

  it('goes on with the log once it has the state, and may be a voter then', () => {
    const group = formerWitness();
    const w1 = replicaOf(group, 'w1');
    expect(install(group, w1, replicaOf(group, 'n1'))).toBe(true);
    proposeText(group, 'n1', 'd');
    tick(group, patience);
    expect(w1.raft.log.entries.map(({ body }) => body.kind)).toEqual(['data']);
    expect(w1.applied).toEqual(replicaOf(group, 'n1').applied);
    change(group, 'promote_learner', 'w1');
    expect(noticesOf(replicaOf(group, 'n1'), 'membership_change_ended').at(-1)?.outcome).toBe('committed');
  });

  it('needs the whole state also where the log does not reach back to it', () => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness']);
    change(group, 'remove', 'w1');
    for (const text of ['a', 'b', 'c']) proposeText(group, 'n1', text);
    tick(group, 3);
    const { commit } = replicaOf(group, 'n1').raft;
    for (const name of ['n1', 'n2'])
      give(group, replicaOf(group, name), { kind: 'truncate_prefix', through: commit });
    change(group, 'add_learner', 'w1');
    tick(group, patience);
    expect(noticesOf(replicaOf(group, 'w1'), 'state_needed').at(-1)).toMatchObject({ scope: 'whole' });
  });
});

describe('a witness that is offered a position', () => {
  it('applies what it held all along and did not know to be committed', () => {
    const group = groupLedBy(['n1', 'n2', 'w1:witness']);
    const w1 = replicaOf(group, 'w1');
    const last = w1.raft.log.entries.at(-1)!;
    const membership = w1.raft.memberships.at(-1)!.membership;
    const stamp = { term: asTerm(1), lineage: asTerm(0) };
    const index = asIndex(last.index + 1);
    const entries = [{ index, term: asTerm(1), body: { kind: 'withheld' } }] as const;
    fromPeer(group, 'n1', 'w1', {
      ...{ kind: 'append_request', ...stamp, previous: last, entries, commit: last.index },
    });
    const point = { index, term: asTerm(1), membership, epochs: w1.raft.epochs };
    fromPeer(group, 'n1', 'w1', { kind: 'state_offer', ...stamp, point });
    expect(w1.raft.commit).toBe(index);
    expect(w1.applied.at(-1)).toEqual({ index, term: 1 });
  });
});

describe('a membership that is being forced', () => {
  it('is nothing that anybody hears of before it is on the disk, however long that takes', () => {
    const group = groupLedBy(['n1', 'n2', 'n3']);
    const n3 = replicaOf(group, 'n3');
    give(group, n3, { kind: 'force', id: nextId(), term: forcedTerm, members: members('n3', 'n2') });
    const stamp = { term: asTerm(1), lineage: asTerm(0) };
    fromPeer(group, 'n1', 'n3', { kind: 'heartbeat_request', ...stamp, commit: asIndex(0), round: 1 });
    const now = group.now + 10 * patience;
    give(group, n3, { kind: 'tick', now, random: 0 });
    expect(group.network).toEqual([]);
    crash(n3);
    restart(group, n3);
    expect(n3.raft).toMatchObject({ term: 1, lineage: 0 });
  });
});

describe('who may not stand', () => {
  it.each([
    { name: 'a witness', names: ['n1', 'n2', 'w1:witness'], who: 'w1', leaderChoice: 'elected' as const },
    { name: 'a learner', names: ['n1', 'n2', 'l1:learner'], who: 'l1', leaderChoice: 'elected' as const },
    {
      name: 'a voter, where leaders are appointed',
      names: ['n1', 'n2', 'n3'],
      who: 'n3',
      leaderChoice: 'appointed' as const,
    },
  ])('$name hears all the same that a membership was forced without it', ({ names, who, leaderChoice }) => {
    const group = createGroup({ names, options: { leaderChoice } });
    if (leaderChoice === 'appointed') give(group, replicaOf(group, 'n1'), { kind: 'promote', id: nextId() });
    else timeOut(group, 'n1');
    settle(group);
    expect(leaderOf(group)?.id).toBe('n1');
    isolate(group, 'n1');
    force(group, 'n1', 'n1');
    heal(group);
    for (const { raft } of group.replicas.values()) raft.electionTicks = 15;
    isolate(group, 'n2');
    tick(group, patience);
    expect(noticesOf(replicaOf(group, who), 'fenced_out')).toEqual([
      { kind: 'fenced_out', lineage: forcedTerm },
    ]);
  });
});
