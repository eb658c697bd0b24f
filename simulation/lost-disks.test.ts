import { describe, expect, it } from 'vitest';
import { LostDisks } from './lost-disks.ts';

const seven = { index: 4, term: 2, value: 7 };
const eight = { index: 5, term: 2, value: 8 };

describe('lost disks', () => {
  it('take along only what no other disk has', () => {
    const disks = new LostDisks();
    disks.lose('n1', { entries: [seven, eight], applied: 3 }, [eight]);
    expect([...disks.destroyed()]).toEqual([7]);
    disks.lose('n2', { entries: [eight], applied: 3 }, []);
    expect([...disks.destroyed()]).toEqual([7, 8]);
  });

  it('count for a promise where they held the entry and had said so', () => {
    const disks = new LostDisks();
    disks.said('n2', 2, 4);
    disks.lose('n2', { entries: [seven, eight], applied: 3 }, []);
    expect(disks.heldBy(4, 2)).toEqual(['n2']);
    // It held the next one, too, and nobody had heard of that.
    expect(disks.heldBy(5, 2)).toEqual([]);
    expect(disks.heldBy(4, 1)).toEqual([]);
    // Of what is before its log it has the outcome.
    expect(disks.heldBy(3, 1)).toEqual(['n2']);
  });

  it('do not count by what was said of another entry at that index', () => {
    const disks = new LostDisks();
    disks.said('n2', 1, 9);
    disks.lose('n2', { entries: [seven], applied: 3 }, []);
    expect(disks.heldBy(4, 2)).toEqual([]);
  });
});
