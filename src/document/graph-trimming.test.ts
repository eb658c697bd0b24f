import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOfAll, graphs } from '../../test/arbitraries/revision-graphs.ts';
import { markUnstored, stem, withoutRevisions } from './graph-trimming.ts';
import type { Revision } from './revision.ts';
import {
  addRevision,
  emptyGraph,
  graphOf,
  isLeaf,
  leavesOf,
  nodeOf,
  type RevisionGraph,
  type RevisionNode,
} from './revision-graph.ts';

function node(revision: string, parents: readonly string[] = [], deleted = false): RevisionNode {
  return { revision: revision as Revision, parents: parents as readonly Revision[], deleted, stored: true };
}

function revisions(graph: RevisionGraph): readonly string[] {
  return graph.nodes.map((each) => each.revision);
}

/** Revisions at most `steps` steps back from a revision: the slow way to say what stemming keeps. */
function near(graph: RevisionGraph, revision: Revision, steps: number): readonly Revision[] {
  const found = nodeOf(graph, revision);
  if (found === undefined || steps < 0) return [];
  return [revision, ...found.parents.flatMap((parent) => near(graph, parent, steps - 1))];
}

describe('stemming', () => {
  it('keeps all leaves and, of each, exactly the nearest ancestors', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 5 }), (graph, limit) => {
        const stemmed = stem(graph, limit);
        expect(leavesOf(stemmed)).toEqual(leavesOf(graph));
        const kept = new Set(leavesOf(graph).flatMap((leaf) => near(graph, leaf.revision, limit - 1)));
        expect(new Set(revisions(stemmed))).toEqual(kept);
        expect(graphOf(stemmed.nodes)).toEqual(stemmed);
        expect(stem(stemmed, limit)).toEqual(stemmed);
      }),
    );
  });

  it('gives the same graph where nothing is too far back', () => {
    const graph = graphOfAll([node('1-a'), node('2-b', ['1-a'])]);
    expect(stem(graph, 2)).toBe(graph);
    expect(stem(emptyGraph, 1)).toBe(emptyGraph);
    expect(revisions(stem(graph, 1))).toEqual(['2-b']);
  });

  it('does not make a conflict of the last forgotten ancestor when that comes again', () => {
    const stemmed = stem(graphOfAll([node('1-a'), node('2-b', ['1-a'])]), 1);
    const again = addRevision(stemmed, node('1-a'));
    expect(again.outcome).toBe('internal');
    expect(leavesOf(again.graph).map((leaf) => leaf.revision)).toEqual(['2-b']);
  });
});

describe('a purge', () => {
  const fork = graphOfAll([node('1-a'), node('2-b', ['1-a']), node('3-c', ['2-b']), node('2-d', ['1-a'])]);

  it('forgets leaves and the ancestors that only they had', () => {
    expect(revisions(withoutRevisions(fork, ['3-c' as Revision]))).toEqual(['2-d', '1-a']);
    expect(leavesOf(withoutRevisions(fork, ['2-d' as Revision]))).toEqual([node('3-c', ['2-b'])]);
    expect(withoutRevisions(fork, ['3-c', '2-d'] as Revision[])).toEqual(emptyGraph);
  });

  it('ignores what is no leaf', () => {
    expect(withoutRevisions(fork, ['2-b', '1-a', '7-x'] as Revision[])).toBe(fork);
  });

  it('leaves the other leaves and all their ancestors', () => {
    fc.assert(
      fc.property(graphs, fc.nat({ max: 5 }), (graph, count) => {
        const purged = leavesOf(graph).slice(0, count);
        const rest = withoutRevisions(
          graph,
          purged.map((leaf) => leaf.revision),
        );
        expect(leavesOf(rest)).toEqual(leavesOf(graph).slice(count));
        const needed = leavesOf(rest).flatMap((leaf) => near(graph, leaf.revision, 100));
        expect(new Set(revisions(rest))).toEqual(new Set(needed));
      }),
    );
  });
});

describe('compaction', () => {
  it('forgets the bodies of ancestors that nobody keeps, never those of leaves', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const kept = graph.nodes[1]?.revision;
        const compacted = markUnstored(graph, (each) => each.revision === kept);
        expect(graphOf(compacted.nodes)).toEqual(compacted);
        graph.nodes.forEach((before, i) => {
          const keeps = isLeaf(graph, before.revision) || before.revision === kept;
          expect(compacted.nodes[i]).toEqual({ ...before, stored: before.stored && keeps });
        });
      }),
    );
  });

  it('gives the same graph where there is nothing to forget', () => {
    const graph = graphOfAll([node('1-a')]);
    expect(markUnstored(graph, () => false)).toBe(graph);
  });
});
