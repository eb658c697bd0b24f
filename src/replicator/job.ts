/** Drives one replication: the pure core decides, two endpoints do, the clock wakes. */

import type { Checkpoint } from '../multi-leader/checkpoint.ts';
import { createReplicator, report, step } from '../multi-leader/replicator.ts';
import type {
  Effect,
  Outcome,
  ReplicatorEvent,
  ReplicatorOptions,
  ReplicatorState,
} from '../multi-leader/replicator-model.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import {
  classify,
  type Fault,
  type Refusal,
  type ReplicationEndpoint,
  type TransferChange,
  type TransferDocument,
} from './endpoint.ts';
import { fetchPatiently, type Patience, writePatiently } from './patience.ts';
import { hasReached } from './sequences.ts';

/** Bytes of documents that a batch holds before it writes some of them early. */
const batchBytesMax = 8_000_000;
/**
 * A one-shot replication ends where its source ends. A source that is written to faster than it is read has no end, so
 * this many times the job reads up to what was the newest sequence when it set out. Once would not do: a document that
 * is edited before its turn comes moves behind the first goal.
 */
const goalsMax = 3;

export interface JobOptions {
  /** Id of the `_local` documents. */
  readonly checkpointId: string;
  readonly source: ReplicationEndpoint;
  readonly target: ReplicationEndpoint;
  readonly replicator: ReplicatorOptions;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of errors that are this program's own mistakes; the job ends as failed. */
  readonly onDefect: (error: unknown) => void;
  /** Told of every fault; the core decides what becomes of it. */
  readonly onFault: (fault: Fault) => void;
  /** Told of every revision that is passed over. */
  readonly onRefused: (refusal: Refusal) => void;
}

export interface JobEnd {
  readonly outcome: Outcome;
  /** CouchDB's word for the last fault of a failed job. */
  readonly error: string | undefined;
  /** What the session did; undefined when it never came to reading changes. */
  readonly report: Checkpoint | undefined;
}

interface BatchContent {
  readonly rows: readonly TransferChange[];
  missing: ReadonlyMap<string, readonly string[]>;
  documents: readonly TransferDocument[];
}

type Reply = Extract<ReplicatorEvent, { readonly attempt: number }>;
/** What work found out; the attempt and the time are added when it is told to the core. */
type Finding = Reply extends infer One ? (One extends Reply ? Omit<One, 'attempt' | 'now'> : never) : never;

export class ReplicationJob {
  /** Resolves once, when the replication has ended and both endpoints are closed. Never rejects. */
  readonly ended: Promise<JobEnd>;
  readonly #options: JobOptions;
  readonly #batches = new Map<number, BatchContent>();
  readonly #timers = new Set<() => void>();
  #state: ReplicatorState;
  #abort = new AbortController();
  #resolveEnded: (end: JobEnd) => void = () => undefined;
  #lastFault: Fault | undefined;
  /** Of a one-shot job: how far the source's feed is read at least; kept over attempts. */
  #goal: string | undefined;
  #goalsReached = 0;

