/**
 * Clusters that have a write on a majority of disks (or do as much for it as they can) before they answer. Connections are
 * spread over the nodes that take writes; for Tercet also all of them at the leader, which spares the forwarding.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ClusterMeasurement,
  type ClusterPeer,
  type ClusterRowId,
  clusterPeers,
  clusterRows,
} from '../cluster-rows.ts';
import type { ClusterSystem, RunningCluster } from '../clusters/cluster.ts';
import { etcdByGateway, etcdByGrpc } from '../clusters/etcd.ts';
import { postgresPair } from '../clusters/postgres.ts';
import { redisPair } from '../clusters/redis.ts';
import { tercetCluster } from '../clusters/tercet.ts';
import { warmUp } from '../clusters/warm-up.ts';
import type { LoadResult } from '../load-client.ts';
import { loadCluster } from '../processes.ts';
import type { Sample } from '../rows.ts';
import type { Settings } from '../settings.ts';
import { type Part, type PartContext, preparedClusters } from './part.ts';

const putConnections = [1, 16, 64, 256] as const;
const getConnections = 64;
const unlimited = Number.MAX_SAFE_INTEGER;

function findClusters(context: PartContext): ClusterSystem[] {
  const known: Readonly<Record<'tercet' | ClusterPeer, () => ClusterSystem>> = {
    tercet: () => tercetCluster(context.settings.profileDirectory, 'single-leader'),
    ...{ 'etcd-http': etcdByGateway, 'etcd-grpc': etcdByGrpc, redis: redisPair, postgres: postgresPair },
  };
  return preparedClusters(context, Object.entries(known));
}

/** Adds what it finds to the samples as it goes, so that a failure leaves what came before it. */
async function measure(
  settings: Settings,
  system: ClusterSystem,
  cluster: RunningCluster,
  samples: Sample[],
): Promise<void> {
  const { protocol } = system;
  const name = system.name as 'tercet' | ClusterPeer;
  const times = { warmUpSeconds: settings.warmUpSeconds, secondsMax: settings.secondsPerMeasurement };
  const put = (connections: number, prefix: string, addresses = cluster.addresses) => {
    const load = { kind: 'put', prefix } as const;
    return loadCluster({ protocol, addresses, connections, load, ...times, requestsMax: unlimited });
  };
  for (const connections of putConnections) {
    const result = await put(connections, `c${connections}-`);
    samples.push(...samplesOf(name, `put-${connections}`, result));
    if (name !== 'tercet') continue;
    const atLeader = await put(connections, `l${connections}-`, [cluster.leader]);
    samples.push(sampleOf(`group-leader-put-${connections}`, name, atLeader));
  }
  const read = await loadCluster({
    ...{ protocol, addresses: cluster.addresses, connections: getConnections },
    load: { kind: 'get', prefix: 'd', documents: settings.groupDocuments },
    ...{ ...times, requestsMax: unlimited },
  });
  samples.push(...samplesOf(name, 'get-64', read));
}

function sampleOf(row: ClusterRowId, system: 'tercet' | ClusterPeer, result: LoadResult): Sample {
  const { p50, p99 } = result.latenciesMs;
  return { row, system, value: result.requests / result.seconds, p50Ms: p50, p99Ms: p99 };
}

/** Tercet's value stands in every line that compares it, another system's in its own lines. */
function samplesOf(
  system: 'tercet' | ClusterPeer,
  measurement: ClusterMeasurement,
  result: LoadResult,
): Sample[] {
  const peers: readonly ClusterPeer[] = system === 'tercet' ? clusterPeers : [system];
  return peers.flatMap((peer) => {
    const slow: ClusterRowId = `group-${measurement}-p99-${peer}`;
    const rate = sampleOf(`group-${measurement}-${peer}`, system, result);
    return clusterRows.has(slow) ? [rate, { row: slow, system, value: result.latenciesMs.p99 }] : [rate];
  });
}

async function run(context: PartContext): Promise<readonly Sample[]> {
  const { settings, directory, progress, problem } = context;
  const systems = findClusters(context);
  const samples: Sample[] = [];
  for (let round = 1; round <= settings.rounds; round++) {
    for (const system of round % 2 === 1 ? systems : systems.toReversed()) {
      progress(`single-leader: ${system.name}, round ${round} of ${settings.rounds}`);
      const data = await mkdtemp(join(directory, 'cluster-'));
      try {
        const cluster = await system.start(data);
        try {
          await warmUp(context, 'single-leader', system, cluster);
          await measure(settings, system, cluster, samples);
        } finally {
          await cluster.stop();
        }
      } catch (error) {
        problem(`single-leader, ${system.name}: ${(error as Error).message}`);
      } finally {
        await rm(data, { recursive: true, force: true, maxRetries: 3 });
      }
    }
  }
  return samples;
}

export const singleLeader: Part = { name: 'single-leader', rows: [...clusterRows.keys()], run };
