import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { judgeArrival, judgeBuried, mergedGrave } from './graves.ts';

const grave = ['4-d', '2-x'] as Revision[];

function revision(start: number, ids: string, deleted = false, parents?: readonly string[]) {
  return {
    path: { start, ids: ids.split(' ') },
    deleted,
    parents: parents as readonly Revision[] | undefined,
  };
}

describe('a revision that arrives at a grave', () => {
  it.each([
    ['an old copy', revision(3, 'c b a'), 'quarantine'],
    ['an edit of an old copy', revision(5, 'f e c b a'), 'quarantine'],
    ['one that is alike in its digest only', revision(5, 'd c b a'), 'quarantine'],
    ['one made from a tombstone', revision(5, 'e d c b'), 'apply'],
    ['one made from the other tombstone', revision(4, 'z y x'), 'apply'],
    ['a merge with a tombstone', revision(6, 'm f e', false, ['5-f', '4-d']), 'apply'],
    ['another tombstone', revision(3, 'f b a', true), 'apply'],
  ] as const)('%s: %s → %s', (_name, arrival, verdict) => {
    expect(judgeArrival(arrival, grave)).toBe(verdict);
  });
});

describe('a document that another replica has buried', () => {
  it.each([
    ['dead here too', [revision(4, 'd c', true), revision(3, 'f', true)], 'bury'],
    ['written anew here', [revision(5, 'e d c'), revision(3, 'f', true)], 'keep'],
    ['alive as if nothing had happened', [revision(3, 'c b a'), revision(2, 'x', true)], 'quarantine'],
  ] as const)('%s', (_name, leaves, verdict) => {
    expect(judgeBuried(leaves, grave)).toBe(verdict);
  });
});

describe('graves of two replicas', () => {
  it('are joined in any order', () => {
    expect(mergedGrave(grave, ['10-a', '2-x'] as Revision[])).toEqual(['10-a', '4-d', '2-x']);
    expect(mergedGrave(['2-x', '10-a'] as Revision[], grave)).toEqual(['10-a', '4-d', '2-x']);
  });
});
