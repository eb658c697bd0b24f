/** Counting: how many of a group are enough, and what enough of them have reached. */

import { assert } from '../errors.ts';

/** How many of `size` any two choices of have one in common. */
export function majorityOf(size: number): number {
  return Math.floor(size / 2) + 1;
}

/**
 * The highest value that at least `count` of `values` reach. For match indexes and a majority this is what a majority
 * holds: of [9, 5, 7] two reach 7. Nobody reaches anything if `count` exceeds the number of values.
 */
export function reachedBy(count: number, values: readonly number[]): number {
  assert(count >= 1, 'at least one value is asked for');
  if (count > values.length) return Number.NEGATIVE_INFINITY;
  // Asked at every step of a leader, of few values: comparing each with each is less work than sorting a copy.
  let reached = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value <= reached) continue;
    let holders = 0;
    for (const other of values) if (other >= value) holders += 1;
    if (holders >= count) reached = value;
  }
  return reached;
}

export type Tally = 'won' | 'lost' | 'open';

/** What an election with these answers has come to; those without an answer may still give either. */
export function tally(answers: readonly (boolean | undefined)[]): Tally {
  const needed = majorityOf(answers.length);
  const granted = answers.filter((answer) => answer === true).length;
  const refused = answers.filter((answer) => answer === false).length;
  if (granted >= needed) return 'won';
  return answers.length - refused < needed ? 'lost' : 'open';
}
