import { expect, it } from 'vitest';
import type { MembershipChange } from './membership.ts';
import type { TestGroup } from './test-group.ts';
import {
  cut,
  give,
  groupLedBy,
  heal,
  join,
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
