/**
 * Leaderless databases: three nodes that answer after W=2 or R=2 of N=3, beside the same nodes with a leader and other
 * clusters; what comparing two replicas takes; how long the hints of a node that was away take. What the hash tree costs is in hash-tree.ts.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterSystem, RunningCluster } from '../clusters/cluster.ts';
import { etcdByGateway, etcdByGrpc } from '../clusters/etcd.ts';
import { redisPair } from '../clusters/redis.ts';
import { tercetCluster } from '../clusters/tercet.ts';
import { warmUp } from '../clusters/warm-up.ts';
import { measureHints } from '../hint-replay.ts';
import type { LoadResult } from '../load-client.ts';
import { loadCluster } from '../processes.ts';
import {
  type QuorumPeer,
  type QuorumRowId,
  quorumMeasurements,
  quorumPeers,
  quorumRows,
} from '../quorum-rows.ts';
import { measureComparison } from '../replica-comparison.ts';
import type { ClusterName, Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import { inDirectory, type Part, type PartContext, preparedClusters } from './part.ts';

const unlimited = Number.MAX_SAFE_INTEGER;

function findClusters(context: PartContext): ClusterSystem[] {
  const { profileDirectory } = context.settings;
  const known: readonly [string, () => ClusterSystem][] = [
    ['tercet', () => tercetCluster(profileDirectory, 'leaderless')],
    ['tercet', () => ({ ...tercetCluster(undefined, 'single-leader'), name: 'single-leader' })],
    ['etcd-http', etcdByGateway],
    ['etcd-grpc', etcdByGrpc],
    ['redis', redisPair],
  ];
  return preparedClusters(context, known);
}

async function measureRates(
  settings: Settings,
  system: ClusterSystem,
  cluster: RunningCluster,
  samples: Sample[],
): Promise<void> {
  const common = { protocol: system.protocol, addresses: cluster.addresses };
  const times = { warmUpSeconds: settings.warmUpSeconds, secondsMax: settings.secondsPerMeasurement };
  const documents = settings.groupDocuments;
  for (const measurement of quorumMeasurements) {
    const connections = Number(measurement.slice(4));
    const isPut = measurement.startsWith('put');
    const wanted = isPut
      ? ({ kind: 'put', prefix: `c${connections}-` } as const)
      : ({ kind: 'get', prefix: 'd', documents } as const);
    const result = await loadCluster({
      ...common,
      ...times,
      connections,
      load: wanted,
      requestsMax: unlimited,
    });
    // Tercet's value stands in every line that compares it, another system's in its own lines.
    const peers: readonly QuorumPeer[] = system.name === 'tercet' ? quorumPeers : [system.name as QuorumPeer];
    for (const peer of peers) samples.push(sampleOf(`quorum-${measurement}-${peer}`, system.name, result));
  }
}

function sampleOf(row: QuorumRowId, system: ClusterName, result: LoadResult): Sample {
  const { p50, p99 } = result.latenciesMs;
  return { row, system, value: result.requests / result.seconds, p50Ms: p50, p99Ms: p99 };
}

async function run(context: PartContext): Promise<readonly Sample[]> {
  const { settings, progress, problem } = context;
  const systems = findClusters(context);
  const samples: Sample[] = [];
  const attempt = async (what: string, measure: () => Promise<void>) => {
    progress(`leaderless: ${what}`);
    await measure().catch((error: Error) => problem(`leaderless, ${what}: ${error.message}`));
  };
  for (let round = 1; round <= settings.rounds; round++) {
    const isReversed = round % 2 === 0;
    for (const system of isReversed ? systems.toReversed() : systems) {
      await attempt(`${system.name}, round ${round} of ${settings.rounds}`, () =>
        onCluster(context, system, async (cluster) => {
          await warmUp(context, 'leaderless', system, cluster);
          await measureRates(settings, system, cluster, samples);
        }),
      );
    }
  }
  if (systems.some(({ name }) => name === 'tercet')) {
    await attempt('comparing replicas', async () => {
      const { storedDocuments } = settings;
      samples.push(...(await inDirectory(context, (path) => measureComparison(path, storedDocuments))));
    });
    await attempt('hints', async () => {
      samples.push(await inDirectory(context, (directory) => measureHints(directory, settings.hints)));
    });
  }
  return samples;
}

async function onCluster(
  { directory }: PartContext,
  system: ClusterSystem,
  use: (cluster: RunningCluster) => Promise<void>,
): Promise<void> {
  const data = await mkdtemp(join(directory, 'cluster-'));
  try {
    const cluster = await system.start(data);
    await use(cluster).finally(() => cluster.stop());
  } finally {
    await rm(data, { recursive: true, force: true, maxRetries: 3 });
  }
}

export const leaderless: Part = { name: 'leaderless', rows: [...quorumRows.keys()], run };
