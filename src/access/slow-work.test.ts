import { expect, test } from 'vitest';
import { type Asker, boundedSlowWork, type SlowWorkLimits } from './slow-work.ts';

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const familiar: Asker = { kind: 'familiar' };
const from = (address: string): Asker => ({ kind: 'stranger', address });
const refused = { code: 'too_many_requests', retryAfterSeconds: expect.any(Number) };

/** Slow work of which one piece runs until `finish`; the others tell in which order they come. */
function occupied(limits: Omit<SlowWorkLimits, 'runningMax'>) {
  const work = boundedSlowWork({ runningMax: 1, ...limits });
  const { opened, open } = gate();
  const first = work.run(familiar, () => opened);
  const served: string[] = [];
  const ask = (asker: Asker, name: string) => work.run(asker, async () => void served.push(name));
  return {
    served,
    ask,
    finish: () => {
      open();
      return first;
    },
  };
}

test('no more than the stated number run at once; the rest waits its turn', async () => {
  const work = boundedSlowWork({ runningMax: 2, waitingMax: 10, waitingPerAddressMax: 10 });
  const gates = Array.from({ length: 4 }, gate);
  const started: number[] = [];
  const done = gates.map(({ opened }, index) =>
    work.run(from('a'), async () => {
      started.push(index);
      await opened;
      return index;
    }),
  );
  expect(started).toEqual([0, 1]);
  gates[1]!.open();
  await done[1];
  expect(started).toEqual([0, 1, 2]);
  for (const { open } of gates) open();
  expect(await Promise.all(done)).toEqual([0, 1, 2, 3]);
});

test('who finds the queue full is refused, and the place is free again after a failure', async () => {
  const work = boundedSlowWork({ runningMax: 1, waitingMax: 1, waitingPerAddressMax: 1 });
  const { opened, open } = gate();
  const first = work.run(familiar, async () => {
    await opened;
    throw new Error('broken');
  });
  const second = work.run(familiar, async () => 'second');
  await expect(work.run(familiar, async () => 'third')).rejects.toMatchObject(refused);
  open();
  await expect(first).rejects.toThrow('broken');
  expect(await second).toBe('second');
  expect(await work.run(familiar, async () => 'fourth')).toBe('fourth');
});

test('the familiar go first, then one stranger of each address in turn', async () => {
  const { served, ask, finish } = occupied({ waitingMax: 10, waitingPerAddressMax: 3 });
  const all = [
    ...['x1', 'x2', 'x3'].map((name) => ask(from('x'), name)),
    ask(from('y'), 'y1'),
    ask(familiar, 'anna'),
  ];
  await expect(ask(from('x'), 'x4')).rejects.toMatchObject(refused);
  await finish();
  await Promise.all(all);
  expect(served).toEqual(['anna', 'x1', 'y1', 'x2', 'x3']);
});

test('when all places are taken the address with the most gives one up for one with fewer', async () => {
  const { served, ask, finish } = occupied({ waitingMax: 3, waitingPerAddressMax: 3 });
  const kept = [ask(from('x'), 'x1'), ask(from('x'), 'x2')];
  const late = expect(ask(from('x'), 'x3')).rejects.toMatchObject(refused);
  kept.push(ask(from('y'), 'y1'));
  await late;
  // Now nobody has so many that giving one up would be fair.
  await expect(ask(from('y'), 'y2')).rejects.toMatchObject(refused);
  await finish();
  await Promise.all(kept);
  expect(served).toEqual(['x1', 'y1', 'x2']);
});
