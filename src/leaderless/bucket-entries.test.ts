import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { digest128 } from '../runtime/digest.ts';
import { type BucketEntry, differencesOf, markOf, unmatched } from './bucket-entries.ts';
import { contributionOfLeaves } from './contribution.ts';
import { buriedId, type Grave } from './tombstones.ts';

function document(id: string, ...leaves: readonly string[]): BucketEntry {
  const revisions = leaves as readonly Revision[];
  return {
    kind: 'document',
    id,
    leaves: revisions,
    contribution: contributionOfLeaves(id, revisions, digest128),
  };
}

function grave(id: string, tombstone: string): Grave {
  const revision = tombstone as Revision;
  const contribution = contributionOfLeaves(id, [revision], digest128);
  return { idDigest: buriedId(id, digest128), tombstone: revision, contribution };
}

describe('a bucket of two replicas', () => {
  it('is told by marks of what is equal, and in full of what is not', () => {
    const ours = [document('a', '1-a'), document('b', '2-b')];
    const marks = [document('a', '1-a'), document('b', '2-x')].map(markOf);
    expect(unmatched(ours, marks)).toEqual({ entries: [ours[1]], lacking: [marks[1]] });
  });

  it('is fetched and sent by what each side has beyond the other', () => {
    const ours = [document('a', '2-x'), document('b', '3-y')];
    const theirs = [document('a', '2-x', '2-z'), document('b', '4-w'), document('d', '1-q')];
    expect(differencesOf(ours, theirs)).toEqual({
      fetch: [
        { id: 'a', revisions: ['2-z'] },
        { id: 'b', revisions: ['4-w'] },
        { id: 'd', revisions: ['1-q'] },
      ],
      send: [{ id: 'b', revisions: ['3-y'] }],
      dig: [],
      bury: [],
    });
  });

  it('does not differ by who has forgotten a tombstone already', () => {
    const buried: BucketEntry = { kind: 'grave', grave: grave('c', '4-d') };
    const { entries, lacking } = unmatched([buried], [document('c', '4-d')].map(markOf));
    expect({ entries, lacking }).toEqual({ entries: [], lacking: [] });
  });

  it('tells graves that the other lacks, and takes over those that are lacking here', () => {
    const [mine, yours] = [grave('c', '4-d'), grave('e', '2-f')];
    const ours: BucketEntry[] = [{ kind: 'grave', grave: mine }];
    const theirs: BucketEntry[] = [{ kind: 'grave', grave: yours }, document('c', '3-c')];
    expect(differencesOf(ours, theirs)).toEqual({
      fetch: [{ id: 'c', revisions: ['3-c'] }],
      send: [],
      dig: [yours],
      bury: [mine],
    });
  });
});
