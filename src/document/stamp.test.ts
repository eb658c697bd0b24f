import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beforeAllStamps,
  compareStamps,
  compareStampTimes,
  isStamp,
  laterStampTime,
  mergedStamp,
  nextStampTime,
  type Stamp,
  stampCounterMax,
  stampMsMax,
} from './stamp.ts';

const stamps: fc.Arbitrary<Stamp> = fc.record({
  ms: fc.integer({ min: 0, max: 5 }),
  counter: fc.integer({ min: 0, max: 3 }),
  node: fc.constantFrom('n1', 'n2', 'n3'),
});

describe('a hybrid logical clock', () => {
  it('never makes a stamp that is not above all it has seen, however the wall clock jumps', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('make' as const), now: fc.integer({ min: -5, max: 5 }) }),
      fc.record({ kind: fc.constant('see' as const), stamp: stamps }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let seen = beforeAllStamps;
        for (const now of steps) {
          const before = seen;
          if (now.kind === 'see') seen = laterStampTime(seen, now.stamp);
          else {
            seen = nextStampTime(seen, now.now);
            expect(compareStampTimes(seen, before)).toBeGreaterThan(0);
          }
          expect(compareStampTimes(seen, before)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  it('follows the wall clock when that goes ahead, and counts within a millisecond', () => {
    const first = nextStampTime(beforeAllStamps, 1_000);
    expect(first).toEqual({ ms: 1_000, counter: 0 });
    expect(nextStampTime(first, 1_000)).toEqual({ ms: 1_000, counter: 1 });
    expect(nextStampTime(first, 900)).toEqual({ ms: 1_000, counter: 1 });
    expect(nextStampTime(first, 1_001.9)).toEqual({ ms: 1_001, counter: 0 });
  });

  it('borrows from the next millisecond when the counter is used up', () => {
    expect(nextStampTime({ ms: 7, counter: stampCounterMax }, 3)).toEqual({ ms: 8, counter: 0 });
  });
});

describe('stamps', () => {
  it('are merged by minimum, in any order and as often as one likes', () => {
    fc.assert(
      fc.property(stamps, stamps, stamps, (a, b, c) => {
        expect(mergedStamp(a, b)).toEqual(mergedStamp(b, a));
        expect(mergedStamp(a, mergedStamp(b, c))).toEqual(mergedStamp(mergedStamp(a, b), c));
        expect(mergedStamp(a, a)).toBe(a);
        expect(compareStamps(mergedStamp(a, b)!, a)).toBeLessThanOrEqual(0);
      }),
    );
    expect(mergedStamp(undefined, { ms: 1, counter: 0, node: 'n' })).toEqual({
      ms: 1,
      counter: 0,
      node: 'n',
    });
  });

  it('are refused when they could not be kept', () => {
    expect(isStamp({ ms: stampMsMax, counter: stampCounterMax, node: 'n' })).toBe(true);
    for (const wrong of [
      { ms: -1 },
      { ms: 0.5 },
      { ms: stampMsMax + 1 },
      { counter: 65_536 },
      { node: 'ü' },
    ]) {
      expect(isStamp({ ms: 1, counter: 0, node: 'n', ...wrong })).toBe(false);
    }
  });
});
