import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Databases } from '../database/databases.ts';
import { openTestDatabases, write } from '../database/test-database.ts';
import { digest128 } from '../runtime/digest.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { type ReplicationRequest, replicationDefaults } from './replication-request.ts';
import { Scheduler } from './scheduler.ts';

let databases: Databases;
let scheduler: Scheduler;
const defects: unknown[] = [];

/** Real time, but a turn ends when the test says so. */
const turnMs = 123_456;
let endTurn: (() => void) | undefined;
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    if (delayMs !== turnMs) return systemClock.after(delayMs, callback);
    endTurn = callback;
    return () => undefined;
  },
};

beforeEach(async () => {
  defects.length = 0;
  endTurn = undefined;
  databases = await openTestDatabases();
  for (const name of ['a', 'b', 'c', 'd']) await databases.create(name);
  scheduler = new Scheduler({
    databases,
    digest: digest128,
    localIdentity: 'node',
    peerHeaders: () => ({}),
    clock,
    random: systemRandom,
    onDefect: (error) => defects.push(error),
    onRefused: () => undefined,
    jobsMax: 2,
    turnMs,
  });
});

afterEach(async () => {
  await scheduler.close();
  await databases.close();
  expect(defects).toEqual([]);
});

function request(source: string, target: string, continuous = true): ReplicationRequest {
  return {
    ...replicationDefaults,
    source: { kind: 'local', name: source },
    target: { kind: 'local', name: target },
    continuous,
  };
}

function add(source: string, target: string): string {
  return scheduler.add(request(source, target), { kind: 'request' }, () => undefined).id;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('not within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const stateOf = (id: string) => scheduler.find(id)?.state;

describe('more jobs than may run', () => {
  test('wait, and take turns', async () => {
    const [first, second, third] = [add('a', 'b'), add('a', 'c'), add('a', 'd')];
    expect([first, second, third].map(stateOf)).toEqual(['running', 'running', 'pending']);
    endTurn?.();
    await until(() => stateOf(third) === 'running');
    expect([first, second, third].map(stateOf).filter((state) => state === 'running')).toHaveLength(2);
    await until(() => endTurn !== undefined);
    await write(databases.get('a'), 'one', {});
    await until(() => databases.get('d').documentCount() === 1);
    expect(scheduler.find(third)?.events.map((event) => event.kind)).toEqual(['started', 'added']);
  });

  test('one that ends makes room for the next', async () => {
    add('a', 'b');
    add('a', 'c');
    const third = add('a', 'd');
    await scheduler.remove(scheduler.jobIdOf(request('a', 'b')));
    expect(stateOf(third)).toBe('running');
  });

  test('links between nodes wait for nobody', () => {
    add('a', 'b');
    add('a', 'c');
    const link = scheduler.add(request('a', 'd'), { kind: 'peer', name: 'n2' }, () => undefined);
    expect(link.state).toBe('running');
  });
});

describe('a job that ends', () => {
  test('is told once and forgotten', async () => {
    await write(databases.get('a'), 'one', {});
    const ends: string[] = [];
    scheduler.add(request('a', 'b', false), { kind: 'request' }, (end) => ends.push(end.outcome.kind));
    await until(() => ends.length > 0);
    expect(ends).toEqual(['completed']);
    expect(scheduler.jobs()).toEqual([]);
    expect(databases.get('b').documentCount()).toBe(1);
  });

  test('is started again later when it was continuous and its database was not there', async () => {
    const id = add('missing', 'b');
    await until(() => stateOf(id) === 'crashing');
    expect(scheduler.find(id)).toMatchObject({
      errorCount: 1,
      lastFault: { error: 'db_not_found', fault: 'fatal' },
    });
    const missing = await databases.create('missing');
    await write(missing, 'one', {});
    await until(() => databases.get('b').documentCount() === 1);
  });

  test('by a stop says so', async () => {
    const ends: string[] = [];
    scheduler.add(request('a', 'b'), { kind: 'request' }, (end) => ends.push(end.outcome.kind));
    await scheduler.remove(scheduler.jobIdOf(request('a', 'b')));
    await until(() => ends.length > 0);
    expect(ends).toEqual(['stopped']);
  });
});
