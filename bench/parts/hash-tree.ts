/**
 * What the hash tree of leaderless databases costs a write, and how long the root takes by which two replicas of a million
 * documents agree. Compared are two processes that differ in the tree alone.
 */

import { fileURLToPath } from 'node:url';
import type { ReplicatedRevision } from '../../src/database/model.ts';
import { digestOf, type Revision } from '../../src/document/revision.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import { database } from '../database-requests.ts';
import { freePort, load, startProcess, stopProcess, waitUntilAnswers } from '../processes.ts';
import type { Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import { leaderless, openStore } from '../tree-node.ts';
import { inDirectory, type Part, type PartContext } from './part.ts';

const nodeFile = fileURLToPath(new URL('../tree-node.ts', import.meta.url));
const connections = 64;
const startSecondsMax = 60;
const documentsPerInsert = 1_000;
const rootsMeasured = 9;

async function putsPerSecond(settings: Settings, directory: string, kind: 'plain' | 'tree'): Promise<number> {
  const port = await freePort();
  const parameters = ['--import', 'tsx', nodeFile, String(port), directory, kind];
  const { child, printed } = startProcess(process.execPath, parameters, {});
  try {
    await waitUntilAnswers(`http://127.0.0.1:${port}/${database}`, child, startSecondsMax).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it printed:\n${printed()}`);
      },
    );
    const result = await load({
      ...{ address: { host: '127.0.0.1', port }, database, connections, firstIndex: 0 },
      load: { kind: 'put', prefix: 'd' },
      warmUpSeconds: settings.warmUpSeconds,
      secondsMax: settings.secondsPerMeasurement,
      requestsMax: Number.MAX_SAFE_INTEGER,
    });
    return result.requests / result.seconds;
  } finally {
    await stopProcess(child);
  }
}

/** The two kinds take turns; each round gives the difference of neighbours. */
async function measureCost(context: PartContext): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= context.settings.rounds; round++) {
    context.progress(`hash-tree: PUT with and without, round ${round} of ${context.settings.rounds}`);
    const rates = { plain: 0, tree: 0 };
    const order = round % 2 === 1 ? (['plain', 'tree'] as const) : (['tree', 'plain'] as const);
    for (const kind of order) {
      rates[kind] = await inDirectory(context, (directory) =>
        putsPerSecond(context.settings, directory, kind),
      );
    }
    samples.push(
      { row: 'tree-put-without', system: 'tercet', value: rates.plain },
      { row: 'tree-put', system: 'tercet', value: rates.tree },
      { row: 'tree-cost', system: 'tercet', value: 100 * (1 - rates.tree / rates.plain) },
    );
  }
  return samples;
}

function revisionOf(index: number): ReplicatedRevision {
  const body = Buffer.from(`{"number":${index}}`);
  const revision = `1-${digest128(body)}` as Revision;
  const path = { start: 1, ids: [digestOf(revision)] };
  return { id: `d${String(index).padStart(9, '0')}`, revision, path, deleted: false, body, attachments: [] };
}

/** Opening reads the sums; a root after a write is what a round of anti-entropy sends. */
async function measureRoot(context: PartContext, directory: string): Promise<Sample[]> {
  const { storedDocuments } = context.settings;
  context.progress(`hash-tree: loads ${storedDocuments} documents`);
  const loaded = await openStore(directory);
  const source = await loaded.databases.create(database, leaderless);
  for (let first = 0; first < storedDocuments; first += documentsPerInsert) {
    await source.insert(Array.from({ length: documentsPerInsert }, (_, place) => revisionOf(first + place)));
  }
  const before = source.leaderless?.tree.sums(0, [0]);
  await loaded.close();
  const opened = await openStore(directory);
  const again = opened.databases.get(database);
  const after = again.leaderless?.tree.sums(0, [0]);
  if (before === undefined || before[0] !== after?.[0]) throw new Error('the root changed over a restart');
  const samples: Sample[] = [];
  for (let n = 0; n < rootsMeasured; n++) {
    await again.insert([revisionOf(storedDocuments + n)]);
    const startedAt = performance.now();
    again.leaderless?.tree.sums(0, [0]);
    samples.push({ row: 'tree-root', system: 'tercet', value: performance.now() - startedAt });
  }
  await opened.close();
  return samples;
}

export const hashTree: Part = {
  name: 'hash-tree',
  rows: ['tree-put-without', 'tree-put', 'tree-cost', 'tree-root'],
  run: async (context) => {
    const cost = await measureCost(context);
    return [...cost, ...(await inDirectory(context, (directory) => measureRoot(context, directory)))];
  },
};
