/** The promises of src/store/store.ts as one suite; every implementation runs it. */

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Entry, KeyRange, Operation, ScanOptions, Store } from '../../src/store/store.ts';

/** One implementation under test, from an empty place. */
export interface StoreHarness {
  readonly open: () => Promise<Store>;
  /** Ends the process's hold on the store as a crash would, or closes it, and opens what is durable. */
  readonly reopen: (store: Store) => Promise<Store>;
  /** Groups of commits made durable so far, each with one fsync. */
  readonly syncCount: (store: Store) => number;
  readonly remove: () => Promise<void>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);
const put = (key: string, value: string): Operation => ({
  kind: 'put',
  key: bytes(key),
  value: bytes(value),
});
const del = (key: string): Operation => ({ kind: 'delete', key: bytes(key) });
const range = (from: string, to: string): KeyRange => ({ from: bytes(from), to: bytes(to) });
const everything: KeyRange = { from: new Uint8Array(0), to: new Uint8Array(64).fill(0xff) };

export function describeStore(name: string, createHarness: () => Promise<StoreHarness>): void {
  describe(name, () => {
    let harness: StoreHarness;
    let store: Store;
    const hand: Hand = {
      store: () => store,
      syncCount: () => harness.syncCount(store),
      reopen: async () => {
        store = await harness.reopen(store);
      },
    };

    beforeEach(async () => {
      harness = await createHarness();
      store = await harness.open();
    });

    afterEach(async () => {
      await store.close();
      await harness.remove();
    });

    describe('commits', () => describeCommits(hand));
    describe('scans', () => describeScans(hand));
    describe('random operations', () => describeOracle(hand));
  });
}

interface Hand {
  readonly store: () => Store;
  readonly syncCount: () => number;
  readonly reopen: () => Promise<void>;
}

function describeCommits({ store, syncCount, reopen }: Hand): void {
  test('a committed entry can be read, a deleted one not', async () => {
    await store().commit([put('a', '1'), put('b', '2')]);
    await store().commit([del('a')]);
    expect(store().get(bytes('a'))).toBeUndefined();
    expect(text(store().get(bytes('b')))).toBe('2');
  });

  test('a patient commit shares the fsync of the next one, and is not later than it', async () => {
    const before = syncCount();
    const patient = store().commit([put('a', '1'), put('b', '1')], { patienceMs: 600_000 });
    await Promise.all([patient, store().commit([put('b', '2')])]);
    expect(syncCount()).toBe(before + 1);
    expect([text(store().get(bytes('a'))), text(store().get(bytes('b')))]).toEqual(['1', '2']);
    const hurried = store().commit([put('c', '1')], { patienceMs: 600_000 });
    store().hurry();
    await hurried;
    await reopen();
    expect(text(store().get(bytes('c')))).toBe('1');
  });

  test('a batch is not visible before it is durable, and then whole', async () => {
    const before = syncCount();
    const committed = store().commit([put('a', '1'), put('b', '2')]);
    while (syncCount() === before) {
      // Checked in the same turn: LevelDB may finish its write on another thread at any moment, never half of it.
      const seen = [store().get(bytes('a')) === undefined, store().get(bytes('b')) === undefined];
      if (seen[0] === false) expect(seen[1]).toBe(false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await committed;
    expect(text(store().get(bytes('b')))).toBe('2');
  });

  test('nothing is visible in the turn of the commit', async () => {
    const committed = store().commit([put('a', '1')]);
    expect(store().get(bytes('a'))).toBeUndefined();
    await committed;
  });

  test('the last of several operations on one key in a batch counts', async () => {
    await store().commit([put('a', '1'), del('a'), put('a', '2'), put('b', '1'), del('b')]);
    expect(text(store().get(bytes('a')))).toBe('2');
    expect(store().get(bytes('b'))).toBeUndefined();
  });

  test('commits become visible in the order in which they were called', async () => {
    const resolved: number[] = [];
    const count = 200;
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        await store().commit([put('last', String(index)), put(`each ${index}`, '')]);
        resolved.push(index);
      }),
    );
    expect(resolved).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(text(store().get(bytes('last')))).toBe(String(count - 1));
  });

  test('commits that arrive while one is on its way share the next fsync', async () => {
    const before = syncCount();
    await Promise.all(Array.from({ length: 64 }, (_, index) => store().commit([put(`k${index}`, 'v')])));
    expect(syncCount() - before).toBeLessThanOrEqual(2);
  });

  test('what was committed is there after a reopening, what was deleted is not', async () => {
    await store().commit([put('kept', '1'), put('gone', '1')]);
    await store().commit([del('gone')]);
    await reopen();
    expect(await contents(store(), everything)).toEqual(['kept=1']);
  });

  test('empty and large values, and keys of zeros and of 255s, come back as they were', async () => {
    const large = new Uint8Array(6_000_000).map((_, index) => index % 251);
    const odd: Entry[] = [
      { key: Uint8Array.of(0), value: new Uint8Array(0) },
      { key: Uint8Array.of(0, 0), value: Uint8Array.of(0) },
      { key: Uint8Array.of(0, 0xff), value: Uint8Array.of(0xff) },
      { key: Uint8Array.of(0xff), value: large },
      { key: Uint8Array.of(0xff, 0), value: Uint8Array.of(1) },
      { key: Uint8Array.of(0xff, 0xff), value: Uint8Array.of(2) },
    ];
    await store().commit(odd.map((entry) => ({ kind: 'put', ...entry })));
    await reopen();
    const found = await collect(store(), everything);
    expect(found.map(({ key }) => [...key])).toEqual(odd.map(({ key }) => [...key]));
    for (const { key, value } of odd) expect(Buffer.compare(store().get(key)!, value)).toBe(0);
  });

  test('the space of an empty range is zero, and reclaiming keeps what is there', async () => {
    await store().commit([put('a', '1'), put('b', '2')]);
    await store().commit([del('a')]);
    await store().reclaim(everything);
    expect(await contents(store(), everything)).toEqual(['b=2']);
    expect(await store().approximateBytes(range('x', 'y'))).toBe(0);
    expect(store().health()).toEqual({ kind: 'writable' });
  });

  test('closing waits for commits on their way; later calls throw, but closing again is harmless', async () => {
    const committed = store().commit([put('a', '1')]);
    const closing = store();
    const closed = closing.close();
    expect(() => closing.get(bytes('a'))).toThrow('invariant broken');
    expect(() => closing.commit([])).toThrow('invariant broken');
    await committed;
    await closed;
    await closing.close();
    await reopen();
    expect(text(store().get(bytes('a')))).toBe('1');
  });

  test('an empty key is refused', () => {
    expect(() => store().commit([put('', '1')])).toThrow('invariant broken');
  });
}

