/** What the paper says, section by section (Ongaro & Ousterhout 2014). */

import { describe, expect, it } from 'vitest';
import type { Term } from './entry.ts';
import { asIndex, asTerm } from './entry.ts';
import type { AppendRequest, VoteRequest } from './messages.ts';
import {
  createGroup,
  cut,
  dataEntry,
  flushDisk,
  fromPeer,
  groupLedBy,
  groupWith,
  heal,
  leaderOf,
  logOf,
  nodeId,
  proposeText,
  replicaOf,
  settle,
  tick,
  timeOut,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];
const lineage = asTerm(0);

function voteRequest(term: number, last: readonly [index: number, term: number]): VoteRequest {
  const [index, lastTerm] = last;
  return {
    kind: 'vote_request',
    term: asTerm(term),
    lineage,
    last: { index: asIndex(index), term: asTerm(lastTerm) },
    // Such a request is heard even right after a start, when votes are withheld.
    reason: 'transfer',
  };
}

function appendRequest(
  term: number,
  previous: readonly [index: number, term: number],
  terms: readonly number[],
  commit = 0,
): AppendRequest {
  const [index, previousTerm] = previous;
  return {
    kind: 'append_request',
    term: asTerm(term),
    lineage,
    previous: { index: asIndex(index), term: asTerm(previousTerm) },
    entries: terms.map((entryTerm, at) => dataEntry(index + 1 + at, entryTerm)),
    commit: asIndex(commit),
  };
}

describe('terms (§5.1)', () => {
  it.each(['follower', 'candidate', 'leader'] as const)('a %s takes over a higher term', (role) => {
    const group = createGroup({ names: three });
    const n1 = replicaOf(group, 'n1');
    if (role === 'leader') timeOut(group, 'n1');
    if (role === 'candidate') {
      fromPeer(group, 'n2', 'n1', { kind: 'timeout_now', term: asTerm(0), lineage });
    }
    expect(n1.raft.role.kind).toBe(role);
    fromPeer(group, 'n2', 'n1', appendRequest(9, [0, 0], []));
    expect([n1.raft.role.kind, n1.raft.term]).toEqual(['follower', 9]);
  });

  it('a request of an earlier term is answered with the current one, and changes nothing', () => {
    const group = groupWith({ n1: [1], n2: [1], n3: [1] }, { term: 5 });
    fromPeer(group, 'n2', 'n1', appendRequest(4, [1, 1], [4]));
    expect(group.network).toEqual([
      { from: 'n1', to: 'n2', message: { kind: 'fenced', term: 5, lineage: 0 } },
    ]);
    expect(logOf(replicaOf(group, 'n1'))).toBe('1:1');
  });

  it('an answer of an earlier term is not counted', () => {
    const group = groupLedBy(three);
    const n1 = replicaOf(group, 'n1');
    proposeText(group, 'n1', 'x');
    const before = n1.raft.commit;
    const match = asIndex(2);
    fromPeer(group, 'n2', 'n1', { kind: 'append_accepted', term: asTerm(0), lineage, match });
    flushDisk(group, n1);
    expect(n1.raft.commit).toBe(before);
  });
});

describe('leader election (§5.2)', () => {
  it('replicas start as followers', () => {
    const group = createGroup({ names: three });
    expect([...group.replicas.values()].map(({ raft }) => raft.role.kind)).toEqual(
      three.map(() => 'follower'),
    );
  });

  it('a leader sends heartbeats, and nobody stands while they arrive', () => {
    const group = groupLedBy(three);
    tick(group, 10 * group.options.electionTicksMax);
    expect([...group.replicas.values()].map(({ raft }) => raft.term)).toEqual([1, 1, 1]);
  });

  it('a follower that hears nothing for its election timeout stands and wins a majority', () => {
    const group = createGroup({ names: three });
    cut(group, 'n1', 'n3');
    timeOut(group, 'n1');
    expect(leaderOf(group)?.id).toBe('n1');
    expect(replicaOf(group, 'n1').raft.vote).toBe('n1');
  });

  it('a replica votes for one candidate in a term, first come, first served', () => {
    const group = createGroup({ names: three });
    fromPeer(group, 'n2', 'n1', voteRequest(1, [0, 0]));
    fromPeer(group, 'n3', 'n1', voteRequest(1, [0, 0]));
    settle(group);
    expect(replicaOf(group, 'n1').raft.vote).toBe('n2');
  });

  it('a candidate follows a leader of its own term', () => {
    const group = createGroup({ names: three });
    fromPeer(group, 'n2', 'n1', { kind: 'timeout_now', term: asTerm(0), lineage });
    fromPeer(group, 'n3', 'n1', appendRequest(1, [0, 0], []));
    expect(replicaOf(group, 'n1').raft.role).toMatchObject({ kind: 'follower', leader: 'n3' });
  });

  it('a split vote is followed by another election', () => {
    const group = createGroup({ names: ['n1', 'n2', 'n3', 'n4'] });
    for (const [one, other] of [
      ['n1', 'n3'],
      ['n1', 'n4'],
      ['n2', 'n3'],
      ['n2', 'n4'],
    ] as const)
      cut(group, one, other);
    tick(group, 3 * group.options.electionTicksMax);
    expect(leaderOf(group)).toBeUndefined();
    heal(group);
    tick(group, 3 * group.options.electionTicksMax);
    expect(leaderOf(group)).toBeDefined();
  });

  it('election timeouts are spread over their range', () => {
    const group = createGroup({ names: three });
    const { electionTicksMin, electionTicksMax } = group.options;
    const n1 = replicaOf(group, 'n1');
    const drawn = new Set<number>();
    cut(group, 'n1', 'n2');
    cut(group, 'n1', 'n3');
    for (let round = 0; round < 2000; round++) {
      tick(group);
      drawn.add(n1.raft.electionTicks);
    }
    expect(Math.min(...drawn)).toBe(electionTicksMin);
    expect(Math.max(...drawn)).toBe(electionTicksMax - 1);
  });
});

