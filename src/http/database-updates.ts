/**
 * `_db_updates`: which databases were created, updated or deleted. Only the latest update of each database is kept, as
 * CouchDB does; the log lives as long as the process, so a sequence of an earlier process starts from the beginning.
 */

import { randomUUID } from 'node:crypto';
import type { Databases } from '../database/databases.ts';

/** Deleted databases are remembered too, so that the log is bounded by its own limit. */
const databasesMax = 100_000;

export interface DatabaseUpdate {
  readonly name: string;
  readonly kind: 'created' | 'updated' | 'deleted';
  readonly number: number;
}

export class DatabaseUpdates {
  readonly #process = randomUUID().replaceAll('-', '').slice(0, 12);
  /** In order of their numbers: an update moves its database to the end. */
  readonly #latest = new Map<string, DatabaseUpdate>();
  readonly #listeners = new Set<() => void>();
  readonly #stop: () => void;
  #last = 0;

  constructor(databases: Databases) {
    for (const name of databases.names()) this.#record(name, 'created');
    this.#stop = databases.onUpdate(({ name, kind }) => this.#record(name, kind));
  }

  close(): void {
    this.#stop();
  }

  lastSequence(): string {
    return this.#sequence(this.#last);
  }

  sequenceOf(update: DatabaseUpdate): string {
    return this.#sequence(update.number);
  }

  /** Updates after a sequence, oldest first. `now` has none after it; a sequence of another process is the beginning. */
  after(since: string): DatabaseUpdate[] {
    const from = this.numberOf(since);
    return [...this.#latest.values()].filter((update) => update.number > from);
  }

  numberOf(since: string): number {
    if (since === 'now') return this.#last;
    const [number, process] = since.split('-');
    return process === this.#process ? Number(number) : 0;
  }

  /** Resolves at the next update or when `signal` aborts. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #record(name: string, kind: DatabaseUpdate['kind']): void {
    this.#last += 1;
    this.#latest.delete(name);
    this.#latest.set(name, { name, kind, number: this.#last });
    if (this.#latest.size > databasesMax) {
      const oldest = this.#latest.keys().next();
      if (!oldest.done) this.#latest.delete(oldest.value);
    }
    for (const listener of [...this.#listeners]) listener();
  }

  #sequence(number: number): string {
    return `${number}-${this.#process}`;
  }
}
