import { expect, it } from 'vitest';
import { membershipOf } from './log-changes.ts';
import type { MembershipChange } from './membership.ts';
import type { TestGroup } from './test-group.ts';
import {
  cut,
  give,
  groupLedBy,
  heal,
  join,
  leaderOf,
  nextId,
  nodeId,
  noticesOf,
  replicaOf,
  settle,
  tick,
} from './test-group.ts';

const n4 = nodeId('n4');

function outcomeOf(group: TestGroup, change: MembershipChange): string | undefined {
  const id = nextId();
  give(group, replicaOf(group, 'n1'), { kind: 'change_membership', id, change });
  settle(group);
  const ended = noticesOf(replicaOf(group, 'n1'), 'membership_change_ended');
  return ended.find((notice) => notice.id === id)?.outcome;
}

it('a learner that never answered does not become a voter, however short the log is', () => {
  const group = groupLedBy(['n1', 'n2', 'n3'], { promotionLagEntriesMax: 1_000 });
  cut(group, 'n1', 'n4');
  expect(outcomeOf(group, { kind: 'add_learner', node: n4 })).toBe('committed');
  expect(outcomeOf(group, { kind: 'promote_learner', node: n4 })).toBe('lagging');
  heal(group);
  join(group, n4);
  tick(group, 50);
  expect(outcomeOf(group, { kind: 'promote_learner', node: n4 })).toBe('committed');
});

it('a change that would leave too few in touch is refused, and one that helps is not', () => {
  const group = groupLedBy(['n1', 'n2', 'n3']);
  cut(group, 'n1', 'n3');
  tick(group, 50);
  expect(outcomeOf(group, { kind: 'remove', node: nodeId('n2') })).toBe('no_majority');
  expect(outcomeOf(group, { kind: 'remove', node: nodeId('n3') })).toBe('committed');
  expect(leaderOf(group)?.id).toBe('n1');
});

it('a member moves without a change in who counts, and keeps its address when it becomes a voter', () => {
  const group = groupLedBy(['n1', 'n2']);
  const url = 'http://127.0.0.1:5984';
  const urls = () => membershipOf(replicaOf(group, 'n2').raft)?.members.map((member) => member.url);
  expect(outcomeOf(group, { kind: 'move', node: n4, url })).toBe('no_such_member');
  expect(outcomeOf(group, { kind: 'move', node: nodeId('n2'), url })).toBe('committed');
  expect(outcomeOf(group, { kind: 'move', node: nodeId('n2'), url })).toBe('already_so');
  join(group, n4);
  expect(outcomeOf(group, { kind: 'add_learner', node: n4, url: 'http://127.0.0.1:5985' })).toBe('committed');
  tick(group, 50);
  expect(outcomeOf(group, { kind: 'promote_learner', node: n4 })).toBe('committed');
  expect(urls()).toEqual([undefined, url, 'http://127.0.0.1:5985']);
});
