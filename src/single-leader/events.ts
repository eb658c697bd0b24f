/** What is asked of a Raft core, what it wants written, and what it has to tell; see raft.ts for the story. */

import type { CoreEffect, CoreEvent, NodeId } from '../replication/strategy.ts';
import type { AckOutcome, AckRule, Receipt } from './ack-policy.ts';
import type { Entry, Epoch, LogIndex, LogPosition, Member, Membership, StatePoint, Term } from './entry.ts';
import type { MembershipChange } from './membership.ts';
import type { RaftMessage } from './messages.ts';

/** Ids are chosen by the asker, never used twice by one core, and come back in the notice that answers. */
export interface Proposal {
  readonly id: number;
  readonly data: Uint8Array;
  readonly ack: AckRule;
}

export type RaftRequest =
  /** Each is answered by `proposal_rejected`, or by `acknowledged`. */
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[] }
  /** On any replica. Answered by `read_ready` or `read_refused`. */
  | { readonly kind: 'read'; readonly id: number }
  /** Hand leadership over: to `to`, or to whoever is best up to date. Answered by `transfer_ended`. */
  | { readonly kind: 'transfer'; readonly id: number; readonly to: NodeId | undefined }
  /** Stand for election now, because an operator says so. Answered by `promotion_ended`. */
  | { readonly kind: 'promote'; readonly id: number }
  /**
   * Go on with `members` (this replica among them as a voter) although the majority is lost. What only the lost side
   * holds is given up, until it comes back and hands it over as recovered writes. `term` must exceed every term the
   * lost side could ever reach or choose, so it is drawn from the wall clock in milliseconds. The replica leads at
   * once if it is the only voter, else after a vote among the new members. Answered by `promotion_ended`.
   */
  | { readonly kind: 'force'; readonly id: number; readonly term: Term; readonly members: readonly Member[] }
  /** Answered by `membership_change_ended`. */
  | { readonly kind: 'change_membership'; readonly id: number; readonly change: MembershipChange }
  /** Forget entries through `index`; they are applied, and that is durable. */
  | { readonly kind: 'truncate_prefix'; readonly through: LogIndex }
  /**
   * A state that `state_needed` asked for is applied; it includes everything through `point`. The driver makes it
   * durable with, or before, the `persist` that follows. Until it is visible, nothing that is applied here counts for a
   * `read_ready`: what is on its way out may have a higher index and not be what the group has.
   */
  | { readonly kind: 'state_installed'; readonly point: StatePoint };

export type RaftEvent = CoreEvent<RaftMessage, RaftRequest>;

export interface HardState {
  readonly term: Term;
  /** Whom this replica voted for in `term`. */
  readonly vote: NodeId | undefined;
  /** The highest lineage it heard of. */
  readonly lineage: Term;
}

/** One atomic change of what a replica keeps of its log. The parts apply in the order of the fields. */
export interface LogWrite {
  readonly hardState: HardState | undefined;
  /** Forget the whole log: it now begins after `start`, and nothing is in it. */
  readonly reset: boolean;
  /** Entries from here on are forgotten. They were handed over by `recovered` in the same step. */
  readonly truncateFrom: LogIndex | undefined;
  readonly entries: readonly Entry[];
  /** The log begins after this point: entries through it are forgotten. */
  readonly start: StatePoint | undefined;
}

/** Everything a core needs to go on after a restart, as `LogWrite`s have left it on the disk. */
export interface DurableState {
  readonly hardState: HardState;
  readonly start: StatePoint;
  /** Without gaps, from `start.index + 1`. */
  readonly entries: readonly Entry[];
  /** Through which index the applied state on the disk reaches. */
  readonly applied: LogIndex;
}

export type RoleName = 'follower' | 'pre_candidate' | 'candidate' | 'leader';

export type ProposalRejection = 'not_leader' | 'transferring' | 'overloaded';
export type ReadRefusal = 'no_leader' | 'leadership_lost' | 'timed_out' | 'witness';
export type TransferOutcome = 'done' | 'timed_out' | 'not_leader' | 'no_such_voter' | 'already_transferring';
export type PromotionOutcome = 'elected' | 'not_elected' | 'already_leader' | 'leader_alive' | 'no_voter';
export type MembershipOutcome =
  | 'committed'
  | 'not_leader'
  | 'not_ready'
  | 'change_in_progress'
  | 'transferring'
  | 'already_so'
  | 'no_such_member'
  | 'lagging'
  | 'last_voter'
  /** Too few of those who would count then are in touch: the group could not go on. */
  | 'no_majority'
  /** Leadership was lost: the change may or may not come about. */
  | 'unknown';

/** Of a state that is fetched: what changed since the applied index, or everything, as nothing here can be built upon. */
export type StateScope = 'changes' | 'whole';

export type RaftNotice =
  /** Did not happen. `leader` is who to ask, if known. */
  | {
      readonly kind: 'proposal_rejected';
      readonly id: number;
      readonly reason: ProposalRejection;
      readonly leader: NodeId | undefined;
    }
  /** Where a proposal went in the log; its fate is still open. */
  | { readonly kind: 'proposal_logged'; readonly id: number; readonly position: LogPosition }
  | {
      readonly kind: 'acknowledged';
      readonly id: number;
      readonly outcome: AckOutcome;
      readonly receipt: Receipt;
    }
  /** A read that sees everything applied through `index` is linearizable, as long as the lineage is the same. */
  | {
      readonly kind: 'read_ready';
      readonly id: number;
      readonly index: LogIndex;
      readonly by: 'quorum' | 'lease';
    }
  | { readonly kind: 'read_refused'; readonly id: number; readonly reason: ReadRefusal }
  | { readonly kind: 'transfer_ended'; readonly id: number; readonly outcome: TransferOutcome }
  | { readonly kind: 'promotion_ended'; readonly id: number; readonly outcome: PromotionOutcome }
  | { readonly kind: 'membership_change_ended'; readonly id: number; readonly outcome: MembershipOutcome }
  /** This membership is in force here from now on; it may not be committed yet. */
  | { readonly kind: 'membership'; readonly index: LogIndex; readonly membership: Membership }
  | {
      readonly kind: 'role';
      readonly role: RoleName;
      readonly term: Term;
      readonly leader: NodeId | undefined;
      readonly commit: LogIndex;
    }
  /** A majority went on without this replica under a forced membership: it has no say until it is taken in again. */
  | { readonly kind: 'fenced_out'; readonly lineage: Term }
  /**
   * These entries are about to leave this replica's log and are perhaps nowhere else. The driver keeps them durably,
   * in the same batch as the `persist` of this step or before it, and hands them to the leader as branches.
   */
  | { readonly kind: 'recovered'; readonly epoch: Epoch | undefined; readonly entries: readonly Entry[] }
  /**
   * The log no longer reaches back to where this replica is: fetch the state from `from`, at `atLeast` or later, then
   * tell `state_installed`. `changes`: what changed since the applied index is enough. `whole`: what is applied here
   * is not a prefix of what the group has, drop it all.
   */
  | {
      readonly kind: 'state_needed';
      readonly from: NodeId;
      readonly atLeast: LogIndex;
      readonly scope: StateScope;
    };

export type RaftEffect = CoreEffect<RaftMessage, LogWrite, Entry, RaftNotice>;
