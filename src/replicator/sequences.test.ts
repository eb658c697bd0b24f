import { expect, test } from 'vitest';
import { hasReached } from './sequences.ts';

const here = '0123456789abcdef';

test.each([
  ['12', '9', true],
  ['9', '12', false],
  [`12-${here}`, `12-${here}`, true],
  [`9-${here}`, `12-${here}`, false],
])('%s is as far as %s: %s', (sequence, goal, expected) => {
  expect(hasReached(sequence, goal)).toBe(expected);
});

test.each([
  ['tokens of two incarnations', `12-${here}`, `9-${here.replaceAll('0', 'f')}`],
  ['a token and a number', `12-${here}`, '9'],
  ["sums over a cluster's shards", '12-g1AAAACReJzLYWBgYMpg', '9-g1AAAACReJzLYWBgYMpg'],
  ['lists', '[12,"x"]', '[9,"x"]'],
])('%s are never compared', (_name, sequence, goal) => {
  expect(hasReached(sequence, goal)).toBe(false);
});
