import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import { placementOf } from './placement.ts';

const names = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 12 });

describe('placement', () => {
  it('is the same whatever the order in which the nodes are named', () => {
    fc.assert(
      fc.property(names, fc.string(), (nodes, database) => {
        const one = placementOf({ database, nodes, n: 3 }, digest128);
        expect(placementOf({ database, nodes: nodes.toReversed(), n: 3 }, digest128)).toEqual(one);
        expect([...one.owners, ...one.standIns].toSorted()).toEqual(nodes.toSorted());
      }),
    );
  });

  it('keeps all owners but the one that went, whose place the first stand-in takes', () => {
    fc.assert(
      fc.property(names, fc.string(), (nodes, database) => {
        const { owners, standIns } = placementOf({ database, nodes, n: 3 }, digest128);
        const gone = owners[0]!;
        const rest = nodes.filter((node) => node !== gone);
        const now = placementOf({ database, nodes: rest, n: 3 }, digest128);
        expect(now.owners).toEqual([...owners.slice(1), ...standIns.slice(0, 1)]);
      }),
    );
  });

  it('spreads databases over all nodes', () => {
    const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const first = Array.from({ length: 200 }, (_, index) => {
      return placementOf({ database: `db-${index}`, nodes, n: 3 }, digest128).owners[0]!;
    });
    for (const node of nodes) expect(first.filter((owner) => owner === node).length).toBeGreaterThan(20);
  });
});
