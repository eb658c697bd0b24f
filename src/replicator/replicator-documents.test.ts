import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Databases } from '../database/databases.ts';
import { openTestDatabases, write } from '../database/test-database.ts';
import { failure } from '../errors.ts';
import { digest128 } from '../runtime/digest.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { createReplications, type NodeReplications } from './replications.ts';

let databases: Databases;
let replications: NodeReplications;
let store: MemoryStore;
let isFull: boolean;
const defects: unknown[] = [];

/** Real time, but all that waits for five seconds goes on when the test says so. */
let waiting: (() => void)[];
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    if (delayMs !== 5_000) return systemClock.after(delayMs, callback);
    waiting.push(callback);
    return () => undefined;
  },
};

function goOn(): void {
  for (const callback of waiting.splice(0)) callback();
}

beforeEach(async () => {
  defects.length = 0;
  waiting = [];
  isFull = false;
  store = createMemoryStore({
    sync: async () => {
      if (isFull) throw failure('insufficient_storage');
    },
  });
  databases = await openTestDatabases(store);
  await databases.create('_replicator');
  await databases.create('a');
  await databases.create('b');
});

function start(): void {
  replications = createReplications({
    databases,
    nodeName: 'n1',
    clusterUuid: 'uuid',
    peerHeaders: () => ({}),
    digest: digest128,
    clock,
    random: systemRandom,
    onDefect: (error) => defects.push(error),
    onRefused: () => undefined,
  });
}

afterEach(async () => {
  await replications.close();
  await databases.close();
  expect(defects).toEqual([]);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('not within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function stateWritten(): unknown {
  const found = databases.get('_replicator').read('copy');
  if (found.kind !== 'found') return undefined;
  return JSON.parse(Buffer.from(found.document.body).toString())._replication_state;
}

test('an end that a full disk does not take is written back when there is room again', async () => {
  start();
  // Nothing to copy, so nothing but the end needs the disk.
  await write(databases.get('_replicator'), 'copy', { source: 'missing', target: 'b' });
  isFull = true;
  await until(() => waiting.length > 0);
  expect(replications.documents()).toMatchObject([{ doc_id: 'copy', state: 'failed' }]);
  expect(stateWritten()).toBeUndefined();
  isFull = false;
  goOn();
  await until(() => stateWritten() === 'failed');
});

test('documents that a failing disk does not give are followed as soon as it gives them', async () => {
  await write(databases.get('_replicator'), 'copy', { source: 'a', target: 'b' });
  const { scan } = store;
  store.scan = () => {
    throw failure('disk_failure');
  };
  start();
  await until(() => waiting.length > 0);
  expect(replications.documents()).toEqual([]);
  store.scan = scan;
  goOn();
  await until(() => stateWritten() === 'completed');
});
