import { expect, test } from 'vitest';
import { parseRange } from './ranges.ts';

const everything = { kind: 'everything' };
const unsatisfiable = { kind: 'unsatisfiable' };

test.each([
  [undefined, 10, everything],
  ['bytes=0-4', 10, { kind: 'piece', start: 0, end: 5 }],
  ['bytes=4-', 10, { kind: 'piece', start: 4, end: 10 }],
  ['bytes=-3', 10, { kind: 'piece', start: 7, end: 10 }],
  ['bytes=-30', 10, { kind: 'piece', start: 0, end: 10 }],
  ['bytes=8-99', 10, { kind: 'piece', start: 8, end: 10 }],
  ['bytes=9-9', 10, { kind: 'piece', start: 9, end: 10 }],
  ['bytes=10-', 10, unsatisfiable],
  ['bytes=-0', 10, unsatisfiable],
  ['bytes=0-0', 0, unsatisfiable],
  ['bytes=-5', 0, unsatisfiable],
  ['bytes=5-2', 10, everything],
  ['bytes=0-1,4-5', 10, everything],
  ['lines=0-1', 10, everything],
  ['bytes=-', 10, everything],
  ['bytes=a-b', 10, everything],
])('the range %j of %d bytes is %j', (header, length, expected) => {
  expect(parseRange(header, length)).toEqual(expected);
});