function describeScans({ store }: Hand): void {
  beforeEach(async () => {
    await store().commit(['a', 'b', 'c', 'd', 'e'].map((key) => put(key, key.toUpperCase())));
  });

  test('a range includes its first key and excludes its end', async () => {
    expect(await contents(store(), range('b', 'd'))).toEqual(['b=B', 'c=C']);
    expect(await contents(store(), range('aa', 'cc'))).toEqual(['b=B', 'c=C']);
  });

  test('a range may be read in reverse', async () => {
    expect(await contents(store(), range('b', 'd'), { reverse: true })).toEqual(['c=C', 'b=B']);
  });

  test('a limit ends a scan, and zero gives nothing', async () => {
    expect(await contents(store(), everything, { limit: 2 })).toEqual(['a=A', 'b=B']);
    expect(await contents(store(), everything, { limit: 2, reverse: true })).toEqual(['e=E', 'd=D']);
    expect(await contents(store(), everything, { limit: 0 })).toEqual([]);
  });

  test('values are left out on request', async () => {
    expect(await contents(store(), range('a', 'c'), { keysOnly: true })).toEqual(['a=', 'b=']);
  });

  test('an empty or backward range gives nothing', async () => {
    expect(await contents(store(), range('b', 'b'))).toEqual([]);
    expect(await contents(store(), range('d', 'b'))).toEqual([]);
    expect(await contents(store(), range('d', 'b'), { reverse: true })).toEqual([]);
  });

  test('a small chunk size gives many chunks, none of them empty', async () => {
    const sizes: number[] = [];
    for await (const chunk of store().scan(everything, { chunkBytes: 1 })) sizes.push(chunk.length);
    expect(sizes).toEqual([1, 1, 1, 1, 1]);
  });

  test('a scan sees the state at the moment of its call, whatever is committed later', async () => {
    const scan = store().scan(everything, { chunkBytes: 1 });
    await store().commit([put('aa', 'new'), put('c', 'changed'), del('e')]);
    const seen: string[] = [];
    for await (const chunk of scan) {
      seen.push(...chunk.map(shown));
      await store().commit([del('d')]);
    }
    expect(seen).toEqual(['a=A', 'b=B', 'c=C', 'd=D', 'e=E']);
    expect(await contents(store(), everything)).toEqual(['a=A', 'aa=new', 'b=B', 'c=changed']);
  });

  test('a scan may be left early, again and again', async () => {
    for (let round = 0; round < 50; round += 1) {
      for await (const chunk of store().scan(everything, { chunkBytes: 1 })) {
        expect(chunk.map(shown)).toEqual(['a=A']);
        break;
      }
    }
  });

  test('a long scan comes in bounded chunks and misses nothing', async () => {
    const count = 5_000;
    const value = 'v'.repeat(100);
    const keys = Array.from({ length: count }, (_, index) => `long ${String(index).padStart(5, '0')}`);
    await store().commit(keys.map((key) => put(key, value)));
    const seen: string[] = [];
    for await (const chunk of store().scan(range('long', 'lonh'))) {
      expect(chunk.length).toBeLessThan(1_001);
      seen.push(...chunk.map(({ key }) => decoder.decode(key)));
    }
    expect(seen).toEqual(keys);
  });
}

