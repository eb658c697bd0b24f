/**
 * Standing for election, and voting.
 *
 *     silence ─► pre-candidate ─ "would you?" ─► candidate (term + 1, votes for itself) ─► leader
 *                      └── no majority would: nothing happened, nobody's term rose (thesis §9.6)
 *
 * A vote is a promise to vote for nobody else in this term, so it is durable before it is given; this holds for the
 * candidate's vote for itself too, and it asks for others' only then: a candidate that forgot how long its log was
 * must not collect votes given to the longer one.
 *
 * Whoever has heard a leader lately says no and does not even take over the term (thesis §4.2.3), unless the leader
 * itself, or an operator of a group with an appointed leader, wants the election.
 */

import { tally } from '../replication/quorum.ts';
import type { NodeId } from '../replication/strategy.ts';
import { asTerm } from './entry.ts';
import type { PromotionOutcome, RaftRequest } from './events.ts';
import { becomeLeader } from './leader.ts';
import { isUpToDate, lastPosition } from './log.ts';
import { appendOwn, membershipOf } from './log-changes.ts';
import { electors } from './membership.ts';
import type {
  CandidacyReason,
  PreVoteRequest,
  PreVoteResponse,
  VoteRequest,
  VoteResponse,
} from './messages.ts';
import { notify, send, sendWhenDurable } from './outbox.ts';
import {
  becomeFollower,
  changeRole,
  enterTerm,
  isElectionDue,
  isLeaderAlive,
  mayLead,
  resetElectionTimer,
} from './roles.ts';
import type { CandidateRole, PreCandidateRole, Raft, Role } from './state.ts';

export function tickElection(raft: Raft): void {
  const { role } = raft;
  if (!isElectionDue(raft) || isForcing(role)) return;
  if (standsByItself(raft)) {
    askWhetherToStand(raft, 'timeout', undefined);
    return;
  }
  // Whoever may not stand knows of no leader either, after so long a silence.
  if (role.kind !== 'follower' || role.leader !== undefined) becomeFollower(raft, raft.term, undefined);
  resetElectionTimer(raft);
  askAround(raft);
}

/**
 * Whoever stands learns from the answers that the others have gone on to another term or lineage. Whoever does not has to ask
 * all the same: a witness that a forced membership went on without would wait for its leader for ever. Nothing is read.
 */
function askAround(raft: Raft): void {
  for (const id of otherElectors(raft)) {
    send(raft, id, { kind: 'read_index_request', request: raft.nextReadRequest });
    raft.nextReadRequest += 1;
  }
}

/** With an appointed leader only the one appointed last stands unasked: it may have been away for a moment. */
function standsByItself(raft: Raft): boolean {
  if (!mayLead(raft)) return false;
  return raft.options.leaderChoice === 'elected' || raft.epochs.at(-1)?.leader === raft.self;
}

export function promote(raft: Raft, id: number): void {
  const obstacle = obstacleTo(raft);
  if (obstacle !== undefined) notify(raft, { kind: 'promotion_ended', id, outcome: obstacle });
  else askWhetherToStand(raft, raft.options.leaderChoice === 'appointed' ? 'appointment' : 'timeout', id);
}

function obstacleTo(raft: Raft): PromotionOutcome | undefined {
  if (raft.role.kind === 'leader') return 'already_leader';
  if (isForcing(raft.role)) return 'not_elected';
  if (!mayLead(raft)) return 'no_voter';
  // Leases rest on this replica's silence too; where it is the only one, nobody else has one.
  if (raft.options.leaderChoice !== 'elected' || otherElectors(raft).length === 0) return undefined;
  return isLeaderAlive(raft) ? 'leader_alive' : undefined;
}

function askWhetherToStand(
  raft: Raft,
  reason: PreCandidateRole['reason'],
  promotion: number | undefined,
): void {
  resetElectionTimer(raft);
  changeRole(raft, { kind: 'pre_candidate', answers: new Map(), reason, promotion });
  const last = lastPosition(raft.log);
  for (const id of otherElectors(raft)) send(raft, id, { kind: 'pre_vote_request', last, reason });
}

/** Stands in the next term. The pre-vote was won, or is not needed. */
function stand(raft: Raft, reason: CandidacyReason, promotion: number | undefined): void {
  enterTerm(raft, asTerm(raft.term + 1), raft.self);
  becomeCandidate(raft, reason, promotion);
  const last = lastPosition(raft.log);
  for (const id of otherElectors(raft)) sendWhenDurable(raft, id, { kind: 'vote_request', last, reason });
}

function becomeCandidate(raft: Raft, reason: CandidateRole['reason'], promotion: number | undefined): void {
  resetElectionTimer(raft);
  // The vote is written by the write that this step ends with.
  const ownVoteTicket = raft.outbox.issued + 1;
  changeRole(raft, { kind: 'candidate', answers: new Map(), ownVoteTicket, reason, promotion });
}

/**
 * Leads by decree: see `force` in events.ts. Term, lineage and membership reach the disk as one, before it leads. Until then it
 * says and hears nothing: every message carries the lineage, and one that a crash takes back would leave a group fenced out by
 * nobody.
 */
