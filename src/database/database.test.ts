import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { failure } from '../errors.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import {
  arrival,
  bodyOf,
  bodyValue,
  collect,
  collectChanges,
  edit,
  openTestDatabase,
  openTestDatabases,
  revisionOf,
  write,
} from './test-database.ts';

const a = 'a'.repeat(32);
const b = 'b'.repeat(32);
const c = 'c'.repeat(32);

describe('Edits', () => {
  it('gives a new document a first revision, and the same edit elsewhere the same one', async () => {
    const here = await write(await openTestDatabase(), 'x', { n: 1, m: 2 });
    const there = await write(await openTestDatabase(), 'x', { m: 2, n: 1 });
    expect(here).toMatch(/^1-[0-9a-f]{32}$/);
    expect(there).toBe(here);
  });

  it('refuses an edit that names no leaf, an old leaf, or an unknown document', async () => {
    const database = await openTestDatabase();
    const first = await write(database, 'x', { n: 1 });
    await write(database, 'x', { n: 2 }, first);
    const outcomes = await database.edit([
      edit('x', { n: 3 }),
      edit('x', { n: 3 }, first),
      edit('nobody', {}, first),
    ]);
    expect(outcomes.map((outcome) => outcome.kind === 'failed' && outcome.error.error)).toEqual(
      Array(3).fill('conflict'),
    );
    expect(bodyValue(database, 'x')).toEqual({ n: 2 });
  });

  it('refuses to go on from the last generation, and lets the other documents of the request pass', async () => {
    const database = await openTestDatabase();
    const last = arrival('x', Number.MAX_SAFE_INTEGER, [a]);
    expect(await database.insert([last])).toEqual([]);
    const outcomes = await database.edit([edit('x', {}, last.revision), edit('y', {})]);
    expect(outcomes).toMatchObject([
      { kind: 'failed', id: 'x', error: { status: 400 } },
      { kind: 'written', id: 'y' },
    ]);
    expect(database.readOpenRevisions('x', 'all')).toMatchObject([{ document: { revision: last.revision } }]);
  });

  it('lets exactly one of many simultaneous edits of one revision through', async () => {
    const database = await openTestDatabase();
    const base = await write(database, 'x', {});
    const racing = Array.from({ length: 20 }, (_, n) => database.edit([edit('x', { n }, base)]));
    const outcomes = (await Promise.all(racing)).flat();
    expect(outcomes.filter((outcome) => outcome.kind === 'written')).toHaveLength(1);
    expect(database.read('x', { conflicts: true })).toHaveProperty('document.conflicts', undefined);
  });

  it('hides a deleted document, and continues its history when it is written again', async () => {
    const database = await openTestDatabase();
    const first = await write(database, 'x', {});
    const tombstone = revisionOf((await database.edit([edit('x', {}, first, true)]))[0]);
    expect(database.read('x')).toEqual({ kind: 'deleted' });
    expect(await collect(database.allDocuments({}))).toEqual([]);
    const again = await write(database, 'x', { back: true });
    expect(again).toMatch(/^3-/);
    const read = database.read('x', { path: true });
    expect(read).toMatchObject({
      document: { path: { start: 3, ids: [again, tombstone, first].map((r) => r.slice(2)) } },
    });
  });

  it('counts documents and tombstones', async () => {
    const database = await openTestDatabase();
    const first = await write(database, 'x', {});
    await write(database, 'y', {});
    await database.edit([edit('x', {}, first, true)]);
    expect(await database.info()).toMatchObject({ documentCount: 1, deletedDocumentCount: 1 });
  });

  it('keeps bodies of older revisions until compaction', async () => {
    const database = await openTestDatabase();
    const first = await write(database, 'x', { n: 1 });
    const second = await write(database, 'x', { n: 2 }, first);
    expect(bodyValue(database, 'x', first)).toEqual({ n: 1 });
    database.compact();
    await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
    expect(database.read('x', { revision: first })).toEqual({ kind: 'missing' });
    expect(database.read('x', { revisionsInfo: true })).toMatchObject({
      document: {
        revisionsInfo: [
          { revision: second, status: 'available' },
          { revision: first, status: 'missing' },
        ],
      },
    });
  });

  it('compacts by itself once superseded bodies take more room than current ones', async () => {
    const database = await openTestDatabase();
    const first = await write(database, 'x', { n: 0, filler: 'f'.repeat(4_000_000) });
    let base = first;
    for (let n = 1; n < 12; n++)
      base = await write(database, 'x', { n, filler: 'f'.repeat(4_000_000) }, base);
    await expect.poll(() => database.read('x', { revision: first }).kind).toBe('missing');
    expect(database.read('x').kind).toBe('found');
  });

  it('remembers no more ancestors than the limit', async () => {
    const database = await openTestDatabase();
    await database.setRevisionsLimit(3);
    let base: Revision | undefined;
    for (let n = 0; n < 6; n++) base = await write(database, 'x', { n }, base);
    const read = database.read('x', { path: true });
    expect(read).toMatchObject({ document: { path: { start: 6 } } });
    expect(read.kind === 'found' && read.document.path?.ids).toHaveLength(3);
  });

  it('changes nothing and says so when the disk is full', async () => {
    let full = false;
    const store = createMemoryStore({
      sync: async () => {
        if (full) throw failure('insufficient_storage');
      },
    });
    const database = await openTestDatabase(store);
    const first = await write(database, 'x', { n: 1 });
    full = true;
    await expect(database.edit([edit('x', { n: 2 }, first)])).rejects.toMatchObject({ status: 507 });
    expect(bodyValue(database, 'x')).toEqual({ n: 1 });
    full = false;
    await write(database, 'x', { n: 2 }, first);
    expect(await database.info()).toMatchObject({ documentCount: 1 });
  });
});

