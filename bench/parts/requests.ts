/** Requests from many connections at once: single writes, single reads, bulk writes, whole feeds. */

import { createDefaultDatabase, database, defaultDatabase, loadDocuments } from '../database-requests.ts';
import { load } from '../processes.ts';
import type { RowId, Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import type { RunningNode, System } from '../systems.ts';
import type { Load } from '../workloads.ts';
import { inRounds, type Part } from './part.ts';

interface Measurement {
  readonly row: RowId;
  readonly load: Load;
  readonly connections: number;
  /** What one request counts for: documents or rows. */
  readonly itemsPerRequest: number;
  /** Into a database that was created without a strategy. */
  readonly isDefault?: true;
}

async function measure(
  settings: Settings,
  node: RunningNode,
  system: System,
  { row, load: kind, connections, itemsPerRequest, isDefault }: Measurement,
): Promise<Sample> {
  if (isDefault === true) await createDefaultDatabase(node);
  const result = await load({
    address: node.address,
    database: isDefault === true ? defaultDatabase : database,
    load: kind,
    connections,
    warmUpSeconds: settings.warmUpSeconds,
    secondsMax: settings.secondsPerMeasurement,
    requestsMax: Number.MAX_SAFE_INTEGER,
    firstIndex: 0,
  });
  return {
    row,
    system: system.name,
    value: (result.requests * itemsPerRequest) / result.seconds,
    p50Ms: result.latenciesMs.p50,
    p99Ms: result.latenciesMs.p99,
  };
}

function requestsPart(
  name: string,
  preloaded: (settings: Settings) => number,
  measurements: (settings: Settings) => readonly Measurement[],
  rows: readonly RowId[],
): Part {
  return {
    name,
    rows,
    run: (context) =>
      inRounds(context, name, async (node, system) => {
        const { settings } = context;
        if (preloaded(settings) > 0) await loadDocuments(node, 'd', preloaded(settings));
        const samples: Sample[] = [];
        for (const measurement of measurements(settings)) {
          samples.push(await measure(settings, node, system, measurement));
        }
        return samples;
      }),
  };
}

const connectionRows = (kind: 'put' | 'get') =>
  [1, 16, 64].map((connections) => ({
    connections,
    row: `${kind}-${connections}` as RowId,
  }));

export const put = requestsPart(
  'put',
  () => 0,
  () => {
    const writes = (connections: number): Load => ({ kind: 'put', prefix: `c${connections}-` });
    const here = connectionRows('put').map(({ row, connections }): Measurement => {
      return { row, connections, load: writes(connections), itemsPerRequest: 1 };
    });
    const led = { row: 'put-16-default', connections: 16, load: writes(16), itemsPerRequest: 1 } as const;
    return [...here, { ...led, isDefault: true }];
  },
  [...connectionRows('put').map(({ row }) => row), 'put-16-default'],
);

export const get = requestsPart(
  'get',
  (settings) => settings.feedDocuments,
  (settings) =>
    connectionRows('get').map(({ row, connections }) => {
      const reads: Load = { kind: 'get', prefix: 'd', documents: settings.feedDocuments };
      return { row, connections, load: reads, itemsPerRequest: 1 };
    }),
  connectionRows('get').map(({ row }) => row),
);

const bulkDocuments = 500;

export const bulk = requestsPart(
  'bulk',
  () => 0,
  () => {
    const writes: Load = { kind: 'bulk', prefix: 'b', documentsPerRequest: bulkDocuments };
    return [{ row: 'bulk', connections: 1, load: writes, itemsPerRequest: bulkDocuments }];
  },
  ['bulk'],
);

export const feeds = requestsPart(
  'feeds',
  (settings) => settings.feedDocuments,
  (settings) => [
    {
      row: 'all-docs',
      connections: 1,
      load: { kind: 'path', path: '_all_docs?include_docs=true' },
      itemsPerRequest: settings.feedDocuments,
    },
    {
      row: 'changes',
      connections: 1,
      load: { kind: 'path', path: '_changes' },
      itemsPerRequest: settings.feedDocuments,
    },
  ],
  ['all-docs', 'changes'],
);
