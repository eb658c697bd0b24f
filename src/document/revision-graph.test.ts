import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOfAll, graphs, histories, threeReplicas } from '../../test/arbitraries/revision-graphs.ts';
import { compareRevisions, generationOf, normalizedParents, type Revision } from './revision.ts';
import {
  addRevision,
  deletedLeaves,
  emptyGraph,
  isLeaf,
  leavesOf,
  liveConflicts,
  nodeOf,
  type RevisionGraph,
  type RevisionNode,
  union,
  winnerOf,
} from './revision-graph.ts';
import { latestLeavesOf } from './revision-path.ts';
import { compareLeaves } from './winner.ts';

function node(revision: string, parents: readonly string[] = [], deleted = false): RevisionNode {
  return { revision: revision as Revision, parents: parents as readonly Revision[], deleted, stored: true };
}

/** The four invariants of revision-graph.ts, found the slow way. */
function checkInvariants(graph: RevisionGraph): void {
  const { nodes } = graph;
  const named = new Set(nodes.flatMap((each) => each.parents));
  expect(nodes).toEqual(nodes.toSorted((a, b) => compareRevisions(b.revision, a.revision)));
  expect(new Set(nodes.map((each) => each.revision)).size).toBe(nodes.length);
  expect(graph.leaves).toEqual(nodes.filter((each) => !named.has(each.revision)).sort(compareLeaves));
  for (const { revision, parents } of nodes) {
    expect(parents).toEqual(normalizedParents(parents));
    for (const parent of parents) expect(generationOf(parent)).toBeLessThan(generationOf(revision));
  }
}

describe('what replicas know together', () => {
  it('commutes', () => {
    fc.assert(
      fc.property(threeReplicas, ([a, b]) => {
        expect(union(graphOfAll(a!), graphOfAll(b!))).toEqual(union(graphOfAll(b!), graphOfAll(a!)));
      }),
    );
  });

  it('associates', () => {
    fc.assert(
      fc.property(threeReplicas, (replicas) => {
        const [a, b, c] = replicas.map(graphOfAll) as [RevisionGraph, RevisionGraph, RevisionGraph];
        expect(union(union(a, b), c)).toEqual(union(a, union(b, c)));
      }),
    );
  });

  it('is idempotent, and the same object where nothing is new', () => {
    fc.assert(
      fc.property(threeReplicas, ([a, b]) => {
        const together = union(graphOfAll(a!), graphOfAll(b!));
        expect(union(together, graphOfAll(a!))).toBe(together);
        expect(union(together, graphOfAll(b!))).toBe(together);
      }),
    );
  });

  it('loses no leaf: each is one still or became others', () => {
    fc.assert(
      fc.property(threeReplicas, ([a, b]) => {
        const before = graphOfAll(a!);
        const together = union(before, graphOfAll(b!));
        for (const leaf of leavesOf(before)) expect(latestLeavesOf(together, leaf.revision)).not.toEqual([]);
      }),
    );
  });

  it('keeps the invariants', () => {
    fc.assert(
      fc.property(threeReplicas, ([a, b]) => {
        checkInvariants(graphOfAll(a!));
        checkInvariants(union(graphOfAll(a!), graphOfAll(b!)));
      }),
    );
  });

  it('has the same winner whatever the order in which revisions arrive', () => {
    fc.assert(
      fc.property(
        histories({ revisionsMax: 14, parentsMax: 3 }).chain((history) =>
          fc.tuple(fc.constant(history), fc.shuffledSubarray([...history], { minLength: history.length })),
        ),
        ([history, shuffled]) => {
          expect(graphOfAll(shuffled)).toEqual(graphOfAll(history));
        },
      ),
    );
  });

  it('is what adding the revisions one by one gives', () => {
    fc.assert(
      fc.property(threeReplicas, ([a, b]) => {
        expect(graphOfAll([...a!, ...b!])).toEqual(union(graphOfAll(a!), graphOfAll(b!)));
      }),
    );
  });

  it('settles two systems that contradict each other about the parent alike in any order', () => {
    const lists = [['1-a'], ['1-b'], ['1-c', '1-d'], ['2-a', '1-b', '1-e'], []];
    const subject = lists.map((parents) => graphOfAll([node('3-x', parents)]));
    const forwards = subject.reduce(union);
    expect(subject.toReversed().reduce(union)).toEqual(forwards);
    expect(
      union(subject[3]!, union(subject[1]!, union(subject[4]!, union(subject[0]!, subject[2]!)))),
    ).toEqual(forwards);
    expect(forwards.nodes[0]?.parents).toEqual(['2-a', '1-e', '1-d', '1-c', '1-b', '1-a']);
  });
});

