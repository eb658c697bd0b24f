/**
 * One leader a term, and no way back.
 *
 * 1. In one term only one node ever calls itself leader, and only that one acknowledges.
 * 2. A node that has promised something in a term (a vote, an entry kept, its rule) never has a lower term afterwards, not
 *    even across a crash: it could promise the opposite. What was not promised yet may be forgotten.
 * 3. No two nodes apply different writes at one index, within a lineage.
 * 4. A node that has promised something in a lineage never leads in a lower one, and when everything works again nobody
 *    is left in a lower one.
 */

import type { ClientRecord, Violation } from '../history.ts';

/** What the world saw of a node after one of its steps, whenever it changed. */
export interface NodeSighting {
  readonly at: number;
  readonly node: string;
  readonly term: number;
  readonly isLeader: boolean;
  /** The term of the last forced membership that the node heard of. */
  readonly lineage: number;
}

/** A node applied an entry. */
export interface AppliedSighting {
  readonly at: number;
  readonly node: string;
  readonly index: number;
  readonly lineage: number;
  /** Equal if and only if the entries are. */
  readonly content: string;
}

interface Promised {
  readonly term: number;
  readonly lineage: number;
}

const nothingPromised: Promised = { term: 0, lineage: 0 };

interface Rule {
  readonly at: number;
  readonly term: number;
  readonly node: string;
  readonly does: 'leads' | 'acknowledges';
}

export class FencingChecker {
  readonly #leaders = new Map<number, string>();
  readonly #promised = new Map<string, Promised>();
  readonly #applied = new Map<string, { readonly node: string; readonly content: string }>();
  readonly #violations: Violation[] = [];

  see({ at, node, term, isLeader, lineage }: NodeSighting): void {
    const promised = this.#promised.get(node) ?? nothingPromised;
    if (term < promised.term) this.#add(`${node} went back from term ${promised.term} to ${term}`, at);
    if (lineage < promised.lineage)
      this.#add(`${node} went back from lineage ${promised.lineage} to ${lineage}`, at);
    if (isLeader) this.#rule({ term, node, does: 'leads', at });
  }

  /** The node said something that binds it, in this term. */
  seePromise(node: string, { term, lineage }: Promised): void {
    const before = this.#promised.get(node) ?? nothingPromised;
    this.#promised.set(node, {
      term: Math.max(term, before.term),
      lineage: Math.max(lineage, before.lineage),
    });
  }

  /** Everything works again: who still is in which lineage. */
  seeEnd(nodes: readonly Omit<NodeSighting, 'term' | 'isLeader'>[]): void {
    const highest = nodes.reduce((high, { lineage }) => Math.max(high, lineage), 0);
    for (const { at, node, lineage } of nodes) {
      if (lineage < highest)
        this.#add(`${node} was never fenced: it is in lineage ${lineage}, others in ${highest}`, at);
    }
  }

  seeApplied({ at, node, index, lineage, content }: AppliedSighting): void {
    const place = `${lineage} ${index}`;
    const first = this.#applied.get(place);
    if (first === undefined) this.#applied.set(place, { node, content });
    else if (first.content !== content) {
      this.#add(`${first.node} applied ${first.content} at index ${index}, ${node} applied ${content}`, at);
    }
  }

  /** @returns all violations, those of the clients' acknowledgements among them */
  finish(records: readonly ClientRecord[]): Violation[] {
    for (const { result } of records) {
      if (result.kind !== 'acknowledged') continue;
      const { term, leader, at } = result;
      this.#rule({ term, node: leader, does: 'acknowledges', at });
    }
    return this.#violations;
  }

  #rule({ term, node, does, at }: Rule): void {
    const leader = this.#leaders.get(term);
    if (leader === undefined) this.#leaders.set(term, node);
    else if (leader !== node) this.#add(`${node} ${does} in term ${term}, whose leader is ${leader}`, at);
  }

  #add(message: string, at: number): void {
    this.#violations.push({ checker: 'fencing', message, at });
  }
}
