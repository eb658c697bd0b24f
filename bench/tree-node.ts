/**
 * `tree-node.ts PORT DIRECTORY plain|tree`: a leaderless database over HTTP whose writes go straight into the store, and whose
 * hash tree is kept or not. A real one also asks its replicas, which would hide what the tree costs.
 */

import { join } from 'node:path';
import { createAccess } from '../src/access/access.ts';
import { limits } from '../src/config.ts';
import type { CreateOptions, Databases } from '../src/database/databases.ts';
import { openDatabases } from '../src/database/databases.ts';
import { LeaderlessTurn } from '../src/database/leaderless-turn.ts';
import { createApp } from '../src/http/app.ts';
import { settingsFrom } from '../src/leaderless/presets.ts';
import { digest128 } from '../src/runtime/digest.ts';
import { systemClock } from '../src/runtime/system-clock.ts';
import { systemRandom } from '../src/runtime/system-random.ts';
import { openLevelStore } from '../src/store/level-store.ts';
import { database } from './database-requests.ts';

export const leaderless: CreateOptions = {
  incarnation: 'bench',
  replication: {
    ...{ strategy: 'leaderless', reference: 1, identity: 'bench' },
    settings: settingsFrom({}, 3),
  },
};

export async function openStore(
  directory: string,
): Promise<{ readonly databases: Databases; close(): Promise<void> }> {
  const store = await openLevelStore(directory, { createdBy: 'bench' });
  const databases = await openDatabases({
    ...{ store, digest: digest128, clock: systemClock, random: systemRandom, node: 'n1' },
    onBackgroundFailure: (work, cause) => {
      throw new Error(`${work} failed`, { cause });
    },
  });
  const close = async () => {
    await databases.close();
    await store.close();
  };
  return { databases, close };
}

async function serve(port: number, directory: string, kind: string): Promise<void> {
  const { databases } = await openStore(join(directory, 'data'));
  await databases.create(database, leaderless);
  // Stamps and the rest stay: what is compared differs in the tree alone.
  if (kind === 'plain') LeaderlessTurn.prototype.replaced = () => {};
  const access = await createAccess({
    ...{ admins: new Map(), readUser: () => undefined, secret: undefined, clock: systemClock },
    cookieSecret: Buffer.from('for one measurement'),
  });
  const app = createApp({
    ...{ databases, access },
    replications: {
      replicate: () => Promise.reject(new Error('nothing is replicated here')),
      ...{ jobs: () => [], documents: () => [], activeTasks: () => [] },
    },
    node: {
      ...{ name: 'n1', peers: [], region: undefined, clusterUuid: 'c'.repeat(32), version: 'bench' },
      storeHealth: () => ({ kind: 'writable' }),
    },
    http: { cors: undefined, limits },
  });
  await app.listen('127.0.0.1', port);
}

const [port, directory, kind] = process.argv.slice(2);
if (process.argv[1]?.endsWith('tree-node.ts') && directory !== undefined && kind !== undefined) {
  await serve(Number(port), directory, kind);
}
