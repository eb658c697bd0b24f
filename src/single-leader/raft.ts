/**
 * Raft: several replicas agree on one order of entries, and keep agreeing while some are down or cut off.
 *
 * One of them leads a term. It gives every entry an index, sends it to the others, and once a majority has it on disk
 * it is committed: whoever leads next has it too, because a majority votes only for logs that are as long as its own.
 *
 *     client ─ propose ─► n1 (leader)   append 7:3 ─► persist, and at once send to n2, n3
 *                         n2            append 7:3 ─► persist ─► accepted 7 ─► n1
 *                         n1            7 is on two of three disks: committed ─► apply, acknowledge
 *                         n3            … catches up whenever it can
 *
 * By the paper (Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014; sections as §5.3) and
 * Ongaro's thesis (2014; sections as "thesis §4.1"): PreVote, CheckQuorum, an entry at the start of each term,
 * pipelined appends, linearizable reads by ReadIndex or lease, leadership transfer, learners, membership changes by
 * one. Beyond them: witnesses, appointed leaders, ack policies, recovered writes, and lineages for forced memberships.
 *
 * Left out: the state itself. A member too far behind is told to fetch it (`state_needed`); how is the driver's matter.
 *
 * Invariants:
 * 1. `log.start <= commit <= last index`; what is committed is never truncated, unless a forced membership went on
 *    without this replica, and then it is handed over first.
 * 2. Terms and lineages only rise, and a replica votes at most once in a term.
 * 3. A term has at most one leader; it voted for itself, and its log holds the entry that began its epoch.
 * 4. Whoever stands or leads is a voter of a membership that has a say, or led when it removed itself from one, and that is
 *    not known to be committed.
 * 5. Epochs and memberships are those of the log, in order.
 * 6. Nothing that promises durability is sent before it is durable (outbox.ts).
 */

import { assert } from '../errors.ts';
import type { Core, NodeId, Tick } from '../replication/strategy.ts';
import { evaluateCandidate, evaluatePreCandidate, force, promote, tickElection } from './candidate.ts';
import type { LogIndex, Membership, StatePoint } from './entry.ts';
import { asIndex, asTerm, greater, lesser } from './entry.ts';
import { checkEpochs, epochsIn } from './epochs.ts';
import type { DurableState, RaftEffect, RaftEvent, StateScope } from './events.ts';
import { installState, maySettleIn } from './follower.ts';
import { evaluateLeader, propose, reject, tickLeader } from './leader.ts';
import { checkLog, createLog, entryAt, lastIndex } from './log.ts';
import { forgetPrefix, membershipsIn, placedAt, pointAt } from './log-changes.ts';
import { checkOutbox, createOutbox, recordPersisted, seal } from './outbox.ts';
import { checkProgress } from './progress.ts';
import { readOnFollower, readOnLeader, tickFollowerReads } from './reads.ts';
import { receive } from './receive.ts';
import { changeMembership } from './reconfigure.ts';
import { becomeFollower, followerRole, forgiveSilence, mayLead, resetElectionTimer } from './roles.ts';
import type { LeaderRole, Raft, RaftOptions } from './state.ts';
import { announce, nothingTold } from './told.ts';
import { requestTransfer } from './transfer.ts';

export interface RaftSetup {
  readonly self: NodeId;
  readonly options: RaftOptions;
  readonly durable: DurableState;
  /** The tick at which it starts, and a uniform number in [0, 1). */
  readonly now: number;
  readonly random: number;
}

/** What a new replica starts from: the members of a new group, or undefined for one that waits to be taken in. */
export function freshState(membership: Membership | undefined): DurableState {
  const start = { index: asIndex(0), term: asTerm(0), membership, epochs: [] };
  const lineage = membership?.lineage ?? asTerm(0);
  return {
    hardState: { term: asTerm(0), vote: undefined, lineage },
    start,
    entries: [],
    applied: asIndex(0),
  };
}

