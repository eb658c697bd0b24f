/** Tells the clients of a leader's proposals, as each one's rule allows; the rules are in ack-policy.ts. */

import type { AckOutcome, AckPolicy, Durability, Holding } from './ack-policy.ts';
import { acknowledgeableThrough, receiptFor } from './ack-policy.ts';
import type { LogIndex } from './entry.ts';
import { asIndex } from './entry.ts';
import { membershipOf } from './log-changes.ts';
import { notify } from './outbox.ts';
import type { LeaderRole, PendingAck, Raft } from './state.ts';

function durabilityOf(raft: Raft, role: LeaderRole): Durability {
  const members = membershipOf(raft)?.members ?? [];
  const holdings = members.map(({ id, kind }): Holding => {
    const isLeader = id === raft.self;
    const durableThrough = isLeader ? raft.log.persisted : (role.progress.get(id)?.match ?? asIndex(0));
    return { id, kind, isLeader, durableThrough };
  });
  return { commit: raft.commit, holdings };
}

/** Acknowledges what its policy, or the end of its patience, allows. */
export function settleAcks(raft: Raft, role: LeaderRole): void {
  if (role.pending.length === 0) return;
  const durability = durabilityOf(raft, role);
  // One for each policy, not for each proposal: many are open at once, and this is asked at every step.
  const thresholds = new Map<AckPolicy['kind'] | number, LogIndex>();
  const thresholdOf = (policy: AckPolicy): LogIndex => {
    const { kind } = policy;
    const isCounted = kind === 'semi_sync' && policy.followers !== 'majority';
    const name = isCounted ? policy.followers : kind;
    const known = thresholds.get(name);
    if (known !== undefined) return known;
    const through = acknowledgeableThrough(policy, durability);
    thresholds.set(name, through);
    return through;
  };
  role.pending = role.pending.filter((pending) => {
    const outcome = outcomeOf(pending, raft.now, thresholdOf);
    if (outcome === undefined) return true;
    tell(raft, pending, outcome, durability);
    return false;
  });
}

function outcomeOf(
  { position, rule, deadline }: PendingAck,
  now: number,
  thresholdOf: (policy: AckPolicy) => LogIndex,
): AckOutcome | undefined {
  if (position.index <= thresholdOf(rule.policy)) return 'met';
  if (now < deadline) return undefined;
  if (rule.onTimeout === 'fail') return 'timed_out';
  // Even the weakest word rests on the leader's own disk.
  return position.index <= thresholdOf(leaderAlone) ? 'degraded' : undefined;
}

const leaderAlone: AckPolicy = { kind: 'async' };

function tell(raft: Raft, { id, position, rule }: PendingAck, outcome: AckOutcome, known: Durability): void {
  const receipt = receiptFor(position, rule.policy, known);
  notify(raft, { kind: 'acknowledged', id, outcome, receipt });
}

/** Leadership is over: what becomes of the open proposals is for others to decide. */
export function settleAsUnknown(raft: Raft, role: LeaderRole): void {
  const durability = durabilityOf(raft, role);
  for (const pending of role.pending) tell(raft, pending, 'unknown', durability);
  role.pending = [];
}
