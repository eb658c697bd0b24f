import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOfAll, graphs } from '../../test/arbitraries/revision-graphs.ts';
import { digest128 } from '../runtime/digest.ts';
import { DamagedGraphError } from './graph-bytes.ts';
import { decodeGraph, encodeGraph } from './graph-codec.ts';
import { stem } from './graph-trimming.ts';
import { type Revision, revisionOf } from './revision.ts';
import { emptyGraph, type RevisionNode } from './revision-graph.ts';

function chain(length: number): RevisionNode[] {
  const nodes: RevisionNode[] = [];
  for (let i = 1; i <= length; i++) {
    const before = nodes.at(-1);
    const revision = revisionOf(i, digest128(Uint8Array.of(i)));
    nodes.push({ revision, parents: before ? [before.revision] : [], deleted: false, stored: i === length });
  }
  return nodes;
}

/** Either a graph or the error for damage; anything else fails the test. */
function decodeDamaged(bytes: Uint8Array): 'graph' | 'damaged' {
  try {
    decodeGraph(bytes);
    return 'graph';
  } catch (error) {
    if (error instanceof DamagedGraphError) return 'damaged';
    throw error;
  }
}

describe('a graph as bytes', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 4 }), (graph, limit) => {
        expect(decodeGraph(encodeGraph(graph))).toEqual(graph);
        expect(decodeGraph(encodeGraph(stem(graph, limit)))).toEqual(stem(graph, limit));
      }),
    );
  });

  it('comes back with the highest generation and with no node at all', () => {
    const highest = graphOfAll([
      {
        revision: '9007199254740991-a' as Revision,
        parents: ['5-b' as Revision],
        deleted: true,
        stored: false,
      },
      { revision: '3-c' as Revision, parents: [], deleted: false, stored: true },
    ]);
    expect(decodeGraph(encodeGraph(highest))).toEqual(highest);
    expect(decodeGraph(encodeGraph(emptyGraph))).toEqual(emptyGraph);
  });

  it('may stand behind other bytes', () => {
    const graph = graphOfAll(chain(3));
    expect(decodeGraph(new Uint8Array([7, 7, ...encodeGraph(graph)]), 2)).toEqual(graph);
  });

  it('takes 19 bytes for a first revision and 17 for each ancestor in a chain', () => {
    expect(encodeGraph(graphOfAll(chain(1))).length).toBe(19);
    const difference =
      encodeGraph(graphOfAll(chain(101))).length - encodeGraph(graphOfAll(chain(100))).length;
    expect(difference).toBe(17);
  });
});

describe('damaged bytes', () => {
  it('are refused wherever they end too early or go on too long', () => {
    fc.assert(
      fc.property(graphs, fc.nat(), (graph, place) => {
        const bytes = encodeGraph(graph);
        expect(decodeDamaged(bytes.subarray(0, place % bytes.length))).toBe('damaged');
        expect(decodeDamaged(new Uint8Array([...bytes, 0]))).toBe('damaged');
      }),
    );
  });

  it('never give another error than that of damage', () => {
    fc.assert(
      fc.property(graphs, fc.nat(), fc.integer({ min: 1, max: 255 }), (graph, place, bits) => {
        const bytes = encodeGraph(graph);
        bytes[place % bytes.length]! ^= bits;
        expect(['graph', 'damaged']).toContain(decodeDamaged(bytes));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(['graph', 'damaged']).toContain(decodeDamaged(bytes));
        expect(['graph', 'damaged']).toContain(decodeDamaged(Uint8Array.of(1, ...bytes)));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a version of the future', [9]],
    ['more nodes than there are bytes', [1, 255, 255, 255, 127]],
    ['a flag that nobody sets', [2, 64, 1, ...new Uint8Array(16)]],
    ['generation 0', [2, 2, 0, ...new Uint8Array(16)]],
    ['a digest that is none', [2, 6, 1, 1, 32]],
    ['a parent beyond the last node', [2, 34, 2, ...new Uint8Array(16), 1, 5]],
    ['two nodes in the wrong order', [1, 2, 6, 1, 1, 97, 6, 0, 1, 98]],
    ['a parent of the same generation', [1, 2, 22, 1, 1, 98, 6, 0, 1, 97]],
    ['a number without end', [1, ...new Uint8Array(9).fill(255)]],
  ])('are refused: %s', (_what, bytes) => {
    expect(() => decodeGraph(Uint8Array.from(bytes))).toThrow(DamagedGraphError);
  });
});
