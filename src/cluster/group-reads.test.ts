import { expect, it } from 'vitest';
import { systemClock } from '../runtime/system-clock.ts';
import { GroupReads } from './group-reads.ts';

function readsAt(applied: { index: number; lineage?: number; onAsk?: () => void }) {
  const hurried = { count: 0 };
  const asked = { count: 0 };
  const reads = new GroupReads({
    ...{ clock: systemClock, readMsMax: 10_000 },
    ask: async () => {
      asked.count += 1;
      applied.onAsk?.();
      return { kind: 'ready', index: applied.index, by: 'quorum' };
    },
    appliedIndex: () => applied.index,
    lineage: () => applied.lineage ?? 0,
    refusal: () => undefined,
    hurry: () => {
      hurried.count += 1;
    },
  });
  return { reads, hurried, asked };
}

it('hurries what is applied for who waits, and for as long as somebody does', async () => {
  const applied = { index: 1 };
  const { reads, hurried } = readsAt(applied);
  await reads.appliedThrough(1, 10_000);
  expect([reads.isAwaited, hurried.count]).toEqual([false, 0]);
  const done = reads.expedite();
  const waited = reads.appliedThrough(2, 10_000);
  expect([reads.isAwaited, hurried.count]).toEqual([true, 2]);
  done();
  done();
  expect(reads.isAwaited).toBe(true);
  applied.index = 2;
  reads.applied();
  await waited;
  expect(reads.isAwaited).toBe(false);
});

it('settles what is applied, without hurry, and everything when leadership is lost or it is closed', () => {
  const applied = { index: 1 };
  const { reads, hurried } = readsAt(applied);
  const settled: number[] = [];
  const whenSettled = (index: number) => reads.whenSettled(index, () => settled.push(index));
  for (const index of [1, 2, 4, 3, 5]) whenSettled(index);
  expect(settled).toEqual([1]);
  applied.index = 3;
  reads.applied();
  expect(settled).toEqual([1, 2, 3]);
  reads.leadershipLost();
  expect(settled).toEqual([1, 2, 3, 4, 5]);
  whenSettled(6);
  reads.close();
  whenSettled(7);
  expect(settled).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect([reads.isAwaited, hurried.count]).toEqual([false, 0]);
});

it('asks once for reads that arrive together, and again for a later one', async () => {
  const { reads, asked } = readsAt({ index: 3 });
  const together = await Promise.all([reads.barrier(), reads.barrier(), reads.barrier()]);
  expect(together.map(({ index }) => index)).toEqual([3, 3, 3]);
  expect(asked.count).toBe(1);
  await reads.barrier();
  expect(asked.count).toBe(2);
});

it('asks again, and does not know how old things are, when a forced membership replaces what was confirmed', async () => {
  const applied = { index: 3, lineage: 0, onAsk: () => {} };
  const { reads, asked } = readsAt(applied);
  await reads.barrier();
  expect(reads.stalenessMs()).toBeDefined();
  applied.onAsk = () => {
    if (asked.count === 2) applied.lineage = 9;
  };
  const reading = reads.barrier();
  await reading;
  expect(asked.count).toBe(3);
  applied.lineage = 10;
  expect(reads.stalenessMs()).toBeUndefined();
  reads.close();
});
