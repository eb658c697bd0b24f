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

interface Group<Item> {
  readonly items: Item[];
  bytes: number;
}

export class Moment<Common, Item> {
  readonly #options: MomentOptions<Common, Item>;
  /** Those that take more. */
  readonly #open = new Map<string, Group<Item>>();

  constructor(options: MomentOptions<Common, Item>) {
    this.#options = options;
  }

  /** @param name what is gathered together has the same, and only that has this `common` */
  add(name: string, common: Common, item: Item, bytes: number): void {
    const { bytesMax, itemsMax } = this.#options;
    const group = this.#open.get(name) ?? this.#begin(name, common);
    group.items.push(item);
    group.bytes += bytes;
    if (group.items.length >= itemsMax || group.bytes >= bytesMax) this.#open.delete(name);
  }

  #begin(name: string, common: Common): Group<Item> {
    const group: Group<Item> = { items: [], bytes: 0 };
    this.#open.set(name, group);
    atTurnEnd(() => {
      if (this.#open.get(name) === group) this.#open.delete(name);
      this.#options.send(common, group.items);
    });
    return group;
  }
}
