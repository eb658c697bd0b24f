/** Where histories are trees, PouchDB's own merge must see what we see, or its users' devices would disagree with us. */

import fc from 'fast-check';
import {
  type Branch,
  collectConflicts,
  collectLeaves,
  merge,
  type Tree,
  traverseRevTree,
  winningRev,
} from 'pouchdb-merge';
import { describe, expect, it } from 'vitest';
import { histories } from '../../test/arbitraries/revision-graphs.ts';
import { digest128 } from '../runtime/digest.ts';
import type { RevisionPath } from './document.ts';
import { stem } from './graph-trimming.ts';
import { digestOf, generationOf } from './revision.ts';
import {
  emptyGraph,
  leavesOf,
  liveConflicts,
  type RevisionGraph,
  type RevisionNode,
  winnerOf,
} from './revision-graph.ts';
import { addPath } from './revision-path.ts';

const depthUnlimited = 1_000;

/** A revision as replication brings it. */
interface Arrival {
  readonly path: RevisionPath;
  readonly deleted: boolean;
}

function arrivalOf(history: readonly RevisionNode[], node: RevisionNode): Arrival {
  const ids: string[] = [];
  for (let at: RevisionNode | undefined = node; at !== undefined; ) {
    ids.push(digestOf(at.revision));
    const parent: string | undefined = at.parents[0];
    at = history.find((each) => each.revision === parent);
  }
  return { path: { start: generationOf(node.revision), ids }, deleted: node.deleted };
}

/** Some revisions of a tree, in some order, each with all its ancestors. */
const arrivals: fc.Arbitrary<readonly Arrival[]> = histories({ revisionsMax: 20, parentsMax: 1 }).chain(
  (history) =>
    fc
      .shuffledSubarray([...history], { minLength: 1 })
      .map((nodes) => nodes.map((node) => arrivalOf(history, node))),
);

function inPouch(tree: Branch[], { path, deleted }: Arrival, depth = depthUnlimited): Branch[] {
  const [head, ...ancestors] = path.ids;
  let ids: Tree = [head!, deleted ? { status: 'available', deleted } : { status: 'available' }, []];
  for (const ancestor of ancestors) ids = [ancestor, { status: 'missing' }, [ids]];
  return merge(tree, { pos: path.start - ancestors.length, ids }, depth).tree;
}

function inTercet(graph: RevisionGraph, { path, deleted }: Arrival): RevisionGraph {
  return addPath(graph, path, { deleted, stored: true }, digest128).graph;
}

function revisionsOf(tree: Branch[]): string[] {
  const revisions: string[] = [];
  traverseRevTree(tree, (_isLeaf, generation, digest) => {
    revisions.push(`${generation}-${digest}`);
  });
  return revisions.sort();
}

function sortedRevisions(nodes: readonly RevisionNode[]): string[] {
  return nodes.map((node) => node.revision as string).sort();
}

describe('after any arrivals PouchDB and Tercet agree about', () => {
  it('the winner, the leaves and the conflicts', () => {
    fc.assert(
      fc.property(arrivals, (all) => {
        const graph = all.reduce(inTercet, emptyGraph);
        const tree = all.reduce<Branch[]>((before, arrival) => inPouch(before, arrival), []);
        expect(winnerOf(graph)?.revision).toBe(winningRev({ rev_tree: tree }));
        expect(sortedRevisions(leavesOf(graph))).toEqual(
          collectLeaves(tree)
            .map((leaf) => leaf.rev)
            .sort(),
        );
        expect(sortedRevisions(liveConflicts(graph))).toEqual(collectConflicts({ rev_tree: tree }).sort());
      }),
      { numRuns: 300 },
    );
  });

  it('every revision that is known', () => {
    fc.assert(
      fc.property(arrivals, (all) => {
        const graph = all.reduce(inTercet, emptyGraph);
        const tree = all.reduce<Branch[]>((before, arrival) => inPouch(before, arrival), []);
        expect(sortedRevisions(graph.nodes)).toEqual(revisionsOf(tree));
      }),
    );
  });

  it('what is left after stemming', () => {
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 6 }), (all, depth) => {
        const graph = stem(all.reduce(inTercet, emptyGraph), depth);
        const whole = all.reduce<Branch[]>((before, arrival) => inPouch(before, arrival), []);
        const tree = inPouch(whole, all[0]!, depth);
        expect(sortedRevisions(graph.nodes)).toEqual([...new Set(revisionsOf(tree))]);
        expect(sortedRevisions(leavesOf(graph))).toEqual(
          collectLeaves(tree)
            .map((leaf) => leaf.rev)
            .sort(),
        );
      }),
    );
  });
});
