import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import { arrival, openTestDatabases } from '../database/test-database.ts';
import type { Revision } from '../document/revision.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import type { TransferAttachment, TransferDocument } from './endpoint.ts';
import { LocalEndpoint } from './local-endpoint.ts';

const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string];
const { signal } = new AbortController();

let databases: Databases;
let target: Database;
let endpoint: LocalEndpoint;
let store: MemoryStore;
let elapsedMs: number;
const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + elapsedMs };

beforeEach(async () => {
  elapsedMs = 0;
  store = createMemoryStore();
  databases = await openTestDatabases(store, clock);
  target = await databases.create('target');
  endpoint = new LocalEndpoint({
    databases,
    name: 'target',
    identity: '',
    selection: {},
    createDatabase: undefined,
  });
});

afterEach(() => databases.close());

async function* bytes(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

/** An attachment that says `text`, as a source would announce it. */
async function attachment(
  name: string,
  text: string,
  before?: () => Promise<void>,
): Promise<TransferAttachment> {
  const { digest, length } = await (await databases.create(`of-${name}-${text}`)).storeBlob(
    bytes(text),
    1_000,
  );
  const open = async function* () {
    await before?.();
    yield* bytes(text);
  };
  return { name, contentType: 'text/plain', length, digest, revpos: 1, open };
}

function document(ids: readonly string[], attachments: readonly TransferAttachment[]): TransferDocument {
  const path = { start: ids.length, ids };
  const revision = `${ids.length}-${ids[0]}` as Revision;
  return { id: 'x', revision, path, deleted: false, body: Buffer.from('{}'), attachments };
}

async function contentOf(revision: string, name: string): Promise<string> {
  const [leaf] = target.readOpenRevisions('x', [revision]);
  const stub =
    leaf?.kind === 'found' ? leaf.document.attachments.find((one) => one.name === name) : undefined;
  const parts: Uint8Array[] = [];
  for await (const part of target.readBlob(stub!.blob)) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** The disk has lost a content. */
async function forget(blob: string): Promise<void> {
  const everything = { from: new Uint8Array(0), to: Uint8Array.of(255) };
  for await (const entries of store.scan(everything)) {
    const lost = entries.filter(({ key }) => Buffer.from(key).includes(Buffer.from(blob, 'hex')));
    await store.commit(lost.map(({ key }) => ({ kind: 'delete', key })));
  }
}

test('an attachment that a leaf has already is not read again', async () => {
  const one = await attachment('one', 'text');
  await endpoint.writeDocuments([document([a], [one])], signal);
  const unread = { ...one, open: () => bytes('text that nobody should ask for') };
  expect(await endpoint.writeDocuments([document([b, a], [unread])], signal)).toMatchObject({ written: 1 });
  expect(await contentOf(`2-${b}`, 'one')).toBe('text');
});

test('an attachment whose leaf is replaced and compacted before the write is read after all', async () => {
  const one = await attachment('one', 'text');
  await endpoint.writeDocuments([document([a], [one])], signal);
  let isReplaced = false;
  const two = await attachment('two', 'more', async () => {
    if (isReplaced) return;
    isReplaced = true;
    await target.insert([arrival('x', 2, [c, a])]);
    elapsedMs += 4_000_000;
    target.compact();
    while ((await target.info()).compactRunning) await new Promise((resolve) => setTimeout(resolve, 1));
  });
  expect(await endpoint.writeDocuments([document([b, a], [one, two])], signal)).toMatchObject({
    written: 1,
    refused: [],
    failed: [],
  });
  expect(await contentOf(`2-${b}`, 'one')).toBe('text');
});

test('a document whose attachment has not the announced length fails alone', async () => {
  const short = { ...(await attachment('one', 'text')), length: 5 };
  const cut = { ...document([a], [short]), id: 'cut' };
  const report = await endpoint.writeDocuments([cut, document([a], [])], signal);
  expect(report).toMatchObject({ written: 1, refused: [], failed: [{ id: 'cut', revision: `1-${a}` }] });
});

test('a document whose attachment the source has lost fails alone', async () => {
  const source = await databases.create('source');
  const blob = await source.storeBlob(bytes('text'), 1_000);
  const lost = { kind: 'stored', name: 'one', contentType: 'text/plain', blob } as const;
  await source.insert([{ ...arrival('lost', 1, [a]), attachments: [lost] }, arrival('x', 1, [a])]);
  await forget(blob.blob);
  const from = new LocalEndpoint({
    databases,
    name: 'source',
    identity: '',
    selection: {},
    createDatabase: undefined,
  });
  const wanted = new Map([
    ['lost', [`1-${a}`]],
    ['x', [`1-${a}`]],
  ]);
  for await (const { documents } of from.fetchDocuments(wanted, signal)) {
    const report = await endpoint.writeDocuments(documents, signal);
    expect(report).toMatchObject({ written: 1, refused: [], failed: [{ id: 'lost' }] });
  }
  expect(target.documentCount()).toBe(1);
});
