import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOfAll, graphs, histories } from '../../test/arbitraries/revision-graphs.ts';
import { digest128 } from '../runtime/digest.ts';
import type { RevisionPath } from './document.ts';
import { digestOf, generationOf, type Revision, revisionOf } from './revision.ts';
import { emptyGraph, leavesOf, nodeOf, type RevisionNode, union } from './revision-graph.ts';
import { addPath, latestLeavesOf, missing, pathOf } from './revision-path.ts';
import { derivedTombstone } from './tree-projection.ts';

function node(revision: string, parents: readonly string[] = [], deleted = false): RevisionNode {
  return { revision: revision as Revision, parents: parents as readonly Revision[], deleted, stored: true };
}

const stored = { deleted: false, stored: true };
const diamond = graphOfAll([
  node('1-a'),
  node('2-b', ['1-a']),
  node('2-c', ['1-a']),
  node('3-d', ['2-b', '2-c']),
]);
const fork = graphOfAll([
  node('1-a'),
  node('2-b', ['1-a']),
  node('3-c', ['2-b']),
  node('2-d', ['1-a'], true),
]);

function path(start: number, ...ids: string[]): RevisionPath {
  return { start, ids };
}

describe('a merge whose other parent is known by name alone', () => {
  // 4-e merged 3-m, and somebody here still has 2-c, from which 3-m was made.
  const named = graphOfAll([
    node('1-a'),
    node('2-b', ['1-a']),
    node('2-c', ['1-a']),
    node('3-d', ['2-b']),
    node('4-e', ['3-d', '3-m']),
  ]);
  const end = derivedTombstone('3-m' as Revision, digest128);
  const wayBack = path(4, digestOf(end), 'm', 'c', 'a');
  const head = { deleted: true, stored: true };

  it('learns from its derived tombstone what that was made from, so that nothing of it is shown beside the merge', () => {
    expect(leavesOf(named).map(({ revision }) => revision)).toEqual(['4-e', '2-c']);
    expect(missing(named, [end], digest128).missing).toEqual([end]);
    const { graph } = addPath(named, wayBack, head, digest128);
    expect(leavesOf(graph).map(({ revision }) => revision)).toEqual(['4-e']);
    expect(missing(graph, [end], digest128).missing).toEqual([]);
    expect(addPath(graph, wayBack, head, digest128)).toEqual({ graph, outcome: 'known' });
  });

  it('asks no more for the tombstone of one who knows no more either', () => {
    const { graph } = addPath(named, path(4, digestOf(end), 'm'), head, digest128);
    expect(leavesOf(graph).map(({ revision }) => revision)).toEqual(['4-e', '2-c']);
    expect(missing(graph, [end], digest128).missing).toEqual([]);
  });
});

describe('the way back', () => {
  it('goes by first parents to the oldest known ancestor', () => {
    expect(pathOf(diamond, '3-d' as Revision)).toEqual(path(3, 'd', 'b', 'a'));
    expect(pathOf(graphOfAll([node('5-e', ['4-d'])]), '5-e' as Revision)).toEqual(path(5, 'e'));
  });

  it('is asked of known revisions only', () => {
    expect(() => pathOf(diamond, '4-e' as Revision)).toThrow('of the graph');
  });
});

