import { describe, expect, it } from 'vitest';
import { type AppliedWrite, absent } from '../history.ts';
import { checkSessions } from './session.ts';
import { read, write } from './test-records.ts';

const applied: AppliedWrite[] = [
  { index: 4, document: 'd1', expected: absent, value: 1, isLate: false },
  { index: 6, document: 'd2', expected: absent, value: 2, isLate: false },
  { index: 9, document: 'd1', expected: absent, value: 3, isLate: false },
];

describe('session', () => {
  it('accepts an old state that is what it says, to a client that has seen no newer one', () => {
    const records = [
      read(absent, { from: 0 }, { level: 'eventual', index: 3 }),
      read(1, { from: 2 }, { level: 'session', after: 4, index: 7 }),
      read(3, { from: 4 }, { level: 'session', after: 7, index: 9 }),
    ];
    expect(checkSessions({ records, applied })).toEqual([]);
  });

  it('flags an answer that the state at its place does not hold, at every level', () => {
    for (const level of ['linearizable', 'session', 'bounded', 'eventual'] as const) {
      const records = [read(3, { from: 0 }, { level, index: 7 })];
      const [violation] = checkSessions({ records, applied });
      expect(violation?.message).toMatch(/answered 3 as of index 7, where the value was 1/);
    }
  });

  it('flags a value that no order of writes has', () => {
    expect(checkSessions({ records: [read(77, { from: 0 }, { index: 9 })], applied })).toHaveLength(1);
  });

  it("flags a read from before the client's token", () => {
    const records = [read(1, { from: 0 }, { level: 'session', after: 9, index: 8 })];
    const [violation] = checkSessions({ records, applied });
    expect(violation?.message).toMatch(/from index 8, before the token's 9/);
  });

  it('flags a bounded read that misses an older write, and accepts one that misses a newer', () => {
    const known = write(1, 3, { from: 0, to: 1 });
    const told = { ...known, result: { ...known.result, index: 9 } } as typeof known;
    const late = read(1, { from: 5 }, { level: 'bounded', index: 8, staleMicrosecondsMax: 3_000_000 });
    expect(checkSessions({ records: [told, late], applied })).toHaveLength(1);
    const lenient = { ...late, staleMicrosecondsMax: 4_500_000 };
    expect(checkSessions({ records: [told, lenient], applied })).toEqual([]);
  });
});
