import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failure } from '../errors.ts';
import { bucketOf, contributionOf, idDigestOf, Sums } from '../replication/hash-buckets.ts';
import { digest128 } from '../runtime/digest.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import type { BucketEntry, HashTree } from './hash-tree.ts';
import { arrival, edit, openLeaderlessDatabase, openTestDatabase, write } from './test-database.ts';

const ids = ['a', 'b', 'c', 'ü'];
const digests = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32));

/** Newest first. What a revision is says what it came from, as real digests do. */
function pathOf(choices: readonly number[]): readonly string[] {
  return choices.map((_, place) => digest128(Buffer.from(choices.slice(place).join())));
}

function treeOf(database: Database): HashTree {
  if (database.leaderless === undefined) throw new Error('the database has no hash tree');
  return database.leaderless.tree;
}

async function rootOf(database: Database): Promise<string> {
  const [root] = await treeOf(database).sums(0, [0]);
  return root!;
}

/** What the root has to be, from what can be read, without any of what is kept for the tree. */
async function rootFromScratch(database: Database): Promise<string> {
  const sums = new Sums(1);
  const feed = database.changes({ since: '0', style: 'all_docs' });
  for await (const { rows } of feed) {
    for (const { id, revisions } of rows) {
      sums.add(0, contributionOf(idDigestOf(id, digest128), revisions, digest128));
    }
  }
  return sums.hex(0);
}

async function entriesOf(database: Database, bucketIds: readonly string[]): Promise<BucketEntry[]> {
  const buckets = new Set(bucketIds.map((id) => bucketOf(idDigestOf(id, digest128))));
  const entries = [];
  for (const bucket of buckets) entries.push(...(await treeOf(database).entries(bucket)));
  return entries;
}

type Step =
  | { readonly kind: 'edit'; readonly id: string; readonly n: number; readonly deleted: boolean }
  | { readonly kind: 'insert'; readonly id: string; readonly path: readonly number[] }
  | { readonly kind: 'purge'; readonly id: string }
  | { readonly kind: 'compact' | 'refused' | 'crash' };

const id = fc.constantFrom(...ids);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('edit' as const), id, n: fc.nat(3), deleted: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: fc.constant('insert' as const), id },
      path: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('purge' as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('compact' as const, 'refused', 'crash') }) },
);

