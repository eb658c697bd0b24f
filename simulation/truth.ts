/**
 * What the group agreed on: the entries that were applied, in their order.
 *
 * A forced membership may go on without what the other side had committed, and may even have had other entries at the same
 * places. From then on the truth is what the forced side has:
 *
 *     lineage 0    1  2  3  4  5          the other side applied 4 and 5, and goes on as long as it is not fenced
 *     lineage 9    1  2  3  4' 9          forced at 4: what the others had from there on is given up
 */

import type { Command } from './commands.ts';
import type { AppliedWrite, ClientRecord } from './history.ts';

export interface Forced {
  readonly at: number;
  readonly lineage: number;
  /** Of the entry that forced the membership: what others had from here on is given up. */
  readonly index: number;
}

interface Sighting {
  readonly at: number;
  readonly index: number;
  readonly term: number;
  /** Of the membership that the node had which applied it. */
  readonly lineage: number;
  /** Undefined: an entry of the group itself. */
  readonly command: Command | undefined;
}

export class Truth {
  readonly #applied = new Map<number, Sighting>();
  #forced: Forced | undefined;
  /** When somebody first applied what was given up. */
  #givenUpAt = Number.POSITIVE_INFINITY;

  forced(forced: Forced): void {
    this.#forced = forced;
  }

  see(sighting: Sighting): void {
    const known = this.#applied.get(sighting.index);
    if (known !== undefined && known.term !== sighting.term && known.lineage !== sighting.lineage) {
      const givenUp = known.lineage < sighting.lineage ? known : sighting;
      this.#givenUpAt = Math.min(this.#givenUpAt, givenUp.at);
    }
    if (known === undefined || known.lineage < sighting.lineage) this.#applied.set(sighting.index, sighting);
  }

  /** Late writes only where they became current. */
  writes(): AppliedWrite[] {
    const came = new Set<number>();
    return this.#kept().flatMap(({ index, command }): AppliedWrite[] => {
      if (command === undefined) return [];
      const { document, expected, value } = command;
      const isLate = command.kind === 'recovered';
      // What comes a second time changes nothing.
      if (isLate && came.has(value)) return [];
      if (isLate) came.add(value);
      if (isLate && !command.isCurrent) return [];
      return [{ index, document, expected, value, isLate }];
    });
  }

  /** Values that came back. */
  recovered(): readonly number[] {
    return this.#kept().flatMap(({ command }) => (command?.kind === 'recovered' ? [command.value] : []));
  }

  /**
   * What clients may hold the group to. Once a side had something that was given up, or is left behind, what it says binds
   * nobody: its answers are dropped, and its acknowledgements promise only that the write is kept.
   */
  binding(records: readonly ClientRecord[]): readonly ClientRecord[] {
    const forced = this.#forced;
    if (forced === undefined) return records;
    const kept = new Map(this.#kept().map(({ index, term }) => [index, term] as const));
    return records.map((record): ClientRecord => {
      const { result } = record;
      if (!('lineage' in result) || result.lineage >= forced.lineage) return record;
      if (record.kind === 'write' && result.kind === 'acknowledged') {
        if (kept.get(result.index) === result.term) return record;
        return { ...record, ack: { ...record.ack, kind: 'async' } };
      }
      if (result.at < Math.min(forced.at, this.#firstGivenUpAt())) return record;
      return { ...record, result: { kind: 'refused', at: result.at } } as ClientRecord;
    });
  }

  #kept(): Sighting[] {
    const inOrder = [...this.#applied.values()].sort((left, right) => left.index - right.index);
    return inOrder.filter((sighting) => !this.#isGivenUp(sighting));
  }

  #firstGivenUpAt(): number {
    const givenUp = [...this.#applied.values()].filter((sighting) => this.#isGivenUp(sighting));
    return givenUp.reduce((first, { at }) => Math.min(first, at), this.#givenUpAt);
  }

  #isGivenUp({ index, lineage }: Sighting): boolean {
    return this.#forced !== undefined && lineage < this.#forced.lineage && index >= this.#forced.index;
  }
}
