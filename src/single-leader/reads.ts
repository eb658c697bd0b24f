/**
 * Linearizable reads without writing to the log (thesis §6.4).
 *
 * A read must see every write that was acknowledged before it was asked for. The leader notes its commit index at that
 * moment and makes sure that it was still the leader then: it asks all members, and once a majority has answered a
 * round of heartbeats that began after the read, any later leader's writes are later than the read too.
 *
 *     read a ─► round 5 begins ─────────► majority answers 5 ─► a is ready
 *            read b, read c wait ───────► round 6 begins for both ─► …
 *
 * One round serves all reads that waited for it. A new leader first commits an entry of its own term: before that it
 * does not know how far its predecessors committed.
 *
 * A lease skips the round: a majority that answered a round sent at tick t votes for nobody else before
 * t + electionTicksMin on its own clocks. A leadership that tried to hand itself over has told someone to ignore this,
 * so its lease is forfeited for good.
 *
 * A follower asks the leader for an index, once for all reads that wait, and answers when it has applied that far.
 */

import { reachedBy } from '../replication/quorum.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { LogIndex } from './entry.ts';
import type { ReadRefusal } from './events.ts';
import { isFencedOut, membershipOf } from './log-changes.ts';
import { memberOf } from './membership.ts';
import { notify, send } from './outbox.ts';
import type { FollowerRole, LeaderRole, Raft } from './state.ts';

export type ReadProof = 'quorum' | 'lease';

type ReadOrigin =
  | { readonly kind: 'here'; readonly id: number }
  | { readonly kind: 'follower'; readonly node: NodeId; readonly request: number };

export interface LeaderReads {
  /** Reads from before the first commit of the term. */
  early: ReadOrigin[];
  waiting: { readonly origin: ReadOrigin; readonly index: LogIndex; readonly round: number }[];
  /** The last round of heartbeats that was sent. */
  round: number;
  confirmedRound: number;
  /** When the rounds after `confirmedRound` were sent. */
  sent: { readonly round: number; readonly at: number }[];
  leaseUntil: number;
  isLeaseForfeited: boolean;
}

export function createLeaderReads(): LeaderReads {
  return {
    early: [],
    waiting: [],
    round: 0,
    confirmedRound: 0,
    sent: [],
    leaseUntil: Number.NEGATIVE_INFINITY,
    isLeaseForfeited: false,
  };
}

interface WaitingRead {
  readonly id: number;
  readonly deadline: number;
}

export interface FollowerReads {
  /** Not asked for yet. */
  queued: WaitingRead[];
  /** Asked for with the latest question, at `sentAt`. */
  asked:
    | { readonly request: number; readonly reads: readonly WaitingRead[]; readonly sentAt: number }
    | undefined;
}

export function createFollowerReads(): FollowerReads {
  return { queued: [], asked: undefined };
}

function hasLease(raft: Raft, { reads }: LeaderRole): boolean {
  return raft.options.leaderChoice === 'elected' && !reads.isLeaseForfeited && raft.now < reads.leaseUntil;
}

export function readOnLeader(raft: Raft, role: LeaderRole, origin: ReadOrigin): void {
  const { reads } = role;
  if (raft.commit < role.epochIndex) reads.early.push(origin);
  else if (hasLease(raft, role)) answer(raft, origin, raft.commit, 'lease');
  else reads.waiting.push({ origin, index: raft.commit, round: reads.round + 1 });
}

function answer(raft: Raft, origin: ReadOrigin, index: LogIndex, by: ReadProof): void {
  if (origin.kind === 'here') notify(raft, { kind: 'read_ready', id: origin.id, index, by });
  else send(raft, origin.node, { kind: 'read_index_response', request: origin.request, index, by });
}

/** Answers what the rounds confirmed. `rounds` are those that electors answered, the leader's own included. */
export function settleReads(raft: Raft, role: LeaderRole, rounds: readonly number[], majority: number): void {
  const { reads } = role;
  if (raft.commit >= role.epochIndex && reads.early.length > 0) {
    const early = reads.early;
    reads.early = [];
    for (const origin of early) readOnLeader(raft, role, origin);
  }
  const confirmed = reachedBy(majority, rounds);
  if (confirmed <= reads.confirmedRound) return;
  reads.confirmedRound = confirmed;
  extendLease(raft, reads, confirmed);
  const ready = reads.waiting.filter((read) => read.round <= confirmed);
  reads.waiting = reads.waiting.filter((read) => read.round > confirmed);
  for (const { origin, index } of ready) answer(raft, origin, index, 'quorum');
}

