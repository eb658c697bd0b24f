/** Attempts of a replication: how one begins, where it resumes, and what follows when it fails. */

import { assert } from '../errors.ts';
import { compareCheckpoints, sharedHistory } from './checkpoint.ts';
import type { Effect, ReplicatorEvent, ReplicatorState, Run } from './replicator-model.ts';

/** Reads both checkpoints, as every attempt begins. */
export function beginAttempt(state: ReplicatorState, now: number, effects: Effect[]): ReplicatorState {
  const attempt = state.attempt + 1;
  effects.push({ kind: 'read_checkpoints', attempt });
  return { ...state, attempt, phase: { kind: 'reading_checkpoints', since: now } };
}

/** Starts the run at the newest place that both checkpoints vouch for. */
export function resume(
  state: ReplicatorState,
  event: Extract<ReplicatorEvent, { readonly kind: 'checkpoints_read' }>,
): ReplicatorState {
  assert(state.phase.kind === 'reading_checkpoints', 'checkpoints are read at the start of an attempt');
  const { options } = state;
  const comparison = compareCheckpoints(event.source, event.target);
  const ownSession = comparison.kind === 'shared' && comparison.sessionId === state.sessionId;
  const shared = comparison.kind === 'shared' ? comparison.sequence : '0';
  const since = options.useCheckpoints
    ? ownSession
      ? shared
      : (options.since ?? shared)
    : (state.reached ?? options.since ?? '0');
  const run: Run = {
    attempt: state.attempt,
    startedFrom: since,
    batches: [],
    nextBatch: 1,
    reading: undefined,
    readThrough: since,
    finishedThrough: since,
    saved: since,
    savedAt: event.now,
    wakeAt: undefined,
    saving: { kind: 'none' },
    feed: 'behind',
    pending: undefined,
    olderHistory: sharedHistory(event.source, comparison),
  };
  const ordinal = ownSession ? Math.max(state.ordinal, comparison.ordinal) : state.ordinal;
  return { ...state, ordinal, phase: { kind: 'running', run } };
}

/** Ends the replication for good, or waits before the next attempt. */
export function giveUpAttempt(
  state: ReplicatorState,
  event: Extract<ReplicatorEvent, { readonly kind: 'failed' }>,
  effects: Effect[],
): ReplicatorState {
  const failures = state.failures + 1;
  const { backOff, failuresMax } = state.options;
  effects.push({ kind: 'abandon' });
  if (event.fault === 'fatal' || (failuresMax !== undefined && failures >= failuresMax)) {
    const outcome = { kind: 'failed', fault: event.fault, reason: event.reason } as const;
    effects.push({ kind: 'end', outcome });
    return { ...state, failures, phase: { kind: 'ended', outcome, run: runOf(state) } };
  }
  assert(event.random >= 0 && event.random < 1, 'jitter is a number in [0, 1)');
  const longest = Math.min(backOff.maxMs, backOff.firstMs * 2 ** Math.min(failures - 1, 30));
  // Jitter over the upper half: neighbours that lost the same node do not come back to it at the same moment.
  const delayMs = Math.ceil(longest * (0.5 + event.random / 2));
  effects.push({ kind: 'tick_after', delayMs });
  // The attempt is over: replies to it that are still on their way must not be heard (invariant 5).
  return {
    ...state,
    failures,
    attempt: state.attempt + 1,
    phase: { kind: 'backing_off', until: event.now + delayMs, reason: event.reason },
  };
}

/** The run under way, or the last one of a replication that has ended. */
export function runOf(state: ReplicatorState): Run | undefined {
  return state.phase.kind === 'running' || state.phase.kind === 'ended' ? state.phase.run : undefined;
}
