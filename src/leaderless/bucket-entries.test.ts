import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { graphOf } from '../document/revision-graph.ts';
import { graveOf } from '../replication/graves.ts';
import { idDigestOf } from '../replication/hash-buckets.ts';
import { digest128 } from '../runtime/digest.ts';
import { type BucketEntry, differencesOf, markOf, unmatched } from './bucket-entries.ts';

function document(id: string, ...leaves: readonly string[]): BucketEntry {
  return { kind: 'document', id, leaves: leaves as readonly Revision[] };
}

function grave(id: string, ...leaves: readonly string[]): BucketEntry & { readonly kind: 'grave' } {
  const nodes = leaves.map((leaf) => ({
    revision: leaf as Revision,
    parents: [],
    deleted: true,
    stored: false,
  }));
  return { kind: 'grave', ...graveOf(idDigestOf(id, digest128), graphOf(nodes)) };
}

const marksOf = (...entries: readonly BucketEntry[]) => entries.map((entry) => markOf(entry, digest128));

describe('a bucket of two replicas', () => {
  it('is told by marks of what is equal, and in full of what is not', () => {
    const ours = [document('a', '1-a'), document('b', '2-b')];
    const marks = marksOf(document('a', '1-a'), document('b', '2-x'));
    expect(unmatched(ours, marks, digest128)).toEqual({ entries: [ours[1]], lacking: [marks[1]] });
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
    const told = unmatched([grave('c', '4-d')], marksOf(document('c', '4-d')), digest128);
    expect(told).toEqual({ entries: [], lacking: [] });
  });

  it('tells graves that the other lacks, and takes over those that are lacking here', () => {
    const [mine, yours] = [grave('c', '4-d'), grave('e', '2-f')];
    expect(differencesOf([mine], [yours, document('c', '3-c')])).toEqual({
      fetch: [{ id: 'c', revisions: ['3-c'] }],
      send: [],
      dig: [yours],
      bury: [mine],
    });
  });
});