/** A leaderless database that steps happen to: the disk may refuse, and lose what was not durable. */
class History {
  #isRefusing = false;
  #store = createMemoryStore({
    sync: async () => {
      if (this.#isRefusing) throw failure('insufficient_storage');
    },
  });
  database!: Database;

  async open(): Promise<void> {
    this.database = await openLeaderlessDatabase({ store: this.#store });
  }

  async take(one: Step): Promise<void> {
    const { database } = this;
    switch (one.kind) {
      case 'edit': {
        const now = database.read(one.id, { path: true });
        const base = now.kind === 'found' ? now.document.revision : undefined;
        await database.edit([edit(one.id, { n: one.n }, base, one.deleted && base !== undefined)]);
        return;
      }
      case 'insert': {
        const path = pathOf(one.path);
        await database.insert([arrival(one.id, path.length, path, {}, one.path.length === 3)]);
        return;
      }
      case 'purge': {
        const leaves = database.readOpenRevisions(one.id, 'all');
        const revisions = leaves.flatMap((leaf) => (leaf.kind === 'found' ? [leaf.document.revision] : []));
        await database.purge(new Map([[one.id, revisions.slice(0, 2)]]));
        return;
      }
      case 'compact':
        database.compact();
        await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
        return;
      case 'refused': {
        this.#isRefusing = true;
        await expect(database.edit([edit('refused', {})])).rejects.toMatchObject({ status: 507 });
        this.#isRefusing = false;
        return;
      }
      case 'crash':
        this.#store = this.#store.crash();
        await this.open();
    }
  }
}

describe('the hash tree of a leaderless database', () => {
  it('is that of its documents after any history, and after a crash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.boolean(), async (steps, isWatched) => {
        const history = new History();
        await history.open();
        for (const one of steps) {
          await history.take(one);
          if (isWatched) expect(await rootOf(history.database)).toBe(await rootFromScratch(history.database));
        }
        expect(await rootOf(history.database)).toBe(await rootFromScratch(history.database));
        await history.take({ kind: 'crash' });
        expect(await rootOf(history.database)).toBe(await rootFromScratch(history.database));
      }),
      { numRuns: 25 },
    );
  });

  it('is equal for equal contents, in whatever order they came', async () => {
    const revision = fc.record({ id, path: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(revision, { maxLength: 10 }),
        fc.infiniteStream(fc.nat()),
        async (all, order) => {
          const arrivals = all.map((one) => {
            const path = pathOf(one.path);
            return arrival(one.id, path.length, path);
          });
          const shuffled = arrivals
            .map((value) => ({ value, place: order.next().value as number }))
            .sort((a, b) => a.place - b.place);
          const [left, right] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
          await left.insert(arrivals);
          for (const { value } of shuffled) await right.insert([value]);
          expect(await rootOf(right)).toBe(await rootOf(left));
          expect(await entriesOf(right, ids)).toEqual(await entriesOf(left, ids));
        },
      ),
      { numRuns: 25 },
    );
  });

  it('leads from the root to the one bucket that differs', async () => {
    const [left, right] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const same = Array.from({ length: 50 }, (_, n) => arrival(`doc-${n}`, 1, [digests[0]!]));
    await left.insert(same);
    await right.insert(same);
    await right.insert([arrival('doc-7', 2, [digests[1]!, digests[0]!])]);
    let [index] = [0];
    for (let level = 1; level <= 4; level++) {
      const children = Array.from({ length: 16 }, (_, child) => index * 16 + child);
      const theirs = await treeOf(right).sums(level, children);
      const ours = await treeOf(left).sums(level, children);
      const differing = children.filter((_, place) => ours[place] !== theirs[place]);
      expect(differing).toHaveLength(1);
      index = differing[0]!;
    }
    expect(index).toBe(bucketOf(idDigestOf('doc-7', digest128)));
    expect(await treeOf(right).entries(index)).toEqual([
      { kind: 'document', id: 'doc-7', leaves: [`2-${digests[1]}`] },
    ]);
  });

  it('has nodes that can be asked for, and no others', async () => {
    const tree = treeOf(await openLeaderlessDatabase());
    expect(await tree.sums(4, [65_535])).toEqual(['0'.repeat(32)]);
    for (const [level, index] of [
      [5, 0],
      [-1, 0],
      [0.5, 0],
      [0, 1],
      [4, 65_536],
      [2, -1],
      [2, 0.5],
    ] as const) {
      expect(() => tree.sums(level, [index])).toThrow('The hash tree has no such node.');
    }
  });

  it('survives that its deltas are folded, and a crash right before and after', async () => {
    let store = createMemoryStore();
    let database = await openLeaderlessDatabase({ store });
    const recordsOf = async (kind: number) => {
      let records = 0;
      for await (const entries of store.scan({ from: Uint8Array.of(0x44), to: Uint8Array.of(0x45) }))
        records += entries.filter(({ key }) => key[5] === kind).length;
      return records;
    };
    const turns = 4_096;
    for (let n = 0; n < turns; n++) await write(database, `doc-${n}`, { n });
    expect([await recordsOf(0x6a), await recordsOf(0x74)]).toEqual([turns, 0]);
    for (const deltas of [1, 2, 3]) {
      store = store.crash();
      database = await openLeaderlessDatabase({ store });
      expect(await rootOf(database)).toBe(await rootFromScratch(database));
      await write(database, `later-${deltas}`, {});
      expect(await rootOf(database)).toBe(await rootFromScratch(database));
      expect(await recordsOf(0x6a)).toBe(deltas);
      expect(await recordsOf(0x74)).toBeGreaterThan(200);
    }
  });

  it('is not kept by a database that is not leaderless', async () => {
    const store = createMemoryStore();
    const database = await openTestDatabase(store);
    await write(database, 'x', {});
    expect(database.leaderless).toBeUndefined();
    let keys = 0;
    for await (const entries of store.scan({ from: Uint8Array.of(0x44), to: Uint8Array.of(0x45) }))
      keys += entries.filter(({ key }) => [0x74, 0x6a, 0x64, 0x69].includes(key[5]!)).length;
    expect(keys).toBe(0);
  });
});
