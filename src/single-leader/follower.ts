/**
 * A follower: takes entries and commit positions from the leader of its term.
 *
 * The heart is the consistency check (§5.3). An append names the position right before its first entry; only where the
 * follower holds that very position do its entries fit. Everything that then contradicts the leader is truncated.
 *
 *     own log        1:1  2:1  3:2            append: previous 2:1, entries 3:3 4:3
 *     contradiction            3:2 ≠ 3:3      → truncate from 3, append 3:3 4:3
 *     too short      1:1                      → rejected, with a hint where to try
 *
 * In one lineage a committed entry is never contradicted. After a forced membership it can be: this replica then
 * holds, perhaps applied, what the group went on without. It hands that over and fetches the whole state. So does a
 * witness that is to be something else: it has no documents of what came before.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { Entry, LogIndex, Membership, StatePoint } from './entry.ts';
import { asIndex, lesser, plus } from './entry.ts';
import { lastCommonEpoch } from './epochs.ts';
import type { StateScope } from './events.ts';
import { holds, lastIndex, lastPossibleAgreement } from './log.ts';
import { append, isFencedOut, membershipOf, resetTo, truncate } from './log-changes.ts';
import { hasSay, memberOf } from './membership.ts';
import type { AppendRequest, HeartbeatRequest, StateOffer } from './messages.ts';
import { notify, send, sendWhenDurable } from './outbox.ts';
import { becomeFollower, commitThrough, resetElectionTimer } from './roles.ts';
import type { Raft } from './state.ts';

/** The sender leads this term: follows it, and knows that it lives. */
function followLeader(raft: Raft, leader: NodeId): void {
  const { role } = raft;
  assert(role.kind !== 'leader', 'raft invariant 3: a term has at most one leader (§5.2)');
  raft.leaderHeardAt = raft.now;
  // An operator wants another leader: until the votes are in this one is obeyed, but it does not end the asking.
  if (role.kind === 'pre_candidate' && role.reason === 'appointment') return;
  if (role.kind !== 'follower' || role.leader !== leader) becomeFollower(raft, raft.term, leader);
  resetElectionTimer(raft);
}

export function receiveHeartbeat(raft: Raft, from: NodeId, { commit, round }: HeartbeatRequest): void {
  followLeader(raft, from);
  commitThrough(raft, commit);
  if (round > 0) send(raft, from, { kind: 'heartbeat_response', round });
}

export function receiveAppend(raft: Raft, from: NodeId, request: AppendRequest): void {
  followLeader(raft, from);
  const fit = fitOf(raft, request);
  switch (fit.kind) {
    case 'diverged':
      // Any state of the leader will do, and it may have none as new as this: perhaps it waits for this replica to commit.
      askForState(raft, from, asIndex(0));
      return;
    case 'gap':
      reject(raft, from, request);
      return;
    case 'fits': {
      const end = endOfWitnessing(raft, fit.entries);
      if (end !== undefined) {
        askForState(raft, from, end);
        return;
      }
      if (fit.entries.length > 0) take(raft, fit.entries);
      commitThrough(raft, lesser(request.commit, fit.through));
      sendWhenDurable(raft, from, { kind: 'append_accepted', match: fit.through });
      return;
    }
  }
}

type Fit =
  /** `entries` are new here; with them the log equals the leader's through `through`. */
  | { readonly kind: 'fits'; readonly entries: readonly Entry[]; readonly through: LogIndex }
  | { readonly kind: 'gap' }
  /** What is committed here contradicts the leader, at `at` at the latest. */
  | { readonly kind: 'diverged'; readonly at: LogIndex };

function fitOf(raft: Raft, { previous, entries }: AppendRequest): Fit {
  const { log } = raft;
  if (previous.index < log.start.index) return fitBeforeStart(raft, previous.index, entries);
  if (!holds(log, previous)) {
    return previous.index <= raft.commit ? divergedAt(raft, previous.index) : { kind: 'gap' };
  }
  const firstNew = entries.findIndex((entry) => !holds(log, entry));
  const through = plus(previous.index, entries.length);
  if (firstNew < 0) return { kind: 'fits', entries: [], through };
  const fresh = entries.slice(firstNew);
  const at = plus(previous.index, firstNew + 1);
  return at <= raft.commit ? divergedAt(raft, at) : { kind: 'fits', entries: fresh, through };
}

/** The log begins later than the append: what the state here includes cannot be compared, only trusted or not. */
function fitBeforeStart(raft: Raft, previousIndex: LogIndex, entries: readonly Entry[]): Fit {
  // Committed in the leader's own lineage, so the leader has it too (§5.4); an old append came late.
  if (hasSay(membershipOf(raft), raft.lineage)) return { kind: 'fits', entries: [], through: raft.commit };
  const start = entries.find((entry) => entry.index === raft.log.start.index);
  if (start === undefined || start.term !== raft.log.start.term)
    return { kind: 'diverged', at: plus(previousIndex, 1) };
  return { kind: 'fits', entries: [], through: raft.log.start.index };
}