describe('log replication (§5.3)', () => {
  it('a leader commits an entry once a majority holds it, and followers learn of it', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    proposeText(group, 'n1', 'x');
    settle(group);
    expect(replicaOf(group, 'n1').applied).toEqual([
      { index: 1, term: 1 },
      { index: 2, term: 1 },
    ]);
    expect(replicaOf(group, 'n2').applied).toEqual(replicaOf(group, 'n1').applied);
    heal(group);
    tick(group, 40);
    expect(replicaOf(group, 'n3').applied).toEqual(replicaOf(group, 'n1').applied);
  });

  it('a follower rejects an entry whose previous term differs', () => {
    const group = groupWith({ n1: [1, 1, 2], n2: [], n3: [] });
    fromPeer(group, 'n2', 'n1', appendRequest(4, [3, 3], [4]));
    expect(group.network[0]?.message).toMatchObject({ kind: 'append_rejected', previousIndex: 3 });
    expect(logOf(replicaOf(group, 'n1'))).toBe('1:1 2:1 3:2');
  });

  it('a follower rejects an entry that its log does not reach', () => {
    const group = groupWith({ n1: [1], n2: [], n3: [] });
    fromPeer(group, 'n2', 'n1', appendRequest(4, [3, 1], [4]));
    expect(group.network[0]?.message).toMatchObject({
      kind: 'append_rejected',
      hint: { index: 1, term: 1 },
    });
  });

  it('a follower truncates only from the first entry that contradicts', () => {
    const group = groupWith({ n1: [1, 1, 2, 2], n2: [], n3: [] });
    fromPeer(group, 'n2', 'n1', appendRequest(4, [1, 1], [1, 4]));
    expect(logOf(replicaOf(group, 'n1'))).toBe('1:1 2:1 3:4');
  });

  it('an append that comes late does not truncate what followed it', () => {
    const group = groupWith({ n1: [1, 1, 2, 2], n2: [], n3: [] });
    fromPeer(group, 'n2', 'n1', appendRequest(2, [1, 1], [1]));
    expect(logOf(replicaOf(group, 'n1'))).toBe('1:1 2:1 3:2 4:2');
  });

  it.each([
    { commit: 1, expected: 1 },
    { commit: 3, expected: 3 },
    { commit: 9, expected: 3 },
  ])(
    'a follower told of commit $commit after entries through 3 commits $expected',
    ({ commit, expected }) => {
      const group = groupWith({ n1: [1, 1, 1, 1], n2: [], n3: [] });
      // The fourth entry may not be the leader's.
      fromPeer(group, 'n2', 'n1', appendRequest(2, [1, 1], [1, 1], commit));
      expect(replicaOf(group, 'n1').raft.commit).toBe(expected);
    },
  );
});

