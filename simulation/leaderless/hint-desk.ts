/** Hints of a simulated replica: on its disk, in the book of the core, and on their way to their owners. */

import { type Hint, HintBook, hintLimitsDefault } from '../../src/leaderless/hints.ts';
import type { CommitOutcome } from '../disk.ts';
import type { ToldRevision } from './messages.ts';
import type { Process } from './process.ts';
import { put } from './replica-store.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const everyMs = 100;
const bringWithinMs = 500;

interface StoredHint {
  readonly hint: Hint;
  readonly told: ToldRevision;
}

export class HintDesk {
  readonly #process: Process;
  readonly #book: HintBook;
  readonly #stored = new Map<string, StoredHint>();
  #last = 0;

  constructor(process: Process) {
    this.#process = process;
    this.#book = new HintBook({
      ...hintLimitsDefault,
      ageMsMax: process.settings.hintWindowMs,
      backOffMsMin: 50,
      backOffMsMax: 1_000,
    });
    const range = { from: encoder.encode('hint '), to: encoder.encode('hint!') };
    for (const { key, value } of process.disk.entries(range)) {
      const stored = JSON.parse(decoder.decode(value)) as StoredHint;
      this.#last = Math.max(this.#last, Number(decoder.decode(key).slice(5)));
      this.#stored.set(stored.hint.key, stored);
      this.#book.keep(stored.hint);
    }
  }

  start(): void {
    this.#process.after(everyMs, () => {
      for (const { key } of this.#book.expire(this.#process.clock.now())) this.#forget(key);
      for (const owner of this.#book.owners()) this.#bring(owner);
      this.start();
    });
  }

  keep(owner: string, told: ToldRevision, settled: (outcome: CommitOutcome) => void): void {
    this.#last += 1;
    const key = `hint ${String(this.#last).padStart(8, '0')}`;
    const hint: Hint = { key, owner, bytes: 100, keptAtMs: this.#process.clock.now() };
    this.#process.disk.commit([put(key, { hint, told })], (outcome) => {
      if (outcome.kind === 'durable') {
        this.#stored.set(key, { hint, told });
        this.#book.keep(hint);
      }
      settled(outcome);
    });
  }

  ownerIsBack(owner: string): void {
    this.#book.ownerIsBack(owner);
  }

  /** What is kept for others: a stand-in's copies count as stored. */
  told(): readonly ToldRevision[] {
    return [...this.#stored.values()].map(({ told }) => told);
  }

  #bring(owner: string): void {
    const { calls, canary, clock, owners, random, self } = this.#process;
    const batch = this.#book.next(owner, clock.monotonic());
    if (batch.length === 0) return;
    const revisions = batch.map(({ key }) => this.#stored.get(key)!.told);
    const others = owners.filter((node) => node !== self);
    const to = canary.handsToAnybody && others.length > 0 ? random.pick(others) : owner;
    calls.askWithin(bringWithinMs, to, { kind: 'join', revisions }, (reply) => {
      if (reply?.kind !== 'durable') {
        this.#book.failed(owner, clock.monotonic(), random.next());
        return;
      }
      const keys = batch.map(({ key }) => key);
      for (const { key } of this.#book.delivered(owner, keys)) this.#forget(key);
    });
  }

  #forget(key: string): void {
    this.#stored.delete(key);
    this.#process.disk.commit([{ kind: 'delete', key: encoder.encode(key) }], () => undefined);
  }
}
