/**
 * What replicas of a group say to each other. Every message carries the sender's term and lineage; one that is
 * behind in either is answered by `fenced`, if it wants something, and otherwise ignored.
 */

import type { Entry, LogIndex, LogPosition, StatePoint, Term } from './entry.ts';

interface Stamp {
  /** The sender's current term. */
  readonly term: Term;
  /** The sender's lineage; see Membership in entry.ts. */
  readonly lineage: Term;
}

/** Would you vote for me in the term after mine? Promises nothing and changes nothing (thesis §9.6). */
export interface PreVoteRequest extends Stamp {
  readonly kind: 'pre_vote_request';
  readonly last: LogPosition;
  readonly reason: CandidacyReason;
}

export interface PreVoteResponse extends Stamp {
  readonly kind: 'pre_vote_response';
  /** The term that was asked for. */
  readonly standingFor: Term;
  readonly granted: boolean;
}

/**
 * - `timeout`: no leader was heard; voters that still hear one pay no attention (thesis §4.2.3).
 * - `transfer`: the leader itself asked the candidate to stand (thesis §3.10).
 * - `appointment`: an operator did, in a group whose leader is appointed.
 */
export type CandidacyReason = 'timeout' | 'transfer' | 'appointment';

export interface VoteRequest extends Stamp {
  readonly kind: 'vote_request';
  readonly last: LogPosition;
  readonly reason: CandidacyReason;
}

export interface VoteResponse extends Stamp {
  readonly kind: 'vote_response';
  readonly granted: boolean;
}

export interface AppendRequest extends Stamp {
  readonly kind: 'append_request';
  /** The position right before the first entry. */
  readonly previous: LogPosition;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

/** Sent once the follower's log is durable through `match`, and equal to the leader's up to there. */
export interface AppendAccepted extends Stamp {
  readonly kind: 'append_accepted';
  readonly match: LogIndex;
}

export interface AppendRejected extends Stamp {
  readonly kind: 'append_rejected';
  /** `previous.index` of the request. */
  readonly previousIndex: LogIndex;
  /** The last place where the two logs may still agree, judged by terms: spares trying them one by one. */
  readonly hint: LogPosition;
}

/** Also the question "am I still the leader?" of linearizable reads (thesis §6.4). */
export interface HeartbeatRequest extends Stamp {
  readonly kind: 'heartbeat_request';
  /** Never beyond what the receiver is known to hold. */
  readonly commit: LogIndex;
  /** 0: no answer is wanted; an idle member only learns what is committed. */
  readonly round: number;
}

export interface HeartbeatResponse extends Stamp {
  readonly kind: 'heartbeat_response';
  readonly round: number;
}

/** The receiver is too far behind for the log: it should fetch a state that includes `point`. */
export interface StateOffer extends Stamp {
  readonly kind: 'state_offer';
  readonly point: StatePoint;
}

/** A follower asks how far it must have applied to answer its reads. `request` comes back. */
export interface ReadIndexRequest extends Stamp {
  readonly kind: 'read_index_request';
  readonly request: number;
}

export interface ReadIndexResponse extends Stamp {
  readonly kind: 'read_index_response';
  readonly request: number;
  readonly index: LogIndex;
  /** How the leader made sure that it still leads. */
  readonly by: 'quorum' | 'lease';
}

/** Stand for election at once (thesis §3.10). */
export interface TimeoutNow extends Stamp {
  readonly kind: 'timeout_now';
}

/** What you asked for belongs to the past: this is the present term and lineage. */
export interface Fenced extends Stamp {
  readonly kind: 'fenced';
}

export type RaftMessage =
  | PreVoteRequest
  | PreVoteResponse
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendAccepted
  | AppendRejected
  | HeartbeatRequest
  | HeartbeatResponse
  | StateOffer
  | ReadIndexRequest
  | ReadIndexResponse
  | TimeoutNow
  | Fenced;
