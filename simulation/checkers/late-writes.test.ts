import { describe, expect, it } from 'vitest';
import { type AppliedWrite, absent } from '../history.ts';
import { checkLateWrites } from './late-writes.ts';

function applied(index: number, expected: number, value: number, isLate = false): AppliedWrite {
  return { index, document: 'd1', expected, value, isLate };
}

describe('late writes', () => {
  it('accepts one that goes on from what is current', () => {
    expect(checkLateWrites([applied(1, absent, 1), applied(2, 1, 2, true), applied(3, 2, 3)])).toEqual([]);
    expect(checkLateWrites([applied(1, absent, 1, true)])).toEqual([]);
  });

  it('flags one that displaces what somebody wrote since', () => {
    const [violation] = checkLateWrites([applied(1, absent, 1), applied(2, 1, 2), applied(3, 1, 9, true)]);
    expect(violation).toEqual({
      checker: 'late-writes',
      message: '9 of d1, made from 1, came back at index 3 and displaced 2 of index 2',
    });
  });

  it('judges each document for itself', () => {
    const other = { ...applied(2, absent, 2, true), document: 'd2' };
    expect(checkLateWrites([applied(1, absent, 1), other])).toEqual([]);
  });
});
