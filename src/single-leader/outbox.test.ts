/** What must be on the disk before it is said. */

import { describe, expect, it } from 'vitest';
import { asIndex, asTerm } from './entry.ts';
import {
  crash,
  createGroup,
  dataEntry,
  flushDisk,
  fromPeer,
  give,
  groupLedBy,
  groupWith,
  logOf,
  nodeId,
  proposeText,
  replicaOf,
  restart,
  settle,
  tick,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];
const lineage = asTerm(0);

describe('persist before send', () => {
  it('a vote is given once it is durable', () => {
    const group = createGroup({ names: three });
    const last = { index: asIndex(0), term: asTerm(0) };
    const request = { kind: 'vote_request', term: asTerm(1), lineage, last, reason: 'transfer' } as const;
    fromPeer(group, 'n2', 'n1', request);
    expect(group.network).toEqual([]);
    flushDisk(group, replicaOf(group, 'n1'));
    expect(group.network.map(({ message }) => message)).toEqual([
      { kind: 'vote_response', granted: true, term: 1, lineage: 0 },
    ]);
  });

  it('a vote that was forgotten was never given, and one that was given is not forgotten', () => {
    const group = createGroup({ names: three });
    const n1 = replicaOf(group, 'n1');
    const last = { index: asIndex(0), term: asTerm(0) };
    const request = { kind: 'vote_request', term: asTerm(1), lineage, last, reason: 'transfer' } as const;
    fromPeer(group, 'n2', 'n1', request);
    crash(n1);
    restart(group, n1);
    fromPeer(group, 'n3', 'n1', request);
    flushDisk(group, n1);
    crash(n1);
    restart(group, n1);
    fromPeer(group, 'n2', 'n1', request);
    flushDisk(group, n1);
    const granted = group.network.flatMap(({ to, message }) =>
      message.kind === 'vote_response' && message.granted ? [to] : [],
    );
    expect(granted).toEqual(['n3']);
  });

  it('a vote in a term that was entered before is kept too', () => {
    const group = createGroup({ names: three });
    const n1 = replicaOf(group, 'n1');
    fromPeer(group, 'n2', 'n1', { kind: 'fenced', term: asTerm(1), lineage });
    flushDisk(group, n1);
    const last = { index: asIndex(0), term: asTerm(0) };
    fromPeer(group, 'n3', 'n1', { kind: 'vote_request', term: asTerm(1), lineage, last, reason: 'timeout' });
    flushDisk(group, n1);
    crash(n1);
    restart(group, n1);
    expect(n1.raft.vote).toBe('n3');
  });

  it('a replica alone leads once its vote for itself is durable', () => {
    const group = createGroup({ names: ['n1'] });
    const n1 = replicaOf(group, 'n1');
    fromPeer(group, 'n1', 'n1', { kind: 'timeout_now', term: asTerm(0), lineage });
    expect(n1.raft.role.kind).toBe('candidate');
    flushDisk(group, n1);
    expect(n1.raft.role.kind).toBe('leader');
  });

  it('a candidate asks for votes once its own is durable', () => {
    const group = createGroup({ names: three });
    fromPeer(group, 'n2', 'n1', { kind: 'timeout_now', term: asTerm(0), lineage });
    expect(group.network).toEqual([]);
    flushDisk(group, replicaOf(group, 'n1'));
    expect(group.network.map(({ message }) => message.kind)).toEqual(['vote_request', 'vote_request']);
  });

  it('entries are accepted once they are durable, many by one answer', () => {
    const group = groupWith({ n1: [1], n2: [], n3: [] });
    const request = (index: number) =>
      ({
        kind: 'append_request',
        term: asTerm(1),
        lineage,
        previous: { index: asIndex(index - 1), term: asTerm(1) },
        entries: [dataEntry(index, 1)],
        commit: asIndex(0),
      }) as const;
    for (const index of [2, 3, 4]) fromPeer(group, 'n2', 'n1', request(index));
    expect(group.network).toEqual([]);
    flushDisk(group, replicaOf(group, 'n1'), 2);
    flushDisk(group, replicaOf(group, 'n1'));
    expect(group.network.map(({ message }) => message)).toMatchObject([{ match: 3 }, { match: 4 }]);
  });

  it('a leader sends entries before its own disk has them, and counts itself only then', () => {
    const group = groupLedBy(['n1', 'n2']);
    const n1 = replicaOf(group, 'n1');
    proposeText(group, 'n1', 'x');
    expect(group.network.map(({ message }) => message.kind)).toEqual(['append_request']);
    const held = n1.queue.splice(0);
    settle(group);
    expect(n1.raft.commit).toBe(1);
    n1.queue = held;
    flushDisk(group, n1);
    expect(n1.raft.commit).toBe(2);
  });

  it('an acceptance that waits for the disk when the term ends is never given', () => {
    const group = groupWith({ n1: [1], n2: [], n3: [] });
    const previous = { index: asIndex(1), term: asTerm(1) };
    const base = { kind: 'append_request', lineage, previous, commit: asIndex(0) } as const;
    fromPeer(group, 'n2', 'n1', { ...base, term: asTerm(2), entries: [dataEntry(2, 2)] });
    fromPeer(group, 'n3', 'n1', { ...base, term: asTerm(3), entries: [dataEntry(2, 3)] });
    flushDisk(group, replicaOf(group, 'n1'));
    expect(group.network.map(({ to, message }) => [to, message.term])).toEqual([['n3', 3]]);
  });

  it('entries that are truncated while on their way to the disk do not count as durable', () => {
    const group = groupWith({ n1: [1], n2: [], n3: [] });
    const n1 = replicaOf(group, 'n1');
    const previous = { index: asIndex(1), term: asTerm(1) };
    const base = { kind: 'append_request', lineage, previous, commit: asIndex(0) } as const;
    fromPeer(group, 'n2', 'n1', { ...base, term: asTerm(2), entries: [dataEntry(2, 2), dataEntry(3, 2)] });
    fromPeer(group, 'n3', 'n1', { ...base, term: asTerm(3), entries: [dataEntry(2, 3)] });
    flushDisk(group, n1, 1);
    expect([logOf(n1), n1.raft.log.persisted]).toEqual(['1:1 2:3', 1]);
    flushDisk(group, n1);
    expect(n1.raft.log.persisted).toBe(2);
    expect(n1.disk.entries.map(({ term }) => term)).toEqual([1, 3]);
  });

  it('hands over what it truncates before it truncates it', () => {
    const kinds: string[] = [];
    const group = groupWith(
      { n1: [1, 1], n2: [], n3: [] },
      { observe: (_, effect) => void kinds.push(effect.kind) },
    );
    const previous = { index: asIndex(1), term: asTerm(1) };
    const entries = [dataEntry(2, 2)];
    const request = { kind: 'append_request', lineage, previous, commit: asIndex(2) } as const;
    fromPeer(group, 'n2', 'n1', { ...request, term: asTerm(2), entries });
    expect(kinds.filter((kind) => kind !== 'role' && kind !== 'membership')).toEqual([
      'recovered',
      'persist',
      'apply',
    ]);
  });

  it('what a disk holds after any crash is what the core goes on with', () => {
    const group = groupLedBy(three);
    for (const text of ['a', 'b', 'c']) proposeText(group, 'n1', text);
    settle(group);
    tick(group, 5);
    give(group, replicaOf(group, 'n1'), { kind: 'truncate_prefix', through: asIndex(2) });
    flushDisk(group, replicaOf(group, 'n1'));
    for (const id of three) {
      const replica = replicaOf(group, id);
      const before = { log: logOf(replica), commit: replica.raft.commit, epochs: replica.raft.epochs };
      crash(replica);
      restart(group, replica);
      const { raft } = replica;
      expect({ log: logOf(replica), commit: raft.commit, epochs: raft.epochs }).toEqual(before);
    }
    expect(logOf(replicaOf(group, 'n1'))).toBe('[2:1] 3:1 4:1');
    expect(replicaOf(group, 'n1').raft.epochs).toEqual([{ term: 1, leader: nodeId('n1'), firstIndex: 1 }]);
  });
});
