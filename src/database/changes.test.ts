import { describe, expect, it } from 'vitest';
import type { Database } from './database.ts';
import type { ChangesQuery } from './model.ts';
import { arrival, collect, collectChanges, edit, openTestDatabase, write } from './test-database.ts';

async function filled(count: number): Promise<Database> {
  const database = await openTestDatabase();
  await database.edit(
    Array.from({ length: count }, (_, n) => edit(`doc-${String(n).padStart(5, '0')}`, { n })),
  );
  return database;
}

function read(database: Database, query: Partial<ChangesQuery> = {}) {
  return collectChanges(database.changes({ since: '0', style: 'main_only', ...query }));
}

describe('The changes feed', () => {
  it('has each document once, at its latest change', async () => {
    const database = await filled(3);
    const first = await database.read('doc-00000');
    await write(
      database,
      'doc-00000',
      { again: true },
      first.kind === 'found' ? first.document.revision : '',
    );
    const { rows } = await read(database);
    expect(rows.map((row) => row.id)).toEqual(['doc-00001', 'doc-00002', 'doc-00000']);
  });

  it('lets others through while a filter looks at documents', async () => {
    const database = await filled(500);
    let inTurn = 0;
    let most = 0;
    const matches = (): boolean => {
      if (inTurn === 0) {
        setImmediate(() => {
          inTurn = 0;
        });
      }
      inTurn += 1;
      most = Math.max(most, inTurn);
      return false;
    };
    expect((await read(database, { filter: { kind: 'matcher', matches } })).rows).toEqual([]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(100);
  });

  it('goes on after any token it gave, and counts what is pending', async () => {
    const database = await filled(700);
    let since = '0';
    const seen: string[] = [];
    for (let left = 700; left > 0; left -= 100) {
      const { rows, lastSequence, pending } = await read(database, { since, limit: 100 });
      seen.push(...rows.map((row) => row.id));
      expect(pending).toBe(left - 100);
      since = lastSequence;
    }
    expect(new Set(seen).size).toBe(700);
    expect((await read(database, { since })).rows).toEqual([]);
  });

  it('rewinds on a token of another database and refuses what is no token', async () => {
    const database = await filled(3);
    const foreign = (await filled(9)).currentSequence();
    expect((await read(database, { since: foreign })).rows).toHaveLength(3);
    expect((await read(database, { since: database.currentSequence() })).rows).toEqual([]);
    expect((await read(database, { since: 'now' })).rows).toEqual([]);
    expect(() => database.changes({ since: 'what?', style: 'main_only' })).toThrow('Malformed sequence');
  });

  it('holds a few heavy documents at a time, and every batch can be gone on from', async () => {
    const database = await openTestDatabase();
    const text = 'x'.repeat(200_000);
    await database.edit(Array.from({ length: 12 }, (_, n) => edit(`doc-${n}`, { text })));
    const seen: number[] = [];
    const query = { since: '0', style: 'main_only', includeDocuments: true } as const;
    for await (const { rows, lastSequence, pending } of database.changes(query)) {
      seen.push(rows.length);
      const left = 12 - seen.reduce((sum, count) => sum + count, 0);
      expect(pending).toBe(left);
      expect((await read(database, { since: lastSequence })).rows).toHaveLength(left);
    }
    expect(seen).toEqual([3, 3, 3, 3, 0]);
  });

  it('reads backwards', async () => {
    const { rows } = await read(await filled(5), { descending: true, limit: 2 });
    expect(rows.map((row) => row.id)).toEqual(['doc-00004', 'doc-00003']);
  });

  it('lists every leaf on request, also of a document with more leaves than a change repeats', async () => {
    const database = await openTestDatabase();
    const branches = Array.from({ length: 70 }, (_, n) =>
      arrival('x', 2, [String(n).padStart(32, '0'), 'a'.repeat(32)]),
    );
    await database.insert(branches);
    const [row] = (await read(database, { style: 'all_docs' })).rows;
    expect(row?.revisions).toHaveLength(70);
    expect(row?.revisions[0]).toBe(`2-${'69'.padStart(32, '0')}`);
  });

  it('filters by ids and by what a document says, and counts the limit after filtering', async () => {
    const database = await filled(50);
    const ids = new Set(['doc-00007', 'doc-00030']);
    expect((await read(database, { filter: { kind: 'ids', ids } })).rows.map((row) => row.id)).toEqual([
      ...ids,
    ]);
    const odd = {
      kind: 'matcher',
      matches: (document: { id: string }) => /[13579]$/.test(document.id),
    } as const;
    const { rows } = await read(database, { filter: odd, limit: 3 });
    expect(rows.map((row) => row.id)).toEqual(['doc-00001', 'doc-00003', 'doc-00005']);
  });

  it('carries the documents of tombstones too', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 1, ['a'.repeat(32)], { why: 'gone' }, true)]);
    const [row] = (await read(database, { includeDocuments: true })).rows;
    expect(row).toMatchObject({ deleted: true, document: { deleted: true } });
  });

  it('stays open when live, wakes at a commit and ends at the abort', async () => {
    const database = await filled(1);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const batch of database.changes({
      since: '0',
      style: 'main_only',
      live: true,
      signal: stop.signal,
    })) {
      seen.push(...batch.rows.map((row) => row.id));
      if (batch.rows.length === 0 && seen.length === 1) void write(database, 'later', {});
      if (seen.includes('later')) stop.abort();
    }
    expect(seen).toEqual(['doc-00000', 'later']);
  });
});

describe('The list of all documents', () => {
  it('is in the order of ids, in the stretch and direction asked for', async () => {
    const database = await filled(10);
    const ids = async (query: Parameters<Database['allDocuments']>[0]) =>
      (await collect(database.allDocuments(query))).map((row) => Number(row.id.slice(4)));
    expect(await ids({ startKey: 'doc-00003', endKey: 'doc-00005' })).toEqual([3, 4, 5]);
    expect(await ids({ startKey: 'doc-00003', endKey: 'doc-00005', inclusiveEnd: false })).toEqual([3, 4]);
    expect(await ids({ startKey: 'doc-00005', endKey: 'doc-00003', descending: true })).toEqual([5, 4, 3]);
    expect(
      await ids({ startKey: 'doc-00005', endKey: 'doc-00003', descending: true, inclusiveEnd: false }),
    ).toEqual([5, 4]);
    expect(await ids({ skip: 2, limit: 3 })).toEqual([2, 3, 4]);
    expect(await ids({ startKey: 'doc-00005', endKey: 'doc-00003' })).toEqual([]);
    expect(await ids({ limit: 0 })).toEqual([]);
  });

  it('answers keys in their order, deleted and unknown ones too', async () => {
    const database = await filled(2);
    await database.insert([arrival('gone', 1, ['a'.repeat(32)], {}, true)]);
    const rows = database.allDocumentsByIds(['gone', 'doc-00001', 'nobody']);
    expect(rows.map((row) => row && [row.id, row.deleted])).toEqual([
      ['gone', true],
      ['doc-00001', false],
      undefined,
    ]);
  });
});
