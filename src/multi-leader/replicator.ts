/**
 * One replication, as a core that is told what happened and answers what should happen next.
 *
 * A replication copies what a source has and a target lacks. It reads the source's changes feed in batches; each batch
 * passes four stations, and several batches are under way at once, each at another station:
 *
 *     reading → comparing → fetching → writing → finished
 *     (changes) (what is missing on the target) (from the source) (to the target)
 *
 *     time →   b1 read  b1 compare  b1 fetch    b1 write
 *                       b2 read     b2 compare  b2 fetch   b2 write
 *
 * Batches may finish in any order, but a checkpoint names only the end of the finished *prefix*: if b2 is written and
 * b1 is not, the checkpoint stays before b1, so a crash at any moment repeats work and never skips any.
 *
 * After a fault the whole attempt is abandoned: the core waits (exponentially longer, with jitter), reads the
 * checkpoints again and goes on from there. Asking the target what it misses makes repeated work cheap.
 *
 * Invariants:
 * 1. A checkpoint never names a sequence beyond the finished prefix.
 * 2. Batches are numbered without gaps in the order of the feed, and each begins where the one before it ended.
 * 3. At most `batchesInFlightMax` batches exist, and at most `atWorkMax` of them at one station.
 * 4. At most one checkpoint is on its way, and checkpoints only advance.
 * 5. A reply to an abandoned attempt changes nothing.
 * 6. After the end nothing more is asked for.
 *
 * Left out: the documents. The driver keeps each batch's rows and documents under the batch's number; the core counts.
 */

import { assert } from '../errors.ts';
import type { Checkpoint, HistoryEntry } from './checkpoint.ts';
import { makeCheckpoint } from './checkpoint.ts';
import { beginAttempt, giveUpAttempt, resume, runOf } from './replicator-attempt.ts';
import type {
  Batch,
  Effect,
  ReplicatorEvent,
  ReplicatorOptions,
  ReplicatorState,
  Run,
  Station,
  Statistics,
} from './replicator-model.ts';

const noStatistics: Statistics = {
  revisionsChecked: 0,
  missingRevisionsFound: 0,
  documentsRead: 0,
  documentsWritten: 0,
  documentWriteFailures: 0,
};

/** A replication that has not begun. `sessionId` is new for every replicator ever made. */
export function createReplicator(
  options: ReplicatorOptions,
  sessionId: string,
  now: number,
): ReplicatorState {
  return {
    options,
    sessionId,
    startedAt: now,
    attempt: 0,
    failures: 0,
    ordinal: 0,
    statistics: noStatistics,
    reached: undefined,
    phase: { kind: 'idle' },
  };
}

/** The next state, and what the driver has to do; effects of one step are independent of each other. */
export function step(
  state: ReplicatorState,
  event: ReplicatorEvent,
): { readonly state: ReplicatorState; readonly effects: readonly Effect[] } {
  if (state.phase.kind === 'ended') return { state, effects: [] }; // Invariant 6.
  if ('attempt' in event && event.attempt !== state.attempt) return { state, effects: [] }; // Invariant 5.
  const effects: Effect[] = [];
  const recorded = record(state, event, effects);
  const next = recorded.phase.kind === 'running' ? evaluate(recorded, event.now, effects) : recorded;
  checkInvariants(next);
  return { state: next, effects };
}

/** Writes down what an event says. All that follows from it is decided in {@link evaluate}. */
function record(state: ReplicatorState, event: ReplicatorEvent, effects: Effect[]): ReplicatorState {
  switch (event.kind) {
    case 'start':
      assert(state.phase.kind === 'idle', 'a replication starts once');
      return beginAttempt(state, event.now, effects);
    case 'checkpoints_read':
      return resume(state, event);
    case 'failed':
      return giveUpAttempt(state, event, effects);
    case 'stop':
      effects.push({ kind: 'abandon' }, { kind: 'end', outcome: { kind: 'stopped' } });
      return { ...state, phase: { kind: 'ended', outcome: { kind: 'stopped' }, run: runOf(state) } };
    case 'tick':
      return wake(state, event.now, effects);
    default:
      assert(state.phase.kind === 'running', `${event.kind} is told of a running attempt`);
      return recordProgress(state, state.phase.run, event);
  }
}

/**
 * Timers may fire a little early, and the clock may be set back. Neither may end all waking: an early tick asks for
 * another one, and a pause that has become longer than any is over.
 */
function wake(state: ReplicatorState, now: number, effects: Effect[]): ReplicatorState {
  if (state.phase.kind === 'running') {
    const { run } = state.phase;
    return run.wakeAt === undefined ? state : withRun(state, { ...run, wakeAt: undefined });
  }
  if (state.phase.kind !== 'backing_off') return state;
  const leftMs = state.phase.until - now;
  if (leftMs <= 0 || leftMs > state.options.backOff.maxMs) return beginAttempt(state, now, effects);
  effects.push({ kind: 'tick_after', delayMs: leftMs });
  return state;
}

type ProgressEvent = Exclude<
  ReplicatorEvent,
  { readonly kind: 'start' | 'checkpoints_read' | 'failed' | 'stop' | 'tick' }
