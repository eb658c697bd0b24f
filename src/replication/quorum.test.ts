import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { majorityOf, reachedBy, tally } from './quorum.ts';

describe('quorums', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ])('of %i a majority is %i', (size, majority) => {
    expect(majorityOf(size)).toBe(majority);
  });

  it('any two majorities have a member in common', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (size) => {
        expect(2 * majorityOf(size)).toBeGreaterThan(size);
        expect(2 * (majorityOf(size) - 1)).toBeLessThanOrEqual(size);
      }),
    );
  });

  it('what a majority has reached is what the dumb way of counting finds', () => {
    // Tries every index from the top and counts who has it.
    const dumb = (count: number, values: readonly number[]) => {
      for (let index = Math.max(...values); index >= 0; index--)
        if (values.filter((value) => value >= index).length >= count) return index;
      return Number.NEGATIVE_INFINITY;
    };
    const values = fc.array(fc.nat(40), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 10 }), (matches, count) => {
        expect(reachedBy(count, matches)).toBe(dumb(count, matches));
      }),
      { numRuns: 2000 },
    );
  });

  it('an election is won or lost as soon as no further answer could change it', () => {
    const answers = fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 7 });
    const wins = (votes: readonly (boolean | undefined)[], open: boolean) =>
      votes.filter((vote) => vote ?? open).length >= majorityOf(votes.length);
    fc.assert(
      fc.property(answers, (votes) => {
        const best = wins(votes, true);
        const worst = wins(votes, false);
        expect(tally(votes)).toBe(worst ? 'won' : best ? 'open' : 'lost');
      }),
      { numRuns: 2000 },
    );
  });
});
