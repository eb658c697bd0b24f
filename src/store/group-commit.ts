/**
 * Group commit: many callers, one stream of fsyncs.
 *
 * An fsync costs the same for one small batch as for a hundred. So one write is on its way at a time, and whatever
 * arrives meanwhile forms the next: with batches a, then b and c while a is being written, the disk sees [a] [b c].
 * Groups keep the order of the calls, and a group is as atomic as the write under it; callers of one group share its
 * outcome. A batch is never split, so a group exceeds `groupBytesMax` only if its single batch does.
 *
 * A patient commit begins no write: it joins the next one, in its place, and makes one of its own when its time is over.
 *
 * Left out: what a failure means. The write decides that and rejects; later groups are still handed to it.
 */

import type { CommitOptions, Operation } from './store.ts';

interface Waiting {
  /** Monotonic milliseconds; for one without patience this is over. */
  deadline: number;
  readonly operations: readonly Operation[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export interface GroupCommitOptions {
  /** Bytes of keys and values after which a group is closed and the next one begins. */
  readonly groupBytesMax: number;
  /** Makes one group durable and visible, or rejects with what every caller of the group is to be told. */
  readonly write: (operations: readonly Operation[]) => Promise<void>;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Resolves or rejects with the group that carries these operations; they must not be changed until then. */
  commit(operations: readonly Operation[], { patienceMs = 0 }: CommitOptions = {}): Promise<void> {
    const bytes = bytesOf(operations);
    const deadline = patienceMs > 0 ? performance.now() + patienceMs : Number.NEGATIVE_INFINITY;
    const outcome = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ deadline, operations, bytes, resolve, reject });
    });
    this.#begin();
    return outcome;
  }

  /** Ends the patience of all that waits. */
  hurry(): void {
    for (const waiting of this.#waiting) waiting.deadline = Number.NEGATIVE_INFINITY;
    this.#begin();
  }

  /** Resolves when nothing is waiting or on its way. */
  async idle(): Promise<void> {
    this.hurry();
    while (this.#running !== undefined) await this.#running;
  }

  /** Writes now if somebody cannot wait, else when the first one's time is over. */
  #begin(): void {
    clearTimeout(this.#timer);
    if (this.#running !== undefined || this.#waiting.length === 0) return;
    const waitMs = Math.min(...this.#waiting.map(({ deadline }) => deadline)) - performance.now();
    if (waitMs > 0) this.#timer = setTimeout(() => this.hurry(), waitMs);
    else this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // Let all calls of this turn of the event loop into the first group.
    await Promise.resolve();
    do await this.#writeGroup(this.#takeGroup());
    while (this.#waiting.some(({ deadline }) => deadline <= performance.now()));
    this.#running = undefined;
    this.#begin();
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { bytes: own } of this.#waiting) {
      if (count > 0 && bytes + own > this.#options.groupBytesMax) break;
      bytes += own;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const [first] = group;
    const operations = group.length === 1 && first !== undefined ? first.operations : allOf(group);
    try {
      await this.#options.write(operations);
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    for (const { resolve } of group) resolve();
  }
}

function allOf(group: readonly Waiting[]): readonly Operation[] {
  const all: Operation[] = [];
  for (const { operations } of group) for (const operation of operations) all.push(operation);
  return all;
}

function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += operation.key.byteLength + (operation.kind === 'put' ? operation.value.byteLength : 0);
  }
  return bytes;
}
