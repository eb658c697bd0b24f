import { describe, expect, it } from 'vitest';
import { graphOfAll } from '../../test/arbitraries/revision-graphs.ts';
import { digest128 } from '../runtime/digest.ts';
import { digestOf, type Revision } from './revision.ts';
import { addRevision, emptyGraph, leavesOf, type RevisionNode, winnerOf } from './revision-graph.ts';
import { addPath, missing } from './revision-path.ts';
import { derivedTombstone, isDerivedTombstone, treeLeaves } from './tree-projection.ts';

function node(revision: string, parents: readonly string[] = [], deleted = false): RevisionNode {
  return { revision: revision as Revision, parents: parents as readonly Revision[], deleted, stored: true };
}

const merged = '2-c' as Revision;
const conflict = graphOfAll([node('1-a'), node('2-b', ['1-a']), node(merged, ['1-a'])]);
const settled = addRevision(conflict, node('3-d', ['2-b', merged])).graph;
const tombstone = derivedTombstone(merged, digest128);
const tombstonePath = { start: 3, ids: [digestOf(tombstone), 'c', 'a'] };
const asTombstone = { deleted: true, stored: true };

describe('the tree that CouchDB clients see', () => {
  it('is the graph where nothing was merged', () => {
    expect(treeLeaves(conflict, digest128)).toEqual(leavesOf(conflict));
    expect(treeLeaves(emptyGraph, digest128)).toEqual([]);
  });

  it('ends the branch of every merged parent but the first by a tombstone of the next generation', () => {
    expect(tombstone).toMatch(/^3-0{16}[0-9a-f]{16}$/);
    expect(treeLeaves(settled, digest128)).toEqual([
      node('3-d', ['2-b', '2-c']),
      { revision: tombstone, deleted: true, derivedFrom: '2-c' },
    ]);
  });

  it('needs no tombstone where the branch went on', () => {
    const wentOn = addRevision(settled, node('3-e', [merged])).graph;
    expect(treeLeaves(wentOn, digest128).map((leaf) => leaf.revision)).toEqual(['3-e', '3-d']);
  });

  it('has the winner of the graph, even when the merge is deleted', () => {
    const deleted = addRevision(conflict, node('3-1', ['2-b', merged], true)).graph;
    expect(treeLeaves(deleted, digest128)[0]?.revision).toBe('3-1');
    expect(winnerOf(deleted)?.revision).toBe('3-1');
  });
});

describe('a derived tombstone that comes back', () => {
  it('is known where the merge is known', () => {
    expect(isDerivedTombstone(settled, tombstone, digest128)).toBe(true);
    expect(missing(settled, [tombstone], digest128).missing).toEqual([]);
    expect(addPath(settled, tombstonePath, asTombstone, digest128)).toEqual({
      graph: settled,
      outcome: 'known',
    });
  });

  it('is an ordinary tombstone where the merge is not known yet, and is shown once when it is', () => {
    expect(missing(conflict, [tombstone], digest128).missing).toEqual([tombstone]);
    const ended = addPath(conflict, tombstonePath, asTombstone, digest128);
    expect(ended.outcome).toBe('new_leaf');
    expect(leavesOf(ended.graph).map((leaf) => leaf.revision)).toEqual(['2-b', tombstone]);
    const both = addRevision(ended.graph, node('3-d', ['2-b', merged])).graph;
    expect(treeLeaves(both, digest128).map((leaf) => leaf.revision)).toEqual(['3-d', tombstone]);
  });

  it('is not mistaken for that of another parent', () => {
    expect(isDerivedTombstone(settled, derivedTombstone('2-b' as Revision, digest128), digest128)).toBe(
      false,
    );
    expect(isDerivedTombstone(settled, '3-0000000000000000' as Revision, digest128)).toBe(false);
  });
});
