/** What a database says and keeps when something goes wrong half-way, or happens in the worst moment. */

import { describe, expect, it } from 'vitest';
import { failure } from '../errors.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import type { KeyRange } from '../store/store.ts';
import type { Database } from './database.ts';
import {
  arrival,
  collectChanges,
  edit,
  openTestDatabase,
  openTestDatabases,
  write,
} from './test-database.ts';

const a = 'a'.repeat(32);
const b = 'b'.repeat(32);

async function* streamOf(...parts: readonly string[]): AsyncIterable<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function contentOf(database: Database, blob: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of database.readBlob(blob)) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function compacted(database: Database): Promise<void> {
  database.compact();
  await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
}

describe('A disk that fails in the middle', () => {
  it('fails the rows of the parts it refused, and only those', async () => {
    let commits = 0;
    const store = createMemoryStore({
      sync: async () => {
        commits += 1;
        if (commits === 4) throw failure('insufficient_storage');
      },
    });
    const database = await openTestDatabase(store);
    commits = 2;
    const filler = 'f'.repeat(30_000);
    const documents = Array.from({ length: 1_000 }, (_, n) => edit(`doc-${n}`, { n, filler }));
    const outcomes = await database.edit(documents);
    const written = outcomes.filter((outcome) => outcome.kind === 'written').length;
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(1_000);
    expect(database.documentCount()).toBe(written);
    const failed = outcomes.find((outcome) => outcome.kind === 'failed');
    expect(failed).toMatchObject({ error: { status: 507 } });
    expect(database.read(failed?.id ?? '')).toEqual({ kind: 'missing' });
  });

  it('leaves nothing of a write that failed half-way, and everything of its neighbours', async () => {
    const store = createMemoryStore();
    const database = await openTestDatabase(store);
    const get = store.get.bind(store);
    let reads = 0;
    store.get = (key) => {
      reads += 1;
      if (reads === 6) throw failure('disk_failure');
      return get(key);
    };
    const half = database.edit(Array.from({ length: 10 }, (_, n) => edit(`half-${n}`, {})));
    const whole = database.edit([edit('neighbour', {})]);
    await expect(half).rejects.toMatchObject({ error: 'disk_failure' });
    expect(await whole).toMatchObject([{ kind: 'written' }]);
    await database.ensureFullCommit();
    expect(database.documentCount()).toBe(1);
  });
});

describe('Compaction in the worst moment', () => {
  /** Runs `meanwhile` once, right after a scan that covers bodies has been read to its end. */
  function interrupt(store: MemoryStore, meanwhile: () => Promise<void>): void {
    const scan = store.scan.bind(store);
    let pending: (() => Promise<void>) | undefined = meanwhile;
    store.scan = (range: KeyRange, options) => {
      const entries = scan(range, options);
      if (range.from[5] !== 0x62 || options?.keysOnly === true) return entries;
      return (async function* () {
        yield* entries;
        const run = pending;
        pending = undefined;
        await run?.();
      })();
    };
  }

  it('keeps the attachment of a winner that is displaced while names are looked up', async () => {
    let now = 0;
    const store = createMemoryStore();
    const database = await openTestDatabase(store, { ...systemClock, monotonic: () => now });
    const blob = await database.storeBlob(streamOf('kept'), 1e9);
    const attachments = [{ kind: 'stored', name: 'f', contentType: 'text/plain', blob }] as const;
    await database.insert([{ ...arrival('x', 1, [a]), attachments }]);
    now += 4_000_000;
    interrupt(store, async () => {
      await database.insert([arrival('x', 1, [b])]);
    });
    await compacted(database);
    expect(await contentOf(database, blob.blob)).toBe('kept');
  });

  it('keeps content that a write names again while names are looked up, or refuses the write', async () => {
    let now = 0;
    const store = createMemoryStore();
    const database = await openTestDatabase(store, { ...systemClock, monotonic: () => now });
    const blob = await database.storeBlob(streamOf('named late'), 1e9);
    now += 4_000_000;
    const attachments = [{ kind: 'stored', name: 'f', contentType: 'text/plain', blob }] as const;
    interrupt(store, async () => {
      expect(await database.edit([{ ...edit('x', {}), attachments }])).toMatchObject([{ kind: 'written' }]);
    });
    await compacted(database);
    expect(await contentOf(database, blob.blob)).toBe('named late');
    await compacted(database);
    expect(await contentOf(database, blob.blob)).toBe('named late');
  });

  it('refuses a write that names content which is gone', async () => {
    const database = await openTestDatabase();
    const blob = { blob: '0'.repeat(64), digest: 'md5-x', length: 3 };
    const attachments = [{ kind: 'stored', name: 'f', contentType: 'text/plain', blob }] as const;
    const outcomes = await database.edit([{ ...edit('x', {}), attachments }]);
    expect(outcomes).toMatchObject([{ kind: 'failed', error: { status: 412 } }]);
  });
});

describe('A database that is deleted', () => {
  it('ends uploads on their way, and none of their content stays', async () => {
    const store = createMemoryStore();
    const databases = await openTestDatabases(store);
    const database = await databases.create('x');
    let deleted: Promise<void> | undefined;
    async function* slow(): AsyncIterable<Uint8Array> {
      yield Buffer.alloc(600_000);
      deleted = databases.delete('x');
      await expect.poll(() => databases.has('x')).toBe(false);
      yield Buffer.alloc(600_000);
    }
    await expect(database.storeBlob(slow(), 1e9)).rejects.toMatchObject({ status: 404 });
    await deleted;
    await databases.close();
    const everything = { from: Uint8Array.of(0x44), to: Uint8Array.of(0x45) };
    expect(await store.approximateBytes(everything)).toBe(0);
  });
});

describe('What is no document', () => {
  it('cannot be written under a local id by an edit or a replication', async () => {
    const database = await openTestDatabase();
    expect(await database.edit([edit('_local/x', {})])).toMatchObject([
      { kind: 'failed', error: { status: 400 } },
    ]);
    expect(await database.insert([arrival('_local/x', 1, [a])])).toMatchObject([{ error: { status: 400 } }]);
  });
});

describe('The last sequence of a feed read backwards', () => {
  it('is that of its last row', async () => {
    const database = await openTestDatabase();
    for (const id of ['x', 'y', 'z']) await write(database, id, {});
    const query = { since: '0', style: 'main_only', descending: true, limit: 1 } as const;
    const { rows, lastSequence, pending } = await collectChanges(database.changes(query));
    expect({ lastSequence, pending }).toEqual({ lastSequence: rows[0]?.sequence, pending: 0 });
    expect(lastSequence).toBe(database.currentSequence());
  });
});