describe('joining a path', () => {
  it('adds ancestors of which only the ids are known', () => {
    const { graph, outcome } = addPath(emptyGraph, path(3, 'c', 'b', 'a'), stored, digest128);
    expect(outcome).toBe('new_leaf');
    expect(graph.nodes).toEqual([
      node('3-c', ['2-b']),
      { ...node('2-b', ['1-a']), stored: false },
      { ...node('1-a'), stored: false },
    ]);
    expect(leavesOf(graph)).toEqual([node('3-c', ['2-b'])]);
  });

  it('tells how the revision joined', () => {
    const outcomeOf = (joined: RevisionPath) => addPath(fork, joined, stored, digest128).outcome;
    expect(outcomeOf(path(4, 'e', 'c', 'b', 'a'))).toBe('new_leaf');
    expect(outcomeOf(path(4, 'e', 'c'))).toBe('new_leaf');
    expect(outcomeOf(path(5, 'f', 'e', 'c'))).toBe('new_leaf');
    expect(outcomeOf(path(3, 'e', 'b', 'a'))).toBe('new_branch');
    expect(outcomeOf(path(4, 'f', 'e', 'b'))).toBe('new_branch');
    expect(outcomeOf(path(9, 'z'))).toBe('new_branch');
    expect(outcomeOf(path(3, 'c', 'b', 'a'))).toBe('known');
    expect(outcomeOf(path(2, 'b'))).toBe('known');
    expect(addPath(graphOfAll([node('2-b', ['1-a'])]), path(1, 'a'), stored, digest128).outcome).toBe(
      'internal',
    );
  });

  it('completes ancestors that were stemmed', () => {
    const stemmed = graphOfAll([node('4-d', ['3-c'])]);
    const { graph, outcome } = addPath(stemmed, path(4, 'd', 'c', 'b'), stored, digest128);
    expect(outcome).toBe('internal');
    expect(pathOf(graph, '4-d' as Revision)).toEqual(path(4, 'd', 'c', 'b'));
  });

  it('is the union with the chain that the path is, in whatever state the graph is', () => {
    const cases = fc
      .tuple(graphs, histories({ revisionsMax: 14, parentsMax: 1 }))
      .chain(([graph, history]) => {
        const digests = [...graph.nodes, ...history].map((each) => digestOf(each.revision));
        const ids = fc.array(fc.constantFrom(...digests), { minLength: 1, maxLength: 6 });
        return fc.record({
          graph: fc.constant(graph),
          ids,
          root: fc.integer({ min: 1, max: 4 }),
          deleted: fc.boolean(),
        });
      });
    fc.assert(
      fc.property(cases, ({ graph, ids, root, deleted }) => {
        const start = root + ids.length - 1;
        const chain = ids.map((digest, i) => ({
          revision: revisionOf(start - i, digest),
          parents: i + 1 < ids.length ? [revisionOf(start - i - 1, ids[i + 1]!)] : [],
          deleted: i === 0 && deleted,
          stored: i === 0,
        }));
        const joined = addPath(graph, { start, ids }, { deleted, stored: true }, digest128);
        expect(joined.graph).toEqual(union(graph, graphOfAll(chain)));
        expect(joined.outcome === 'known').toBe(joined.graph === graph);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the latest leaves of a revision', () => {
  it('are those that came from it', () => {
    const latest = (revision: string) =>
      latestLeavesOf(fork, revision as Revision).map((leaf) => leaf.revision);
    expect(latest('1-a')).toEqual(['3-c', '2-d']);
    expect(latest('2-b')).toEqual(['3-c']);
    expect(latest('3-c')).toEqual(['3-c']);
    expect(latest('2-d')).toEqual(['2-d']);
    expect(latest('2-unknown')).toEqual([]);
    expect(latestLeavesOf(diamond, '2-c' as Revision).map((leaf) => leaf.revision)).toEqual(['3-d']);
  });
});

describe('what is missing', () => {
  const missingIn = (graph: typeof fork, ...revisions: string[]) =>
    missing(graph, revisions as readonly string[] as readonly Revision[], digest128);

  it('is what the graph has not, leaf or ancestor', () => {
    expect(missingIn(fork, '3-c', '1-a', '2-d')).toEqual({ missing: [], possibleAncestors: [] });
    expect(missingIn(fork, '3-x', '1-a', '3-x')).toEqual({ missing: ['3-x'], possibleAncestors: ['2-d'] });
  });

  it('names the leaves of lower generation as possible ancestors', () => {
    expect(missingIn(fork, '1-x').possibleAncestors).toEqual([]);
    expect(missingIn(fork, '1-x', '4-x').possibleAncestors).toEqual(['3-c', '2-d']);
    expect(missingIn(fork, '10-x').possibleAncestors).toEqual(['3-c', '2-d']);
    expect(missingIn(emptyGraph, '1-x')).toEqual({ missing: ['1-x'], possibleAncestors: [] });
  });

  it('is everything that a union adds, and nothing else', () => {
    fc.assert(
      fc.property(graphs, graphs, (a, b) => {
        const all = b.nodes.map((each) => each.revision);
        const lacking = new Set(missing(a, all, digest128).missing);
        for (const revision of all) expect(lacking.has(revision)).toBe(nodeOf(a, revision) === undefined);
        for (const ancestor of missing(a, all, digest128).possibleAncestors) {
          expect([...lacking].some((revision) => generationOf(revision) > generationOf(ancestor))).toBe(true);
        }
      }),
    );
  });
});
