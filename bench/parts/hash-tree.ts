/**
 * What the hash tree of leaderless databases costs a write, and how long the root takes by which two replicas of a million
 * documents agree. Compared are two processes that differ in the tree alone.
 */

import { fileURLToPath } from 'node:url';
import type { ReplicatedRevision } from '../../src/database/model.ts';
import { digestOf, type Revision } from '../../src/document/revision.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import { database } from '../database-requests.ts';
import {
  cpuMicroseconds,
  freePort,
  load,
  startProcess,
  stopProcess,
  waitUntilAnswers,
} from '../processes.ts';
import type { Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import { leaderless, openStore } from '../tree-node.ts';
import { inDirectory, type Part, type PartContext } from './part.ts';

const nodeFile = fileURLToPath(new URL('../tree-node.ts', import.meta.url));
const connections = 64;
const startSecondsMax = 60;
const documentsPerInsert = 1_000;
const rootsMeasured = 9;
/** Short measurements of each kind in a round: the machine's state changes within seconds, and goes into both of a pair. */
const pairs = 8;

type Kind = 'plain' | 'tree';

interface Measured {
  readonly perSecond: number;
  /** Of all threads of the node; undefined where it cannot be read. */
  readonly cpuMicrosecondsPerPut: number | undefined;
}

/** A node that runs until the round is over, and what was written to it so far. */
class MeasuredNode {
  readonly #settings: Settings;
  readonly #port: number;
  readonly #process: ReturnType<typeof startProcess>;
  #nextIndex = 0;

  constructor(settings: Settings, at: { port: number; directory: string; kind: Kind }) {
    this.#settings = settings;
    this.#port = at.port;
    const parameters = ['--import', 'tsx', nodeFile, String(at.port), at.directory, at.kind];
    this.#process = startProcess(process.execPath, parameters, {});
  }

  async warmUp(): Promise<void> {
    const { child, printed } = this.#process;
    await waitUntilAnswers(`http://127.0.0.1:${this.#port}/${database}`, child, startSecondsMax).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it printed:\n${printed()}`);
      },
    );
    await this.measure();
  }

  async measure(): Promise<Measured> {
    const pid = this.#process.child.pid ?? 0;
    const { secondsPerMeasurement, warmUpSeconds } = this.#settings;
    const [first, cpuBefore] = [this.#nextIndex, cpuMicroseconds(pid)];
    const result = await load({
      ...{ address: { host: '127.0.0.1', port: this.#port }, database, connections, firstIndex: first },
      load: { kind: 'put', prefix: 'd' },
      warmUpSeconds: warmUpSeconds / 4,
      secondsMax: secondsPerMeasurement / 4,
      requestsMax: Number.MAX_SAFE_INTEGER,
    });
    this.#nextIndex = result.nextIndex;
    const cpuAfter = cpuMicroseconds(pid);
    const isKnown = cpuBefore !== undefined && cpuAfter !== undefined;
    const cpuMicrosecondsPerPut = isKnown ? (cpuAfter - cpuBefore) / (result.nextIndex - first) : undefined;
    return { perSecond: result.requests / result.seconds, cpuMicrosecondsPerPut };
  }

  stop(): Promise<void> {
    return stopProcess(this.#process.child);
  }
}

/** The two kinds run side by side and take turns; each pair of neighbours gives a difference. */
async function measureCost(context: PartContext): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= context.settings.rounds; round++) {
    context.progress(`hash-tree: PUT with and without, round ${round} of ${context.settings.rounds}`);
    const start = async (kind: Kind, directory: string) =>
      new MeasuredNode(context.settings, { port: await freePort(), directory, kind });
    await inDirectory(context, (plainDirectory) =>
      inDirectory(context, async (treeDirectory) => {
        const nodes = {
          plain: await start('plain', plainDirectory),
          tree: await start('tree', treeDirectory),
        };
        try {
          for (const node of Object.values(nodes)) await node.warmUp();
          for (let pair = 0; pair < pairs; pair++)
            samples.push(...(await measurePair(nodes, pair % 2 === 1)));
        } finally {
          for (const node of Object.values(nodes)) await node.stop();
        }
      }),
    );
  }
  return samples;
}

async function measurePair(
  nodes: Readonly<Record<Kind, MeasuredNode>>,
  isReversed: boolean,
): Promise<Sample[]> {
  const early = isReversed ? undefined : await nodes.plain.measure();
  const tree = await nodes.tree.measure();
  const plain = early ?? (await nodes.plain.measure());
  const [cpuPlain, cpuTree] = [plain.cpuMicrosecondsPerPut, tree.cpuMicrosecondsPerPut];
  const rates = [
    sampleOf('tree-put-without', plain.perSecond),
    sampleOf('tree-put', tree.perSecond),
    sampleOf('tree-cost', 100 * (1 - tree.perSecond / plain.perSecond)),
  ];
  if (cpuPlain === undefined || cpuTree === undefined) return rates;
  return [
    ...rates,
    sampleOf('tree-cpu-without', cpuPlain),
    sampleOf('tree-cpu', cpuTree),
    sampleOf('tree-cpu-cost', 100 * (cpuTree / cpuPlain - 1)),
  ];
}

function sampleOf(row: Sample['row'], value: number): Sample {
  return { row, system: 'tercet', value };
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
  rows: [
    ...(['tree-put-without', 'tree-put', 'tree-cost'] as const),
    ...(['tree-cpu-without', 'tree-cpu', 'tree-cpu-cost', 'tree-root'] as const),
  ],
  run: async (context) => {
    const cost = await measureCost(context);
    return [...cost, ...(await inDirectory(context, (directory) => measureRoot(context, directory)))];
  },
};
