/**
 * Runs the replications of a node: as many at once as allowed, in turns when there are more, and again after a crash.
 *
 * A job that meets a transient fault backs off by itself (the core does). The scheduler sees to what ends a job: a
 * one-shot replication is over; a continuous one, or one that keeps two nodes equal, is started again later.
 */

import type { Clock, Random } from '../runtime/ports.ts';
import type { Fault, Refusal } from './endpoint.ts';
import { createEnds, type EndsContext } from './ends.ts';
import { type JobEnd, ReplicationJob } from './job.ts';
import { checkpointIdOf, type ReplicationRequest } from './replication-request.ts';

/** Who asked for a replication. */
export type JobOrigin =
  | { readonly kind: 'request' }
  | { readonly kind: 'document'; readonly id: string }
  /** One of the links that keep this node equal to a peer; these take no turns. */
  | { readonly kind: 'peer'; readonly name: string };

export interface JobEvent {
  readonly kind: 'added' | 'started' | 'stopped' | 'crashed';
  /** Wall-clock milliseconds. */
  readonly at: number;
  readonly reason?: string;
}

export type JobState = 'pending' | 'running' | 'crashing';

/** One replication that is to run, runs, or waits to run again. */
export interface ScheduledJob {
  readonly id: string;
  readonly checkpointId: string;
  readonly request: ReplicationRequest;
  readonly origin: JobOrigin;
  readonly addedAt: number;
  /** Newest first, bounded. */
  readonly events: readonly JobEvent[];
  readonly state: JobState;
  readonly job: ReplicationJob | undefined;
  readonly startedAt: number;
  readonly updatedAt: number;
  /** Crashes in a row. */
  readonly errorCount: number;
  readonly lastFault: Fault | undefined;
  /** The last revisions that were passed over; newest first, bounded. */
  readonly refusals: readonly Refusal[];
}

type MutableJob = { -readonly [Member in keyof ScheduledJob]: ScheduledJob[Member] } & {
  cancelRetry: (() => void) | undefined;
  refusalsTold: number;
  readonly onEnd: (end: JobEnd) => void;
};

export interface SchedulerOptions extends EndsContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly onDefect: (error: unknown) => void;
  /** Told of revisions that are passed over, for the log; of a job that refuses many, of the first ones only. */
  readonly onRefused: (job: ScheduledJob, refusal: Refusal) => void;
  /** Jobs at once, links between nodes not counted. */
  readonly jobsMax: number;
  /** How long a continuous job may run while others wait. */
  readonly turnMs: number;
}

const eventsMax = 20;
const refusalsShownMax = 20;
/** Lines of the log about what one job passes over. */
const refusalsToldMax = 100;
/** Jobs that give way to waiting ones in one turn. */
const turnsMax = 20;

