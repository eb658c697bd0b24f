import type { PartContext } from '../parts/part.ts';
import { loadCluster } from '../processes.ts';
import type { ClusterSystem, RunningCluster } from './cluster.ts';

const connections = 64;
const windowSeconds = 5;

/**
 * Brings a cluster to the state that it is measured in: the documents `d…` are there to be read, and a system that compiles
 * what it runs has run it long enough. All systems get the same time, and puts a second in each window of it are told: they show
 * whether it was enough.
 */
export async function warmUp(
  { progress, settings }: Pick<PartContext, 'progress' | 'settings'>,
  part: string,
  { name, protocol }: ClusterSystem,
  { addresses }: RunningCluster,
): Promise<void> {
  const { groupDocuments, groupWarmUpSeconds } = settings;
  const common = { protocol, addresses, connections, warmUpSeconds: 0 };
  const unlimited = Number.MAX_SAFE_INTEGER;
  const fill = { ...common, load: { kind: 'put', prefix: 'd' }, secondsMax: unlimited } as const;
  await loadCluster({ ...fill, requestsMax: groupDocuments });
  const rates: number[] = [];
  for (let left = groupWarmUpSeconds; left > 0; left -= windowSeconds) {
    const load = { kind: 'put', prefix: `w${rates.length}-` } as const;
    const secondsMax = Math.min(left, windowSeconds);
    const { requests, seconds } = await loadCluster({ ...common, load, secondsMax, requestsMax: unlimited });
    rates.push(Math.round(requests / seconds));
  }
  progress(`${part}: ${name}, warmed up at ${rates.join(', ')} puts a second`);
}
