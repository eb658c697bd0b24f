import { expect, test } from 'vitest';
import { failure } from '../errors.ts';
import { createMemoryStore } from './memory-store.ts';
import type { Operation } from './store.ts';

const key = (number: number): Uint8Array => Uint8Array.of(1, number);
const put = (number: number): Operation => ({ kind: 'put', key: key(number), value: key(number) });

test('a crash drops what was not durable, and its callers hear nothing', async () => {
  const syncs: (() => void)[] = [];
  const store = createMemoryStore({ sync: () => new Promise((resolve) => syncs.push(resolve)) });
  const durable = store.commit([put(1)]);
  await Promise.resolve();
  syncs[0]!();
  await durable;
  const heard: string[] = [];
  store.commit([put(2)]).then(
    () => heard.push('resolved'),
    () => heard.push('rejected'),
  );
  await Promise.resolve();
  const survivor = store.crash();
  syncs[1]!();
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual([]);
  expect(survivor.get(key(1))).toEqual(key(1));
  expect(survivor.get(key(2))).toBeUndefined();
  expect(() => store.get(key(1))).toThrow('the store is crashed');
});

test('nothing is visible before the sync has ended', async () => {
  const syncs: (() => void)[] = [];
  const store = createMemoryStore({ sync: () => new Promise((resolve) => syncs.push(resolve)) });
  const committed = store.commit([put(1)]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(store.get(key(1))).toBeUndefined();
  syncs[0]!();
  await committed;
  expect(store.get(key(1))).toEqual(key(1));
});

test('a sync that fails refuses the commit, leaves no trace, and shows in the health until one succeeds', async () => {
  let full = true;
  const store = createMemoryStore({
    sync: async () => {
      if (full) throw failure('insufficient_storage');
    },
  });
  await expect(store.commit([put(1)])).rejects.toMatchObject({ code: 'insufficient_storage' });
  expect(store.get(key(1))).toBeUndefined();
  expect(store.health()).toMatchObject({ kind: 'read_only', cause: 'disk_full' });
  full = false;
  await store.commit([put(2)]);
  expect(store.health()).toEqual({ kind: 'writable' });
});

test('the caller may reuse its buffers once a commit has resolved', async () => {
  const store = createMemoryStore();
  const buffer = Uint8Array.of(7);
  await store.commit([{ kind: 'put', key: buffer, value: buffer }]);
  buffer[0] = 8;
  expect(store.get(Uint8Array.of(7))).toEqual(Uint8Array.of(7));
});
