/** The state of a Raft core, and its options. Only the files of this folder change it, only within a step. */

import type { NodeId } from '../replication/strategy.ts';
import type { AckRule } from './ack-policy.ts';
import type { Epoch, LogIndex, LogPosition, Term } from './entry.ts';
import type { RaftEffect, RoleName, StateScope } from './events.ts';
import type { Log } from './log.ts';
import type { PlacedMembership } from './membership.ts';
import type { CandidacyReason } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { FollowerReads, LeaderReads } from './reads.ts';

export interface RaftOptions {
  /**
   * `elected`: whoever misses the leader stands. `appointed`: only the leader of the latest epoch stands by itself;
   * another one does when it is told to `promote`. Equal on all replicas of a group.
   */
  readonly leaderChoice: 'elected' | 'appointed';
  readonly heartbeatTicks: number;
  /** A replica stands after a silence drawn from this range; must be several heartbeats. */
  readonly electionTicksMin: number;
  /** Not included. */
  readonly electionTicksMax: number;
  /**
   * How long after a confirmed heartbeat round a leader answers reads without asking again; 0: never. The assumption:
   * while a leader counts this many ticks, no follower counts `electionTicksMin`. Only with elected leaders.
   */
  readonly leaseTicks: number;
  /** Per append; at least one entry goes whatever its size. */
  readonly appendBytesMax: number;
  /** Appends on their way to one follower. */
  readonly inflightAppendsMax: number;
  readonly inflightBytesMax: number;
  /** Proposals beyond this much uncommitted data are rejected. */
  readonly uncommittedBytesMax: number;
  /** A learner at most this many entries behind may become a voter. */
  readonly promotionLagEntriesMax: number;
  /** A follower that fetches a state and is not heard of for so long is offered it again. */
  readonly stateTransferTicksMax: number;
  /** A read on a follower that got no index from the leader in this time is refused. */
  readonly readTicksMax: number;
}

/** For ticks of 25 ms: heartbeats every 50 ms, elections after 300 to 600 ms of silence. */
export const raftDefaults: RaftOptions = {
  leaderChoice: 'elected',
  heartbeatTicks: 2,
  electionTicksMin: 12,
  electionTicksMax: 24,
  leaseTicks: 0,
  appendBytesMax: 1_000_000,
  inflightAppendsMax: 64,
  inflightBytesMax: 16_000_000,
  uncommittedBytesMax: 64_000_000,
  promotionLagEntriesMax: 1_000,
  stateTransferTicksMax: 400,
  readTicksMax: 80,
};

interface StateAsked {
  readonly from: NodeId;
  readonly atTick: number;
  readonly scope: StateScope;
}

export interface FollowerRole {
  readonly kind: 'follower';
  /** Known once it was heard in this term. */
  leader: NodeId | undefined;
  readonly reads: FollowerReads;
}

export interface PreCandidateRole {
  readonly kind: 'pre_candidate';
  readonly answers: Map<NodeId, boolean>;
  readonly reason: 'timeout' | 'appointment';
  readonly promotion: number | undefined;
}

export interface CandidateRole {
  readonly kind: 'candidate';
  readonly answers: Map<NodeId, boolean>;
  /** The candidate's own vote counts when this ticket is durable. */
  readonly ownVoteTicket: number;
  /** `force`: nobody else is asked. */
  readonly reason: CandidacyReason | 'force';
  /** Id of the request to stand, if there was one. */
  readonly promotion: number | undefined;
}

/** A proposal whose client was not told yet. */
export interface PendingAck {
  readonly id: number;
  readonly position: LogPosition;
  readonly rule: AckRule;
  /** Tick at which the rule's timeout ends; Infinity with `block`. */
  readonly deadline: number;
}

export interface Transfer {
  readonly id: number;
  readonly to: NodeId;
  readonly deadline: number;
  /** The target was told to stand. */
  readonly isTold: boolean;
}

export interface LeaderRole {
  readonly kind: 'leader';
  /** Of every other member. */
  readonly progress: Map<NodeId, Progress>;
  /** Index of the entry that began this term. */
  readonly epochIndex: LogIndex;
  pending: PendingAck[];
  uncommittedBytes: number;
  heartbeatAt: number;
  readonly reads: LeaderReads;
  transfer: Transfer | undefined;
  /** A membership change under way: the client's id and the entry's index. */
  change: { readonly id: number; readonly index: LogIndex } | undefined;
}

export type Role = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;

export interface Told {
  readonly role: RoleName;
  readonly term: Term | undefined;
  readonly leader: NodeId | undefined;
  readonly membership: PlacedMembership | undefined;
  readonly isFencedOut: boolean;
}

export interface Raft {
  readonly self: NodeId;
  readonly options: RaftOptions;
  term: Term;
  vote: NodeId | undefined;
  lineage: Term;
  readonly log: Log;
  /** Read from the log, oldest first. */
  epochs: Epoch[];
  /** Read from the log, oldest first; the last is in force. Empty: not taken into a group yet. */
  memberships: PlacedMembership[];
  commit: LogIndex;
  role: Role;
  now: number;
  random: number;
  /** The silence after which this replica stands, drawn anew for every wait. */
  electionTicks: number;
  electionTimerStart: number;
  /** When a leader was last heard; votes are withheld for `electionTicksMin` after it. */
  leaderHeardAt: number;
  /** The state that was asked for and did not come yet, so that it is asked for once. */
  stateAsked: StateAsked | undefined;
  /** Begins anywhere after a restart: an answer from before it must not pass for one to a new question. */
  nextReadRequest: number;
  readonly outbox: Outbox;
  /** What the node around was told last, so that it is told changes only. */
  told: Told;
  /** Effects of the step under way. */
  effects: RaftEffect[];
}
