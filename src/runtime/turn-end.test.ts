import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { uncaughtDuring } from './test-uncaught.ts';
import { atTurnEnd } from './turn-end.ts';

it('What work makes, and what its promises lead to, is done at the same end of a turn, in order', async () => {
  const done: string[] = [];
  atTurnEnd(() => {
    done.push('edits gathered');
    setImmediate(() => done.push('the next turn'));
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => atTurnEnd(() => done.push('answered')));
    atTurnEnd(() => done.push('proposed'));
  });
  atTurnEnd(() => done.push('reads gathered'));
  expect(done).toEqual([]);
  await nextTurn();
  await nextTurn();
  expect(done).toEqual(['edits gathered', 'reads gathered', 'proposed', 'answered', 'the next turn']);
});

it('Work that throws keeps no other from being done', async () => {
  const done: string[] = [];
  const uncaught = await uncaughtDuring(async () => {
    atTurnEnd(() => {
      atTurnEnd(() => done.push('made by it'));
      throw new Error('a defect');
    });
    atTurnEnd(() => done.push('beside it'));
    atTurnEnd(() => {
      throw new Error('another one');
    });
    await nextTurn();
    await nextTurn();
  });
  expect(uncaught).toEqual([new Error('a defect'), new Error('another one')]);
  expect(done).toEqual(['beside it', 'made by it']);
  atTurnEnd(() => done.push('later'));
  await nextTurn();
  expect(done).toContain('later');
});

it('Work without end lets the events of the next turn come', async () => {
  let steps = 0;
  let isOver = false;
  const step = () => {
    steps += 1;
    if (!isOver && steps < 1_000) atTurnEnd(step);
  };
  atTurnEnd(step);
  await nextTurn();
  await nextTurn();
  isOver = true;
  expect(steps).toBeGreaterThan(1);
  expect(steps).toBeLessThan(1_000);
});
