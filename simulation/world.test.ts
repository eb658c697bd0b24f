import { expect, it } from 'vitest';
import { SimulatedClock } from './clock.ts';
import { World } from './world.ts';

it('lets events happen by time, and those of one moment in the order they were scheduled', () => {
  const world = new World(1);
  const seen: string[] = [];
  for (const [name, at] of [
    ['c', 30],
    ['a', 10],
    ['b1', 20],
    ['b2', 20],
    ['late', 99],
  ] as const) {
    world.after(at, () => seen.push(`${name}@${world.now()}`));
  }
  world.runUntil(50);
  expect(seen).toEqual(['a@10', 'b1@20', 'b2@20', 'c@30']);
  expect(world.now()).toBe(50);
});

it('keeps the order of many events', () => {
  const world = new World(1);
  const seen: number[] = [];
  for (let count = 0; count < 2_000; count += 1) {
    const at = world.random.between(0, 500);
    world.after(at, () => seen.push(at));
  }
  world.runUntil(500);
  expect(seen).toEqual([...seen].sort((left, right) => left - right));
  expect(seen).toHaveLength(2_000);
});

it('does not let happen what was cancelled', () => {
  const world = new World(1);
  const seen: string[] = [];
  const cancel = world.after(10, () => seen.push('cancelled'));
  world.after(5, () => cancel());
  world.runUntil(50);
  expect(seen).toEqual([]);
});

it('stops when it is told that enough has happened', () => {
  const world = new World(1);
  let count = 0;
  for (let at = 1; at <= 10; at += 1) world.after(at, () => (count += 1));
  world.runUntil(50, () => count === 3);
  expect([count, world.now()]).toEqual([3, 3]);
});

it('has clocks that run fast and jump, while monotonic time only drifts', () => {
  const world = new World(1);
  const clock = new SimulatedClock(world, 1.5);
  const before = clock.now();
  const rung: number[] = [];
  clock.after(300, () => rung.push(world.now()));
  world.runUntil(1_000_000);
  expect(clock.monotonic()).toBe(1_500);
  expect(rung).toEqual([200_000]);
  clock.jump(-10_000);
  expect(clock.now() - before).toBe(1_500 - 10_000);
  expect(clock.monotonic()).toBe(1_500);
});

it('gives equal fingerprints to equal events only', () => {
  const fingerprintOf = (...events: readonly [number, string][]) => {
    const world = new World(1);
    for (const [at, what] of events) world.after(at, () => world.note('n1', what));
    world.runUntil(100);
    return world.trace.fingerprint();
  };
  expect(fingerprintOf([1, 'x'], [2, 'y'])).toBe(fingerprintOf([1, 'x'], [2, 'y']));
  expect(fingerprintOf([1, 'x'], [2, 'y'])).not.toBe(fingerprintOf([1, 'y'], [2, 'x']));
  expect(fingerprintOf([1, 'x'])).not.toBe(fingerprintOf([2, 'x']));
});
