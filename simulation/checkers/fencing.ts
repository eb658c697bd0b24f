/**
 * One leader a term, and no way back.
 *
 * 1. In one term only one node ever calls itself leader, and only that one acknowledges.
 * 2. A node that has promised something in a term (a vote, an entry kept, its rule) never has a lower term afterwards, not
 *    even across a crash: it could promise the opposite. What was not promised yet may be forgotten.
 * 3. No two nodes apply different writes at one index.
 */

import type { ClientRecord, Violation } from '../history.ts';

/** What the world saw of a node after one of its steps, whenever it changed. */
export interface NodeSighting {
  readonly at: number;
  readonly node: string;
  readonly term: number;
  readonly isLeader: boolean;
}

/** A node applied an entry. */
export interface AppliedSighting {
  readonly at: number;
  readonly node: string;
  readonly index: number;
  /** Equal if and only if the entries are. */
  readonly content: string;
}

interface Rule {
  readonly at: number;
  readonly term: number;
  readonly node: string;
  readonly does: 'leads' | 'acknowledges';
}

export class FencingChecker {
  readonly #leaders = new Map<number, string>();
  readonly #promised = new Map<string, number>();
  readonly #applied = new Map<number, { readonly node: string; readonly content: string }>();
  readonly #violations: Violation[] = [];

  see({ at, node, term, isLeader }: NodeSighting): void {
    const promised = this.#promised.get(node) ?? 0;
    if (term < promised) this.#add(`${node} went back from term ${promised} to ${term}`, at);
    if (isLeader) this.#rule({ term, node, does: 'leads', at });
  }

  /** The node said something that binds it, in this term. */
  seePromise(node: string, term: number): void {
    this.#promised.set(node, Math.max(term, this.#promised.get(node) ?? 0));
  }

  seeApplied({ at, node, index, content }: AppliedSighting): void {
    const first = this.#applied.get(index);
    if (first === undefined) this.#applied.set(index, { node, content });
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
