/** Hints of a simulated replica: on its disk, counted in the book of the core, and on their way to their owners. */

import { failure } from '../../src/errors.ts';
import { HintBook, hintLimitsDefault, isHintOld } from '../../src/leaderless/hints.ts';
import type { CommitOutcome } from '../disk.ts';
import type { ToldRevision } from './messages.ts';
import { isSuspected, type Process } from './process.ts';
import { put } from './replica-store.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const everyMs = 50;
const expiryMs = 1_000;
const bringWithinMs = 500;
/** So few that a backlog takes several batches. */
const limits = {
  ...hintLimitsDefault,
  batch: { ...hintLimitsDefault.batch, itemsMax: 5 },
  backOffMsMin: 50,
  backOffMsMax: 1_000,
};
const hintBytes = 100;
/** So few that there is no more room now and then, where something else brings what hints do not. */
const bytesMaxTight = 12 * hintBytes;

interface StoredHint {
  readonly key: string;
  readonly owner: string;
  readonly bytes: number;
  /** Wall-clock milliseconds. */
  readonly keptAtMs: number;
  readonly told: ToldRevision;
}

export class HintDesk {
  readonly #process: Process;
  readonly #book: HintBook;
  /** Oldest first. */
  readonly #stored = new Map<string, StoredHint>();
  #last = 0;

  constructor(process: Process) {
    this.#process = process;
    const { antiEntropy, readRepair } = process.settings;
    const isTight = antiEntropy || readRepair !== 'off';
    this.#book = new HintBook(isTight ? { ...limits, bytesMax: bytesMaxTight } : limits);
    const range = { from: encoder.encode('hint '), to: encoder.encode('hint!') };
    for (const { key, value } of process.disk.entries(range)) {
      const hint = JSON.parse(decoder.decode(value)) as StoredHint;
      this.#last = Math.max(this.#last, Number(decoder.decode(key).slice(5)));
      this.#stored.set(hint.key, hint);
      this.#book.found(hint);
    }
  }

  start(): void {
    this.#bringLater();
    this.#expireLater();
  }

  keep(owner: string, told: ToldRevision, settled: (outcome: CommitOutcome) => void): void {
    const { clock, disk, note, oracle } = this.#process;
    this.#last += 1;
    const key = `hint ${String(this.#last).padStart(8, '0')}`;
    const hint: StoredHint = { key, owner, bytes: hintBytes, keptAtMs: clock.now(), told };
    if (this.#book.keep([hint], this.#moment()) === 'full') {
      note('hints are full', { owner });
      oracle.unhinted.add(told.id);
      return settled({ kind: 'refused', error: failure('insufficient_storage') });
    }
    disk.commit([put(key, hint)], (outcome) => {
      if (outcome.kind === 'durable') this.#stored.set(key, hint);
      else {
        this.#book.removed([hint]);
        oracle.unhinted.add(told.id);
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

  #bringLater(): void {
    this.#process.after(everyMs, () => {
      for (const owner of this.#book.backlogs().keys()) this.#bring(owner);
      this.#bringLater();
    });
  }

  #expireLater(): void {
    const { after, clock, settings } = this.#process;
    after(expiryMs, () => {
      const isOld = ({ keptAtMs }: StoredHint) => isHintOld(keptAtMs, settings.hintWindowMs, clock.now());
      for (const hint of [...this.#stored.values()].filter(isOld)) this.#forget(hint);
      this.#expireLater();
    });
  }

  #bring(owner: string): void {
    const { calls, canary, clock, owners, random, self } = this.#process;
    if (!this.#book.begin(owner, clock.monotonic())) return;
    this.#handOn(owner);
    const kept = [...this.#stored.values()].filter((hint) => hint.owner === owner);
    const batch = kept.slice(0, this.#book.batchLength(kept.map(({ bytes }) => bytes)));
    // What is on its way to the disk is counted, and not to be brought yet.
    if (batch.length === 0 || isSuspected(this.#process, owner)) {
      return this.#book.failed(owner, this.#moment());
    }
    const revisions = batch.map(({ told }) => told);
    const others = owners.filter((node) => node !== self);
    const to = canary.handsToAnybody && others.length > 0 ? random.pick(others) : owner;
    const stands = to === owner ? { standsInFor: owner } : {};
    calls.askWithin(bringWithinMs, to, { kind: 'join', revisions, ...stands }, (reply) => {
      // What its owner put in quarantine is not to be told again.
      const isTaken = reply?.kind === 'durable' || reply?.kind === 'rejected';
      if (!isTaken) return this.#book.failed(owner, this.#moment());
      for (const hint of batch) if (this.#stored.has(hint.key)) this.#forget(hint);
      this.#book.delivered(owner);
    });
  }

  /** Where another one took the owner's place, its hints are that one's; where that is this node, it has what they name. */
  #handOn(owner: string): void {
    const { disk, identity, self, sets } = this.#process;
    const successor = sets.successorOf(identity, owner);
    if (successor === undefined) return;
    for (const hint of [...this.#stored.values()].filter((kept) => kept.owner === owner)) {
      if (successor === self) {
        this.#forget(hint);
        continue;
      }
      const moved = { ...hint, owner: successor };
      if (this.#book.keep([moved], this.#moment()) === 'full') return;
      this.#stored.set(hint.key, moved);
      this.#book.removed([hint]);
      disk.commit([put(hint.key, moved)], () => undefined);
    }
  }

  #forget(hint: StoredHint): void {
    this.#stored.delete(hint.key);
    this.#book.removed([hint]);
    this.#process.disk.commit([{ kind: 'delete', key: encoder.encode(hint.key) }], () => undefined);
  }

  #moment() {
    const { clock, random } = this.#process;
    return { nowMs: clock.monotonic(), random: random.next() };
  }
}
