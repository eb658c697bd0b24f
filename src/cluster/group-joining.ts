/**
 * How a leader takes in a node that came with a new disk, one step each time that the node asks:
 *
 *     not a member ─► learner ─► … catches up … ─► its old disk is removed ─► voter
 *
 * The old disk goes only when the new one has everything, and the core allows one change at a time, each by a majority
 * of those who count then: whoever cannot be spared is not removed, and where no majority is left there is no leader.
 */

import type { NodeId } from '../replication/strategy.ts';
import type { MembershipOutcome } from '../single-leader/events.ts';
import { lastIndex } from '../single-leader/log.ts';
import { membershipOf } from '../single-leader/log-changes.ts';
import { type MembershipChange, memberOf } from '../single-leader/membership.ts';
import type { Raft } from '../single-leader/state.ts';
import { nameOf } from './group-node-id.ts';

export type JoiningStep =
  | MembershipChange
  | Extract<MembershipOutcome, 'already_so' | 'lagging' | 'not_leader'>;

export function nextJoiningStep(raft: Raft, id: NodeId): JoiningStep {
  const membership = membershipOf(raft);
  if (raft.role.kind !== 'leader' || membership === undefined) return 'not_leader';
  const member = memberOf(membership, id);
  if (member === undefined) return { kind: 'add_learner', node: id };
  if (member.kind !== 'learner') return 'already_so';
  const match = raft.role.progress.get(id)?.match ?? 0;
  const isCaughtUp = match > 0 && lastIndex(raft.log) - match <= raft.options.promotionLagEntriesMax;
  if (!isCaughtUp) return 'lagging';
  const before = membership.members.find((other) => other.id !== id && nameOf(other.id) === nameOf(id));
  if (before !== undefined) return { kind: 'remove', node: before.id };
  return { kind: 'promote_learner', node: id };
}