  constructor(options: JobOptions) {
    this.#options = options;
    this.#state = createReplicator(options.replicator, options.random.hex(16), options.clock.now());
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  start(): void {
    this.#tell({ kind: 'start', now: this.#options.clock.now() });
  }

  stop(): void {
    this.#tell({ kind: 'stop', now: this.#options.clock.now() });
  }

  get state(): ReplicatorState {
    return this.#state;
  }

  #tell(event: ReplicatorEvent): void {
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'abandon':
        this.#abandon();
        return;
      case 'tick_after':
        this.#wakeAfter(effect.delayMs);
        return;
      case 'end':
        this.#finish(effect.outcome);
        return;
      default:
        this.#work(effect.attempt, this.#do(effect, this.#abort.signal));
    }
  }

  /** Tells the core how a piece of work ended. Work of an abandoned attempt is told too; the core does not hear it. */
  #work(attempt: number, work: Promise<Finding>): void {
    const { clock } = this.#options;
    work
      .then(
        (finding) => this.#tell({ ...finding, attempt, now: clock.now() } as Reply),
        (error: unknown) => this.#fail(attempt, error),
      )
      .catch((defect: unknown) => {
        this.#options.onDefect(defect);
        this.#finish({ kind: 'failed', fault: 'fatal', reason: 'An internal error occurred.' });
      });
  }

  #fail(attempt: number, error: unknown): void {
    if (attempt !== this.#state.attempt || this.#state.phase.kind === 'ended') return;
    const { clock, random, onDefect, onFault } = this.#options;
    const fault = classify(error);
    this.#lastFault = fault;
    if (fault.isDefect) onDefect(error);
    onFault(fault);
    this.#tell({
      kind: 'failed',
      attempt,
      now: clock.now(),
      fault: fault.fault,
      reason: fault.reason,
      random: random.next(),
    });
  }

  #do(effect: Extract<Effect, { readonly attempt: number }>, signal: AbortSignal): Promise<Finding> {
    switch (effect.kind) {
      case 'read_checkpoints':
        return this.#readCheckpoints(signal);
      case 'read_changes':
        return this.#readChanges(effect, signal);
      case 'compare':
        return this.#compare(effect.batch, signal);
      case 'fetch':
        return this.#fetch(effect.batch, signal);
      case 'write':
        return this.#write(effect.batch, signal);
      case 'commit':
        return this.#options.target.ensureFullCommit(signal).then(() => ({ kind: 'committed' }));
      case 'write_checkpoint':
        return this.#writeCheckpoint(effect.checkpoint, signal);
    }
  }

  async #readCheckpoints(signal: AbortSignal): Promise<Finding> {
    const { source, target, checkpointId, replicator } = this.#options;
    await source.open(signal);
    await target.open(signal);
    if (!replicator.continuous) this.#goal ??= await source.newestSequence(signal);
    if (!replicator.useCheckpoints) return { kind: 'checkpoints_read', source: undefined, target: undefined };
    const [onSource, onTarget] = await Promise.all([
      source.readCheckpoint(checkpointId, signal),
      target.readCheckpoint(checkpointId, signal),
    ]);
    return { kind: 'checkpoints_read', source: onSource, target: onTarget };
  }

  async #readChanges(
    effect: Extract<Effect, { readonly kind: 'read_changes' }>,
    signal: AbortSignal,
  ): Promise<Finding> {
    const { source, onRefused } = this.#options;
    const page = await source.readChanges(effect, signal);
    const goalReached = page.pending !== 0 && (await this.#passGoal(page.lastSequence, signal));
    signal.throwIfAborted();
    for (const refusal of page.refused) onRefused(refusal);
    if (page.rows.length > 0) {
      this.#batches.set(effect.batch, { rows: page.rows, missing: new Map(), documents: [] });
    }
    return {
      kind: 'changes_read',
      batch: effect.batch,
      rows: page.rows.length,
      lastSequence: page.lastSequence,
      pending: page.pending,
      goalReached,
      documentWriteFailures: page.refused.length,
    };
  }

  /** Whether the last goal is reached. */
  async #passGoal(sequence: string, signal: AbortSignal): Promise<boolean> {
    if (this.#goal === undefined || !hasReached(sequence, this.#goal)) return false;
    this.#goalsReached += 1;
    if (this.#goalsReached >= goalsMax) return true;
    this.#goal = (await this.#options.source.newestSequence(signal)) ?? this.#goal;
    return false;
  }

  async #compare(number: number, signal: AbortSignal): Promise<Finding> {
    const batch = this.#batch(number);
    const named = new Map<string, readonly string[]>();
    for (const { id, revisions } of batch.rows) named.set(id, [...(named.get(id) ?? []), ...revisions]);
    const missing = await this.#options.target.missingRevisions(named, signal);
    signal.throwIfAborted();
    batch.missing = missing;
    const revisionsMissing = countRevisions(missing);
    if (revisionsMissing === 0) this.#batches.delete(number);
    return { kind: 'compared', batch: number, revisionsChecked: countRevisions(named), revisionsMissing };
  }

  async #fetch(number: number, signal: AbortSignal): Promise<Finding> {
    const batch = this.#batch(number);
    const found = { documentsRead: 0, documentsWritten: 0, documentWriteFailures: 0 };
    let held: TransferDocument[] = [];
    let bytes = 0;
    for await (const chunk of fetchPatiently(batch.missing, this.#patience(signal))) {
      found.documentsRead += chunk.documents.length + chunk.refused;
      found.documentWriteFailures += chunk.refused;
      held.push(...chunk.documents);
      for (const document of chunk.documents) bytes += document.body.byteLength;
      if (bytes < batchBytesMax) continue;
      const { written, refused } = await writePatiently(held, this.#patience(signal));
      found.documentsWritten += written;
      found.documentWriteFailures += refused;
      held = [];
      bytes = 0;
    }
    signal.throwIfAborted();
    batch.documents = held;
    batch.missing = new Map();
    return { kind: 'fetched', batch: number, ...found };
  }

  async #write(number: number, signal: AbortSignal): Promise<Finding> {
    const { documents } = this.#batch(number);
    const { written, refused } = await writePatiently(documents, this.#patience(signal));
    signal.throwIfAborted();
    this.#batches.delete(number);
    return { kind: 'written', batch: number, documentsWritten: written, documentWriteFailures: refused };
  }

  #patience(signal: AbortSignal): Patience {
    const { source, target, clock, onRefused, replicator } = this.#options;
    return { source, target, clock, onRefused, pauses: replicator.backOff, signal };
  }

  /** The target first: a crash in between leaves the target ahead, and the next comparison takes the lower one. */
  async #writeCheckpoint(checkpoint: Checkpoint, signal: AbortSignal): Promise<Finding> {
    const { source, target, checkpointId } = this.#options;
    await target.writeCheckpoint(checkpointId, checkpoint, signal);
    await source.writeCheckpoint(checkpointId, checkpoint, signal);
    return { kind: 'checkpoint_written' };
  }

  #batch(number: number): BatchContent {
    const batch = this.#batches.get(number);
    if (batch === undefined) throw new Error(`invariant broken: batch ${number} has content`);
    return batch;
  }

  #abandon(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#batches.clear();
  }

  #wakeAfter(delayMs: number): void {
    const { clock } = this.#options;
    const cancel = clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      this.#tell({ kind: 'tick', now: clock.now() });
    });
    this.#timers.add(cancel);
  }

  #finish(outcome: Outcome): void {
    const { source, target, clock } = this.#options;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#abort.abort();
    source.close();
    target.close();
    const error = outcome.kind === 'failed' ? this.#lastFault?.error : undefined;
    this.#resolveEnded({ outcome, error, report: report(this.#state, clock.now()) });
  }
}

function countRevisions(revisions: ReadonlyMap<string, readonly string[]>): number {
  let count = 0;
  for (const ofOne of revisions.values()) count += ofOne.length;
  return count;
}