export function force(raft: Raft, request: ForceRequest): void {
  const { id, term, members } = request;
  const isVoter = members.some((member) => member.id === raft.self && member.kind === 'voter');
  if (!isVoter || term <= raft.term || term <= raft.lineage) {
    notify(raft, { kind: 'promotion_ended', id, outcome: isVoter ? 'not_elected' : 'no_voter' });
    return;
  }
  becomeFollower(raft, raft.term, undefined);
  enterTerm(raft, term, raft.self);
  raft.lineage = term;
  appendOwn(raft, { kind: 'membership', membership: { members, lineage: term } });
  becomeCandidate(raft, 'force', id);
}

/** The forced membership is on its way to the disk. */
export function isForcing(role: Role): boolean {
  return role.kind === 'candidate' && role.reason === 'force';
}

type ForceRequest = Extract<RaftRequest, { kind: 'force' }>;

function otherElectors(raft: Raft): NodeId[] {
  const membership = membershipOf(raft);
  if (membership === undefined) return [];
  return electors(membership).flatMap(({ id }) => (id === raft.self ? [] : [id]));
}

export function receivePreVoteRequest(raft: Raft, from: NodeId, request: PreVoteRequest): void {
  const granted =
    !isDeafTo(raft, request) && hasVoice(raft) && isUpToDate(request.last, lastPosition(raft.log));
  send(raft, from, { kind: 'pre_vote_response', standingFor: asTerm(request.term + 1), granted });
}

/** A leader was heard lately, and the candidate has no leave to stand against it. */
export function isDeafTo(raft: Raft, { reason }: PreVoteRequest | VoteRequest): boolean {
  if (reason === 'transfer') return false;
  if (reason === 'appointment' && raft.options.leaderChoice === 'appointed') return false;
  return isLeaderAlive(raft);
}

/**
 * Whoever belongs to a group votes for one of its own lineage, also before it has the membership that was forced: it may be
 * one of those that the forced leader was told to go on with. A candidate has that membership, so its log is the newer one,
 * and counts the votes of its members alone. A replica that knows no membership has an empty disk, and no voice.
 */
function hasVoice(raft: Raft): boolean {
  return membershipOf(raft) !== undefined;
}

/** The request is of the current term by now. */
export function receiveVoteRequest(raft: Raft, from: NodeId, { last }: VoteRequest): void {
  const isFree = raft.vote === undefined || raft.vote === from;
  // The log is looked at again even for a vote that was given before: the candidate may have lost some of its own.
  const granted = isFree && hasVoice(raft) && isUpToDate(last, lastPosition(raft.log));
  if (!granted) {
    send(raft, from, { kind: 'vote_response', granted: false });
    return;
  }
  if (raft.vote === undefined) {
    raft.vote = from;
    raft.outbox.unsaved.hardState = true;
  }
  resetElectionTimer(raft);
  sendWhenDurable(raft, from, { kind: 'vote_response', granted: true });
}

export function receivePreVoteResponse(raft: Raft, from: NodeId, response: PreVoteResponse): void {
  if (raft.role.kind !== 'pre_candidate' || response.standingFor !== raft.term + 1) return;
  raft.role.answers.set(from, response.granted);
}

export function receiveVoteResponse(raft: Raft, from: NodeId, { granted }: VoteResponse): void {
  if (raft.role.kind === 'candidate') raft.role.answers.set(from, granted);
}

/** What the answers so far come to. */
export function evaluatePreCandidate(raft: Raft, role: PreCandidateRole): void {
  const { promotion, reason } = role;
  switch (tally(votesOf(raft, role.answers, true))) {
    case 'won':
      stand(raft, reason, promotion);
      return;
    case 'lost':
      becomeFollower(raft, raft.term, undefined);
      return;
    case 'open':
      return;
  }
}

export function evaluateCandidate(raft: Raft, role: CandidateRole): void {
  const isOwnVoteDurable = raft.outbox.persisted >= role.ownVoteTicket;
  if (role.reason === 'force') {
    if (isOwnVoteDurable) becomeLeader(raft);
    return;
  }
  switch (tally(votesOf(raft, role.answers, isOwnVoteDurable ? true : undefined))) {
    case 'won':
      becomeLeader(raft);
      return;
    case 'lost':
      becomeFollower(raft, raft.term, undefined);
      return;
    case 'open':
      return;
  }
}

function votesOf(
  raft: Raft,
  answers: ReadonlyMap<NodeId, boolean>,
  own: true | undefined,
): (boolean | undefined)[] {
  const membership = membershipOf(raft);
  const ids = membership === undefined ? [] : electors(membership);
  return ids.map(({ id }) => (id === raft.self ? own : answers.get(id)));
}

/** The leader wants this replica to take over (thesis §3.10). */
export function receiveTimeoutNow(raft: Raft): void {
  if (!mayLead(raft) || raft.role.kind === 'leader') return;
  stand(raft, 'transfer', 'promotion' in raft.role ? raft.role.promotion : undefined);
}
