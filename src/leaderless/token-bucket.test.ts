import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullBucket, spend, waitMs } from './token-bucket.ts';

const pace = { tokensPerSecond: 1_000, burst: 500 };

describe('a pace', () => {
  it('lets a burst begin at once, and makes the dear pay back', () => {
    const begun = spend(fullBucket(pace, 0), 500, 0);
    expect(waitMs(begun, 0)).toBe(0);
    expect(waitMs(spend(begun, 2_000, 0), 0)).toBe(2_000);
    expect(waitMs(spend(begun, 2_000, 0), 1_500)).toBe(500);
  });

  it('is kept over any stretch of time, but for one burst and the last thing', () => {
    const works = fc.array(fc.record({ cost: fc.nat(2_000), pauseMs: fc.nat(3_000) }), { minLength: 1 });
    fc.assert(
      fc.property(works, (list) => {
        let bucket = fullBucket(pace, 0);
        let [now, spent] = [0, 0];
        for (const { cost, pauseMs } of list) {
          now += pauseMs + waitMs(bucket, now + pauseMs);
          expect(spent).toBeLessThanOrEqual(pace.burst + (now * pace.tokensPerSecond) / 1_000 + 1e-6);
          bucket = spend(bucket, cost, now);
          spent += cost;
        }
      }),
    );
  });

  it('does not run backwards with a clock that does', () => {
    const bucket = spend(fullBucket(pace, 1_000), 600, 1_000);
    expect(waitMs(bucket, 0)).toBe(100);
  });
});
