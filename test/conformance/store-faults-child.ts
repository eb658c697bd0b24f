/**
 * A process that commits numbered batches until it is killed, for the fault tests. Says on standard output what was
 * answered: `done 7`, or `failed 7 insufficient_storage`, and `health read_only` whenever it changes.
 *
 * Arguments: the data directory.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { TercetError } from '../../src/errors.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { batchOf } from './store-faults-batches.ts';

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('the data directory is missing');
const store = await openLevelStore(directory, {
  createdBy: '0.0.0',
  writeBufferBytes: 65_536,
  retryMsMax: 300,
});

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

let health = '';
for (let number = 0; ; number += 1) {
  try {
    await store.commit(batchOf(number));
    say(`done ${number}`);
  } catch (error) {
    if (!(error instanceof TercetError)) throw error;
    say(`failed ${number} ${error.code}`);
    // A client whose write was refused waits before it tries again.
    await sleep(20);
  }
  const { kind } = store.health();
  if (kind !== health) say(`health ${kind}`);
  health = kind;
}
