/**
 * Waiting for what is applied, and how old that is.
 *
 *     read ─► the core finds the index to reach ─► wait until it is applied here ─► not stale
 *
 * Reads that arrive together are asked about together, which costs the core one step and not one each.
 *
 * A confirmed read says more than its own answer: what was applied when it became ready includes everything that was
 * acknowledged when it was asked for. So its start bounds the staleness of whatever is read here later, by this node's
 * clock alone. While somebody wants to know, one read after the other keeps that bound small.
 *
 * An index says so only of the log that it was confirmed for: when a forced membership replaces that by another one, a read
 * is asked for again, and how old things are is not known any more.
 */

import { failure, type TercetError } from '../errors.ts';
import type { Clock } from '../runtime/ports.ts';
import { atTurnEnd } from '../runtime/turn-end.ts';
import type { ReadBarrier } from './group.ts';
import type { ReadAnswer } from './group-desk.ts';

const retryMs = 20;
/** How often, and after the last question how long, staleness is kept known. */
const confirmMs = 200;
const wantedMs = 10_000;

export interface ReadsOptions {
  readonly clock: Clock;
  readonly readMsMax: number;
  readonly ask: () => Promise<ReadAnswer>;
  readonly appliedIndex: () => number;
  /** The term in which a membership was last forced. */
  readonly lineage: () => number;
  /** Why no leader will ever confirm anything here. */
  readonly refusal: () => TercetError | undefined;
  /** What is applied patiently is awaited now. */
  readonly hurry: () => void;
}

interface Waiter {
  readonly index: number;
  readonly end: (isApplied: boolean) => void;
}

export class GroupReads {
  readonly #options: ReadsOptions;
  readonly #waiters = new Set<Waiter>();
  readonly #cancels = new Set<() => void>();
  #settling: { readonly index: number; readonly callback: () => void }[] = [];
  #awaiting = 0;
  #asking: Promise<ReadAnswer> | undefined;
  #fresh: { readonly at: number; readonly lineage: number } | undefined;
  #wantedUntil = 0;
  #isConfirming = false;
  #isClosed = false;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  async barrier(): Promise<ReadBarrier> {
    const { clock, lineage, readMsMax } = this.#options;
    const deadline = clock.monotonic() + readMsMax;
    while (!this.#isClosed) {
      const refusal = this.#options.refusal();
      if (refusal !== undefined) throw refusal;
      const askedAt = clock.monotonic();
      const askedIn = lineage();
      const answer = await this.#askWithOthers();
      if (answer.kind === 'ready') {
        await this.appliedThrough(answer.index, Math.max(0, deadline - clock.monotonic()));
        if (lineage() === askedIn) {
          this.#confirm(askedAt, askedIn);
          return { index: answer.index, by: answer.by };
        }
      }
      if (clock.monotonic() >= deadline) break;
      await this.#pause(retryMs);
    }
    throw failure('service_unavailable', 'No leader confirmed the read in time.');
  }

  #confirm(at: number, lineage: number): void {
    const before = this.#fresh?.lineage === lineage ? this.#fresh.at : at;
    this.#fresh = { at: Math.max(before, at), lineage };
  }

  /** Reads of one turn of the event loop are one question to the core: it is asked after all of them began. */
  #askWithOthers(): Promise<ReadAnswer> {
    this.#asking ??= new Promise((resolve) => {
      atTurnEnd(() => {
        this.#asking = undefined;
        resolve(this.#options.ask());
      });
    });
    return this.#asking;
  }

  async appliedThrough(index: number, timeoutMs: number): Promise<void> {
    if (index <= this.#options.appliedIndex()) return;
    const done = this.expedite();
    const isApplied = await new Promise<boolean>((resolve) => {
      const waiter: Waiter = { index, end };
      const cancel = this.#options.clock.after(timeoutMs, () => end(false));
      const waiters = this.#waiters;
      function end(outcome: boolean): void {
        cancel();
        waiters.delete(waiter);
        resolve(outcome);
      }
      if (this.#isClosed) end(false);
      else waiters.add(waiter);
    });
    done();
    if (!isApplied) throw failure('service_unavailable', 'This node has not caught up far enough in time.');
  }

  /** Calls back once the entry is applied, in no hurry, or once this node does not lead or is closed. */
  whenSettled(index: number, callback: () => void): void {
    if (this.#isClosed || index <= this.#options.appliedIndex()) callback();
    else this.#settling.push({ index, callback });
  }

  /** Whatever is open is for the next leader to settle. */
  leadershipLost(): void {
    const open = this.#settling;
    this.#settling = [];
    for (const { callback } of open) callback();
  }

  /** Until the function returned is called, what is applied is awaited. */
  expedite(): () => void {
    this.#awaiting += 1;
    this.#options.hurry();
    let isOver = false;
    return () => {
      if (!isOver) this.#awaiting -= 1;
      isOver = true;
    };
  }

  get isAwaited(): boolean {
    return this.#awaiting > 0;
  }

  stalenessMs(): number | undefined {
    const now = this.#options.clock.monotonic();
    this.#wantedUntil = now + wantedMs;
    if (!this.#isConfirming) void this.#keepConfirming();
    const fresh = this.#fresh;
    return fresh === undefined || fresh.lineage !== this.#options.lineage() ? undefined : now - fresh.at;
  }

  /** More is applied. */
  applied(): void {
    const index = this.#options.appliedIndex();
    for (const waiter of [...this.#waiters]) if (waiter.index <= index) waiter.end(true);
    if (this.#settling.length === 0) return;
    const settled = this.#settling.filter((each) => each.index <= index);
    this.#settling = this.#settling.filter((each) => each.index > index);
    for (const { callback } of settled) callback();
  }

  close(): void {
    this.#isClosed = true;
    for (const waiter of [...this.#waiters]) waiter.end(false);
    this.leadershipLost();
    for (const cancel of [...this.#cancels]) cancel();
  }

  async #keepConfirming(): Promise<void> {
    this.#isConfirming = true;
    while (!this.#isClosed && this.#options.clock.monotonic() < this.#wantedUntil) {
      // One that could not be confirmed leaves the bound where it is: staleness grows, and says so.
      await this.barrier().catch(() => undefined);
      await this.#pause(confirmMs);
    }
    this.#isConfirming = false;
  }

  /** Ends early when this is closed. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#cancels.delete(end);
        resolve();
      };
      const cancel = this.#options.clock.after(delayMs, end);
      this.#cancels.add(end);
      if (this.#isClosed) end();
    });
  }
}
