/**
 * A disk that is slow, fills up, fails, and forgets on a crash what it had not made durable.
 *
 * It behaves as the store port demands: batches are atomic, become durable and visible in the order in which they came, and
 * all that arrive while one group is on its way form the next. Its calls come back as events of the world.
 *
 *   commit(a) → … durable, visible      crash here keeps a
 *   commit(b) → … on its way            crash here keeps b or loses it: the power may fail before or after the last sector
 *   commit(c)   waiting                 crash here loses c
 *
 * A crash cuts between batches, never inside one: the log below the store is written so that a torn batch is recognised and
 * dropped as a whole, and test/conformance/ holds the real store to that.
 */

import { failure, type TercetError } from '../src/errors.ts';
import { SortedEntries } from '../src/store/sorted-entries.ts';
import type { Entry, KeyRange, Operation } from '../src/store/store.ts';
import type { SeededRandom } from './random.ts';
import { microsecondsOf, type World } from './world.ts';

export interface DiskCondition {
  readonly syncMsMin: number;
  readonly syncMsMax: number;
  /** Probability that one sync takes `stallMs` besides. */
  readonly stall: number;
  readonly stallMs: number;
  /** A full disk refuses every write and says so. */
  readonly isFull: boolean;
}

export const calmDisk: DiskCondition = { syncMsMin: 0.2, syncMsMax: 2, stall: 0, stallMs: 0, isFull: false };

export type CommitOutcome =
  | { readonly kind: 'durable' }
  /** None of it is on the disk, or ever will be. */
  | { readonly kind: 'refused'; readonly error: TercetError };

interface Commit {
  readonly operations: readonly Operation[];
  readonly settled: (outcome: CommitOutcome) => void;
}

export interface SimulatedDiskOptions {
  readonly world: World;
  readonly node: string;
}

export class SimulatedDisk {
  readonly #options: SimulatedDiskOptions;
  readonly #random: SeededRandom;
  readonly #durable = new SortedEntries();
  #condition = calmDisk;
  #waiting: Commit[] = [];
  #onItsWay: readonly Commit[] = [];
  /** Grows with every crash, so that what a dead process started does not come back to its successor. */
  #life = 0;

  constructor(options: SimulatedDiskOptions) {
    this.#options = options;
    this.#random = options.world.random.fork(`disk of ${options.node}`);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#durable.get(key);
  }

  /** What is durable, in order of keys. */
  entries(range: KeyRange): Entry[] {
    return [...this.#durable.range(range.from, range.to, false)];
  }

  /** Calls `settled` in a later event, unless the node crashes before. */
  commit(operations: readonly Operation[], settled: (outcome: CommitOutcome) => void): void {
    const life = this.#life;
    this.#waiting.push({
      operations,
      settled: (outcome) => {
        if (life === this.#life) settled(outcome);
      },
    });
    if (this.#onItsWay.length === 0) this.#syncNext();
  }

  /** Nothing is on its way, or waits. */
  isIdle(): boolean {
    return this.#onItsWay.length === 0 && this.#waiting.length === 0;
  }

  setCondition(condition: DiskCondition): void {
    this.#condition = condition;
  }

  /** The power fails: what is not durable is gone, but for a group on its way that may just have made it, in part. */
  crash(): void {
    this.#life += 1;
    const made = this.#random.between(0, this.#onItsWay.length);
    if (!this.#condition.isFull) this.#apply(this.#onItsWay.slice(0, made));
    this.#onItsWay = [];
    this.#waiting = [];
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    for (const { key } of this.entries({ from: Uint8Array.of(0), to: Uint8Array.of(255, 255, 255) })) {
      this.#durable.delete(key);
    }
  }

  #syncNext(): void {
    if (this.#waiting.length === 0) return;
    this.#onItsWay = this.#waiting;
    this.#waiting = [];
    const { syncMsMin, syncMsMax, stall, stallMs } = this.#condition;
    const stalled = this.#random.chance(stall) ? stallMs : 0;
    const duration = syncMsMin + this.#random.next() * (syncMsMax - syncMsMin) + stalled;
    const life = this.#life;
    this.#options.world.after(microsecondsOf(duration), () => {
      if (life === this.#life) this.#finishSync();
    });
  }

  #finishSync(): void {
    const group = this.#onItsWay;
    this.#onItsWay = [];
    const refused = this.#condition.isFull;
    if (!refused) this.#apply(group);
    // The next group goes first, as on a real disk; what the callers do now joins the one after it.
    this.#syncNext();
    for (const { settled } of group) {
      settled(refused ? { kind: 'refused', error: failure('insufficient_storage') } : { kind: 'durable' });
    }
  }

  #apply(group: readonly Commit[]): void {
    for (const { operations } of group) {
      for (const operation of operations) {
        if (operation.kind === 'put') this.#durable.put({ key: operation.key, value: operation.value });
        else this.#durable.delete(operation.key);
      }
    }
  }
}
