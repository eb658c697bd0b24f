/**
 * Hinted handoff: how much is kept for owners that were away, for how long, and when to try again to bring it.
 *
 *     n2 is away          kept for n2: a 2-x, b 1-y, c 4-z       oldest first
 *     n2 is due           begin: a batch of them                 one batch at a time
 *     n2 has them         delivered: gone, the next one is due   only n2 itself can say so
 *     n2 fails            the next try comes later, then later   doubled each time, with jitter
 *
 * A hint is a shortcut, never the only copy that a promise rests on where the quorum is strict: what is dropped, because it is too
 * old or there is no more room, comes back by read repair and anti-entropy. So the book is bounded, and says when it is full.
 *
 * Age is told by wall clocks, because hints outlive the process. A clock that jumps drops hints early or late, which is
 * harmless for the reason above; bytes bound the book in any case.
 *
 * Invariants:
 * 1. The bytes of all hints never exceed the limit.
 * 2. At most one batch for an owner is under way.
 * 3. Each owner with hints is due at some time, or has a batch under way: nothing is kept and forgotten.
 *
 * Left out: the hints themselves, in the order in which they were kept, and how they are made durable. The book counts
 * them, and whoever stores them tells what came and what went.
 */

import { assert } from '../errors.ts';
import { type BatchLimits, batchBytesMax, batchLength } from './batches.ts';

/** What the book has to know of a hint. */
export interface HintSize {
  /** Whom the write is for. */
  readonly owner: string;
  readonly bytes: number;
}

export interface HintLimits {
  /** Of all owners together. */
  readonly bytesMax: number;
  /** Of what is sent at once, in hints. */
  readonly batch: BatchLimits;
  /** How long to wait after the first failure; doubled with every further one. */
  readonly backOffMsMin: number;
  readonly backOffMsMax: number;
}

export const hintLimitsDefault: HintLimits = {
  bytesMax: 256 * 1_048_576,
  batch: { itemsMax: 500, bytesMax: batchBytesMax },
  backOffMsMin: 500,
  backOffMsMax: 60_000,
};

/** What is kept for one owner. */
export interface Backlog {
  readonly hints: number;
  readonly bytes: number;
  /** Tries that failed, one after the other. */
  readonly failures: number;
}

interface Kept {
  hints: number;
  bytes: number;
  failures: number;
  isUnderWay: boolean;
  /** Monotonic milliseconds. */
  notBeforeMs: number;
}

/** When something happens: monotonic milliseconds, and a number that is uniform in [0, 1). */
export interface Moment {
  readonly nowMs: number;
  readonly random: number;
}

export class HintBook {
  readonly #limits: HintLimits;
  readonly #backlogs = new Map<string, Kept>();
  #bytes = 0;

  constructor(limits: HintLimits) {
    this.#limits = limits;
  }

  /** `full`: there is no room for all of them, none is kept. The first try of an owner comes a little later: it just failed. */
  keep(hints: readonly HintSize[], moment: Moment): 'kept' | 'full' {
    const bytes = hints.reduce((sum, hint) => sum + hint.bytes, 0);
    if (this.#bytes + bytes > this.#limits.bytesMax) return 'full'; // Invariant 1.
    for (const hint of hints) this.#count(hint, this.#afterMs(0, moment));
    return 'kept';
  }

  /** A hint that was there when the process started: nobody has failed yet. It is kept even beyond the limit. */
  found(hint: HintSize): void {
    this.#count(hint, 0);
  }

  /** These are gone: their owner has them, they were too old, or meant nothing any more. */
  removed(hints: readonly HintSize[]): void {
    for (const { owner, bytes } of hints) {
      const kept = this.#backlogs.get(owner);
      assert(kept !== undefined && kept.hints > 0, 'what goes was kept');
      kept.hints -= 1;
      kept.bytes -= bytes;
      this.#bytes -= bytes;
      if (kept.hints === 0 && !kept.isUnderWay) this.#backlogs.delete(owner);
    }
  }

  /** Whether a batch for an owner may leave now; from then on it is under way, until it is delivered or failed. */
  begin(owner: string, nowMs: number): boolean {
    const kept = this.#backlogs.get(owner);
    if (kept === undefined || kept.hints === 0 || kept.isUnderWay || nowMs < kept.notBeforeMs) return false;
    kept.isUnderWay = true; // Invariant 2.
    return true;
  }

  /** How many hints of these sizes, oldest first, are one batch; see {@link batchLength}. */
  batchLength(sizes: Iterable<number>): number {
    return batchLength(sizes, this.#limits.batch);
  }

  /** The batch is with its owner, or turned out to be nothing to bring: what is left is due at once. */
  delivered(owner: string): void {
    this.#end(owner, (kept) => {
      kept.failures = 0;
      kept.notBeforeMs = 0;
    });
  }

  /** The batch did not reach its owner. */
  failed(owner: string, moment: Moment): void {
    this.#end(owner, (kept) => {
      kept.notBeforeMs = this.#afterMs(kept.failures, moment);
      kept.failures += 1;
    });
  }

  /** An owner was heard of again: there is no reason to wait any longer. */
  ownerIsBack(owner: string): void {
    const kept = this.#backlogs.get(owner);
    if (kept === undefined) return;
    kept.failures = 0;
    kept.notBeforeMs = 0;
  }

  /** When {@link begin} will succeed, in monotonic milliseconds; undefined when it waits for something else. */
  dueAt(owner: string): number | undefined {
    const kept = this.#backlogs.get(owner);
    return kept === undefined || kept.isUnderWay ? undefined : kept.notBeforeMs;
  }

  /** By owner; owners without hints are left out. */
  backlogs(): ReadonlyMap<string, Backlog> {
    const kept = [...this.#backlogs].filter(([, { hints }]) => hints > 0);
    return new Map(kept.map(([owner, { bytes, failures, hints }]) => [owner, { bytes, failures, hints }]));
  }

  #count({ bytes, owner }: HintSize, notBeforeMs: number): void {
    const none = { hints: 0, bytes: 0, failures: 0, isUnderWay: false, notBeforeMs };
    const kept = this.#backlogs.get(owner) ?? none;
    this.#backlogs.set(owner, kept);
    kept.hints += 1;
    kept.bytes += bytes;
    this.#bytes += bytes;
  }

  #end(owner: string, note: (kept: Kept) => void): void {
    const kept = this.#backlogs.get(owner);
    assert(kept?.isUnderWay === true, 'a batch that ends was begun');
    kept.isUnderWay = false;
    note(kept);
    if (kept.hints === 0) this.#backlogs.delete(owner);
  }

  #afterMs(failures: number, { nowMs, random }: Moment): number {
    const { backOffMsMax, backOffMsMin } = this.#limits;
    return nowMs + Math.min(backOffMsMax, backOffMsMin * 2 ** Math.min(failures, 30)) * (0.5 + random / 2);
  }
}

/** Wall-clock milliseconds; `windowMs` is how long the database keeps hints. A clock that went back makes none old. */
export function isHintOld(keptAtMs: number, windowMs: number, nowMs: number): boolean {
  return nowMs - keptAtMs > windowMs;
}