const backOffOf = {
  peer: { firstMs: 500, maxMs: 5_000 },
  document: { firstMs: 1_000, maxMs: 300_000 },
  request: { firstMs: 250, maxMs: 300_000 },
} as const;
/** A client waits for the end of a one-shot request, so it is not kept waiting through long back-offs. */
const requestFailuresMax = 4;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #jobs = new Map<string, MutableJob>();
  #cancelTurn: (() => void) | undefined;
  #closed = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  jobs(): readonly ScheduledJob[] {
    return [...this.#jobs.values()];
  }

  find(id: string): ScheduledJob | undefined {
    return this.#jobs.get(id);
  }

  /** Id of the job that a request makes; the same request always makes the same. */
  jobIdOf(request: ReplicationRequest): string {
    const suffix = `${request.continuous ? '+continuous' : ''}${request.createTarget ? '+create_target' : ''}`;
    return checkpointIdOf(request, this.#options) + suffix;
  }

  /**
   * Adds a replication and starts it as soon as there is room. `onEnd` is called once, when it is over for good.
   * @throws TercetError when an end cannot be made from the request
   */
  add(request: ReplicationRequest, origin: JobOrigin, onEnd: (end: JobEnd) => void): ScheduledJob {
    createEnds(request, this.#options).close(); // Throws here, to whoever asks, rather than later.
    const id = this.jobIdOf(request);
    const now = this.#options.clock.now();
    const job: MutableJob = {
      id,
      checkpointId: checkpointIdOf(request, this.#options),
      request,
      origin,
      addedAt: now,
      events: [{ kind: 'added', at: now }],
      state: 'pending',
      job: undefined,
      startedAt: now,
      updatedAt: now,
      errorCount: 0,
      lastFault: undefined,
      refusals: [],
      refusalsTold: 0,
      cancelRetry: undefined,
      onEnd,
    };
    this.#jobs.set(id, job);
    this.#evaluate();
    return job;
  }

  /** Stops a replication for good. */
  async remove(id: string): Promise<void> {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.delete(id);
    job.cancelRetry?.();
    const { job: running } = job;
    if (running === undefined)
      job.onEnd({ outcome: { kind: 'stopped' }, error: undefined, report: undefined });
    running?.stop();
    await running?.ended;
    this.#evaluate();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTurn?.();
    await Promise.all([...this.#jobs.keys()].map((id) => this.remove(id)));
  }

  /** Decides which jobs run now. */
  #evaluate(): void {
    if (this.#closed) return;
    for (const job of this.#jobs.values()) {
      if (job.state === 'pending' && (job.origin.kind === 'peer' || this.#hasRoom())) this.#start(job);
    }
    const someWait = [...this.#jobs.values()].some((job) => job.state === 'pending');
    if (someWait && this.#cancelTurn === undefined) {
      this.#cancelTurn = this.#options.clock.after(this.#options.turnMs, () => this.#nextTurn());
    }
  }

  #hasRoom(): boolean {
    const running = [...this.#jobs.values()].filter(
      (job) => job.state === 'running' && job.origin.kind !== 'peer',
    );
    return running.length < this.#options.jobsMax;
  }

  /** Those that run longest give way to those that wait. A one-shot job keeps its place: it ends by itself. */
  #nextTurn(): void {
    this.#cancelTurn = undefined;
    const all = [...this.#jobs.values()];
    const waiting = all.filter((job) => job.state === 'pending').length;
    const yielding = all
      .filter((job) => job.state === 'running' && job.request.continuous && job.origin.kind !== 'peer')
      .sort((one, other) => one.startedAt - other.startedAt)
      .slice(0, Math.min(waiting, turnsMax));
    for (const job of yielding) {
      // To the end of the line: a map keeps the order in which its keys were put.
      this.#jobs.delete(job.id);
      this.#jobs.set(job.id, job);
      job.job?.stop();
    }
    this.#evaluate();
  }

  #start(job: MutableJob): void {
    const { clock, random, onDefect } = this.#options;
    const { request, origin } = job;
    const ends = createEnds(request, this.#options);
    const isAwaited = origin.kind === 'request' && !request.continuous;
    const running = new ReplicationJob({
      checkpointId: job.checkpointId,
      source: ends.source,
      target: ends.target,
      replicator: {
        continuous: request.continuous,
        batchRows: request.batchRows,
        batchesInFlightMax: 6,
        // Two at a time, so that one is prepared while the other waits for the disk or the network.
        atWorkMax: { comparing: 1, fetching: 2, writing: 2 },
        checkpointIntervalMs: request.checkpointIntervalMs,
        useCheckpoints: request.useCheckpoints,
        since: request.since,
        backOff: backOffOf[origin.kind],
        failuresMax: isAwaited ? requestFailuresMax : undefined,
        formatTime: (wallMs) => new Date(wallMs).toUTCString(),
      },
      clock,
      random,
      onDefect,
      onFault: (fault) => {
        job.lastFault = fault;
        this.#note(job, 'crashed', fault.reason);
      },
      onRefused: (refusal) => this.#refused(job, refusal),
    });
    job.job = running;
    job.state = 'running';
    job.startedAt = clock.now();
    this.#note(job, 'started');
    running.ended.then((end) => this.#ended(job, end)).catch(onDefect);
    running.start();
  }

  #ended(job: MutableJob, end: JobEnd): void {
    job.job = undefined;
    if (!this.#jobs.has(job.id) || this.#jobs.get(job.id) !== job) {
      job.onEnd(end);
      return;
    }
    if (end.outcome.kind === 'stopped') {
      job.state = 'pending';
      this.#note(job, 'stopped');
    } else if (end.outcome.kind === 'failed' && (job.request.continuous || job.origin.kind === 'peer')) {
      this.#retryLater(job, end.report !== undefined);
    } else {
      this.#jobs.delete(job.id);
      job.onEnd(end);
    }
    this.#evaluate();
  }

  #retryLater(job: MutableJob, hadBegun: boolean): void {
    const { clock, random } = this.#options;
    const { firstMs, maxMs } = backOffOf[job.origin.kind];
    job.errorCount = hadBegun ? 1 : job.errorCount + 1;
    job.state = 'crashing';
    const longest = Math.min(maxMs, firstMs * 2 ** Math.min(job.errorCount, 30));
    job.cancelRetry = clock.after(longest * (0.5 + random.next() / 2), () => {
      job.cancelRetry = undefined;
      job.state = 'pending';
      this.#evaluate();
    });
  }

  /** An attempt that is repeated may pass over the same again. */
  #refused(job: MutableJob, refusal: Refusal): void {
    const isSame = ({ id, revision }: Refusal) => id === refusal.id && revision === refusal.revision;
    if (job.refusals.some(isSame)) return;
    job.refusals = [refusal, ...job.refusals].slice(0, refusalsShownMax);
    job.refusalsTold += 1;
    if (job.refusalsTold <= refusalsToldMax) this.#options.onRefused(job, refusal);
  }

  #note(job: MutableJob, kind: JobEvent['kind'], reason?: string): void {
    const at = this.#options.clock.now();
    job.updatedAt = at;
    const event: JobEvent = reason === undefined ? { kind, at } : { kind, at, reason };
    job.events = [event, ...job.events].slice(0, eventsMax);
  }
}
