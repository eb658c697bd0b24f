/**
 * How a leader takes in a node that came with a new disk, one step each time that the node asks:
 *
 *     not a member ─► learner ─► … catches up … ─► voter ─► its old disk is removed
 *     not a member ─► witness ─► its old disk is removed
 *
 * It becomes what its old disk was. The old disk goes only when the new one has everything, and the core allows one change
 * at a time, each by a majority of those who count then: whoever cannot be spared is not removed, and where no majority
 * is left there is no leader.
 *
 * Without an old disk a node is taken in only if it is expected: named by the leader's `--peers`, or fenced out by a
 * forced membership. Any other waits for an operator's word.
 */

import type { NodeId } from '../replication/strategy.ts';
import type { Member, MemberKind } from '../single-leader/entry.ts';
import type { MembershipOutcome } from '../single-leader/events.ts';
import { lastIndex } from '../single-leader/log.ts';
import { membershipOf } from '../single-leader/log-changes.ts';
import { type MembershipChange, memberOf } from '../single-leader/membership.ts';
import type { LeaderRole, Raft } from '../single-leader/state.ts';
import type { Joining } from './group-calls.ts';
import { nameOf } from './group-node-id.ts';

export type JoiningStep =
  | MembershipChange
  | Extract<MembershipOutcome, 'already_so' | 'lagging' | 'not_leader' | 'no_such_member'>;

export function nextJoiningStep(
  raft: Raft,
  joining: Joining,
  isPeer: (name: string) => boolean,
): JoiningStep {
  const { id, url } = joining;
  const membership = membershipOf(raft);
  if (raft.role.kind !== 'leader' || membership === undefined) return 'not_leader';
  const before = membership.members.find((other) => other.id !== id && nameOf(other.id) === nameOf(id));
  const aim = aimOf(joining, before, isPeer);
  const member = memberOf(membership, id);
  if (member === undefined) {
    if (aim === undefined) return 'no_such_member';
    const kind = aim === 'witness' ? 'add_witness' : 'add_learner';
    return { kind, node: id, ...(url !== undefined && { url }) };
  }
  const isUp = member.kind !== 'learner' || aim !== 'voter';
  if (isUp && before === undefined) return 'already_so';
  if (!isCaughtUp(raft, raft.role, id)) return 'lagging';
  return isUp && before !== undefined
    ? { kind: 'remove', node: before.id }
    : { kind: 'promote_learner', node: id };
}

/** Undefined: nobody said that it should belong. */
function aimOf(
  { id, was }: Joining,
  before: Member | undefined,
  isPeer: (name: string) => boolean,
): MemberKind | undefined {
  return before?.kind ?? was ?? (isPeer(nameOf(id)) ? 'voter' : undefined);
}

function isCaughtUp(raft: Raft, role: LeaderRole, id: NodeId): boolean {
  const match = role.progress.get(id)?.match ?? 0;
  return match > 0 && lastIndex(raft.log) - match <= raft.options.promotionLagEntriesMax;
}
