/**
 * What one node knows of what the group has decided, as it does in production: members are those of the last entry in its
 * log, durable or not; who owns the database is what it has applied, which comes later, and one entry after the other.
 *
 *     log      5 remove n2 │ 6 n4 for n2 │ 7 remove n3        members without n2 and n3
 *     applied  5                                              owners n1 n2 n3
 *
 * A crash takes along what was not durable. One with an empty disk has no database until it is told of it.
 */

import type { Operation } from '../../src/store/store.ts';
import type { SimulatedDisk } from '../disk.ts';
import {
  type GroupEntry,
  type GroupStart,
  type LeaderlessReplication,
  membersAfter,
  replicationAfter,
} from './group.ts';
import { put } from './replica-store.ts';

export interface GroupViewOptions {
  readonly disk: SimulatedDisk;
  readonly start: GroupStart;
  /** It was there when the database was created, on this disk. */
  readonly isFounder: boolean;
  readonly onChange: () => void;
}

interface Applied {
  readonly entries: number;
  readonly replication: LeaderlessReplication;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const appliedKey = 'owners';

export class GroupView {
  readonly #options: GroupViewOptions;
  readonly #entries: GroupEntry[] = [];
  #durable = 0;
  #committed = 0;
  #members: readonly string[] = [];
  /** Undefined: it has not heard of the database. */
  #applied: Applied | undefined;
  #isApplying = false;

  constructor(options: GroupViewOptions) {
    this.#options = options;
    const { disk, isFounder, start } = options;
    for (let entry = this.#kept(keyOf(0)); entry !== undefined; entry = this.#kept(keyOf(this.#durable))) {
      this.#entries.push(entry as GroupEntry);
      this.#durable += 1;
    }
    const kept = disk.get(encoder.encode(appliedKey));
    if (kept !== undefined) this.#applied = JSON.parse(decoder.decode(kept)) as Applied;
    else if (isFounder) this.#applied = { entries: 0, replication: start.replication };
    this.#members = this.#membersNow();
  }

  /** None where it has not heard of anybody. */
  members(): readonly string[] {
    return this.#members;
  }

  replication(): LeaderlessReplication | undefined {
    return this.#applied?.replication;
  }

  /** The leader tells its log, and how much of it is decided. */
  take(told: readonly GroupEntry[], committed: number): void {
    this.#committed = Math.max(this.#committed, committed);
    const from = this.#entries.length;
    const news = told.slice(from);
    const operations: Operation[] = news.map((entry, at) => put(keyOf(from + at), entry));
    if (this.#applied === undefined) {
      this.#applied = { entries: 0, replication: this.#options.start.replication };
      operations.push(put(appliedKey, this.#applied));
    }
    this.#entries.push(...news);
    this.#see();
    if (operations.length === 0) return this.#apply();
    this.#options.disk.commit(operations, ({ kind }) => {
      // A log that cannot be written is read again from its disk: it is told anew.
      if (kind === 'refused') this.#entries.length = this.#durable;
      else this.#durable = this.#entries.length >= from + news.length ? from + news.length : this.#durable;
      this.#see();
      this.#apply();
    });
  }

  #apply(): void {
    const { entries, replication } = this.#applied!;
    const entry = this.#entries[entries];
    if (this.#isApplying || entry === undefined || entries >= Math.min(this.#committed, this.#durable))
      return;
    this.#isApplying = true;
    const next = { entries: entries + 1, replication: replicationAfter(replication, entry) };
    this.#options.disk.commit([put(appliedKey, next)], ({ kind }) => {
      this.#isApplying = false;
      if (kind === 'refused') return;
      this.#applied = next;
      this.#options.onChange();
      this.#apply();
    });
  }

  #see(): void {
    const members = this.#membersNow();
    if (members.join() === this.#members.join()) return;
    this.#members = members;
    this.#options.onChange();
  }

  #membersNow(): readonly string[] {
    return this.#applied === undefined ? [] : membersAfter(this.#options.start, this.#entries);
  }

  #kept(key: string): unknown {
    const bytes = this.#options.disk.get(encoder.encode(key));
    return bytes === undefined ? undefined : JSON.parse(decoder.decode(bytes));
  }
}

function keyOf(index: number): string {
  return `group ${String(index).padStart(6, '0')}`;
}
