/**
 * When replicas are compared: every so often with one peer after the other, soon after a peer came back, and when
 * somebody asks. One round at a time on a node, so that comparing never costs more than its pace.
 */

import { failure, TercetError } from '../errors.ts';
import type { SessionCounts } from '../leaderless/anti-entropy.ts';
import type { Log } from '../runtime/log.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import { Comparison, type ComparisonContext, type ComparisonResult } from './comparison.ts';
import { type Forgetting, positionOf } from './forgetting.ts';
import type { Liveness } from './liveness.ts';
import type { ReplicaSet, ReplicaSets } from './replica-sets.ts';

export interface AntiEntropyOptions {
  readonly sets: ReplicaSets;
  readonly comparison: ComparisonContext;
  readonly liveness: Liveness;
  readonly forgetting: Forgetting;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Log;
  /** Between two scheduled rounds with the same peer, roughly. */
  readonly intervalMs: number;
  /** How long after a peer came back; hints are told meanwhile. */
  readonly returnMs: number;
}

/** A round that ended. */
export interface PastRound extends ComparisonResult {
  readonly peer: string;
  /** Wall-clock milliseconds. */
  readonly startedAtMs: number;
  readonly elapsedMs: number;
}

/** A round that is under way. */
export interface PresentRound extends SessionCounts {
  readonly database: string;
  readonly peer: string;
  readonly startedAtMs: number;
}

export class AntiEntropy {
  readonly #options: AntiEntropyOptions;
  /** By identity, then peer. */
  readonly #past = new Map<string, Map<string, PastRound>>();
  readonly #counts = { equal: 0, repaired: 0, failed: 0 };
  #present: PresentRound | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #turn = 0;
  #cancelNext: () => void = () => {};

  constructor(options: AntiEntropyOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, intervalMs, liveness, random, sets } = this.#options;
    const owned = sets.all().filter(({ isOwner, settings }) => isOwner && settings.antiEntropy);
    const peersMax = owned.reduce((most, { owners }) => Math.max(most, owners.length - 1), 1);
    const delayMs = (intervalMs / peersMax) * (0.75 + random.next() / 2);
    this.#cancelNext = clock.after(delayMs, () => {
      this.#turn += 1;
      const due = this.#scheduled().flatMap((set) => {
        const others = set.owners.filter((node) => node !== sets.self && !liveness.isSuspected(node));
        const peer = others[this.#turn % Math.max(1, others.length)];
        return peer === undefined ? [] : [this.#enqueue(set, peer)];
      });
      void Promise.all(due)
        .catch((error: unknown) => this.#report(error))
        .then(() => this.start());
    });
  }

  stop(): void {
    this.#cancelNext();
  }

  /** A peer is there again: what it missed, and hints do not know of, is found out soon. */
  back(peer: string): void {
    const { clock, random, returnMs } = this.#options;
    clock.after(returnMs * (0.5 + random.next()), () => {
      for (const set of this.#scheduled()) {
        if (set.owners.includes(peer))
          this.#enqueue(set, peer).catch((error: unknown) => this.#report(error));
      }
    });
  }

  /** Compares with one other owner, now. @throws TercetError */
  compare(set: ReplicaSet, peer: string): Promise<PastRound> {
    return this.#enqueue(set, peer);
  }

  /** Compares a database with all other owners, now. @throws TercetError */
  async runNow(name: string): Promise<readonly PastRound[]> {
    const { sets } = this.#options;
    const set = sets.of(name);
    if (set === undefined) throw failure('not_found', 'Database does not exist.');
    const rounds: PastRound[] = [];
    for (const peer of set.owners) if (peer !== sets.self) rounds.push(await this.#enqueue(set, peer));
    return rounds;
  }

  /** Since the node started. */
  counts(): Readonly<Record<PastRound['outcome'], number>> {
    return { ...this.#counts };
  }

  present(): PresentRound | undefined {
    return this.#present;
  }

  past(identity: string): readonly PastRound[] {
    return [...(this.#past.get(identity)?.values() ?? [])];
  }

  #scheduled(): readonly ReplicaSet[] {
    return this.#options.sets.all().filter(({ isOwner, settings }) => isOwner && settings.antiEntropy);
  }

  #enqueue(set: ReplicaSet, peer: string): Promise<PastRound> {
    const round = this.#queue.then(() => this.#run(set, peer));
    this.#queue = round.catch(() => undefined);
    return round;
  }

  async #run(set: ReplicaSet, peer: string): Promise<PastRound> {
    const { clock, comparison, forgetting, log } = this.#options;
    const { place } = positionOf(set.database);
    const startedAtMs = clock.now();
    const beganMs = clock.monotonic();
    const database = set.database.name;
    const show = (counts: SessionCounts) => {
      this.#present = { database, peer, startedAtMs, ...counts };
    };
    show({ questions: 0, buckets: 0, fetched: 0, sent: 0 });
    try {
      const result = await new Comparison(comparison, set, peer).run(show);
      const round = { ...result, peer, startedAtMs, elapsedMs: clock.monotonic() - beganMs };
      this.#counts[result.outcome] += 1;
      const rounds = this.#past.get(set.identity) ?? new Map<string, PastRound>();
      this.#past.set(set.identity, rounds.set(peer, round));
      if (result.outcome !== 'equal') log.info({ database, ...round }, 'compared with a replica');
      if (result.outcome === 'failed' || result.isRejected) return round;
      const forgotten = await forgetting.compared(set, peer, place);
      if (forgotten > 0) log.info({ database, forgotten }, 'forgot deletions that everybody knows of');
      return round;
    } finally {
      this.#present = undefined;
    }
  }

  #report(error: unknown): void {
    // The database went, or the disk refuses: not a defect.
    const level = error instanceof TercetError ? 'warn' : 'error';
    this.#options.log[level]({ err: error }, 'replicas cannot be compared');
  }
}
