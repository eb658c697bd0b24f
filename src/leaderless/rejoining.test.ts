import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mayCount, peersToRejoin } from './rejoining.ts';

describe('an empty replica', () => {
  it('has met a holder of every write that more than one replica acknowledged, whichever peers it asked', () => {
    const cases = fc.integer({ min: 2, max: 7 }).chain((n) =>
      fc.record({
        n: fc.constant(n),
        w: fc.integer({ min: 2, max: n }),
        order: fc.shuffledSubarray(
          Array.from({ length: n - 1 }, (_, index) => index),
          { minLength: n - 1 },
        ),
      }),
    );
    fc.assert(
      fc.property(cases, ({ n, w, order }) => {
        // The wiped one was among the W; so peers 0 to w - 2 hold the write.
        const asked = order.slice(0, peersToRejoin({ n, w }));
        expect(asked.some((peer) => peer < w - 1)).toBe(true);
      }),
    );
  });

  it('counts again once enough of those that know their state gave it everything, or all others did', () => {
    const settings = { n: 5, w: 3 };
    expect(mayCount(settings, { whole: 2, all: 3 })).toBe(false);
    expect(mayCount(settings, { whole: 3, all: 3 })).toBe(true);
    expect(mayCount(settings, { whole: 0, all: 3 })).toBe(false);
    expect(mayCount(settings, { whole: 0, all: 4 })).toBe(true);
  });

  it('asks all others where one copy was enough, and nobody where it is alone', () => {
    expect(peersToRejoin({ n: 3, w: 1 })).toBe(2);
    expect(peersToRejoin({ n: 1, w: 1 })).toBe(0);
  });
});
