/**
 * What a leader knows of one member, and how much it may send it.
 *
 *     probe           one append at a time, to find where the logs agree
 *     replicate       many appends on their way at once, sent optimistically one after the other
 *     state_transfer  the member needs entries that are gone; it fetches a state, nothing is appended
 *
 *     probe ──accepted──► replicate ──rejected, or unanswered too long──► probe
 *       └──── needs entries before the log's start ────► state_transfer ──accepted──► replicate
 *
 * Invariants:
 * 1. `match < next`.
 * 2. In `replicate` at most `inflightAppendsMax` appends are on their way; elsewhere at most one.
 */

import { assert } from '../errors.ts';
import type { LogIndex } from './entry.ts';
import { asIndex, greater, plus } from './entry.ts';
import type { RaftOptions } from './state.ts';

/** An append that was not answered yet. */
interface Inflight {
  readonly last: LogIndex;
  readonly bytes: number;
  readonly sentAt: number;
}

export interface Progress {
  /** Durable there through this index, and equal to the leader's log. */
  match: LogIndex;
  /** The next entry to send. */
  next: LogIndex;
  mode: 'probe' | 'replicate' | 'state_transfer';
  inflight: Inflight[];
  /** Answers in a row that did not come in time. */
  stalls: number;
  /** In `state_transfer`: when the state was offered. */
  offeredAt: number;
  /** The commit index it was last told. */
  commitTold: LogIndex;
  /** When it last answered in this term; starts as the tick of the election, as a grace period. */
  heardAt: number;
  /** The last heartbeat round it answered. */
  round: number;
}

export function createProgress(next: LogIndex, now: number): Progress {
  return {
    match: asIndex(0),
    next,
    mode: 'probe',
    inflight: [],
    stalls: 0,
    offeredAt: now,
    commitTold: asIndex(0),
    heardAt: now,
    round: 0,
  };
}

export function mayAppend(progress: Progress, options: RaftOptions): boolean {
  switch (progress.mode) {
    case 'probe':
      return progress.inflight.length === 0;
    case 'replicate': {
      if (progress.inflight.length >= options.inflightAppendsMax) return false;
      const bytes = progress.inflight.reduce((sum, append) => sum + append.bytes, 0);
      return bytes < options.inflightBytesMax;
    }
    case 'state_transfer':
      return false;
  }
}

export function recordAppend(progress: Progress, append: Inflight): void {
  progress.inflight.push(append);
  if (progress.mode === 'replicate') progress.next = plus(append.last, 1);
}

/** The member's log agrees with the leader's, durably, through `match`. */
export function recordAccepted(progress: Progress, match: LogIndex, logStart: LogIndex): void {
  if (progress.mode === 'state_transfer' && match < logStart) return;
  progress.match = greater(progress.match, match);
  progress.stalls = 0;
  if (progress.mode === 'replicate') {
    progress.inflight = progress.inflight.filter((append) => append.last > match);
  } else {
    progress.mode = 'replicate';
    progress.inflight = [];
    progress.next = plus(progress.match, 1);
  }
  progress.next = greater(progress.next, plus(progress.match, 1));
}

/** Goes back to trying one append, from `next`. */
export function probeFrom(progress: Progress, next: LogIndex): void {
  progress.mode = 'probe';
  progress.inflight = [];
  progress.next = greater(next, plus(progress.match, 1));
}

const stallsMax = 5;

/** The oldest append has been without an answer for so long that it, or its answer, is taken for lost. */
export function isStalled(progress: Progress, now: number, options: RaftOptions): boolean {
  const oldest = progress.inflight[0];
  if (oldest === undefined) return false;
  // Who does not answer probes, though it lives, is busy: perhaps with a state that it fetches.
  const probeTicks = 2 * options.heartbeatTicks * 2 ** Math.min(progress.stalls, stallsMax);
  return now - oldest.sentAt >= (progress.mode === 'probe' ? probeTicks : options.electionTicksMin);
}

/** Gives up waiting and probes: where it probed before, or else from the last place known to agree. */
export function retry(progress: Progress): void {
  progress.stalls += 1;
  probeFrom(progress, progress.mode === 'probe' ? progress.next : plus(progress.match, 1));
}

export function offerState(progress: Progress, now: number): void {
  progress.mode = 'state_transfer';
  progress.inflight = [];
  progress.offeredAt = now;
}

export function checkProgress(progress: Progress, options: RaftOptions): void {
  assert(progress.match < progress.next, 'progress invariant 1: what is sent next is not held yet');
  const inflightMax = progress.mode === 'replicate' ? options.inflightAppendsMax : 1;
  assert(progress.inflight.length <= inflightMax, 'progress invariant 2: appends on their way are bounded');
}
