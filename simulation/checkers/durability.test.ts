import { describe, expect, it } from 'vitest';
import { type AppliedWrite, absent, type WriteResult } from '../history.ts';
import { checkDurability } from './durability.ts';
import { unanswered, write } from './test-records.ts';

const applied: AppliedWrite[] = [{ index: 1, document: 'd1', expected: absent, value: 1, isLate: false }];
const none = new Set<number>();
const async = { kind: 'async', disksMin: 1 } as const;

function toldWhileOn(...durableOn: string[]): { result: WriteResult } {
  return { result: { kind: 'acknowledged', at: 1, index: 1, term: 3, leader: 'n1', durableOn, lineage: 0 } };
}

describe('durability', () => {
  it('accepts a write that was on enough disks and is still there', () => {
    const records = [write(absent, 1, { from: 0 })];
    expect(checkDurability({ records, applied, recovered: none })).toEqual([]);
  });

  it('flags a semi-sync write that only the leader had when the client was told', () => {
    const records = [write(absent, 1, { from: 0 }, toldWhileOn('n1'))];
    const [violation] = checkDurability({ records, applied, recovered: none });
    expect(violation?.message).toMatch(/semi-sync write 1 .* while on the disk of n1 only, not on 2/);
  });

  it('flags a sync write that one voter did not have', () => {
    const ack = { kind: 'sync', disksMin: 3 } as const;
    const records = [write(absent, 1, { from: 0 }, { ack, ...toldWhileOn('n1', 'n2') })];
    expect(checkDurability({ records, applied, recovered: none })).toHaveLength(1);
  });

  it('flags an async write that was on no disk at all', () => {
    const records = [write(absent, 1, { from: 0 }, { ack: async, ...toldWhileOn() })];
    const [violation] = checkDurability({ records, applied, recovered: none });
    expect(violation?.message).toContain('on no disk');
  });

  it('flags an acknowledged write that is gone at the end', () => {
    const records = [write(absent, 2, { from: 0 })];
    const [violation] = checkDurability({ records, applied, recovered: none });
    expect(violation?.message).toMatch(/acknowledged and is gone/);
  });

  it('accepts an async write that came back as a branch, but no semi-sync one', () => {
    const recovered = new Set([2]);
    const asBranch = write(absent, 2, { from: 0 }, { ack: async });
    expect(checkDurability({ records: [asBranch], applied, recovered })).toEqual([]);
    expect(checkDurability({ records: [write(absent, 2, { from: 0 })], applied, recovered })).toHaveLength(1);
  });

  it('asks nothing of a write that nobody was told of', () => {
    expect(checkDurability({ records: [unanswered(absent, 5, 0)], applied, recovered: none })).toEqual([]);
  });
});
