import { describe, expect, it } from 'vitest';
import { makeRow, median, type Sample } from './rows.ts';

const sample = (row: Sample['row'], system: Sample['system'], value: number): Sample => ({
  row,
  system,
  value,
});

describe('a row of the benchmark', () => {
  it('takes the median of the rounds', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([1, 2, 3, 10])).toBe(2.5);
  });

  it('is met when Tercet is as many times faster as aimed for, and missed just below', () => {
    const peer = sample('put-1', 'pouchdb-server', 100);
    expect(makeRow('put-1', [peer, sample('put-1', 'tercet', 400)], true).verdict).toBe('met');
    expect(makeRow('put-1', [peer, sample('put-1', 'tercet', 399)], true).verdict).toBe('missed');
  });

  it('judges a time or size by its absolute value', () => {
    expect(makeRow('open', [sample('open', 'tercet', 2)], true).verdict).toBe('met');
    expect(makeRow('open', [sample('open', 'tercet', 2.1)], true).verdict).toBe('missed');
  });

  it('is not judged without the peer, or with fewer documents than the aim was set for', () => {
    expect(makeRow('put-1', [sample('put-1', 'tercet', 1e9)], true).verdict).toBe('not judged');
    expect(makeRow('open', [sample('open', 'tercet', 0.1)], false).verdict).toBe('not judged');
  });

  it('shows a ratio above one where Tercet takes less time', () => {
    const samples = [sample('open', 'tercet', 1), sample('open', 'pouchdb-server', 3)];
    expect(makeRow('open', samples, true).ratio).toBeCloseTo(3);
  });
});
