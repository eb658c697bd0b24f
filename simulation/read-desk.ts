/**
 * How a node answers reads: the core says which index is new enough, the desk waits until that much is applied.
 *
 * A bounded read is a linearizable one that may be reused: what was confirmed as newest when it was asked for is known to
 * be at most so old until the bound has passed, by this node's own clock.
 */

import type { Answer, ReadAnswer, ReadRequest } from './requests.ts';

interface Waiting {
  readonly index: number;
  readonly ready: (isReady: boolean) => void;
}

interface Confirmed {
  /** When it was asked for. */
  readonly atMs: number;
  readonly index: number;
  readonly lineage: number;
}

export interface ReadDeskPorts {
  /** Through where what is visible may be counted on. */
  readonly appliedIndex: () => number;
  /** Of what is visible. */
  readonly shownIndex: () => number;
  readonly appliedValue: (document: string) => number;
  /** Asks the core; it answers by {@link ReadDesk.ready} or {@link ReadDesk.refused}. */
  readonly askCore: (id: number) => void;
  readonly nextId: () => number;
  readonly monotonicMs: () => number;
  /** A witness has none. */
  readonly hasDocuments: () => boolean;
  readonly lineage: () => number;
  /** Term of the epoch that what is applied ends in. */
  readonly appliedEpochTerm: () => number;
  /** A planted bug: answers from what is applied without asking anybody. */
  readonly answersStale: boolean;
  /** A planted bug: takes no notice of the client's token. */
  readonly ignoresToken: boolean;
}

export class ReadDesk {
  readonly #ports: ReadDeskPorts;
  readonly #asked = new Map<number, { readonly atMs: number; readonly ready: (isReady: boolean) => void }>();
  #waiting: Waiting[] = [];
  #confirmed: Confirmed | undefined;

  constructor(ports: ReadDeskPorts) {
    this.#ports = ports;
  }

  read(request: ReadRequest, answer: Answer<ReadAnswer>): void {
    const finish = (isReady: boolean) => answer(isReady ? this.#answerNow(request) : { kind: 'refused' });
    if (!this.#ports.hasDocuments()) return finish(false);
    switch (request.level) {
      case 'eventual':
        return finish(true);
      case 'session':
        return this.#whenApplied(this.#ports.ignoresToken ? 0 : request.after, finish);
      case 'bounded':
        return this.#isFresh(request.staleMsMax) ? finish(true) : this.barrier(finish);
      case 'linearizable':
        return this.#ports.answersStale ? finish(true) : this.barrier(finish);
    }
  }

  /** Calls back once what is applied is as new as any leader's was at the call, or with false. */
  barrier(ready: (isReady: boolean) => void): void {
    const { lineage, monotonicMs, nextId } = this.#ports;
    const id = nextId();
    const askedIn = lineage();
    // An index of one lineage says nothing of what another one has there.
    const inTime = (isReady: boolean) => ready(isReady && lineage() === askedIn);
    this.#asked.set(id, { atMs: monotonicMs(), ready: inTime });
    this.#ports.askCore(id);
  }

  ready(id: number, index: number): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked === undefined) return;
    if (this.#confirmed === undefined || asked.atMs > this.#confirmed.atMs) {
      this.#confirmed = { atMs: asked.atMs, index, lineage: this.#ports.lineage() };
    }
    this.#whenApplied(index, asked.ready);
  }

  refused(id: number): void {
    this.#asked.get(id)?.ready(false);
    this.#asked.delete(id);
  }

  /** More is applied now. */
  applied(): void {
    const index = this.#ports.appliedIndex();
    const due = this.#waiting.filter((waiting) => waiting.index <= index);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => waiting.index > index);
    for (const { ready } of due) ready(true);
  }

  #whenApplied(index: number, ready: (isReady: boolean) => void): void {
    if (index <= this.#ports.appliedIndex()) ready(true);
    else this.#waiting.push({ index, ready });
  }

  #isFresh(staleMsMax: number): boolean {
    const { monotonicMs, appliedIndex, lineage } = this.#ports;
    const confirmed = this.#confirmed;
    if (confirmed === undefined || confirmed.index > appliedIndex()) return false;
    if (confirmed.lineage !== lineage()) return false;
    return monotonicMs() - confirmed.atMs <= staleMsMax;
  }

  #answerNow({ document, level }: ReadRequest): ReadAnswer {
    return {
      kind: 'answered',
      value: this.#ports.appliedValue(document),
      index: this.#ports.shownIndex(),
      // A weaker answer speaks for the state that it was read from.
      lineage: level === 'linearizable' ? this.#ports.lineage() : this.#ports.appliedEpochTerm(),
    };
  }
}
