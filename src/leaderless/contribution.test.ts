import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { addRevision, emptyGraph } from '../document/revision-graph.ts';
import { derivedTombstone } from '../document/tree-projection.ts';
import { digest128 } from '../runtime/digest.ts';
import { contributionOf } from './contribution.ts';
import { graphWith, held } from './test-revisions.ts';

describe("a replica's contribution", () => {
  const both = graphWith(held('2-b', '1-a'), held('2-c', '1-a'));

  it('is of the leaves alone, in whatever order they came and however far back their history is known', () => {
    const other = graphWith(held('2-c'), held('2-b'));
    expect(contributionOf('id', other, digest128)).toBe(contributionOf('id', both, digest128));
  });

  it('differs by leaf and by id, and is nothing for nothing', () => {
    const one = contributionOf('id', graphWith(held('2-b', '1-a')), digest128);
    expect(one).not.toBe(contributionOf('id', both, digest128));
    expect(one).not.toBe(contributionOf('id2', graphWith(held('2-b', '1-a')), digest128));
    expect(contributionOf('id', emptyGraph, digest128)).toBeUndefined();
  });

  it('is the same for a merge that came with all parents and for one that came as a tree', () => {
    const parents = ['2-c', '2-b'] as Revision[];
    const merge = { revision: '3-d' as Revision, parents, deleted: false, stored: true };
    const whole = addRevision(both, merge).graph;
    const ended = derivedTombstone('2-b' as Revision, digest128);
    const tree = graphWith(held('3-d', '2-c', '1-a'), held(ended, '2-b', '1-a'));
    expect(contributionOf('id', whole, digest128)).toBe(contributionOf('id', tree, digest128));
  });
});
