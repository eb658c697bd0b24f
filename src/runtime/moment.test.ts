import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import { Moment } from './moment.ts';
import { uncaughtDuring } from './test-uncaught.ts';

afterEach(() => {
  vi.useRealTimers();
});

it('What comes in one moment leaves at its end, in groups of what is alike, none of them too large', async () => {
  const sent: string[] = [];
  const moment = new Moment<string, number>({
    ...{ itemsMax: 3, bytesMax: 100 },
    send: (common, items) => sent.push(`${common}: ${items.join(' ')}`),
  });
  for (const [item, name] of ['x', 'y', 'x', 'x', 'x'].entries()) moment.add(name, name, item, 1);
  moment.add('z', 'z', 5, 99);
  moment.add('z', 'z', 6, 1);
  moment.add('z', 'z', 7, 200);
  moment.add('z', 'z', 8, 0);
  expect(sent).toEqual([]);
  await setImmediate();
  expect(sent.splice(0)).toEqual(['x: 0 2 3', 'y: 1', 'x: 4', 'z: 5 6', 'z: 7', 'z: 8']);
  moment.add('x', 'x', 9, 1);
  await setImmediate();
  expect(sent).toEqual(['x: 9']);
});

it('a group that cannot be sent keeps none of the others from being sent, and what it threw is not swallowed', async () => {
  const sent: string[] = [];
  const moment = new Moment<string, number>({
    ...{ itemsMax: 2, bytesMax: 100 },
    send: (common, items) => {
      if (common === 'broken') throw new Error(`${common}: ${items.join(' ')}`);
      sent.push(`${common}: ${items.join(' ')}`);
    },
  });
  const names = ['x', 'broken', 'broken', 'x', 'y', 'broken', 'z'];
  const uncaught = await uncaughtDuring(async () => {
    for (const [item, name] of names.entries()) moment.add(name, name, item, 1);
    await setImmediate();
    await setImmediate();
  });
  expect(uncaught).toEqual([new Error('broken: 1 2'), new Error('broken: 5')]);
  expect(sent.splice(0)).toEqual(['x: 0 3', 'y: 4', 'z: 6']);
  moment.add('x', 'x', 7, 1);
  await setImmediate();
  expect(sent).toEqual(['x: 7']);
});
