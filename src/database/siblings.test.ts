import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import type { Stamp } from '../document/stamp.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import type { ReplicatedRevision } from './model.ts';
import { arrival, bodyValue, collectChanges, edit, openLeaderlessDatabase, write } from './test-database.ts';

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32)) as [
  string,
  string,
  string,
  string,
];
const at = (ms: number): Stamp => ({ ms, counter: 0, node: 'n9' });

function conflictsOf(database: Database, id: string): readonly Revision[] {
  const outcome = database.read(id, { conflicts: true });
  return outcome.kind === 'found' ? (outcome.document.conflicts ?? []) : [];
}

/** All that a database tells another one of its documents. */
async function toldBy(database: Database): Promise<ReplicatedRevision[]> {
  const { rows } = await collectChanges(database.changes({ since: '0', style: 'all_docs' }));
  return rows.flatMap(({ id }) =>
    database.readOpenRevisions(id, 'all', { path: true }).flatMap((leaf) => {
      if (leaf.kind !== 'found') return [];
      const { path, ...told } = leaf.document;
      return [{ ...told, path: path!, attachments: [] }];
    }),
  );
}

describe('last-write-wins', () => {
  const early = { ...arrival('x', 2, [b, a], { by: 'early' }), stamp: at(5) };
  const late = { ...arrival('x', 2, [c, a], { by: 'late' }), stamp: at(7) };

  it('settles what an arrival makes a conflict, in the same turn, and after a crash it is there', async () => {
    const store = createMemoryStore();
    const database = await openLeaderlessDatabase({ store, resolver: 'last-write-wins' });
    await database.insert([late]);
    await database.insert([early]);
    for (const isCrashed of [false, true]) {
      const one = isCrashed ? await openLeaderlessDatabase({ store: store.crash() }) : database;
      expect(bodyValue(one, 'x')).toEqual({ by: 'late' });
      expect(conflictsOf(one, 'x')).toEqual([]);
      const { rows } = await collectChanges(one.changes({ since: '0', style: 'all_docs' }));
      expect(rows).toMatchObject([{ id: 'x', deleted: false }]);
      const outcome = one.read('x', { path: true });
      expect(outcome).toMatchObject({ document: { parents: [`2-${c}`, `2-${b}`], stamp: at(7) } });
    }
  });

  it('makes the same of it everywhere', async () => {
    const [left, right] = [
      await openLeaderlessDatabase({ resolver: 'last-write-wins' }),
      await openLeaderlessDatabase({ resolver: 'last-write-wins' }),
    ];
    await left.insert([early, late]);
    await right.insert([late]);
    await right.insert([early]);
    const winners = [left, right].map((database) => database.read('x'));
    expect(winners[0]).toEqual(winners[1]);
  });

  it('lets a deletion win that is later, and not one that is earlier', async () => {
    for (const [stamp, kind] of [
      [at(9), 'deleted'],
      [at(1), 'found'],
    ] as const) {
      const database = await openLeaderlessDatabase({ resolver: 'last-write-wins' });
      await database.insert([late, { ...arrival('x', 4, [d, b, b, a], {}, true), stamp }]);
      expect(database.read('x').kind).toBe(kind);
    }
  });

  it('leaves a write on the winner alone', async () => {
    const database = await openLeaderlessDatabase({ resolver: 'last-write-wins' });
    const first = await write(database, 'x', { n: 1 });
    const second = await write(database, 'x', { n: 2 }, first);
    expect(database.read('x')).toMatchObject({ document: { revision: second } });
    expect(await database.edit([edit('x', { n: 3 }, first)])).toMatchObject([{ error: { status: 409 } }]);
  });

  it('ends with one and the same revision wherever branches meet, in whatever order', async () => {
    const stamps = fc.array(fc.nat(3), { minLength: 2, maxLength: 4 });
    const meetings = fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(stamps, meetings, async (times, meet) => {
        const opened = [0, 1, 2].map(() => openLeaderlessDatabase({ resolver: 'last-write-wins' }));
        const replicas = await Promise.all(opened);
        for (const [index, ms] of times.entries()) {
          const revision = arrival('x', 1, [`${index}`.repeat(32)], { index });
          await replicas[index % 3]!.insert([{ ...revision, stamp: at(ms) }]);
        }
        const inTurn = [...meet, ...[0, 1, 2, 0, 1, 2].map((one) => [one, (one + 1) % 3] as const)];
        for (const [one, other] of inTurn) {
          await replicas[one]!.insert(await toldBy(replicas[other]!));
          await replicas[other]!.insert(await toldBy(replicas[one]!));
        }
        const winners = replicas.map((replica) => replica.read('x', { conflicts: true }));
        expect(winners[1]).toEqual(winners[0]);
        expect(winners[2]).toEqual(winners[0]);
        const roots = await Promise.all(replicas.map((one) => one.leaderless!.tree.sums(0, [0])));
        expect(new Set(roots.map(([root]) => root)).size).toBe(1);
      }),
      { numRuns: 25 },
    );
  });
});

describe('merge', () => {
  const root = arrival('x', 1, [a], { n: 1, m: 1 });

  it('puts together what branches changed in different fields since their common ancestor', async () => {
    const database = await openLeaderlessDatabase({ resolver: 'merge' });
    await database.insert([root, arrival('x', 2, [b, a], { n: 2, m: 1 })]);
    await database.insert([arrival('x', 2, [c, a], { n: 1, m: 2 })]);
    expect([bodyValue(database, 'x'), conflictsOf(database, 'x')]).toEqual([{ n: 2, m: 2 }, []]);
  });

  it('keeps siblings that changed the same field, and those whose ancestor is not kept any more', async () => {
    const database = await openLeaderlessDatabase({ resolver: 'merge' });
    await database.insert([root, arrival('x', 2, [b, a], { n: 2, m: 1 })]);
    await database.insert([arrival('x', 2, [c, a], { n: 3, m: 1 })]);
    expect(conflictsOf(database, 'x')).toEqual([`2-${b}`]);
    await database.insert([arrival('y', 2, [b, a], { n: 2 }), arrival('y', 2, [c, a], { m: 2 })]);
    expect(conflictsOf(database, 'y')).toEqual([`2-${b}`]);
  });
});

describe('siblings', () => {
  it('are kept by a database that has no rule', async () => {
    const database = await openLeaderlessDatabase({ resolver: 'siblings' });
    await database.insert([arrival('x', 1, [a], { n: 1 }), arrival('x', 1, [b], { n: 1 })]);
    expect(conflictsOf(database, 'x')).toEqual([`1-${a}`]);
  });
});