describe('adding a revision', () => {
  const first = graphOfAll([node('1-a')]);

  it('is told as a new leaf in an empty graph and on a leaf', () => {
    expect(addRevision(emptyGraph, node('1-a')).outcome).toBe('new_leaf');
    const result = addRevision(first, node('2-b', ['1-a']));
    expect(result.outcome).toBe('new_leaf');
    expect(leavesOf(result.graph)).toEqual([node('2-b', ['1-a'])]);
  });

  it('is told as a new branch elsewhere', () => {
    const second = graphOfAll([node('1-a'), node('2-b', ['1-a'])]);
    expect(addRevision(second, node('2-c', ['1-a'])).outcome).toBe('new_branch');
    expect(addRevision(second, node('1-z')).outcome).toBe('new_branch');
    expect(addRevision(second, node('7-q', ['6-unknown'])).outcome).toBe('new_branch');
  });

  it('is told as internal where it completes what is known', () => {
    const orphan = graphOfAll([node('2-b', ['1-a'])]);
    const result = addRevision(orphan, node('1-a'));
    expect(result.outcome).toBe('internal');
    expect(leavesOf(result.graph)).toEqual([node('2-b', ['1-a'])]);
    expect(addRevision(first, node('1-a', [], true)).outcome).toBe('internal');
  });

  it('is told as known, and gives the same graph, where nothing is new', () => {
    expect(addRevision(first, node('1-a'))).toEqual({ graph: first, outcome: 'known' });
    expect(addRevision(first, node('1-a')).graph).toBe(first);
  });

  it('leaves the graph it was given as it was', () => {
    const before = structuredClone(first);
    addRevision(first, node('2-b', ['1-a']));
    expect(first).toEqual(before);
  });

  it('refuses a parent that is not older', () => {
    expect(() => addRevision(first, node('1-b', ['1-a']))).toThrow('generation is lower');
  });

  it('ends a conflict with a merge', () => {
    const conflict = graphOfAll([node('1-a'), node('2-b', ['1-a']), node('2-c', ['1-a'])]);
    expect(leavesOf(conflict).map((leaf) => leaf.revision)).toEqual(['2-c', '2-b']);
    const merged = addRevision(conflict, node('3-d', ['2-b', '2-c']));
    expect(merged.outcome).toBe('new_leaf');
    expect(leavesOf(merged.graph).map((leaf) => leaf.revision)).toEqual(['3-d']);
  });
});

describe('the leaves', () => {
  it('are ordered: not deleted, then highest generation, then highest digest', () => {
    const graph = graphOfAll([
      node('1-a'),
      node('3-d', ['2-z'], true),
      node('2-c'),
      node('2-b'),
      node('10-a', [], true),
    ]);
    expect(winnerOf(graph)?.revision).toBe('2-c');
    expect(liveConflicts(graph).map((leaf) => leaf.revision)).toEqual(['2-b', '1-a']);
    expect(deletedLeaves(graph).map((leaf) => leaf.revision)).toEqual(['10-a', '3-d']);
  });

  it('are recognised, and nothing else is', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const leaves = new Set(leavesOf(graph));
        for (const each of graph.nodes) expect(isLeaf(graph, each.revision)).toBe(leaves.has(each));
        expect(isLeaf(graph, '9999-none' as Revision)).toBe(false);
        expect(nodeOf(graph, '9999-none' as Revision)).toBeUndefined();
      }),
    );
  });
});
