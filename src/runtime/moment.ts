/**
 * What comes in one moment, that is, with the events that the event loop takes in one turn: gathered, and handed over with
 * what is alike, because asking once for many costs hardly more than asking for one.
 *
 *     add(x, a)  add(y, b)  add(x, c)   ──► send(x, [a, c])  send(y, [b])
 *
 * Nothing waits for longer than its moment, so who comes alone loses nothing.
 */

import { atTurnEnd } from './turn-end.ts';

export interface MomentOptions<Common, Item> {
  /** A group that has so many items, or so many bytes, is closed, and the next one begins. */
  readonly itemsMax: number;
  readonly bytesMax: number;
  /** Never called before `add` returns. */
  readonly send: (common: Common, items: readonly Item[]) => void;
}

interface Group<Common, Item> {
  readonly common: Common;
  readonly items: Item[];
  bytes: number;
}

export class Moment<Common, Item> {
  readonly #options: MomentOptions<Common, Item>;
  readonly #full: Group<Common, Item>[] = [];
  readonly #groups = new Map<string, Group<Common, Item>>();
  #isDue = false;

  constructor(options: MomentOptions<Common, Item>) {
    this.#options = options;
  }

  /** @param name what is gathered together has the same, and only that has this `common` */
  add(name: string, common: Common, item: Item, bytes: number): void {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { common, items: [], bytes: 0 };
      this.#groups.set(name, group);
    }
    group.items.push(item);
    group.bytes += bytes;
    if (group.items.length >= this.#options.itemsMax || group.bytes >= this.#options.bytesMax) {
      this.#groups.delete(name);
      this.#full.push(group);
    }
    if (this.#isDue) return;
    this.#isDue = true;
    atTurnEnd(() => this.#flush());
  }

  #flush(): void {
    this.#isDue = false;
    const groups = [...this.#full, ...this.#groups.values()];
    this.#full.length = 0;
    this.#groups.clear();
    this.#sendAll(groups, 0);
  }

  /** Whatever one of them throws, the others leave. */
  #sendAll(groups: readonly Group<Common, Item>[], from: number): void {
    let at = from;
    try {
      for (; at < groups.length; at += 1) this.#options.send(groups[at]!.common, groups[at]!.items);
    } finally {
      if (at < groups.length) this.#sendAll(groups, at + 1);
    }
  }
}
