import { describe, expect, it } from 'vitest';
import { failure } from '../errors.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { type Hint, type HintStore, openHintStore, type StoredHint } from './hint-store.ts';

const hint = (owner: string, id: string, content?: Uint8Array): Hint => {
  return { owner, database: 'carts', identity: 'f00', id, revision: '1-a', content };
};

interface TestOptions {
  readonly store?: MemoryStore;
  readonly clock?: Clock;
  readonly bytesMax?: number;
}

function open({ store = createMemoryStore(), clock = systemClock, bytesMax = 1e6 }: TestOptions = {}) {
  return openHintStore({ store, clock, bytesMax, ageMsMax: 1_000 });
}

async function allOf(hints: HintStore, owner: string, from?: number): Promise<StoredHint[]> {
  const all: StoredHint[] = [];
  for await (const part of hints.ofOwner(owner, from)) all.push(...part);
  return all;
}

async function idsOf(hints: HintStore, owner: string): Promise<string[]> {
  return (await allOf(hints, owner)).map(({ id }) => id);
}

describe('the hint store', () => {
  it("gives an owner's hints oldest first, and nobody else's", async () => {
    const hints = await open();
    await hints.add([hint('n3', 'b'), hint('n2', 'x'), hint('n3', 'a')]);
    await hints.add([hint('n3', 'c'), hint('n30', 'y'), hint('n', 'z')]);
    expect(await idsOf(hints, 'n3')).toEqual(['b', 'a', 'c']);
    const [, second] = await allOf(hints, 'n3');
    expect((await allOf(hints, 'n3', second!.number)).map(({ id }) => id)).toEqual(['a', 'c']);
    expect([...hints.tallies().keys()].sort()).toEqual(['n', 'n2', 'n3', 'n30']);
  });

  it('keeps the content a stand-in was given, and tells none from empty', async () => {
    const hints = await open();
    await hints.add([
      hint('n3', 'a', Buffer.from('told')),
      hint('n3', 'b', Buffer.alloc(0)),
      hint('n3', 'c'),
    ]);
    const contents = (await allOf(hints, 'n3')).map(
      ({ content }) => content && Buffer.from(content).toString(),
    );
    expect(contents).toEqual(['told', '', undefined]);
  });

  it('has after a crash what was durable, counted, and goes on numbering behind it', async () => {
    let store = createMemoryStore();
    const before = await open({ store });
    await before.add([hint('n3', 'a'), hint('n3', 'b')]);
    const tally = before.tallies().get('n3');
    store = store.crash();
    const hints = await open({ store });
    expect(hints.tallies().get('n3')).toEqual(tally);
    await hints.add([hint('n3', 'c')]);
    expect(await idsOf(hints, 'n3')).toEqual(['a', 'b', 'c']);
  });

  it('counts what was delivered once, however often it is removed', async () => {
    const hints = await open();
    await hints.add([hint('n3', 'a'), hint('n3', 'b')]);
    const [first] = await allOf(hints, 'n3');
    await Promise.all([hints.remove([first!], 'delivered'), hints.remove([first!], 'delivered')]);
    await hints.remove([first!], 'delivered');
    expect(hints.counters()).toMatchObject({ stored: 2, delivered: 1 });
    expect(hints.tallies().get('n3')?.hints).toBe(1);
    await hints.forgetOwner('n3');
    expect([hints.tallies().size, hints.counters().discarded]).toEqual([0, 1]);
  });

  it('refuses what does not fit, and takes it once there is room', async () => {
    const hints = await open({ bytesMax: 1_000 });
    const big = Buffer.alloc(600);
    expect(await hints.add([hint('n3', 'a', big)])).toBe('stored');
    expect(await hints.add([hint('n2', 'b', big), hint('n2', 'c')])).toBe('refused');
    expect([...hints.tallies().keys()]).toEqual(['n3']);
    await hints.remove(await allOf(hints, 'n3'), 'delivered');
    expect(await hints.add([hint('n2', 'b', big)])).toBe('stored');
    expect(hints.counters()).toMatchObject({ stored: 2, refused: 2, delivered: 1 });
  });

  it('does not give what is too old, and removes it', async () => {
    let now = 0;
    const hints = await open({ clock: { ...systemClock, now: () => now } });
    await hints.add([hint('n3', 'old'), hint('n2', 'old')]);
    now = 800;
    await hints.add([hint('n3', 'young')]);
    now = 1_200;
    expect(await idsOf(hints, 'n3')).toEqual(['young']);
    expect(await hints.expire()).toBe(2);
    expect([...hints.tallies()].map(([owner, { hints: count }]) => [owner, count])).toEqual([['n3', 1]]);
    expect(hints.counters().expired).toBe(2);
  });

  it('gives room back for hints that the disk refused', async () => {
    let isFull = true;
    const store = createMemoryStore({
      sync: async () => {
        if (isFull) throw failure('insufficient_storage');
      },
    });
    const hints = await open({ store, bytesMax: 800 });
    const big = Buffer.alloc(600);
    await expect(hints.add([hint('n3', 'a', big)])).rejects.toMatchObject({ status: 507 });
    expect(hints.tallies().size).toBe(0);
    isFull = false;
    expect(await hints.add([hint('n3', 'a', big)])).toBe('stored');
  });
});
