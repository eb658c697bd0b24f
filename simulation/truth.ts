/**
 * What the group agreed on: the entries that were applied, in their order.
 *
 * A forced membership may go on without what the other side had committed, and may even have had other entries at the same
 * places. From then on the truth is what the forced side has:
 *
 *     lineage 0    1  2  3  4  5          the other side applied 4 and 5, and goes on as long as it is not fenced
 *     lineage 9    1  2  3  4' 9          forced at 4: what the others had from there on is given up
 *     lineage 9    1  2  3' 4' 9          the same, where only a deposed leader and who was forced had 3': they part at 3
 */

import type { Command } from './commands.ts';
import type { AppliedWrite, ClientRecord } from './history.ts';

export interface Forced {
  /** When somebody first led by it. */
  readonly at: number;
  readonly lineage: number;
  /** Of the entry that forced the membership: what others had from here on is given up. */
  readonly index: number;
}

interface Sighting {
  readonly index: number;
  readonly term: number;
  /** That the node knew of which learnt that it is committed. */
  readonly lineage: number;
  /** Undefined: an entry of the group itself. */
  readonly command: Command | undefined;
}

export class Truth {
  readonly #applied = new Map<number, Sighting>();
  #forced: Forced | undefined;
  /** The first place that the two sides have other entries at. */
  #partedAt = Number.POSITIVE_INFINITY;

  forced(forced: Forced): void {
    this.#forced = forced;
  }

  see(sighting: Sighting): void {
    const known = this.#applied.get(sighting.index);
    if (known !== undefined && known.term !== sighting.term)
      this.#partedAt = Math.min(this.#partedAt, sighting.index);
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
   * What clients may hold the group to, although a membership was forced. Given up is what the others had from where the
   * two sides part, and no more:
   * - an acknowledged write that is not where it was said to be must still be kept, as an `async` one;
   * - an answer from a state that reaches into what was given up binds nobody;
   * - one from a state before that, of who was left behind, must show what that state held. It need not be the newest any
   *   more once there is somebody else to be newer.
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
      const isWithin = result.index < Math.min(forced.index, this.#partedAt);
      const isOfAge = record.kind === 'read' && (record.level === 'eventual' || record.level === 'session');
      if (isWithin && (isOfAge || result.at < forced.at)) return record;
      return { ...record, result: { kind: 'refused', at: result.at } } as ClientRecord;
    });
  }

  #kept(): Sighting[] {
    const inOrder = [...this.#applied.values()].sort((left, right) => left.index - right.index);
    return inOrder.filter((sighting) => !this.#isGivenUp(sighting));
  }

  #isGivenUp({ index, lineage }: Sighting): boolean {
    return this.#forced !== undefined && lineage < this.#forced.lineage && index >= this.#forced.index;
  }
}