>;

function recordProgress(state: ReplicatorState, run: Run, event: ProgressEvent): ReplicatorState {
  const { statistics } = state;
  switch (event.kind) {
    case 'changes_read':
      return {
        ...withRun(state, recordChanges(state.options, run, event)),
        statistics: {
          ...statistics,
          documentWriteFailures: statistics.documentWriteFailures + event.documentWriteFailures,
        },
      };
    case 'compared':
      return {
        ...withRun(
          state,
          moveBatch(run, event.batch, 'comparing', event.revisionsMissing === 0 ? 'finished' : 'compared'),
        ),
        statistics: {
          ...statistics,
          revisionsChecked: statistics.revisionsChecked + event.revisionsChecked,
          missingRevisionsFound: statistics.missingRevisionsFound + event.revisionsMissing,
        },
      };
    case 'fetched':
      return {
        ...withRun(state, moveBatch(run, event.batch, 'fetching', 'fetched')),
        statistics: {
          ...statistics,
          documentsRead: statistics.documentsRead + event.documentsRead,
          documentsWritten: statistics.documentsWritten + event.documentsWritten,
          documentWriteFailures: statistics.documentWriteFailures + event.documentWriteFailures,
        },
      };
    case 'written':
      return {
        ...withRun(state, moveBatch(run, event.batch, 'writing', 'finished')),
        failures: 0,
        statistics: {
          ...statistics,
          documentsWritten: statistics.documentsWritten + event.documentsWritten,
          documentWriteFailures: statistics.documentWriteFailures + event.documentWriteFailures,
        },
      };
    case 'committed':
      assert(run.saving.kind === 'committing', 'only a commit under way can end');
      return withRun(state, { ...run, saving: { kind: 'committed', sequence: run.saving.sequence } });
    case 'checkpoint_written':
      assert(run.saving.kind === 'writing', 'only a checkpoint under way can end');
      return {
        ...withRun(state, {
          ...run,
          saving: { kind: 'none' },
          saved: run.saving.sequence,
          savedAt: event.now,
        }),
        failures: 0,
      };
  }
}

function recordChanges(
  options: ReplicatorOptions,
  run: Run,
  event: Extract<ReplicatorEvent, { readonly kind: 'changes_read' }>,
): Run {
  assert(run.reading !== undefined && run.reading.batch === event.batch, 'changes answer the read under way');
  const batch: Batch = {
    number: event.batch,
    since: run.readThrough,
    through: event.lastSequence,
    station: event.rows === 0 ? 'finished' : 'read',
  };
  const atEnd = event.pending === undefined ? event.rows < options.batchRows : event.pending === 0;
  // A source that is written to faster than it is read has no end, so a one-shot run has a goal as well.
  const enough = !options.continuous && event.goalReached;
  const caughtUp = atEnd || event.rows === 0 || enough;
  return {
    ...run,
    batches: [...run.batches, batch],
    reading: undefined,
    readThrough: event.lastSequence,
    pending: event.pending,
    feed: caughtUp ? 'caught_up' : 'behind',
  };
}

/** Decides, from the state alone, all that should be under way now. */
function evaluate(state: ReplicatorState, now: number, effects: Effect[]): ReplicatorState {
  assert(state.phase.kind === 'running', 'only a running attempt is evaluated');
  let run = dropFinishedPrefix(state.phase.run);
  run = startStation(state, run, effects, 'read', 'comparing');
  run = startStation(state, run, effects, 'compared', 'fetching');
  run = startStation(state, run, effects, 'fetched', 'writing');
  run = startReading(state.options, run, effects);
  let next: ReplicatorState = {
    ...withRun(state, run),
    reached: run.finishedThrough,
    // Being up to date is a success too: a quiet feed whose connection breaks once a day must not add up failures.
    failures: isDrained(run) ? 0 : state.failures,
  };
  next = save(next, run, now, effects);
  return endWhenDone(next, effects);
}

function dropFinishedPrefix(run: Run): Run {
  const unfinished = run.batches.findIndex((batch) => batch.station !== 'finished');
  const finished = unfinished === -1 ? run.batches.length : unfinished;
  if (finished === 0) return run;
  return {
    ...run,
    batches: run.batches.slice(finished),
    finishedThrough: run.batches[finished - 1]!.through,
  };
}

type WorkStation = 'comparing' | 'fetching' | 'writing';
const effectOf = { comparing: 'compare', fetching: 'fetch', writing: 'write' } as const;

function startStation(
  state: ReplicatorState,
  run: Run,
  effects: Effect[],
  waitingAt: Station,
  station: WorkStation,
): Run {
  let atWork = run.batches.filter((batch) => batch.station === station).length;
  const batches = run.batches.map((batch) => {
    if (batch.station !== waitingAt || atWork >= state.options.atWorkMax[station]) return batch;
    atWork += 1;
    effects.push({ kind: effectOf[station], attempt: state.attempt, batch: batch.number });
    return { ...batch, station };
  });
  return { ...run, batches };
}

