/**
 * Group commit: many callers, one stream of fsyncs.
 *
 * An fsync costs the same for one small batch as for a hundred. So one write is on its way at a time, and whatever
 * arrives meanwhile forms the next: with batches a, then b and c while a is being written, the disk sees [a] [b c].
 * Groups keep the order of the calls, and a group is as atomic as the write under it; callers of one group share its
 * outcome. A batch is never split, so a group exceeds `groupBytesMax` only if its single batch does.
 *
 * Left out: what a failure means. The write decides that and rejects; later groups are still handed to it.
 */

import type { Operation } from './store.ts';

interface Waiting {
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

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Resolves or rejects with the group that carries these operations; they must not be changed until then. */
  commit(operations: readonly Operation[]): Promise<void> {
    const bytes = bytesOf(operations);
    const outcome = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ operations, bytes, resolve, reject });
    });
    this.#running ??= this.#run();
    return outcome;
  }

  /** Resolves when nothing is waiting or on its way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Let all calls of this turn of the event loop into the first group.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#writeGroup(this.#takeGroup());
    this.#running = undefined;
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
    const operations =
      group.length === 1 && first !== undefined ? first.operations : group.flatMap((one) => one.operations);
    try {
      await this.#options.write(operations);
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    for (const { resolve } of group) resolve();
  }
}

function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += operation.key.byteLength + (operation.kind === 'put' ? operation.value.byteLength : 0);
  }
  return bytes;
}