function extendLease(raft: Raft, reads: LeaderReads, confirmed: number): void {
  const sentAt = reads.sent.find((sent) => sent.round === confirmed)?.at;
  reads.sent = reads.sent.filter((sent) => sent.round > confirmed);
  if (sentAt !== undefined && raft.options.leaseTicks > 0)
    reads.leaseUntil = sentAt + raft.options.leaseTicks;
}

/** Reads wait for a round that has not begun, and none is on its way that would delay it. */
export function needsRound({ reads }: LeaderRole): boolean {
  const next = reads.waiting.at(-1)?.round;
  return next !== undefined && next > reads.round && reads.confirmedRound === reads.round;
}

export function refuseLeaderReads(raft: Raft, { reads }: LeaderRole): void {
  const origins = [...reads.early, ...reads.waiting.map((read) => read.origin)];
  for (const origin of origins) {
    if (origin.kind === 'here')
      notify(raft, { kind: 'read_refused', id: origin.id, reason: 'leadership_lost' });
  }
}

export function readOnFollower(raft: Raft, role: FollowerRole, id: number): void {
  const membership = membershipOf(raft);
  // It could say which index is new enough, and has nothing to read there.
  if (membership !== undefined && memberOf(membership, raft.self)?.kind === 'witness') {
    notify(raft, { kind: 'read_refused', id, reason: 'witness' });
    return;
  }
  if (role.leader === undefined) {
    notify(raft, { kind: 'read_refused', id, reason: 'no_leader' });
    return;
  }
  // What is applied here is what a forced membership went on without, until the state of that one is fetched.
  if (isFencedOut(raft)) {
    notify(raft, { kind: 'read_refused', id, reason: 'no_leader' });
    return;
  }
  role.reads.queued.push({ id, deadline: raft.now + raft.options.readTicksMax });
  askForIndex(raft, role);
}

function askForIndex(raft: Raft, role: FollowerRole): void {
  const { reads, leader } = role;
  if (leader === undefined || reads.asked !== undefined || reads.queued.length === 0) return;
  const request = raft.nextReadRequest;
  raft.nextReadRequest += 1;
  reads.asked = { request, reads: reads.queued, sentAt: raft.now };
  reads.queued = [];
  send(raft, leader, { kind: 'read_index_request', request });
}

export function receiveReadIndex(
  raft: Raft,
  role: FollowerRole,
  { request, index, by }: { readonly request: number; readonly index: LogIndex; readonly by: ReadProof },
): void {
  const { reads } = role;
  if (request !== reads.asked?.request) return;
  for (const { id } of reads.asked.reads) notify(raft, { kind: 'read_ready', id, index, by });
  reads.asked = undefined;
  askForIndex(raft, role);
}

/** Asks again where the question or its answer got lost, and gives up what has waited too long. */
export function tickFollowerReads(raft: Raft, role: FollowerRole): void {
  const { reads } = role;
  const all = [...(reads.asked?.reads ?? []), ...reads.queued];
  if (all.length === 0) return;
  const isLate = ({ deadline }: WaitingRead) => raft.now >= deadline;
  refuse(raft, all.filter(isLate), 'timed_out');
  reads.queued = reads.queued.filter((read) => !isLate(read));
  if (reads.asked === undefined) return;
  const left = reads.asked.reads.filter((read) => !isLate(read));
  if (left.length === 0) {
    reads.asked = undefined;
  } else if (raft.now - reads.asked.sentAt >= 2 * raft.options.heartbeatTicks) {
    reads.queued = [...left, ...reads.queued];
    reads.asked = undefined;
  } else {
    reads.asked = { ...reads.asked, reads: left };
  }
  askForIndex(raft, role);
}

export function refuseFollowerReads(raft: Raft, { reads }: FollowerRole): void {
  refuse(raft, [...(reads.asked?.reads ?? []), ...reads.queued], 'no_leader');
}

function refuse(raft: Raft, reads: readonly WaitingRead[], reason: ReadRefusal): void {
  for (const { id } of reads) notify(raft, { kind: 'read_refused', id, reason });
}
