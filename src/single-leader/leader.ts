/**
 * A leader: one order of entries for everyone, committed once a majority has them.
 *
 * Events only record facts (an entry appended, a position accepted, a round answered). What follows from them is
 * decided in one place, evaluateLeader, always in the same order: commit, acknowledge, read, hand over, send.
 *
 * Only entries of the leader's own term commit by counting. Entries of earlier terms that a majority has may still be
 * overwritten (Figure 8), so they commit with the first entry of this term, which every leader appends at once (§8).
 *
 * The leader's own disk counts like any other and only once it has the entry; meanwhile the followers already write
 * theirs (thesis §10.2.1).
 */

import { assert } from '../errors.ts';
import { majorityOf, reachedBy } from '../replication/quorum.ts';
import { settleAcks } from './acknowledging.ts';
import type { LogIndex } from './entry.ts';
import { asIndex, plus } from './entry.ts';
import type { Proposal, ProposalRejection } from './events.ts';
import { entriesBetween, lastIndex, termAt } from './log.ts';
import { appendOwn, membershipOf } from './log-changes.ts';
import { electors, memberOf } from './membership.ts';
import { notify } from './outbox.ts';
import type { Progress } from './progress.ts';
import { createLeaderReads, needsRound, settleReads } from './reads.ts';
import { settleChange } from './reconfigure.ts';
import { sendAppends, sendHeartbeats, syncProgress } from './replicate.ts';
import { becomeFollower, changeRole, commitThrough } from './roles.ts';
import type { LeaderRole, Raft } from './state.ts';
import { advanceTransfer } from './transfer.ts';

export function becomeLeader(raft: Raft): void {
  const role: LeaderRole = {
    kind: 'leader',
    progress: new Map(),
    epochIndex: plus(lastIndex(raft.log), 1),
    pending: [],
    uncommittedBytes: 0,
    heartbeatAt: raft.now,
    reads: createLeaderReads(),
    transfer: undefined,
    change: undefined,
  };
  changeRole(raft, role);
  syncProgress(raft, role);
  appendOwn(raft, { kind: 'epoch', leader: raft.self });
}

export function propose(raft: Raft, role: LeaderRole, proposals: readonly Proposal[]): void {
  for (const proposal of proposals) {
    const rejection = rejectionOf(raft, role);
    if (rejection === undefined) log(raft, role, proposal);
    else reject(raft, proposal, rejection);
  }
}

function rejectionOf(raft: Raft, role: LeaderRole): ProposalRejection | undefined {
  if (role.transfer !== undefined) return 'transferring';
  return role.uncommittedBytes >= raft.options.uncommittedBytesMax ? 'overloaded' : undefined;
}

export function reject(raft: Raft, { id }: Proposal, reason: ProposalRejection): void {
  const { role } = raft;
  const known = role.kind === 'follower' ? role.leader : undefined;
  const leader = role.kind === 'leader' ? (role.transfer?.to ?? raft.self) : known;
  notify(raft, { kind: 'proposal_rejected', id, reason, leader });
}

function log(raft: Raft, role: LeaderRole, { id, data, ack }: Proposal): void {
  const index = appendOwn(raft, { kind: 'data', data });
  role.uncommittedBytes += data.length;
  const position = { index, term: raft.term };
  const deadline = ack.onTimeout === 'block' ? Number.POSITIVE_INFINITY : raft.now + ack.timeoutTicks;
  role.pending.push({ id, position, rule: ack, deadline });
  notify(raft, { kind: 'proposal_logged', id, position });
}

/** A leader that a majority does not answer has, for all it knows, been replaced (CheckQuorum, thesis §6.2). */
export function tickLeader(raft: Raft, role: LeaderRole): void {
  const heard = electorValues(raft, role, raft.now, ({ heardAt }) => heardAt);
  const majorityHeardAt = reachedBy(majorityOf(heard.length), heard);
  if (raft.now - majorityHeardAt >= raft.options.electionTicksMin) {
    becomeFollower(raft, raft.term, undefined);
    return;
  }
  if (raft.now - role.heartbeatAt >= raft.options.heartbeatTicks) sendHeartbeats(raft, role);
}

/** One number for each elector; the leader's own is `own`. */
function electorValues(
  raft: Raft,
  role: LeaderRole,
  own: number,
  measure: (progress: Progress) => number,
): number[] {
  const membership = membershipOf(raft);
  assert(membership !== undefined, 'a leader has a membership');
  return electors(membership).map(({ id }) => {
    const progress = role.progress.get(id);
    return progress === undefined ? own : measure(progress);
  });
}

/** Everything that follows from what is known by now. */
export function evaluateLeader(raft: Raft, role: LeaderRole): void {
  advanceCommit(raft, role);
  settleAcks(raft, role);
  settleChange(raft, role);
  const settle = () => {
    const rounds = electorValues(raft, role, role.reads.round, ({ round }) => round);
    settleReads(raft, role, rounds, majorityOf(rounds.length));
  };
  settle();
  if (needsRound(role)) {
    sendHeartbeats(raft, role);
    // A leader alone has its majority at once.
    settle();
  }
  advanceTransfer(raft, role);
  sendAppends(raft, role);
  if (isRemoved(raft)) becomeFollower(raft, raft.term, undefined);
}

function advanceCommit(raft: Raft, role: LeaderRole): void {
  const durable = electorValues(raft, role, raft.log.persisted, ({ match }) => match);
  const index = asIndex(reachedBy(majorityOf(durable.length), durable));
  if (index <= raft.commit || termAt(raft.log, index) !== raft.term) return;
  releaseBytes(raft, role, index);
  commitThrough(raft, index);
}

function releaseBytes(raft: Raft, role: LeaderRole, commit: LogIndex): void {
  if (role.uncommittedBytes === 0) return;
  for (const { index, body } of entriesBetween(raft.log, plus(raft.commit, 1), commit)) {
    if (index > role.epochIndex && body.kind === 'data') role.uncommittedBytes -= body.data.length;
  }
}

/** A leader that removed itself leads until that is committed (thesis §4.2.2). */
function isRemoved(raft: Raft): boolean {
  const placed = raft.memberships.at(-1);
  if (placed === undefined || placed.index > raft.commit) return false;
  return memberOf(placed.membership, raft.self)?.kind !== 'voter';
}
