import { describe, expect, it } from 'vitest';
import { failure } from '../errors.ts';
import { HintBook, hintLimitsDefault } from '../leaderless/hints.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { type Hint, type HintStore, openHintStore, type StoredHint } from './hint-store.ts';

const hint = (owner: string, id: string, identity = 'f00'): Hint => {
  return { owner, database: 'carts', identity, id, revision: '1-a' };
};
const windows = { windowMsOf: () => 1_000, windowMsMin: 1_000 };

interface TestOptions {
  readonly store?: MemoryStore;
  readonly clock?: Clock;
  readonly bytesMax?: number;
}

async function open({ store = createMemoryStore(), clock = systemClock, bytesMax = 1e6 }: TestOptions = {}) {
  const book = new HintBook({ ...hintLimitsDefault, bytesMax });
  const random = { next: () => 0.5 };
  return { book, hints: await openHintStore({ store, clock, random, book }) };
}

async function allOf(hints: HintStore, owner: string): Promise<StoredHint[]> {
  const all: StoredHint[] = [];
  for await (const part of hints.ofOwner(owner)) all.push(...part);
  return all;
}

async function idsOf(hints: HintStore, owner: string): Promise<string[]> {
  return (await allOf(hints, owner)).map(({ id }) => id);
}

describe('the hint store', () => {
  it("gives an owner's hints oldest first, and nobody else's", async () => {
    const { book, hints } = await open();
    await hints.add([hint('n3', 'b'), hint('n2', 'x'), hint('n3', 'a')]);
    await hints.add([hint('n3', 'c'), hint('n30', 'y'), hint('n', 'z')]);
    expect(await idsOf(hints, 'n3')).toEqual(['b', 'a', 'c']);
    expect([...book.backlogs().keys()].sort()).toEqual(['n', 'n2', 'n3', 'n30']);
  });

  it('has after a crash what was durable, counted, and goes on numbering behind it', async () => {
    let store = createMemoryStore();
    const before = await open({ store });
    await before.hints.add([hint('n3', 'a'), hint('n3', 'b')]);
    store = store.crash();
    const { book, hints } = await open({ store });
    expect(book.backlogs()).toEqual(before.book.backlogs());
    expect(book.dueAt('n3')).toBe(0);
    await hints.add([hint('n3', 'c')]);
    expect(await idsOf(hints, 'n3')).toEqual(['a', 'b', 'c']);
  });

  it('counts what was delivered once, however often it is removed', async () => {
    const { book, hints } = await open();
    await hints.add([hint('n3', 'a'), hint('n3', 'b')]);
    const [first] = await allOf(hints, 'n3');
    await Promise.all([hints.remove([first!], 'delivered'), hints.remove([first!], 'delivered')]);
    await hints.remove([first!], 'delivered');
    expect(hints.counters()).toMatchObject({ stored: 2, delivered: 1 });
    expect(book.backlogs().get('n3')?.hints).toBe(1);
  });

  it('refuses what does not fit, and takes it once there is room', async () => {
    const { book, hints } = await open({ bytesMax: 300 });
    expect(await hints.add([hint('n3', 'a'), hint('n3', 'b')])).toBe('stored');
    expect(await hints.add([hint('n2', 'b'), hint('n2', 'c')])).toBe('refused');
    expect([...book.backlogs().keys()]).toEqual(['n3']);
    await hints.remove(await allOf(hints, 'n3'), 'delivered');
    expect(await hints.add([hint('n2', 'b'), hint('n2', 'c')])).toBe('stored');
    expect(hints.counters()).toMatchObject({ stored: 4, refused: 2, delivered: 2 });
  });

  it('removes what is older than its database keeps hints, and what has no database any more', async () => {
    let now = 0;
    const { book, hints } = await open({ clock: { ...systemClock, now: () => now } });
    await hints.add([hint('n3', 'gone', 'dropped'), hint('n3', 'old'), hint('n3', 'patient', 'long')]);
    await hints.add([hint('n2', 'old')]);
    now = 800;
    await hints.add([hint('n3', 'young'), hint('n3', 'later', 'dropped')]);
    now = 1_200;
    const windowMsOf = (identity: string) => {
      if (identity === 'dropped') return undefined;
      return identity === 'long' ? 10_000 : 1_000;
    };
    await hints.expire({ ...windows, windowMsOf });
    expect(await idsOf(hints, 'n3')).toEqual(['patient', 'young', 'later']);
    expect([...book.backlogs()].map(([owner, { hints: count }]) => [owner, count])).toEqual([['n3', 3]]);
    expect(hints.counters()).toMatchObject({ expired: 2, discarded: 1 });
    now = 2_000;
    await hints.expire({ ...windows, windowMsOf });
    expect(await idsOf(hints, 'n3')).toEqual(['patient']);
  });

  it('gives room back for hints that the disk refused', async () => {
    let isFull = true;
    const store = createMemoryStore({
      sync: async () => {
        if (isFull) throw failure('insufficient_storage');
      },
    });
    const { book, hints } = await open({ store, bytesMax: 200 });
    await expect(hints.add([hint('n3', 'a')])).rejects.toMatchObject({ status: 507 });
    expect(book.backlogs().size).toBe(0);
    isFull = false;
    expect(await hints.add([hint('n3', 'a')])).toBe('stored');
  });
});
