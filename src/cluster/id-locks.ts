/**
 * Who may write which documents now: one holder per id, in the order of asking.
 *
 * A leader checks an edit against applied state. An id stays locked from that check until the edit is applied, so no
 * other edit is checked against a state that is about to change. Edits of other documents go on beside it.
 */

import { assert } from '../errors.ts';

export class IdLocks {
  /** Id → resolves when its present holder and all who wait already are done. */
  readonly #tails = new Map<string, Promise<void>>();

  isFree(id: string): boolean {
    return !this.#tails.has(id);
  }

  areFree(ids: readonly string[]): boolean {
    return ids.every((id) => this.isFree(id));
  }

  /** Holds ids that are free; the returned function lets them go. */
  hold(ids: readonly string[]): () => void {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    assert(this.areFree(ids), 'ids that are held were free');
    for (const id of ids) this.#tails.set(id, held);
    return () => {
      release();
      for (const id of ids) if (this.#tails.get(id) === held) this.#tails.delete(id);
    };
  }

  /** Resolves once those who hold the id, or wait for it, at the call are done; undefined when nobody does. */
  whenFree(id: string): Promise<void> | undefined {
    return this.#tails.get(id);
  }

  /** Resolves once all ids are held; the returned function lets them go. */
  async acquire(ids: readonly string[]): Promise<() => void> {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    // Queueing for all of them in one go: two who ask for the same ids stand in the same order at each, so none waits
    // for one behind itself.
    const before: Promise<void>[] = [];
    for (const id of ids) {
      const tail = this.#tails.get(id);
      if (tail !== undefined) before.push(tail);
      this.#tails.set(id, tail === undefined ? held : tail.then(() => held));
    }
    const mine = new Map(ids.map((id) => [id, this.#tails.get(id)]));
    if (before.length > 0) await Promise.all(before);
    return () => {
      release();
      for (const [id, tail] of mine) if (this.#tails.get(id) === tail) this.#tails.delete(id);
    };
  }
}
