/**
 * Dice that roll the same on every machine.
 *
 * The generator is sfc32 ("small fast chaotic", Chris Doty-Humphrey, PractRand): three 32-bit words and a counter, only
 * additions, shifts and exclusive or, so there is no rounding that a processor could do differently. For the same reason
 * nothing here calls `Math.log`, `Math.pow` or `Math.sin`, whose last digit is not fixed by the language.
 *
 * Each part of a run (network, disk, nemesis, clients, nodes) rolls dice of its own, forked by name, so that one more
 * roll in one part does not shuffle all others.
 */

import type { Random } from '../src/runtime/ports.ts';

const warmUpRounds = 12;

export class SeededRandom implements Random {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c = 0;
  #counter = 1;

  /** @param seed a whole number from 0 to 2^53 - 1 */
  constructor(seed: number) {
    this.#seed = seed;
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) >>> 0;
    for (let round = 0; round < warmUpRounds; round += 1) this.word();
  }

  /** A uniform whole number from 0 to 2^32 - 1. */
  word(): number {
    const word = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) >>> 0;
    return word;
  }

  next(): number {
    return this.word() / 0x1_0000_0000;
  }

  hex(bytes: number): string {
    let text = '';
    while (text.length < bytes * 2) text += this.word().toString(16).padStart(8, '0');
    return text.slice(0, bytes * 2);
  }

  /** A whole number with `from <= number <= to`. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** `count` different items, in an order that is random too. */
  sample<Item>(items: readonly Item[], count: number): Item[] {
    const rest = [...items];
    const taken: Item[] = [];
    while (taken.length < count && rest.length > 0) {
      taken.push(...rest.splice(this.between(0, rest.length - 1), 1));
    }
    return taken;
  }

  /** Dice of their own for a part of the run; they depend on the seed and the name only, not on earlier rolls. */
  fork(name: string): SeededRandom {
    // FNV-1a: any hash does, as long as it is written down here.
    let hash = 0x811c9dc5;
    for (let index = 0; index < name.length; index += 1) {
      hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193) >>> 0;
    }
    const low = (this.#seed ^ hash) >>> 0;
    const high = Math.floor(this.#seed / 0x1_0000_0000) ^ (hash & 0x1f_ffff);
    return new SeededRandom(high * 0x1_0000_0000 + low);
  }
}
