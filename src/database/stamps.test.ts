import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { compareStamps, type Stamp } from '../document/stamp.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import { arrival, bodyValue, openLeaderlessDatabase, openTestDatabase, write } from './test-database.ts';

const a = 'a'.repeat(32);
const b = 'b'.repeat(32);
const c = 'c'.repeat(32);

function stampOf(database: Database, id: string, revision?: string): Stamp | undefined {
  const outcome = database.read(id, revision === undefined ? {} : { revision: revision as Revision });
  return outcome.kind === 'found' ? outcome.document.stamp : undefined;
}

const at = (ms: number, counter = 0, node = 'n9'): Stamp => ({ ms, counter, node });

describe('the stamps of a leaderless database', () => {
  it('rise with every edit, also when the clock goes back and the node starts again', async () => {
    let now = 5_000;
    const clock = { ...systemClock, now: () => now };
    let store = createMemoryStore();
    let database = await openLeaderlessDatabase({ store, clock });
    await write(database, 'first', {});
    now = 4_000;
    await write(database, 'second', {});
    expect(stampOf(database, 'first')).toEqual(at(5_000, 0, 'n1'));
    expect(stampOf(database, 'second')).toEqual(at(5_000, 1, 'n1'));
    store = store.crash();
    database = await openLeaderlessDatabase({ store, clock });
    await write(database, 'third', {});
    expect(stampOf(database, 'third')).toEqual(at(5_000, 2, 'n1'));
  });

  it('are above every stamp that was seen, also if it was that of a known revision', async () => {
    let store = createMemoryStore();
    const clock = { ...systemClock, now: () => 1_000 };
    let database = await openLeaderlessDatabase({ store, clock });
    await database.insert([{ ...arrival('x', 1, [a]), stamp: at(7_000) }]);
    await database.insert([{ ...arrival('x', 1, [a]), stamp: at(9_000, 4) }]);
    store = store.crash();
    database = await openLeaderlessDatabase({ store, clock });
    await write(database, 'y', {});
    expect(stampOf(database, 'y')).toEqual(at(9_000, 5, 'n1'));
  });

  it('of one revision are merged by minimum, for the winner and for other leaves, and make no new row', async () => {
    const database = await openLeaderlessDatabase();
    await database.insert([arrival('x', 1, [a], { loses: true }), { ...arrival('x', 1, [b]), stamp: at(5) }]);
    const sequence = database.currentSequence();
    for (const stamp of [at(4), at(6), at(3, 1), at(3, 2)]) {
      await database.insert([
        { ...arrival('x', 1, [a]), stamp },
        { ...arrival('x', 1, [b]), stamp },
      ]);
    }
    expect([stampOf(database, 'x', `1-${a}`), stampOf(database, 'x', `1-${b}`)]).toEqual([
      at(3, 1),
      at(3, 1),
    ]);
    expect(database.currentSequence()).toBe(sequence);
    expect(bodyValue(database, 'x', `1-${a}`)).toEqual({ loses: true });
  });

  it('stay with their revision when another one wins, and when that is purged', async () => {
    const database = await openLeaderlessDatabase();
    await database.insert([{ ...arrival('x', 1, [a], { n: 1 }), stamp: at(1, 2, '') }]);
    await database.insert([{ ...arrival('x', 1, [b], { n: 2 }), stamp: at(2) }]);
    expect(compareStamps(stampOf(database, 'x', `1-${a}`)!, at(1, 2, ''))).toBe(0);
    await database.purge(new Map([['x', [`1-${b}`]]]));
    expect([stampOf(database, 'x'), bodyValue(database, 'x')]).toEqual([at(1, 2, ''), { n: 1 }]);
  });

  it('are refused, and nothing of the revision kept, when they are none', async () => {
    const database = await openLeaderlessDatabase();
    for (const stamp of [at(-1), at(1, 70_000), at(2 ** 48), at(1, 0, 'n'.repeat(256))]) {
      expect(await database.insert([{ ...arrival('x', 1, [a]), stamp }])).toMatchObject([
        { error: { status: 400 } },
      ]);
    }
    expect(database.read('x')).toEqual({ kind: 'missing' });
  });

  it('are made by no other database', async () => {
    const database = await openTestDatabase();
    await write(database, 'x', {});
    expect(stampOf(database, 'x')).toBeUndefined();
  });
});

describe('a merge that arrives', () => {
  const parents = [`1-${b}`, `1-${a}`] as Revision[];
  const merge = { ...arrival('x', 2, [c, b], { merged: true }), parents };

  it('ends all branches it was made from, whichever comes first', async () => {
    const branches = [arrival('x', 1, [a]), arrival('x', 1, [b])];
    const databases = await Promise.all([0, 1, 2].map(() => openLeaderlessDatabase()));
    const orders = [
      [...branches, merge],
      [merge, ...branches],
      [branches[0]!, merge, branches[1]!],
    ];
    for (const [index, database] of databases.entries()) {
      for (const revision of orders[index]!) await database.insert([revision]);
      expect(database.read('x', { conflicts: true })).toMatchObject({ document: { revision: `2-${c}` } });
      const [told] = database.readOpenRevisions('x', [`2-${c}`], { path: true });
      expect(told).toMatchObject({ document: { parents } });
    }
    const roots = await Promise.all(databases.map((database) => database.leaderless?.tree.sums(0, [0])));
    expect(new Set(roots.map((root) => root?.[0])).size).toBe(1);
  });

  it('completes what came before without its other parents', async () => {
    const database = await openLeaderlessDatabase();
    const { parents: _, ...known } = merge;
    await database.insert([arrival('x', 1, [a]), arrival('x', 1, [b]), known]);
    expect(database.read('x', { conflicts: true })).toMatchObject({ document: { conflicts: [`1-${a}`] } });
    await database.insert([merge]);
    const outcome = database.read('x', { conflicts: true });
    expect(outcome.kind === 'found' && outcome.document.conflicts).toBeUndefined();
  });

  it('counts like the tombstones that a client was shown for it', async () => {
    const [knows, wasShown] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const branches = [arrival('x', 1, [a]), arrival('x', 1, [b])];
    await knows.insert([...branches, merge]);
    await wasShown.insert(branches);
    for (const leaf of knows.readOpenRevisions('x', 'all', { path: true })) {
      if (leaf.kind !== 'found') throw new Error('a leaf is there');
      const { path, parents: _, ...told } = leaf.document;
      await wasShown.insert([{ ...told, path: path!, attachments: [] }]);
    }
    const [ours, theirs] = [knows, wasShown].map((database) => database.leaderless?.tree);
    expect(await theirs?.sums(0, [0])).toEqual(await ours?.sums(0, [0]));
  });

  it('is refused when its parents cannot be', async () => {
    const database = await openLeaderlessDatabase();
    const wrong = [
      [`1-${a}`, `1-${b}`],
      [`1-${b}`, `2-${a}`],
      [`1-${b}`, 'x'],
    ] as unknown as Revision[][];
    for (const parentsOf of wrong) {
      expect(await database.insert([{ ...merge, parents: parentsOf }])).toMatchObject([
        { error: { status: 400 } },
      ]);
    }
  });
});