/** A replica as its disk left it: a follower that knows no leader. */
export function createRaft({ self, options, durable, now, random }: RaftSetup): Raft {
  checkOptions(options);
  const { hardState, start, entries, applied } = durable;
  const raft: Raft = {
    self,
    options,
    ...hardState,
    log: createLog(start, entries),
    epochs: [...start.epochs, ...epochsIn(entries)],
    memberships: [...placedAt(start), ...membershipsIn(entries)],
    commit: greater(start.index, applied),
    role: followerRole(undefined),
    now,
    random,
    electionTicks: 0,
    electionTimerStart: now,
    // It may have heard a leader right before it stopped, and leases count on that.
    leaderHeardAt: now,
    stateAsked: undefined,
    nextReadRequest: Math.floor(random * 2 ** 40),
    outbox: createOutbox(),
    told: nothingTold,
    effects: [],
  };
  resetElectionTimer(raft);
  assert(applied <= lastIndex(raft.log), 'what is applied on the disk is in the log or before it');
  checkInvariants(raft);
  return raft;
}

function checkOptions(options: RaftOptions): void {
  const { electionTicksMin, electionTicksMax, heartbeatTicks, leaseTicks } = options;
  assert(
    heartbeatTicks >= 1 && heartbeatTicks * 2 <= electionTicksMin,
    'an election takes several heartbeats',
  );
  assert(electionTicksMin < electionTicksMax, 'election timeouts need a range to be drawn from');
  // A tick lies anywhere within its duration: one is lost on the leader's side and one on the follower's.
  assert(
    leaseTicks === 0 || leaseTicks + 2 <= electionTicksMin,
    'a lease ends before anybody else can be elected',
  );
}

/** Changes the replica by one event and says what has to be done; see strategy.ts for what the driver owes. */
export function step(raft: Raft, event: RaftEvent): readonly RaftEffect[] {
  record(raft, event);
  evaluate(raft);
  announce(raft);
  return seal(raft);
}

function record(raft: Raft, event: RaftEvent): void {
  switch (event.kind) {
    case 'tick':
      tick(raft, event);
      return;
    case 'received':
      receive(raft, event.from, event.message);
      return;
    case 'persisted':
      recordPersisted(raft, event.ticket);
      return;
    case 'propose':
      if (raft.role.kind === 'leader') {
        propose(raft, raft.role, event.proposals);
        return;
      }
      for (const proposal of event.proposals) reject(raft, proposal, 'not_leader');
      return;
    case 'read':
      read(raft, event.id);
      return;
    case 'transfer':
      requestTransfer(raft, event.id, event.to);
      return;
    case 'promote':
      promote(raft, event.id);
      return;
    case 'force':
      force(raft, event);
      return;
    case 'change_membership':
      changeMembership(raft, event.id, event.change);
      return;
    case 'truncate_prefix':
      forgetPrefix(raft, lesser(event.through, raft.log.persisted));
      return;
    case 'state_installed':
      installState(raft, event.point);
      return;
  }
}

function tick(raft: Raft, { missed = 0, now, random }: Tick): void {
  assert(now >= raft.now, 'monotonic time does not go back');
  raft.now = now;
  raft.random = random;
  if (missed > 0) forgiveSilence(raft, missed);
  if (raft.role.kind === 'leader') {
    tickLeader(raft, raft.role);
    return;
  }
  if (raft.role.kind === 'follower') tickFollowerReads(raft, raft.role);
  tickElection(raft);
}

function read(raft: Raft, id: number): void {
  const { role } = raft;
  switch (role.kind) {
    case 'leader':
      readOnLeader(raft, role, { kind: 'here', id });
      return;
    case 'follower':
      readOnFollower(raft, role, id);
      return;
    case 'pre_candidate':
    case 'candidate':
      raft.effects.push({ kind: 'read_refused', id, reason: 'no_leader' });
  }
}