describe('Replicated revisions', () => {
  it('makes a conflict with the same winner whatever the order of arrival', async () => {
    const arrivals = [
      arrival('x', 2, [b, a], { n: 'b' }),
      arrival('x', 2, [c, a], { n: 'c' }),
      arrival('x', 1, [a], { n: 'a' }),
    ];
    for (const order of [arrivals, arrivals.toReversed()]) {
      const database = await openTestDatabase();
      for (const one of order) expect(await database.insert([one])).toEqual([]);
      const read = database.read('x', { conflicts: true });
      expect(read).toMatchObject({ document: { revision: `2-${c}`, conflicts: [`2-${b}`] } });
      expect(bodyValue(database, 'x', `2-${b}`)).toEqual({ n: 'b' });
    }
  });

  it('takes the same revision twice without a new change', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 1, [a])]);
    const before = database.currentSequence();
    await database.insert([arrival('x', 1, [a])]);
    expect(database.currentSequence()).toBe(before);
  });

  it('shows the other branch when the winner is deleted', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 2, [b, a], { n: 'b' }), arrival('x', 2, [c, a], { n: 'c' })]);
    await database.edit([edit('x', {}, `2-${c}`, true)]);
    expect(bodyValue(database, 'x')).toEqual({ n: 'b' });
    expect(
      database.readOpenRevisions('x', 'all').map((leaf) => leaf.kind === 'found' && leaf.document.deleted),
    ).toEqual([false, true]);
  });

  it('tells what is missing, with possible ancestors', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 1, [a])]);
    const wanted = new Map([
      ['x', [`1-${a}`, `2-${b}`]],
      ['y', [`1-${c}`]],
      ['z', []],
    ]);
    expect([...database.revisionsDifference(wanted)]).toEqual([
      ['x', { missing: [`2-${b}`], possibleAncestors: [`1-${a}`] }],
      ['y', { missing: [`1-${c}`], possibleAncestors: [] }],
    ]);
  });

  it('follows an asked-for revision to the leaf it became', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 3, [c, b, a], { n: 3 })]);
    const rows = database.readOpenRevisions('x', [`1-${a}`, `2-${b}`], { latest: true });
    expect(rows).toMatchObject([{ kind: 'found', document: { revision: `3-${c}` } }]);
  });
});

describe('Purge', () => {
  it('removes a document as if it had never been', async () => {
    const database = await openTestDatabase();
    const revision = await write(database, 'x', {});
    const { purged } = await database.purge(
      new Map([
        ['x', [revision, `9-${a}`]],
        ['y', [revision]],
      ]),
    );
    expect([...purged]).toEqual([
      ['x', [revision]],
      ['y', []],
    ]);
    expect(database.read('x')).toEqual({ kind: 'missing' });
    expect(await database.info()).toMatchObject({ documentCount: 0, deletedDocumentCount: 0 });
    expect((await collectChanges(database.changes({ since: '0', style: 'main_only' }))).rows).toEqual([]);
  });

  it('leaves other branches', async () => {
    const database = await openTestDatabase();
    await database.insert([arrival('x', 2, [b, a], { n: 'b' }), arrival('x', 2, [c, a], { n: 'c' })]);
    await database.purge(new Map([['x', [`2-${c}`]]]));
    expect(bodyValue(database, 'x')).toEqual({ n: 'b' });
  });
});

describe('Databases', () => {
  it('come back after a crash with everything that was acknowledged', async () => {
    const store = createMemoryStore();
    const database = await openTestDatabase(store);
    const first = await write(database, 'x', { n: 1 });
    await write(database, 'x', { n: 2 }, first);
    await database.writeLocal('checkpoint', undefined, bodyOf({ at: 7 }));
    await database.setRevisionsLimit(7);
    const reopened = (await openTestDatabases(store.crash())).get('test');
    expect(bodyValue(reopened, 'x')).toEqual({ n: 2 });
    expect(reopened.currentSequence()).toBe(database.currentSequence());
    expect(reopened.readLocal('checkpoint')).toMatchObject({ revision: '0-1' });
    expect(reopened.revisionsLimit()).toBe(7);
  });

  it('refuse bad and taken names', async () => {
    const databases = await openTestDatabases();
    await databases.create('good/name');
    await expect(databases.create('good/name')).rejects.toMatchObject({ status: 412 });
    for (const name of ['', 'Big', '_other', '1st', 'a b', 'é', '../x', 'a'.repeat(239)]) {
      await expect(databases.create(name), name).rejects.toMatchObject({ error: 'illegal_database_name' });
    }
  });

  it('keep one that the group creates while a request deletes what is no database yet', async () => {
    const databases = await openTestDatabases();
    const replication = { strategy: 'multi-leader', reference: 1, identity: 'aa' } as const;
    const creating = databases.create('x', { incarnation: 'ab', replication });
    await expect(databases.delete('x')).rejects.toMatchObject({ error: 'not_found' });
    await creating;
    expect(databases.has('x')).toBe(true);
    await databases.drop('x', []);
    expect(databases.has('x')).toBe(false);
  });

  it('free a deleted name at once, and none of the old data shows again', async () => {
    const databases = await openTestDatabases();
    const old = await databases.create('x');
    await write(old, 'doc', {});
    const token = old.currentSequence();
    await databases.delete('x');
    expect(() => old.read('doc')).toThrow('Database does not exist.');
    const fresh = await databases.create('x');
    expect(fresh.read('doc')).toEqual({ kind: 'missing' });
    await write(fresh, 'new', {});
    const rows = (await collectChanges(fresh.changes({ since: token, style: 'main_only' }))).rows;
    expect(rows.map((row) => row.id)).toEqual(['new']);
  });
});
