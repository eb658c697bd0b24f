/**
 * A network that delays, loses, doubles and reorders messages, and whose links can be cut in one direction or both.
 *
 * Every pair of nodes has a link in each direction with a condition of its own. A message draws its fate when it is sent:
 * it is lost if the link is cut then, and again if it is cut when it would arrive. Messages keep their order on a link
 * unless its condition says otherwise, as a connection's do.
 */

import type { SeededRandom } from './random.ts';
import { microsecondsOf, type World } from './world.ts';

export interface LinkCondition {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** Probabilities, each for one message. */
  readonly loss: number;
  readonly duplication: number;
  /** A message that may overtake others, and be overtaken: it is late by up to `lateMsMax` more. */
  readonly reordering: number;
  readonly lateMsMax: number;
}

export const calmLink: LinkCondition = {
  delayMsMin: 0.2,
  delayMsMax: 1.5,
  loss: 0,
  duplication: 0,
  reordering: 0,
  lateMsMax: 0,
};

/** Late, lost, doubled and overtaken, each more or less. */
export function badLink(random: SeededRandom): LinkCondition {
  return {
    delayMsMin: 0.2,
    delayMsMax: random.between(2, 60),
    loss: random.next() * 0.3,
    duplication: random.next() * 0.2,
    reordering: random.next() * 0.5,
    lateMsMax: random.between(5, 400),
  };
}

interface Link {
  condition: LinkCondition;
  isCut: boolean;
  /** When the last message that keeps the order arrives: none after it may arrive before. */
  lastArrival: number;
}

export interface NetworkOptions<Message> {
  readonly world: World;
  readonly nodes: readonly string[];
  readonly deliver: (from: string, to: string, message: Message) => void;
}

export class Network<Message> {
  readonly #options: NetworkOptions<Message>;
  readonly #random: SeededRandom;
  readonly #links = new Map<string, Link>();

  constructor(options: NetworkOptions<Message>) {
    this.#options = options;
    this.#random = options.world.random.fork('network');
    this.#eachLink((link, key) => this.#links.set(key, link));
  }

  send(from: string, to: string, message: Message): void {
    const link = this.#link(from, to);
    const { condition } = link;
    const isLost = this.#random.chance(condition.loss);
    const copies = this.#random.chance(condition.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const arrival = this.#arrivalOf(link, copy > 0);
      if (link.isCut || isLost) continue;
      this.#options.world.after(arrival - this.#options.world.now(), () => {
        if (!link.isCut) this.#options.deliver(from, to, message);
      });
    }
  }

  /** Cuts or mends the way from one node to another; the way back is another link. */
  setCut(from: string, to: string, isCut: boolean): void {
    this.#link(from, to).isCut = isCut;
  }

  /** Whether each hears the other. */
  areConnected(a: string, b: string): boolean {
    return !this.#link(a, b).isCut && !this.#link(b, a).isCut;
  }

  /** Nodes of different groups hear nothing of each other; inside a group all links are mended. */
  partition(groups: readonly (readonly string[])[]): void {
    const groupOf = new Map(groups.flatMap((group, index) => group.map((node) => [node, index] as const)));
    this.#eachPair((from, to) => this.setCut(from, to, groupOf.get(from) !== groupOf.get(to)));
  }

  setCondition(from: string, to: string, condition: LinkCondition): void {
    this.#link(from, to).condition = condition;
  }

  setEveryCondition(condition: LinkCondition): void {
    this.#eachPair((from, to) => this.setCondition(from, to, condition));
  }

  #arrivalOf(link: Link, isCopy: boolean): number {
    const { delayMsMin, delayMsMax, reordering, lateMsMax } = link.condition;
    const delay = delayMsMin + this.#random.next() * (delayMsMax - delayMsMin);
    const late = this.#random.chance(reordering) ? this.#random.next() * lateMsMax : 0;
    const arrival = this.#options.world.now() + microsecondsOf(delay + late);
    if (late > 0 || isCopy) return arrival;
    link.lastArrival = Math.max(arrival, link.lastArrival);
    return link.lastArrival;
  }

  #link(from: string, to: string): Link {
    const link = this.#links.get(keyOf(from, to));
    if (link === undefined) throw new Error(`no link from ${from} to ${to}`);
    return link;
  }

  #eachLink(visit: (link: Link, key: string) => void): void {
    this.#eachPair((from, to) => {
      visit({ condition: calmLink, isCut: false, lastArrival: 0 }, keyOf(from, to));
    });
  }

  #eachPair(visit: (from: string, to: string) => void): void {
    const { nodes } = this.#options;
    for (const from of nodes) for (const to of nodes) if (from !== to) visit(from, to);
  }
}

function keyOf(from: string, to: string): string {
  return `${from}>${to}`;
}