function divergedAt(raft: Raft, at: LogIndex): Fit {
  const isForced = !hasSay(membershipOf(raft), raft.lineage);
  assert(isForced, 'raft invariant 1: within a lineage nobody contradicts what is committed (§5.4)');
  return { kind: 'diverged', at };
}

function take(raft: Raft, entries: readonly Entry[]): void {
  const first = entries[0] as Entry;
  if (first.index <= lastIndex(raft.log)) truncate(raft, first.index);
  append(raft, entries);
}

function reject(raft: Raft, leader: NodeId, { previous }: AppendRequest): void {
  const hint = lastPossibleAgreement(raft.log, previous.index, previous.term);
  send(raft, leader, { kind: 'append_rejected', previousIndex: previous.index, hint });
}

/** The leader's log does not reach back to this replica. A witness has no documents, so the position is the state. */
export function receiveStateOffer(raft: Raft, from: NodeId, { point }: StateOffer): void {
  followLeader(raft, from);
  if (point.index <= raft.commit && hasSay(membershipOf(raft), raft.lineage)) {
    sendWhenDurable(raft, from, { kind: 'append_accepted', match: raft.commit });
    return;
  }
  if (isWitness(point.membership, raft.self)) installState(raft, point);
  else askForState(raft, from, point.index);
}

/** Asks once for each leader, and again when the transfer should have ended long ago. */
function askForState(raft: Raft, from: NodeId, atLeast: LogIndex): void {
  const scope = scopeOfState(raft);
  const asked = raft.stateAsked;
  const isSame = asked?.from === from && asked.scope === scope;
  if (isSame && raft.now - asked.atTick < raft.options.stateTransferTicksMax) return;
  raft.stateAsked = { from, atTick: raft.now, scope };
  notify(raft, { kind: 'state_needed', from, atLeast, scope });
}

/**
 * Which state this replica could build upon now. It changes while one is fetched: a replica is fenced out, or catches up
 * by the log of another leader.
 */
function scopeOfState(raft: Raft): StateScope {
  return isFencedOut(raft) || isWitness(membershipOf(raft), raft.self) ? 'whole' : 'changes';
}

/**
 * A state that was fetched as `scope` still has its place here. Changes are of the lineage that they are laid over:
 * whoever they were asked of may have gone over to a forced one meanwhile, where there is less than here, or something else.
 */
export function maySettleIn(raft: Raft, scope: StateScope, { membership }: StatePoint): boolean {
  if (scope !== scopeOfState(raft)) return false;
  return scope === 'whole' || membershipOf(raft) === undefined || membership?.lineage === raft.lineage;
}

/**
 * Of new entries the one from which it shows that this replica, a witness, is to be something else, or nothing. A leader to
 * which it is none sends data, also of what comes before.
 */
function endOfWitnessing(raft: Raft, entries: readonly Entry[]): LogIndex | undefined {
  if (!isWitness(membershipOf(raft), raft.self)) return undefined;
  const isEnd = ({ body }: Entry) =>
    body.kind === 'data' || (body.kind === 'membership' && !isWitness(body.membership, raft.self));
  return entries.find(isEnd)?.index;
}

function isWitness(membership: Membership | undefined, id: NodeId): boolean {
  return membership !== undefined && memberOf(membership, id)?.kind === 'witness';
}

/** The applied state now includes everything through `point`. */
export function installState(raft: Raft, point: StatePoint): void {
  // A witness goes on as one from any position.
  const isNews = isFencedOut(raft) || !isWitness(point.membership, raft.self);
  const isWhole = scopeOfState(raft) === 'whole' && isNews;
  raft.stateAsked = undefined;
  // The group may have gone on to another term while the state was on its way.
  if (point.term > raft.term) becomeFollower(raft, point.term, undefined);
  if (isWhole) {
    // What differs may have begun long before it shows; an epoch that both have says that they are equal up to where it began.
    const agreed = lastCommonEpoch(raft.epochs, point.epochs)?.firstIndex ?? asIndex(0);
    resetTo(raft, point, plus(agreed, 1));
  } else if (point.index <= raft.commit) {
    return;
  } else if (holds(raft.log, point)) {
    // The entries were here all along, not known to be committed: what follows them may stay. A state includes them; a witness,
    // which was given none, has them still to apply.
    if (isWitness(membershipOf(raft), raft.self)) commitThrough(raft, point.index);
    else raft.commit = point.index;
  } else {
    resetTo(raft, point, plus(raft.commit, 1));
  }
  if (raft.role.kind === 'follower' && raft.role.leader !== undefined)
    sendWhenDurable(raft, raft.role.leader, { kind: 'append_accepted', match: point.index });
}
