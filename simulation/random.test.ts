import { expect, it } from 'vitest';
import { SeededRandom } from './random.ts';

it('rolls these very numbers from seed 1, on any machine', () => {
  const random = new SeededRandom(1);
  expect(Array.from({ length: 4 }, () => random.word())).toEqual([
    441792574, 614447336, 1644328534, 3387734806,
  ]);
});

it('forks dice that depend on the seed and the name only', () => {
  const first = new SeededRandom(9);
  const second = new SeededRandom(9);
  second.word();
  expect(second.fork('disk').hex(16)).toBe(first.fork('disk').hex(16));
  expect(first.fork('disk').hex(16)).not.toBe(first.fork('network').hex(16));
  expect(new SeededRandom(10).fork('disk').hex(16)).not.toBe(first.fork('disk').hex(16));
});

it('tells seeds apart that differ beyond 32 bits', () => {
  expect(new SeededRandom(5 + 2 ** 40).hex(8)).not.toBe(new SeededRandom(5).hex(8));
});

it('rolls within its bounds, and every number of them', () => {
  const random = new SeededRandom(3);
  const seen = new Set(Array.from({ length: 500 }, () => random.between(2, 6)));
  expect([...seen].sort()).toEqual([2, 3, 4, 5, 6]);
});

it('samples different items, at most as many as there are', () => {
  const random = new SeededRandom(3);
  expect(random.sample([1, 2, 3], 5).sort()).toEqual([1, 2, 3]);
  expect(new Set(random.sample([1, 2, 3, 4], 2)).size).toBe(2);
});
