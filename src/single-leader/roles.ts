/** What all roles share: terms, timers, leaving a role, and committing. */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import { settleAsUnknown } from './acknowledging.ts';
import type { LogIndex, Term } from './entry.ts';
import { greater, lesser, plus } from './entry.ts';
import { entriesBetween, lastIndex } from './log.ts';
import { membershipOf } from './log-changes.ts';
import { hasSay, memberOf } from './membership.ts';
import { forgetHeld, notify } from './outbox.ts';
import { createFollowerReads, refuseFollowerReads, refuseLeaderReads } from './reads.ts';
import type { FollowerRole, Raft, Role } from './state.ts';

export function followerRole(leader: NodeId | undefined): FollowerRole {
  return { kind: 'follower', leader, reads: createFollowerReads() };
}

/** Follows in `term`, which is the current one or a later one. */
export function becomeFollower(raft: Raft, term: Term, leader: NodeId | undefined): void {
  const wasFollowing = raft.role.kind === 'follower' && raft.role.leader !== undefined;
  if (term > raft.term) enterTerm(raft, term, undefined);
  // A follower that learns of a new term without its leader keeps waiting from when it began to wait.
  if (raft.role.kind !== 'follower' || wasFollowing) resetElectionTimer(raft);
  changeRole(raft, followerRole(leader));
}

/** Promises of an earlier term are not to be kept any more. */
export function enterTerm(raft: Raft, term: Term, vote: NodeId | undefined): void {
  assert(term > raft.term, 'raft invariant 2: terms only rise');
  raft.term = term;
  raft.vote = vote;
  raft.outbox.unsaved.hardState = true;
  forgetHeld(raft.outbox);
}

export function changeRole(raft: Raft, role: Role): void {
  leaveRole(raft, raft.role, role);
  raft.role = role;
}

function leaveRole(raft: Raft, old: Role, next: Role): void {
  switch (old.kind) {
    case 'follower':
      refuseFollowerReads(raft, old);
      return;
    case 'pre_candidate':
    case 'candidate':
      endPromotion(raft, old.promotion, next);
      return;
    case 'leader':
      settleAsUnknown(raft, old);
      refuseLeaderReads(raft, old);
      if (old.transfer !== undefined)
        notify(raft, { kind: 'transfer_ended', id: old.transfer.id, outcome: 'done' });
      if (old.change !== undefined)
        notify(raft, { kind: 'membership_change_ended', id: old.change.id, outcome: 'unknown' });
      return;
  }
}

function endPromotion(raft: Raft, id: number | undefined, next: Role): void {
  const goesOn = 'promotion' in next && next.promotion === id;
  if (id === undefined || goesOn) return;
  notify(raft, { kind: 'promotion_ended', id, outcome: next.kind === 'leader' ? 'elected' : 'not_elected' });
}

/** Waits anew, for a time drawn anew, so that replicas seldom stand at the same moment (§5.2). */
export function resetElectionTimer(raft: Raft): void {
  const { electionTicksMin, electionTicksMax } = raft.options;
  raft.electionTimerStart = raft.now;
  raft.electionTicks = electionTicksMin + Math.floor(raft.random * (electionTicksMax - electionTicksMin));
}

/**
 * Ticks that this replica slept through are not the others' silence: what they said meanwhile it has yet to read. A leader
 * that was replaced in them hears so, and can do nothing until then, as it needs a majority for whatever it promises; what
 * a lease allows ends by the clock all the same (reads.ts). Who slept for so long that others have certainly gone on is
 * better off to know it at once.
 */
export function forgiveSilence(raft: Raft, missed: number): void {
  if (missed >= raft.options.electionTicksMax) return;
  raft.electionTimerStart += missed;
  raft.leaderHeardAt += missed;
  if (raft.role.kind !== 'leader') return;
  for (const progress of raft.role.progress.values()) progress.heardAt += missed;
}

export function isElectionDue(raft: Raft): boolean {
  return raft.now - raft.electionTimerStart >= raft.electionTicks;
}

/** A leader was heard so recently that nobody needs to stand (thesis §4.2.3); leases rest on this. */
export function isLeaderAlive(raft: Raft): boolean {
  return raft.role.kind === 'leader' || raft.now - raft.leaderHeardAt < raft.options.electionTicksMin;
}

/**
 * Only a voter with documents, in a membership that nobody has gone on without, may lead; and a leader that removed itself,
 * until that is committed.
 */
export function mayLead(raft: Raft): boolean {
  const membership = membershipOf(raft);
  if (!hasSay(membership, raft.lineage)) return false;
  const own = memberOf(membership, raft.self);
  return own === undefined ? isLeaving(raft) : own.kind === 'voter';
}

/**
 * It removed itself, and that is not known to be committed. Perhaps nobody else has the entry: the others then still need
 * its vote, and its longer log refuses it to them, so it has to stand, counting on votes but its own (thesis §4.2.2).
 *
 * One that another leader removed never hears of it while it might be needed. It finds the entry in its log when it is taken
 * in again, perhaps as a witness, with data withheld: hence it must itself have led the last term of its log.
 */
function isLeaving({ commit, epochs, lineage, memberships, self }: Raft): boolean {
  const [before, latest] = memberships.slice(-2);
  if (before === undefined || latest === undefined || latest.index <= commit) return false;
  const wasVoter = hasSay(before.membership, lineage) && memberOf(before.membership, self)?.kind === 'voter';
  return wasVoter && epochs.at(-1)?.leader === self;
}

/** Everything through `index` is committed: hands what is new of it over for applying. */
export function commitThrough(raft: Raft, index: LogIndex): void {
  const through = lesser(greater(index, raft.commit), lastIndex(raft.log));
  if (through === raft.commit) return;
  const entries = entriesBetween(raft.log, plus(raft.commit, 1), through);
  raft.commit = through;
  raft.effects.push({ kind: 'apply', entries });
}
