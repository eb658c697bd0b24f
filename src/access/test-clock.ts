/** A clock for tests: it stands still until it is told to move. */

import type { Clock } from '../runtime/ports.ts';

export interface TestClock extends Clock {
  advance(ms: number): void;
}

export function testClock(startMs = 1_800_000_000_000): TestClock {
  let passed = 0;
  return {
    now: () => startMs + passed,
    monotonic: () => passed,
    after: () => {
      throw new Error('nothing here waits');
    },
    advance(ms) {
      passed += ms;
    },
  };
}
