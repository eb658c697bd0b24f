/** A clock for tests: it stands still until it is told to move. */

import type { Clock } from '../runtime/ports.ts';

export interface TestClock extends Clock {
  advance(ms: number): void;
  /** Sets the wall clock, as an operator or NTP does: no time passes. */
  set(byMs: number): void;
}

export function testClock(startMs = 1_800_000_000_000): TestClock {
  let passed = 0;
  let isSetBy = 0;
  return {
    now: () => startMs + isSetBy + passed,
    monotonic: () => passed,
    after: () => {
      throw new Error('nothing here waits');
    },
    advance(ms) {
      passed += ms;
    },
    set(byMs) {
      isSetBy += byMs;
    },
  };
}