describe('Figure 7: a leader brings every log to its own', () => {
  const leaderLog = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];

  it.each([
    { name: '(a) misses one entry', log: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: '(b) misses many', log: [1, 1, 1, 4] },
    { name: '(c) has one too many', log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: '(d) has a term too many', log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: '(e) misses some and has others', log: [1, 1, 1, 4, 4, 4, 4] },
    { name: '(f) has two terms nobody else has', log: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('$name', ({ log }) => {
    const group = groupWith({ n1: leaderLog, n2: leaderLog, n3: log }, { term: 7 });
    cut(group, 'n1', 'n3');
    timeOut(group, 'n1');
    expect(leaderOf(group)?.id).toBe('n1');
    heal(group);
    tick(group, 2 * group.options.electionTicksMin);
    expect(logOf(replicaOf(group, 'n3'))).toBe(logOf(replicaOf(group, 'n1')));
    expect(replicaOf(group, 'n3').applied).toHaveLength(11);
  });

  it('finds where the logs part in one question for each term, not one for each entry', () => {
    const long = (term: number) => Array.from({ length: 200 }, () => term);
    const logs = { n1: [1, ...long(5)], n2: [1, ...long(5)], n3: [1, ...long(2), ...long(3)] };
    let rejections = 0;
    const group = groupWith(logs, {
      term: 6,
      observe: (_, effect) => {
        if (effect.kind === 'send' && effect.message.kind === 'append_rejected') rejections += 1;
      },
    });
    timeOut(group, 'n1');
    expect(logOf(replicaOf(group, 'n3'))).toBe(logOf(replicaOf(group, 'n1')));
    expect(rejections).toBe(1);
  });
});

describe('safety (§5.4)', () => {
  it.each([
    { last: [2, 2], granted: true, why: 'the same log' },
    { last: [3, 2], granted: true, why: 'a longer log of the same term' },
    { last: [1, 3], granted: true, why: 'a shorter log of a later term' },
    { last: [1, 2], granted: false, why: 'a shorter log of the same term' },
    { last: [9, 1], granted: false, why: 'a longer log of an earlier term' },
  ] as const)('a candidate with $why gets the vote: $granted (§5.4.1)', ({ last, granted }) => {
    const group = groupWith({ n1: [1, 2], n2: [], n3: [] });
    fromPeer(group, 'n2', 'n1', voteRequest(3, last));
    flushDisk(group, replicaOf(group, 'n1'));
    expect(group.network.map(({ message }) => message)).toEqual([
      { kind: 'vote_response', granted, term: 3, lineage: 0 },
    ]);
  });

  it('a leader commits entries of earlier terms only with one of its own (Figure 8)', () => {
    // S1 leads term 4 and has brought its entry of term 2 to a majority, as in (c).
    const group = groupWith({ s1: [1, 2], s2: [1, 2], s3: [1], s4: [1], s5: [1, 3] }, { term: 3 });
    for (const other of ['s4', 's5']) cut(group, 's1', other);
    timeOut(group, 's1');
    const s1 = replicaOf(group, 's1');
    expect(s1.raft.term).toBe(4 as Term);
    expect(logOf(replicaOf(group, 's3'))).toBe('1:1 2:2 3:4');
    expect(s1.raft.commit).toBe(3);
  });

  it('an entry of an earlier term on a majority is not committed by counting (Figure 8 c)', () => {
    const group = groupWith({ s1: [1, 2], s2: [1, 2], s3: [1], s4: [1], s5: [1, 3] }, { term: 3 });
    fromPeer(group, 's3', 's1', { kind: 'timeout_now', term: asTerm(3), lineage });
    flushDisk(group, replicaOf(group, 's1'));
    for (const voter of ['s2', 's3'])
      fromPeer(group, voter, 's1', { kind: 'vote_response', granted: true, term: asTerm(4), lineage });
    const s1 = replicaOf(group, 's1');
    expect(s1.raft.role.kind).toBe('leader');
    flushDisk(group, s1);
    for (const follower of ['s2', 's3'])
      fromPeer(group, follower, 's1', {
        kind: 'append_accepted',
        match: asIndex(2),
        term: asTerm(4),
        lineage,
      });
    expect(s1.raft.commit).toBe(0);
    for (const follower of ['s2', 's3'])
      fromPeer(group, follower, 's1', {
        kind: 'append_accepted',
        match: asIndex(3),
        term: asTerm(4),
        lineage,
      });
    expect(s1.raft.commit).toBe(3);
  });

  it('the other leader of Figure 8 d overwrites it, and hands over what it overwrites', () => {
    const group = groupWith({ s1: [1, 2], s2: [1, 2], s3: [1, 2], s4: [1], s5: [1, 3] }, { term: 4 });
    cut(group, 's5', 's1');
    timeOut(group, 's5');
    expect(leaderOf(group)?.id).toBe('s5');
    expect(logOf(replicaOf(group, 's3'))).toBe('1:1 2:3 3:5');
    expect(replicaOf(group, 's3').notices).toContainEqual({
      kind: 'recovered',
      epoch: undefined,
      entries: [dataEntry(2, 2)],
    });
  });
});

describe('client interaction (§8)', () => {
  it('a leader begins its term with an entry of its own', () => {
    const group = groupLedBy(three);
    expect(replicaOf(group, 'n2').raft.log.entries[0]?.body).toEqual({ kind: 'epoch', leader: nodeId('n1') });
  });
});
