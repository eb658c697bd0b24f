import { describe, expect, it } from 'vitest';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import type { AttachmentEdit, BlobReference } from './model.ts';
import { bodyOf, edit, openTestDatabase, revisionOf } from './test-database.ts';

async function* streamOf(...parts: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* parts;
}

async function contentOf(
  database: Database,
  blob: string,
  range?: { start: number; end: number },
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of database.readBlob(blob, range)) parts.push(part);
  return Buffer.concat(parts);
}

function attach(blob: BlobReference, name = 'file'): AttachmentEdit {
  return { kind: 'stored', name, contentType: 'text/plain', blob };
}

async function compacted(database: Database): Promise<void> {
  database.compact();
  await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
}

describe('Attachments', () => {
  it('come out as they went in, whole and in parts, across chunks', async () => {
    const database = await openTestDatabase();
    const content = Buffer.alloc(700_000, 'tercet ');
    const blob = await database.storeBlob(streamOf(content.subarray(0, 10), content.subarray(10)), 1e9);
    expect(blob).toMatchObject({ length: 700_000, digest: expect.stringMatching(/^md5-.{22}==$/) });
    expect((await contentOf(database, blob.blob)).equals(content)).toBe(true);
    const part = await contentOf(database, blob.blob, { start: 262_140, end: 262_150 });
    expect(part.equals(content.subarray(262_140, 262_150))).toBe(true);
  });

  it('are kept once however often they arrive', async () => {
    const store = createMemoryStore();
    const database = await openTestDatabase(store);
    const content = Buffer.alloc(300_000, 'x');
    const first = await database.storeBlob(streamOf(content), 1e9);
    const { fileBytes } = await database.info();
    expect(await database.storeBlob(streamOf(content), 1e9)).toEqual(first);
    expect((await database.info()).fileBytes).toBe(fileBytes);
  });

  it('refuse more than the limit and leave nothing behind', async () => {
    const database = await openTestDatabase();
    const { fileBytes } = await database.info();
    const parts = Array.from({ length: 5 }, () => Buffer.alloc(300_000));
    await expect(database.storeBlob(streamOf(...parts), 1_000_000)).rejects.toMatchObject({ status: 413 });
    expect((await database.info()).fileBytes).toBe(fileBytes);
  });

  it('stay when an edit keeps them, and go when it does not', async () => {
    const database = await openTestDatabase();
    const blob = await database.storeBlob(streamOf(Buffer.from('hello')), 1e9);
    const first = revisionOf((await database.edit([{ ...edit('x', {}), attachments: [attach(blob)] }]))[0]);
    const keeping = { ...edit('x', { n: 2 }, first), attachments: [{ kind: 'keep', name: 'file' }] as const };
    const second = revisionOf((await database.edit([keeping]))[0]);
    const read = database.read('x');
    expect(read).toMatchObject({ document: { attachments: [{ name: 'file', revpos: 1, length: 5 }] } });
    await database.edit([edit('x', {}, second)]);
    expect(database.read('x')).toMatchObject({ document: { attachments: [] } });
  });

  it('refuse a stub of something that is not there', async () => {
    const database = await openTestDatabase();
    const [outcome] = await database.edit([
      { ...edit('x', {}), attachments: [{ kind: 'keep', name: 'file' }] },
    ]);
    expect(outcome).toMatchObject({ kind: 'failed', error: { status: 412, error: 'missing_stub' } });
  });

  it('survive compaction while a revision names them or a write is about to, and go afterwards', async () => {
    let now = 0;
    const database = await openTestDatabase(undefined, { ...systemClock, monotonic: () => now });
    const kept = await database.storeBlob(streamOf(Buffer.from('kept')), 1e9);
    const pinned = await database.storeBlob(streamOf(Buffer.from('pinned')), 1e9);
    await database.edit([
      { id: 'x', base: undefined, deleted: false, body: bodyOf({}), attachments: [attach(kept)] },
    ]);
    await compacted(database);
    expect((await contentOf(database, kept.blob)).toString()).toBe('kept');
    expect((await contentOf(database, pinned.blob)).toString()).toBe('pinned');
    now += 2 * 3_600_000;
    await compacted(database);
    expect((await contentOf(database, kept.blob)).toString()).toBe('kept');
    await expect(contentOf(database, pinned.blob)).rejects.toMatchObject({ status: 404 });
  });
});
