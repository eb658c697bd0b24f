/** One document that ten thousand writers changed at once: how long its next update and a read of it take. */

import { createHash } from 'node:crypto';
import { database, requestJson } from '../database-requests.ts';
import { load } from '../processes.ts';
import type { Sample } from '../rows.ts';
import type { RunningNode, System } from '../systems.ts';
import { inRounds, type Part, type PartContext } from './part.ts';

const branchesPerRequest = 500;
const id = 'contended';

function digest(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

async function joinBranches(node: RunningNode, branches: number): Promise<number> {
  const root = digest('root');
  const startedAt = performance.now();
  for (let first = 0; first < branches; first += branchesPerRequest) {
    const docs = Array.from({ length: Math.min(branchesPerRequest, branches - first) }, (_, i) => {
      const leaf = digest(`branch ${first + i}`);
      return { _id: id, _rev: `2-${leaf}`, _revisions: { start: 2, ids: [leaf, root] }, writer: first + i };
    });
    await requestJson(`${node.url}/${database}/_bulk_docs`, 'POST', { docs, new_edits: false });
  }
  return (performance.now() - startedAt) / 1000;
}

async function measure({ settings }: PartContext, node: RunningNode, system: System): Promise<Sample[]> {
  const seconds = await joinBranches(node, settings.branches);
  const winner = (await requestJson(`${node.url}/${database}/${id}`)) as { _rev: string };
  const job = {
    address: node.address,
    database,
    connections: 1,
    warmUpSeconds: settings.warmUpSeconds,
    secondsMax: settings.secondsPerMeasurement,
    requestsMax: 1_000,
    firstIndex: 0,
  };
  // Reads first: the load client's rewrites start from the winner as it is now.
  const reads = await load({ ...job, load: { kind: 'path', path: id } });
  const updates = await load({ ...job, load: { kind: 'rewrite', id, revision: winner._rev } });
  const latencies = ({ latenciesMs: { p50, p99 } }: typeof reads) => ({ value: p50, p50Ms: p50, p99Ms: p99 });
  return [
    { row: 'branches-load', system: system.name, value: seconds },
    { row: 'branches-read', system: system.name, ...latencies(reads) },
    { row: 'branches-update', system: system.name, ...latencies(updates) },
  ];
}

export const branches: Part = {
  name: 'branches',
  rows: ['branches-load', 'branches-update', 'branches-read'],
  // pouchdb-server takes minutes for each update of such a document, so it is not waited for.
  run: (context) => {
    const systems = context.systems.filter(({ name }) => name === 'tercet');
    return inRounds({ ...context, systems }, 'branches', (node, system) => measure(context, node, system));
  },
};
