import { describe, expect, it } from 'vitest';
import { compareRevisions, type Revision } from '../document/revision.ts';
import { emptyGraph, graphOf, type RevisionGraph } from '../document/revision-graph.ts';
import { addPath } from '../document/revision-path.ts';
import { digest128 } from '../runtime/digest.ts';
import { burialOf, graveGraph, graveRevisionsMax, judgeArrival, mergedGrave } from './graves.ts';

const tombstones = ['4-d', '2-x'] as Revision[];

function revision(start: number, ids: string, deleted = false, parents?: readonly string[]) {
  return {
    path: { start, ids: ids.split(' ') },
    deleted,
    parents: parents as readonly Revision[] | undefined,
  };
}

/** Of paths: `4 d c b` is 4-d, made from 3-c, made from 2-b; with a cross in front it is a tombstone. */
function graph(...paths: readonly string[]): RevisionGraph {
  return paths.reduce((grown, text) => {
    const [start, ...ids] = text.replace('†', '').split(' ');
    const head = { deleted: text.startsWith('†'), stored: true };
    return addPath(grown, { start: Number(start), ids }, head, digest128).graph;
  }, emptyGraph);
}

const named = (nodes: readonly { readonly revision: Revision }[]) => nodes.map((node) => node.revision);

describe('a revision that arrives at a grave', () => {
  it.each([
    ['an old copy that the grave does not know', revision(3, 'y b a'), 'quarantine'],
    ['an edit of an old copy', revision(5, 'f e c b a'), 'quarantine'],
    ['one that is alike in its digest only', revision(5, 'd c b a'), 'quarantine'],
    ['one made from a tombstone', revision(5, 'e d c b'), 'apply'],
    ['one made from the other tombstone', revision(4, 'z y x'), 'apply'],
    ['a merge with a tombstone', revision(6, 'm f e', false, ['5-f', '4-d']), 'apply'],
    ['another tombstone', revision(3, 'f b a', true), 'apply'],
  ] as const)('%s: %s → %s', (_name, arrival, verdict) => {
    expect(judgeArrival(arrival, tombstones)).toBe(verdict);
  });
});

describe('a document that another replica has buried', () => {
  const grave = graveGraph(graph('†4 d c b a', '†2 x'));

  it.each([
    ['knows less of its end', graph('†3 f b a'), ['4-d', '3-f', '2-x']],
    ['has not heard of its end', graph('3 c b a'), ['4-d', '2-x']],
  ])('is buried here too where it %s', (_name, here, leaves) => {
    const burial = burialOf(here, grave);
    expect(burial).toMatchObject({ kind: 'bury', live: [] });
    expect(burial.kind === 'bury' && named(burial.grave.leaves)).toEqual(leaves);
  });

  it('stays, and learns, where all is dead that the grave knows', () => {
    const here = graph('†4 d', '†3 f', '†2 x');
    expect(burialOf(here, grave)).toMatchObject({ kind: 'keep', graph: graph('†4 d c b a', '†3 f', '†2 x') });
  });

  it('stays where it was written anew, and learns what the new life supersedes', () => {
    const here = graph('5 e d', '3 c b a', '3 y b a');
    const burial = burialOf(here, grave);
    expect(burial.kind === 'keep' && named(burial.graph.leaves)).toEqual(['5-e', '3-y', '2-x']);
    const merged = graphOf([
      { revision: '6-m', parents: ['5-f', '4-d'], deleted: false, stored: true } as never,
      { revision: '5-f', parents: [], deleted: false, stored: false } as never,
    ]);
    expect(burialOf(merged, grave).kind).toBe('keep');
  });

  it('loses what is alive and was not made from its end, and the grave knows nothing of that', () => {
    const burial = burialOf(graph('4 z y b a', '†2 x'), grave);
    expect(burial.kind === 'bury' && named(burial.live)).toEqual(['4-z']);
    expect(burial.kind === 'bury' && named(burial.grave.nodes)).toEqual(['4-d', '3-c', '2-x', '2-b', '1-a']);
  });
});

describe('graves', () => {
  const grave = graveGraph(graph('†4 d c'));

  it('of two replicas are joined in any order', () => {
    const other = graveGraph(graph('†10 a', '†4 d c b a'));
    const joined = mergedGrave(grave, other);
    expect(named(joined.nodes)).toEqual(['10-a', '4-d', '3-c', '2-b', '1-a']);
    expect(mergedGrave(other, grave)).toBe(other);
    expect(mergedGrave(joined, other)).toBe(joined);
  });

  it('keep no contents', () => {
    expect(graveGraph(graph('†2 d c')).nodes.map(({ stored }) => stored)).toEqual([false, false]);
  });

  it('are bounded: the nearest ancestors stay, and every tombstone', () => {
    const ids = Array.from({ length: 3 * graveRevisionsMax }, (_, at) => `i${at}`);
    const long = graveGraph(graph(`†${ids.length} ${ids.join(' ')}`));
    expect(named(long.nodes)).toHaveLength(graveRevisionsMax);
    expect(named(long.leaves)).toEqual([`${ids.length}-i0`]);
    expect(mergedGrave(long, graveGraph(graph(`†${ids.length} ${ids.join(' ')}`)))).toBe(long);
    const wide = ids.map((id) => `2-${id}` as Revision).sort((a, b) => compareRevisions(b, a));
    const leaves = wide.map((one) => ({ revision: one, parents: [], deleted: true, stored: true }));
    expect(graveGraph(graphOf(leaves)).leaves).toHaveLength(ids.length);
  });
});
