/** Random histories of one document, and what replicas may know of them. */

import fc from 'fast-check';
import {
  compareRevisions,
  generationOf,
  normalizedParents,
  revisionOf,
} from '../../src/document/revision.ts';
import {
  addRevision,
  emptyGraph,
  type RevisionGraph,
  type RevisionNode,
} from '../../src/document/revision-graph.ts';

const hexDigest = fc
  .array(fc.integer({ min: 0, max: 15 }), { minLength: 32, maxLength: 32 })
  .map((digits) => {
    return digits.map((digit) => digit.toString(16)).join('');
  });
const foreignDigest = fc.stringMatching(/^[0-9A-Za-z._-]{1,40}$/);
const digest = fc.oneof({ weight: 4, arbitrary: hexDigest }, { weight: 1, arbitrary: foreignDigest });

export interface HistoryShape {
  readonly revisionsMax: number;
  /** 1 makes trees. */
  readonly parentsMax: number;
}

/** All revisions of one document, each with its parents among those before it. */
export function histories(shape: HistoryShape): fc.Arbitrary<readonly RevisionNode[]> {
  const revision = fc.record({
    digest,
    parents: fc.array(fc.nat({ max: 1_000 }), { maxLength: shape.parentsMax }),
    deleted: fc.boolean(),
  });
  return fc
    .uniqueArray(revision, { maxLength: shape.revisionsMax, minLength: 1, selector: (each) => each.digest })
    .map((drafts) => {
      const nodes: RevisionNode[] = [];
      for (const draft of drafts) {
        const picked =
          nodes.length === 0 ? [] : draft.parents.map((index) => nodes[index % nodes.length]!.revision);
        const generation = picked.reduce((highest, parent) => Math.max(highest, generationOf(parent)), 0) + 1;
        const sorted = picked.toSorted((a, b) => compareRevisions(b, a));
        const parents = normalizedParents(sorted);
        nodes.push({
          revision: revisionOf(generation, draft.digest),
          parents,
          deleted: draft.deleted,
          stored: true,
        });
      }
      return nodes;
    });
}

export function graphOfAll(nodes: Iterable<RevisionNode>): RevisionGraph {
  let graph = emptyGraph;
  for (const node of nodes) graph = addRevision(graph, node).graph;
  return graph;
}

/** Some of a history's revisions in some order; of each as much as a replica may know. */
function knowledgeOf(history: readonly RevisionNode[]): fc.Arbitrary<readonly RevisionNode[]> {
  return fc.shuffledSubarray([...history]).chain((nodes) =>
    fc.tuple(...nodes.map((node) => fc.integer({ min: 0, max: node.parents.length }))).chain((known) =>
      fc.tuple(...nodes.map(() => fc.boolean())).map((stored) =>
        nodes.map((node, i) => ({
          ...node,
          parents: node.parents.slice(0, known[i]),
          deleted: node.deleted && stored[i]!,
          stored: stored[i]!,
        })),
      ),
    ),
  );
}

/** Three replicas' knowledge of one history. */
export const threeReplicas: fc.Arbitrary<readonly (readonly RevisionNode[])[]> = histories({
  revisionsMax: 14,
  parentsMax: 3,
}).chain((history) => fc.tuple(knowledgeOf(history), knowledgeOf(history), knowledgeOf(history)));

export const graphs: fc.Arbitrary<RevisionGraph> = threeReplicas.map(([nodes]) => graphOfAll(nodes!));
