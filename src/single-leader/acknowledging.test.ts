import { describe, expect, it } from 'vitest';
import type { AckRule } from './ack-policy.ts';
import { asTerm } from './entry.ts';
import type { TestGroup } from './test-group.ts';
import {
  cut,
  flushDisk,
  fromPeer,
  groupLedBy,
  heal,
  noticesOf,
  proposeText,
  replicaOf,
  settle,
  tick,
} from './test-group.ts';

const three = ['n1', 'n2', 'n3'];

function rule(policy: AckRule['policy'], onTimeout: AckRule['onTimeout'] = 'block'): AckRule {
  return { policy, onTimeout, timeoutTicks: 5 };
}

const majority = { kind: 'semi_sync', followers: 'majority' } as const;

function outcomes(group: TestGroup, id: number): string[] {
  const told = noticesOf(replicaOf(group, 'n1'), 'acknowledged').filter((notice) => notice.id === id);
  return told.map(({ outcome }) => outcome);
}

describe('acknowledging proposals', () => {
  it('async is told when the disk of the leader has it, before anyone else does', () => {
    const group = groupLedBy(three);
    const id = proposeText(group, 'n1', 'x', rule({ kind: 'async' }));
    expect(outcomes(group, id)).toEqual([]);
    flushDisk(group, replicaOf(group, 'n1'));
    const [notice] = noticesOf(replicaOf(group, 'n1'), 'acknowledged');
    expect(notice).toMatchObject({
      id,
      outcome: 'met',
      receipt: { term: 1, index: 2, durableOn: [{ id: 'n1', kind: 'voter' }], committed: false },
    });
  });

  it('majority is told by the disks of two followers while the disk of the leader is slow', () => {
    const group = groupLedBy(three);
    const id = proposeText(group, 'n1', 'x', rule(majority));
    const queue = replicaOf(group, 'n1').queue.splice(0);
    settle(group);
    expect(outcomes(group, id)).toEqual(['met']);
    expect(
      noticesOf(replicaOf(group, 'n1'), 'acknowledged')[0]?.receipt.durableOn.map(({ id }) => id),
    ).toEqual(['n2', 'n3']);
    expect(queue.length).toBeGreaterThan(0);
  });

  it('sync waits for the last voter', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    const id = proposeText(group, 'n1', 'x', rule({ kind: 'sync' }));
    tick(group, 20);
    expect(outcomes(group, id)).toEqual([]);
    heal(group);
    tick(group, 20);
    expect(outcomes(group, id)).toEqual(['met']);
  });

  it.each([
    { onTimeout: 'block', expected: [] },
    { onTimeout: 'degrade', expected: ['degraded'] },
    { onTimeout: 'fail', expected: ['timed_out'] },
  ] as const)('after the timeout, $onTimeout tells $expected', ({ onTimeout, expected }) => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    const id = proposeText(group, 'n1', 'x', rule({ kind: 'sync' }, onTimeout));
    tick(group, 4);
    expect(outcomes(group, id)).toEqual([]);
    tick(group, 1);
    expect(outcomes(group, id)).toEqual(expected);
  });

  it('degrades to nothing less than the disk of the leader', () => {
    const group = groupLedBy(three);
    const id = proposeText(group, 'n1', 'x', rule(majority, 'degrade'));
    const n1 = replicaOf(group, 'n1');
    const held = n1.queue.splice(0);
    group.network = [];
    tick(group, 6);
    expect(outcomes(group, id)).toEqual([]);
    n1.queue = held;
    flushDisk(group, n1);
    expect(outcomes(group, id)).toEqual(['degraded']);
  });

  it('a leader that is deposed does not know what becomes of its proposals', () => {
    const group = groupLedBy(three);
    const id = proposeText(group, 'n1', 'x', rule(majority));
    fromPeer(group, 'n2', 'n1', { kind: 'fenced', term: asTerm(7), lineage: asTerm(0) });
    expect(outcomes(group, id)).toEqual(['unknown']);
  });

  it('policies differ from proposal to proposal', () => {
    const group = groupLedBy(three);
    cut(group, 'n1', 'n3');
    const waits = proposeText(group, 'n1', 'x', rule({ kind: 'sync' }));
    const told = proposeText(group, 'n1', 'y', rule(majority));
    settle(group);
    expect([outcomes(group, waits), outcomes(group, told)]).toEqual([[], ['met']]);
  });

  it('rejects what it cannot take, and says who can', () => {
    const group = groupLedBy(three);
    const id = proposeText(group, 'n2', 'x');
    expect(noticesOf(replicaOf(group, 'n2'), 'proposal_rejected')).toEqual([
      { kind: 'proposal_rejected', id, reason: 'not_leader', leader: 'n1' },
    ]);
  });

  it('rejects more than it may hold uncommitted, and takes proposals again once they are committed', () => {
    const group = groupLedBy(three, { uncommittedBytesMax: 10 });
    const n1 = replicaOf(group, 'n1');
    const ids = ['123456', '123456', '123456'].map((text) => proposeText(group, 'n1', text));
    expect(noticesOf(n1, 'proposal_rejected')).toEqual([
      { kind: 'proposal_rejected', id: ids[2], reason: 'overloaded', leader: 'n1' },
    ]);
    settle(group);
    const id = proposeText(group, 'n1', 'again');
    settle(group);
    expect(outcomes(group, id)).toEqual(['met']);
  });
});
