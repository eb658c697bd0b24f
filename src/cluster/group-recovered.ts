/**
 * Entries that left this node's log without being committed: kept until a leader has what they say.
 *
 * The log has moved them aside on the disk, and a later life finds them there again. Each epoch's entries are offered
 * together, one epoch at a time, whenever somebody leads; what the offer is made into is up to who opened the group.
 */

import type { Log } from '../runtime/log.ts';
import type { Entry, Term } from '../single-leader/entry.ts';
import type { GroupOptions } from './group.ts';
import { committedEntry } from './group-replica.ts';

export interface RecoveredOptions {
  readonly log: Log;
  readonly offer: GroupOptions['onRecovered'];
  readonly forget: (entries: readonly Entry[]) => Promise<void>;
}

export class GroupRecovered {
  readonly #options: RecoveredOptions;
  #entries: readonly Entry[] = [];
  #isOffering = false;

  constructor(options: RecoveredOptions) {
    this.#options = options;
  }

  /** What a new life found on the disk. */
  found(entries: readonly Entry[]): void {
    this.#entries = entries;
  }

  add(entries: readonly Entry[]): void {
    this.#entries = [...this.#entries, ...entries.filter(({ body }) => body.kind === 'data')];
  }

  /** Call it now and then while a leader is known. */
  async offer(): Promise<void> {
    const term = this.#entries[0]?.term;
    if (term === undefined || this.#isOffering) return;
    this.#isOffering = true;
    try {
      await this.#offerEpoch(term);
    } catch (cause) {
      this.#options.log.warn({ err: cause, term }, 'recovered writes wait for a leader that takes them');
    } finally {
      this.#isOffering = false;
    }
  }

  async #offerEpoch(term: Term): Promise<void> {
    const offered = this.#entries.filter((entry) => entry.term === term);
    await this.#options.offer(offered.flatMap(committedEntry), term);
    await this.#options.forget(offered);
    this.#entries = this.#entries.filter((entry) => !offered.includes(entry));
  }
}
