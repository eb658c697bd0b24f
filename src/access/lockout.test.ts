import { expect, test } from 'vitest';
import { openLockout } from './lockout.ts';
import { testClock } from './test-clock.ts';

function fail(times: number, lockout: ReturnType<typeof openLockout>, name = 'anna', address = 'a') {
  for (let index = 0; index < times; index += 1) lockout.begin(name, address);
}

test('a few failures cost nothing, then the wait doubles up to five minutes', () => {
  const lockout = openLockout(testClock());
  const waits = Array.from({ length: 16 }, () => {
    lockout.begin('anna', 'a');
    return lockout.remainingMs('anna', 'a') / 1000;
  });
  expect(waits).toEqual([0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
});

test('the wait passes with time', () => {
  const clock = testClock();
  const lockout = openLockout(clock);
  fail(7, lockout);
  clock.advance(1_500);
  expect(lockout.remainingMs('anna', 'a')).toBe(500);
  clock.advance(500);
  expect(lockout.remainingMs('anna', 'a')).toBe(0);
});

test('others are not locked out: another name, and the same name from another address', () => {
  const lockout = openLockout(testClock());
  fail(10, lockout);
  expect(lockout.remainingMs('anna', 'a')).toBeGreaterThan(0);
  expect(lockout.remainingMs('bela', 'a')).toBe(0);
  expect(lockout.remainingMs('anna', 'b')).toBe(0);
});

test('a success forgives all failures', () => {
  const lockout = openLockout(testClock());
  fail(10, lockout);
  lockout.forgive('anna', 'a');
  fail(5, lockout);
  expect(lockout.remainingMs('anna', 'a')).toBe(0);
});

test('an attempt that was never looked at is no failure', () => {
  const lockout = openLockout(testClock());
  fail(6, lockout);
  lockout.withdraw('anna', 'a');
  expect(lockout.remainingMs('anna', 'a')).toBe(0);
  for (let index = 0; index < 9; index += 1) lockout.withdraw('anna', 'a');
  fail(5, lockout);
  expect(lockout.remainingMs('anna', 'a')).toBe(0);
  fail(1, lockout);
  expect(lockout.remainingMs('anna', 'a')).toBe(1_000);
});

test('failures are forgotten after a quarter of an hour', () => {
  const clock = testClock();
  const lockout = openLockout(clock);
  fail(10, lockout);
  clock.advance(900_000);
  fail(1, lockout);
  expect(lockout.remainingMs('anna', 'a')).toBe(0);
});

test('guessing under ever new names does not grow memory for ever, and forgets the oldest first', () => {
  const lockout = openLockout(testClock());
  fail(10, lockout, 'first');
  fail(10, lockout, 'second');
  for (let index = 0; index < 9_999; index += 1) lockout.begin(`name ${index}`, 'a');
  expect(lockout.remainingMs('first', 'a')).toBe(0);
  expect(lockout.remainingMs('second', 'a')).toBeGreaterThan(0);
});
