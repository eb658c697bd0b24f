import { expect, it } from 'vitest';
import { forcedTerm } from './forced-term.ts';

const now = 1_800_000_000_000;
const hour = 3_600_000;

it('a forced term is what the clock says, as long as that is beyond what is known', () => {
  expect(forcedTerm(now, 7)).toBe(now);
  expect(forcedTerm(now + 1, now)).toBe(now + 1);
});

it('a forced term is beyond one that was forced before the clock was set back, and all that elections made of it', () => {
  const before = forcedTerm(now + 5 * hour, 7);
  const again = forcedTerm(now, before + 1_000);
  expect(again).toBeGreaterThan(before + 1_000_000);
  expect(forcedTerm(now + 1, again)).toBeGreaterThan(again);
  expect(again).toBeLessThan(2 ** 48);
});

it('two sides that are forced from the same term have terms of their own', () => {
  const known = now + hour;
  expect(forcedTerm(now, known)).not.toBe(forcedTerm(now + 1, known));
});