/** A role may lead to the next at once: alone, a replica goes all the way to leader. */
function evaluate(raft: Raft): void {
  // What it has got since it began to stand, from a leader or with a state, may say that it is no voter.
  if ('answers' in raft.role && !mayLead(raft)) becomeFollower(raft, raft.term, undefined);
  if (raft.role.kind === 'pre_candidate') evaluatePreCandidate(raft, raft.role);
  if (raft.role.kind === 'candidate') evaluateCandidate(raft, raft.role);
  if (raft.role.kind === 'leader') evaluateLeader(raft, raft.role);
}

/** Asserts the invariants in the header. For tests and the simulator: it looks at the whole log. */
export function checkInvariants(raft: Raft): void {
  const { log, commit, role } = raft;
  checkLog(log);
  checkOutbox(raft);
  assert(
    log.start.index <= commit && commit <= lastIndex(log),
    'raft invariant 1: commit lies within the log',
  );
  const lastTerm = log.entries.at(-1)?.term ?? log.start.term;
  assert(lastTerm <= raft.term, 'raft invariant 2: the log holds no later term than the current one');
  checkDerived(raft);
  if (role.kind === 'candidate') {
    assert(raft.vote === raft.self, 'raft invariant 3: a candidate voted for itself');
    assert(mayLead(raft), 'raft invariant 4: only a voter with a say, or one that removed itself, stands');
  }
  if (role.kind === 'leader') checkLeader(raft, role);
}

function checkDerived({ epochs, memberships, log }: Raft): void {
  checkEpochs(epochs);
  for (const epoch of epochs) {
    const body = entryAt(log, epoch.firstIndex)?.body;
    const isInLog = body?.kind === 'epoch' && body.leader === epoch.leader;
    assert(isInLog || epoch.firstIndex <= log.start.index, 'raft invariant 5: epochs are those of the log');
  }
  memberships.forEach((placed, at) => {
    const isInLog = entryAt(log, placed.index)?.body.kind === 'membership';
    assert(isInLog || placed.index <= log.start.index, 'raft invariant 5: memberships are those of the log');
    const before = memberships[at - 1];
    assert(before === undefined || before.index < placed.index, 'raft invariant 5: memberships are in order');
  });
}

function checkLeader(raft: Raft, role: LeaderRole): void {
  const { log } = raft;
  assert(raft.vote === raft.self, 'raft invariant 3: a leader voted for itself');
  const epoch = raft.epochs.at(-1);
  const isOwnEpoch = epoch?.term === raft.term && epoch.leader === raft.self;
  assert(
    isOwnEpoch && epoch.firstIndex === role.epochIndex,
    'raft invariant 3: a leader began the latest epoch',
  );
  assert(mayLead(raft), 'raft invariant 4: only a voter with a say, or one that removes itself, leads');
  for (const progress of role.progress.values()) {
    checkProgress(progress, raft.options);
    assert(progress.match <= lastIndex(log), 'a member holds nothing of this term that its leader does not');
  }
  role.pending.forEach((pending, at) => {
    const before = role.pending[at - 1];
    const isInOrder = before === undefined || before.position.index < pending.position.index;
    assert(isInOrder && pending.position.term === raft.term, 'open proposals are of this term and in order');
  });
}

/**
 * What a state that includes exactly everything through `index` has to carry along, for whoever installs it. The index
 * is committed, and not before the start of the log.
 */
export function statePoint(raft: Raft, index: LogIndex): StatePoint {
  return pointAt(raft, index);
}

/**
 * To be asked right before `state_installed` is told, in the same turn: whether a state that was fetched as `scope` may take
 * the place of what is applied here. If not, it is dropped, and the core asks again for what it needs by then.
 */
export function mayInstall(raft: Raft, scope: StateScope, point: StatePoint): boolean {
  return maySettleIn(raft, scope, point);
}

/** The replica as a driver holds it. */
export function raftCore(raft: Raft): Core<RaftEvent, RaftEffect> {
  return { step: (event) => step(raft, event), checkInvariants: () => checkInvariants(raft) };
}
