/**
 * Hinted handoff: which writes are kept for owners that were away, and when to try again to bring them.
 *
 *     n2 is away          kept for n2: a 2-x, b 1-y, c 4-z       oldest first
 *     n2 answers again    next: a batch of them                  one batch at a time
 *     n2 has them         delivered: gone                        only n2 itself can say so
 *     n2 fails            the next try comes later, then later   doubled each time, with jitter
 *
 * A hint is a shortcut, never the only copy that a promise rests on where the quorum is strict: what is dropped, because it is too
 * old or there is no more room, comes back by read repair and anti-entropy. So the book is bounded, and says what it drops.
 *
 * Age is told by wall clocks, because hints outlive the process. A clock that jumps drops hints early or late, which is
 * harmless for the reason above; bytes bound the book in any case.
 *
 * Invariants:
 * 1. The bytes of all hints never exceed the limit.
 * 2. A hint goes when the owner that it names has it, when it expires, or when it is withdrawn; not otherwise.
 * 3. At most one batch for an owner is under way.
 *
 * Left out: revisions and bodies (the key leads to them), and how keys are made durable: before a hint counts, the
 * driver has it on its disk.
 */

import { assert } from '../errors.ts';

export interface Hint {
  /** Names the hint in the store; unique. */
  readonly key: string;
  /** Whom the write is for. */
  readonly owner: string;
  readonly bytes: number;
  /** Wall-clock milliseconds. */
  readonly keptAtMs: number;
}

export interface HintLimits {
  readonly bytesMax: number;
  readonly ageMsMax: number;
  readonly batchHintsMax: number;
  readonly batchBytesMax: number;
  /** How long to wait after the first failure; doubled with every further one. */
  readonly backOffMsMin: number;
  readonly backOffMsMax: number;
}

export const hintLimitsDefault: HintLimits = {
  bytesMax: 256 * 1_048_576,
  ageMsMax: 3 * 3_600_000,
  batchHintsMax: 500,
  batchBytesMax: 4 * 1_048_576,
  backOffMsMin: 500,
  backOffMsMax: 60_000,
};

interface Backlog {
  /** Oldest first. */
  readonly hints: Map<string, Hint>;
  bytes: number;
  underWay: boolean;
  failures: number;
  /** Monotonic milliseconds. */
  notBeforeMs: number;
}

export interface BacklogStatus {
  readonly owner: string;
  readonly hints: number;
  readonly bytes: number;
  /** Wall-clock milliseconds. */
  readonly oldestAtMs: number;
  readonly failures: number;
}

export class HintBook {
  readonly #limits: HintLimits;
  readonly #backlogs = new Map<string, Backlog>();
  #bytes = 0;

  constructor(limits: HintLimits) {
    this.#limits = limits;
  }

  /** `full`: there is no room, the hint is not kept. Hints are told in the order in which they were made. */
  keep(hint: Hint): 'kept' | 'full' {
    const backlog = this.#backlogs.get(hint.owner) ?? newBacklog();
    assert(!backlog.hints.has(hint.key), 'the key of a hint is new');
    if (this.#bytes + hint.bytes > this.#limits.bytesMax) return 'full'; // Invariant 1.
    this.#backlogs.set(hint.owner, backlog);
    backlog.hints.set(hint.key, hint);
    backlog.bytes += hint.bytes;
    this.#bytes += hint.bytes;
    return 'kept';
  }

  /** The hints to send to an owner now, oldest first; none while a batch is under way or it is too early. */
  next(owner: string, nowMs: number): readonly Hint[] {
    const backlog = this.#backlogs.get(owner);
    if (backlog === undefined || backlog.underWay || nowMs < backlog.notBeforeMs) return [];
    const batch: Hint[] = [];
    let bytes = 0;
    for (const hint of backlog.hints.values()) {
      const isFull =
        batch.length >= this.#limits.batchHintsMax || bytes + hint.bytes > this.#limits.batchBytesMax;
      if (isFull && batch.length > 0) break;
      batch.push(hint);
      bytes += hint.bytes;
    }
    backlog.underWay = batch.length > 0;
    return batch;
  }

  /** When {@link next} will have something for an owner, in monotonic milliseconds; undefined when it waits for more. */
  dueAt(owner: string): number | undefined {
    const backlog = this.#backlogs.get(owner);
    return backlog === undefined || backlog.underWay ? undefined : backlog.notBeforeMs;
  }

  /** `from` has these durable. Gives the hints that are done with: those of others are not (invariant 2). */
  delivered(from: string, keys: readonly string[]): readonly Hint[] {
    const backlog = this.#backlogs.get(from);
    if (backlog === undefined) return [];
    backlog.underWay = false;
    backlog.failures = 0;
    backlog.notBeforeMs = 0;
    return this.#remove(from, keys);
  }

  /** A batch did not reach its owner. `random` is uniform in [0, 1). */
  failed(owner: string, nowMs: number, random: number): void {
    const backlog = this.#backlogs.get(owner);
    if (backlog === undefined) return;
    if (backlog.hints.size === 0) {
      this.#backlogs.delete(owner);
      return;
    }
    const { backOffMsMin, backOffMsMax } = this.#limits;
    const waitMs = Math.min(backOffMsMax, backOffMsMin * 2 ** Math.min(backlog.failures, 30));
    backlog.underWay = false;
    backlog.failures += 1;
    backlog.notBeforeMs = nowMs + waitMs * (0.5 + random / 2);
  }

  /** An owner was heard of again: there is no reason to wait any longer. */
  ownerIsBack(owner: string): void {
    const backlog = this.#backlogs.get(owner);
    if (backlog !== undefined) backlog.notBeforeMs = 0;
  }

  /** Takes back hints that are not needed: the owner answered after all, or the write failed. */
  withdraw(owner: string, keys: readonly string[]): readonly Hint[] {
    return this.#remove(owner, keys);
  }

  /** Drops what is too old, and says what it dropped. */
  expire(nowMs: number): readonly Hint[] {
    const dropped: Hint[] = [];
    for (const [owner, { hints }] of [...this.#backlogs]) {
      const old: string[] = [];
      for (const hint of hints.values())
        if (nowMs - hint.keptAtMs > this.#limits.ageMsMax) old.push(hint.key);
      dropped.push(...this.#remove(owner, old));
    }
    return dropped;
  }

  owners(): readonly string[] {
    return [...this.#backlogs.keys()];
  }

  bytes(): number {
    return this.#bytes;
  }

  status(): readonly BacklogStatus[] {
    return [...this.#backlogs].flatMap(([owner, { hints, bytes, failures }]) => {
      const [oldest] = hints.values();
      if (oldest === undefined) return [];
      return [{ owner, hints: hints.size, bytes, oldestAtMs: oldest.keptAtMs, failures }];
    });
  }

  #remove(owner: string, keys: readonly string[]): readonly Hint[] {
    const backlog = this.#backlogs.get(owner);
    if (backlog === undefined) return [];
    const removed: Hint[] = [];
    for (const key of keys) {
      const hint = backlog.hints.get(key);
      if (hint === undefined) continue;
      backlog.hints.delete(key);
      backlog.bytes -= hint.bytes;
      this.#bytes -= hint.bytes;
      removed.push(hint);
    }
    if (backlog.hints.size === 0 && !backlog.underWay) this.#backlogs.delete(owner);
    return removed;
  }
}

function newBacklog(): Backlog {
  return { hints: new Map(), bytes: 0, underWay: false, failures: 0, notBeforeMs: 0 };
}
