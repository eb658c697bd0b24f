import { describe, expect, it } from 'vitest';
import { absent } from '../history.ts';
import { checkLiveness } from './liveness.ts';
import { unanswered, write } from './test-records.ts';

const times = { healedAt: 10_000_000, dueAt: 20_000_000 };

describe('liveness', () => {
  it('accepts a cluster that acknowledges again after healing', () => {
    const records = [write(absent, 1, { from: 11 }), write(1, 2, { from: 13 })];
    expect(checkLiveness({ records, ...times, writesMin: 2 })).toEqual([]);
  });

  it('flags a cluster that acknowledges nothing, or only before healing or too late', () => {
    const records = [write(absent, 1, { from: 2 }), unanswered(1, 2, 11), write(1, 3, { from: 18, to: 21 })];
    const [violation] = checkLiveness({ records, ...times, writesMin: 1 });
    expect(violation?.message).toBe('10.0 s after a majority was healed 0 writes were acknowledged, not 1');
  });
});
