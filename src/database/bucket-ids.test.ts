import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, idDigestOf } from '../replication/hash-buckets.ts';
import { digest128 } from '../runtime/digest.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import type { Operation } from '../store/store.ts';
import { decodePlacedIds, encodePlacedIds, waitingMax } from './bucket-ids.ts';
import type { Database } from './database.ts';
import { arrival, openLeaderlessDatabase, write } from './test-database.ts';

const digest = 'a'.repeat(32);
const bucketOfId = (id: string) => bucketOf(idDigestOf(id, digest128));

async function idsBeside(database: Database, id: string): Promise<string[]> {
  const entries = (await database.leaderless?.tree.entries(bucketOfId(id))) ?? [];
  return entries.flatMap((entry) => (entry.kind === 'document' ? [entry.id] : []));
}

/** Records of the database whose keys are of this kind. */
async function recordsOf(store: MemoryStore, kind: string) {
  const found = [];
  for await (const entries of store.scan({ from: Uint8Array.of(0x44), to: Uint8Array.of(0x45) }))
    found.push(...entries.filter(({ key }) => key[5] === kind.charCodeAt(0)));
  return found;
}

/** The database on its disk with so many documents that their ids were gathered, and as it is after a crash. */
async function openedLarge(): Promise<{ readonly store: MemoryStore; readonly database: Database }> {
  const store = createMemoryStore();
  const database = await openLeaderlessDatabase({ store });
  const arrivals = Array.from({ length: waitingMax + 1 }, (_, n) => arrival(`doc-${n}`, 1, [digest]));
  await database.insert(arrivals.slice(1));
  expect(await recordsOf(store, 'i')).toHaveLength(0);
  await database.insert(arrivals.slice(0, 1));
  expect((await recordsOf(store, 'i')).length).toBeGreaterThan(2_000);
  const crashed = store.crash();
  return { store: crashed, database: await openLeaderlessDatabase({ store: crashed }) };
}

describe('the ids of a bucket', () => {
  it('are read as they were written', () => {
    const placed = fc.record({
      bucket: fc.nat(65_535),
      id: fc.oneof(fc.string({ minLength: 1 }), fc.string({ minLength: 100, maxLength: 20_000 })),
    });
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 5 }), fc.nat(9), (ids, room) => {
        const told = ids.filter(({ id }) => id.isWellFormed());
        const bytes = encodePlacedIds(told, room);
        expect(decodePlacedIds(bytes, room)).toEqual(told);
        const [first] = told;
        const alike = told.filter(({ bucket }) => bucket === first?.bucket);
        expect(decodePlacedIds(bytes, room, first?.bucket)).toEqual(alike);
      }),
    );
  });

  it('are found wherever they are kept, and no more once a document is gone', async () => {
    const { store, database } = await openedLarge();
    expect(await idsBeside(database, 'doc-7')).toContain('doc-7');
    await write(database, 'late', {});
    expect(await idsBeside(database, 'late')).toContain('late');
    await database.purge(new Map([['doc-7', [`1-${digest}`]]]));
    expect(await idsBeside(database, 'doc-7')).not.toContain('doc-7');
    const isNamed = async () => {
      const records = await recordsOf(store, 'i');
      return records.some(({ value }) => decodePlacedIds(value, 0).some(({ id }) => id === 'doc-7'));
    };
    expect(await isNamed()).toBe(true);
    database.compact();
    await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
    expect(await isNamed()).toBe(false);
    expect(await idsBeside(database, 'doc-8')).toContain('doc-8');
    await database.insert([arrival('doc-7', 1, [digest])]);
    expect(await idsBeside(database, 'doc-7')).toContain('doc-7');
  });

  it('are understood as earlier builds wrote them, with their deltas', async () => {
    const store = createMemoryStore();
    const database = await openLeaderlessDatabase({ store });
    await write(database, 'old-1', {});
    await write(database, 'old-2', {});
    const roots = database.leaderless?.tree.sums(0, [0]);
    const operations: Operation[] = [];
    for (const { key, value } of await recordsOf(store, 'j')) {
      const bytes = Buffer.from(value);
      const sums = bytes.subarray(4, 4 + 18 * bytes.readUInt32BE());
      operations.push(
        { kind: 'delete', key },
        { kind: 'put', key: ofKind(key, 'd', key.subarray(6)), value: sums },
      );
      for (const { bucket, id } of decodePlacedIds(bytes, 4 + sums.length)) {
        const place = Buffer.concat([Uint8Array.of(bucket >>> 8, bucket), Buffer.from(id)]);
        operations.push({ kind: 'put', key: ofKind(key, 'i', place), value: new Uint8Array(0) });
      }
    }
    expect(operations).toHaveLength(6);
    await store.commit(operations);
    const again = await openLeaderlessDatabase({ store: store.crash() });
    expect(again.leaderless?.tree.sums(0, [0])).toEqual(roots);
    expect(await idsBeside(again, 'old-1')).toEqual(['old-1']);
    await write(again, 'new', {});
    for (const id of ['old-1', 'old-2', 'new']) expect(await idsBeside(again, id)).toEqual([id]);
  });
});

function ofKind(key: Uint8Array, kind: string, place: Uint8Array): Uint8Array {
  return Buffer.concat([key.subarray(0, 5), Buffer.from(kind), place]);
}