function describeOracle({ store, reopen }: Hand): void {
  const key = fc
    .uint8Array({ minLength: 1, maxLength: 3 })
    .map((raw) => raw.map((byte) => [0, 1, 0x7f, 0x80, 0xff][byte % 5]!));
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        key,
        value: fc.uint8Array({ maxLength: 8 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  );
  const bound = fc.oneof(key, fc.constant(new Uint8Array(0)), fc.constant(everything.to));
  const query = fc.record({
    from: bound,
    to: bound,
    reverse: fc.boolean(),
    limit: fc.option(fc.nat(6), { nil: undefined }),
  });

  test('behave like a sorted map', async () => {
    const oracle = new Map<string, Uint8Array>();
    const step = fc.record({ batch: fc.array(operation, { maxLength: 12 }), query });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        for (const { batch, query } of steps) {
          await store().commit(batch);
          for (const one of batch) {
            if (one.kind === 'put') oracle.set(hex(one.key), one.value);
            else oracle.delete(hex(one.key));
          }
          const { from, to, reverse, limit } = query;
          const found = await collect(
            store(),
            { from, to },
            { reverse, ...(limit === undefined ? {} : { limit }) },
          );
          expect(found.map(({ key, value }) => [hex(key), hex(value)])).toEqual(expectedOf(oracle, query));
          for (const one of batch)
            expect(hexOrNothing(store().get(one.key))).toBe(hexOrNothing(oracle.get(hex(one.key))));
        }
      }),
      { numRuns: 40 },
    );
    await reopen();
    const found = await collect(store(), everything);
    expect(found.map(({ key, value }) => [hex(key), hex(value)])).toEqual(
      expectedOf(oracle, { ...everything, reverse: false, limit: undefined }),
    );
  });
}

interface Query extends KeyRange {
  readonly reverse: boolean;
  readonly limit: number | undefined;
}

/** Hex digits sort as the bytes they stand for do. */
function expectedOf(
  oracle: ReadonlyMap<string, Uint8Array>,
  { from, to, reverse, limit }: Query,
): string[][] {
  const entries = [...oracle]
    .filter(([key]) => key >= hex(from) && key < hex(to))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (reverse) entries.reverse();
  return entries.slice(0, limit).map(([key, value]) => [key, hex(value)]);
}

async function collect(store: Store, where: KeyRange, options: ScanOptions = {}): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const chunk of store.scan(where, options)) {
    expect(chunk.length).toBeGreaterThan(0);
    entries.push(...chunk);
  }
  return entries;
}

async function contents(store: Store, where: KeyRange, options: ScanOptions = {}): Promise<string[]> {
  return (await collect(store, where, options)).map(shown);
}

function shown({ key, value }: Entry): string {
  return `${decoder.decode(key)}=${decoder.decode(value)}`;
}

function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : decoder.decode(value);
}

function hex(raw: Uint8Array): string {
  return Buffer.from(raw).toString('hex');
}

function hexOrNothing(raw: Uint8Array | undefined): string | undefined {
  return raw === undefined ? undefined : hex(raw);
}
