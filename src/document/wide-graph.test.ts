/** A document that ten thousand people edited at once: each further edit must look at each revision a few times at most. */

import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import { decodeGraph, encodeGraph } from './graph-codec.ts';
import { stem, withoutRevisions } from './graph-trimming.ts';
import { deriveRevision, type Revision } from './revision.ts';
import {
  addRevision,
  graphOf,
  leavesOf,
  type RevisionGraph,
  type RevisionNode,
  union,
  winnerOf,
} from './revision-graph.ts';
import { addPath, latestLeavesOf, missing } from './revision-path.ts';
import { derivedTombstone, treeLeaves } from './tree-projection.ts';
import { compareLeaves } from './winner.ts';

const branches = 10_000;
const encoder = new TextEncoder();

function edit(parents: readonly Revision[], content: number): RevisionNode {
  const body = encoder.encode(`{"n":${content}}`);
  const revision = deriveRevision({ parents, deleted: false, body, attachmentDigests: [] }, digest128);
  return { revision, parents, deleted: false, stored: true };
}

const root = edit([], 0);
const tips = Array.from({ length: branches }, (_, i) => edit([root.revision], i)).sort(compareLeaves);
const wide = graphOf([...tips, root]);

/** The same graph, and how often its nodes and leaves were looked at. */
function counted(graph: RevisionGraph): { graph: RevisionGraph; visits: () => number } {
  let visits = 0;
  const watched = (nodes: readonly RevisionNode[]): readonly RevisionNode[] =>
    new Proxy(nodes, {
      get(target, property, receiver) {
        if (typeof property === 'string' && /^\d+$/.test(property)) visits++;
        return Reflect.get(target, property, receiver);
      },
    });
  return { graph: { nodes: watched(graph.nodes), leaves: watched(graph.leaves) }, visits: () => visits };
}

describe('a document with 10,000 branches', () => {
  it('is built from its revisions in any order', () => {
    let graph = graphOf([root]);
    for (const tip of tips.slice(0, 500).reverse()) graph = addRevision(graph, tip).graph;
    expect(union(graph, wide)).toEqual(wide);
    expect(leavesOf(wide)).toEqual(tips);
    expect(winnerOf(wide)).toBe(tips[0]);
  });

  it('comes back from its bytes, which are about 21 for a branch', () => {
    const bytes = encodeGraph(wide);
    expect(decodeGraph(bytes)).toEqual(wide);
    expect(bytes.length).toBeLessThan(branches * 22);
  });

  const next = edit([tips[5_000]!.revision], 1);
  const merge = edit(
    tips.map((tip) => tip.revision),
    2,
  );
  const all = tips.map((tip) => tip.revision);
  const path = {
    start: 3,
    ids: [next.revision, tips[5_000]!.revision, root.revision].map((id) => id.slice(2)),
  };

  it.each<[string, (graph: RevisionGraph) => unknown]>([
    ['an edit of one branch', (graph) => addRevision(graph, next)],
    ['a replicated edit', (graph) => addPath(graph, path, { deleted: false, stored: true }, digest128)],
    ['a new branch', (graph) => addRevision(graph, edit([root.revision], -1))],
    ['a union', (graph) => union(graph, graphOf([next]))],
    ['stemming', (graph) => stem(graph, 1)],
    ['a purge', (graph) => withoutRevisions(graph, [tips[7]!.revision])],
    ['encoding', (graph) => encodeGraph(graph)],
    ['the tree', (graph) => treeLeaves(graph, digest128)],
    ['the latest leaves of the root', (graph) => latestLeavesOf(graph, root.revision)],
  ])('%s looks at each revision a few times at most', (_what, work) => {
    const { graph, visits } = counted(wide);
    work(graph);
    expect(visits()).toBeLessThan(6 * branches);
  });

  it('answers for all its revisions, and merges them all, in no more than a search for each', () => {
    const searchVisitsMax = Math.ceil(Math.log2(branches)) + 3;
    const asked = counted(wide);
    expect(missing(asked.graph, [...all, next.revision], digest128).missing).toEqual([next.revision]);
    expect(asked.visits()).toBeLessThan((searchVisitsMax + 1) * branches);
    const { graph, outcome } = addRevision(wide, merge);
    expect(outcome).toBe('new_leaf');
    expect(leavesOf(graph)).toEqual([merge]);
    const shown = treeLeaves(graph, digest128);
    expect(shown.length).toBe(branches);
    expect(shown[0]?.revision).toBe(merge.revision);
    expect(missing(graph, [derivedTombstone(all[9]!, digest128)], digest128).missing).toEqual([]);
  });
});
