/**
 * How a graph shrinks: stemming forgets ancestors that are too far back, a purge forgets leaves as if they had never
 * been, compaction forgets bodies. None of them travels: another replica that still knows brings it back by a union.
 *
 * A stemmed node stays named by its children (invariant 3 of revision-graph.ts), so that the last forgotten ancestor
 * is not taken for a conflict when it comes again.
 */

import { generationOf, type Revision } from './revision.ts';
import { graphOf, isLeaf, type RevisionGraph, type RevisionNode } from './revision-graph.ts';

/** Keeps of every leaf the nearest `limit` revisions, itself included. All leaves stay. */
export function stem(graph: RevisionGraph, limit: number): RevisionGraph {
  const newest = graph.nodes[0];
  if (newest === undefined || graph.nodes.length <= limit) return graph;
  // Each step back lowers the generation, so a graph of few generations has nothing far away.
  const oldest = graph.nodes.at(-1)!;
  if (generationOf(newest.revision) - generationOf(oldest.revision) < limit) return graph;
  // How near the nearest leaf is, counted from 0; children come before their parents, so one pass settles it.
  const distances = new Map<Revision, number>();
  const kept = graph.nodes.filter((node) => {
    const distance = distances.get(node.revision) ?? 0;
    for (const parent of node.parents) {
      if (distance + 1 < (distances.get(parent) ?? Number.POSITIVE_INFINITY))
        distances.set(parent, distance + 1);
    }
    return distance < limit;
  });
  return kept.length === graph.nodes.length ? graph : { nodes: kept, leaves: graph.leaves };
}

/** The graph without the named leaves and without the ancestors that only they had. Other revisions are ignored. */
export function withoutRevisions(graph: RevisionGraph, revisions: Iterable<Revision>): RevisionGraph {
  const purged = new Set([...revisions].filter((revision) => isLeaf(graph, revision)));
  if (purged.size === 0) return graph;
  const needed = new Set<Revision>();
  for (const leaf of graph.leaves) if (!purged.has(leaf.revision)) needed.add(leaf.revision);
  const kept = graph.nodes.filter((node) => {
    if (!needed.has(node.revision)) return false;
    for (const parent of node.parents) needed.add(parent);
    return true;
  });
  return graphOf(kept);
}

/** Notes that bodies are gone, except those of leaves and of nodes for which `keep` says so. */
export function markUnstored(graph: RevisionGraph, keep: (node: RevisionNode) => boolean): RevisionGraph {
  let changed = false;
  const nodes = graph.nodes.map((node) => {
    if (!node.stored || isLeaf(graph, node.revision) || keep(node)) return node;
    changed = true;
    return { ...node, stored: false };
  });
  return changed ? { nodes, leaves: graph.leaves } : graph;
}