function startReading(options: ReplicatorOptions, run: Run, effects: Effect[]): Run {
  if (run.reading !== undefined || run.batches.length >= options.batchesInFlightMax) return run;
  if (run.feed === 'caught_up' && !options.continuous) return run;
  const batch = run.nextBatch;
  effects.push({
    kind: 'read_changes',
    attempt: run.attempt,
    batch,
    since: run.readThrough,
    limit: options.batchRows,
    wait: run.feed === 'caught_up',
  });
  return { ...run, reading: { batch }, nextBatch: batch + 1 };
}

/** Commits the target and then writes a checkpoint, when the last one is old enough or all work is done. */
function save(state: ReplicatorState, run: Run, now: number, effects: Effect[]): ReplicatorState {
  const { options } = state;
  if (!options.useCheckpoints) return state;
  if (run.saving.kind === 'committed') {
    const { sequence } = run.saving;
    const ordinal = state.ordinal + 1;
    const entry = historyEntry(state, run, { sequence, ordinal, now });
    const checkpoint = makeCheckpoint(entry, run.olderHistory);
    effects.push({ kind: 'write_checkpoint', attempt: state.attempt, checkpoint });
    return { ...withRun(state, { ...run, saving: { kind: 'writing', sequence } }), ordinal };
  }
  if (run.saving.kind !== 'none' || run.finishedThrough === run.saved) return state;
  const dueAt = run.savedAt + options.checkpointIntervalMs;
  const isDue = now >= dueAt || now < run.savedAt;
  if (!isDue && !(isDrained(run) && !options.continuous)) {
    if (run.wakeAt === dueAt) return state;
    effects.push({ kind: 'tick_after', delayMs: dueAt - now });
    return withRun(state, { ...run, wakeAt: dueAt });
  }
  effects.push({ kind: 'commit', attempt: state.attempt });
  return withRun(state, { ...run, saving: { kind: 'committing', sequence: run.finishedThrough } });
}

function isDrained(run: Run): boolean {
  return run.feed === 'caught_up' && run.batches.length === 0;
}

function endWhenDone(state: ReplicatorState, effects: Effect[]): ReplicatorState {
  assert(state.phase.kind === 'running', 'only a running attempt can be done');
  const { run } = state.phase;
  const isSaved = !state.options.useCheckpoints || run.saved === run.finishedThrough;
  if (state.options.continuous || !isDrained(run) || run.saving.kind !== 'none' || !isSaved) return state;
  effects.push({ kind: 'end', outcome: { kind: 'completed' } });
  return { ...state, phase: { kind: 'ended', outcome: { kind: 'completed' }, run } };
}

function moveBatch(run: Run, number: number, from: Station, to: Station): Run {
  let moved = false;
  const batches = run.batches.map((batch) => {
    if (batch.number !== number) return batch;
    assert(batch.station === from, `batch ${number} is at ${from}`);
    moved = true;
    return { ...batch, station: to };
  });
  assert(moved, `batch ${number} exists`);
  return { ...run, batches };
}

function withRun(state: ReplicatorState, run: Run): ReplicatorState {
  return { ...state, phase: { kind: 'running', run } };
}

/** The session so far in the form of a checkpoint, for people; undefined before anything was read. */
export function report(state: ReplicatorState, now: number): Checkpoint | undefined {
  const run = runOf(state);
  if (run === undefined) return undefined;
  const entry = historyEntry(state, run, { sequence: run.finishedThrough, ordinal: state.ordinal, now });
  return makeCheckpoint(entry, run.olderHistory);
}

function historyEntry(
  state: ReplicatorState,
  run: Run,
  at: { readonly sequence: string; readonly ordinal: number; readonly now: number },
): HistoryEntry {
  const { statistics, options } = state;
  return {
    session_id: state.sessionId,
    start_time: options.formatTime(state.startedAt),
    end_time: options.formatTime(at.now),
    start_last_seq: run.startedFrom,
    end_last_seq: at.sequence,
    recorded_seq: at.sequence,
    ordinal: at.ordinal,
    missing_checked: statistics.revisionsChecked,
    missing_found: statistics.missingRevisionsFound,
    docs_read: statistics.documentsRead,
    docs_written: statistics.documentsWritten,
    doc_write_failures: statistics.documentWriteFailures,
  };
}

/** Throws when one of the invariants of the header that a state can show is broken. */
export function checkInvariants(state: ReplicatorState): void {
  if (state.phase.kind !== 'running') return;
  const { run } = state.phase;
  const { options } = state;
  let since = run.finishedThrough;
  let number = run.batches[0]?.number;
  for (const batch of run.batches) {
    assert(batch.since === since && batch.number === number, 'batches follow each other without gaps (2)');
    since = batch.through;
    number += 1;
  }
  assert(since === run.readThrough, 'the last batch ends where the next read begins (2)');
  assert(run.batches.length <= options.batchesInFlightMax, 'batches in flight are bounded (3)');
  for (const station of ['comparing', 'fetching', 'writing'] as const) {
    const atWork = run.batches.filter((batch) => batch.station === station).length;
    assert(atWork <= options.atWorkMax[station], `batches at work at ${station} are bounded (3)`);
  }
  assert(run.batches[0]?.station !== 'finished', 'the finished prefix is dropped at once (1)');
}
