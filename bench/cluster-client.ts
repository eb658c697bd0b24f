/**
 * The measuring client for clusters, in a process of its own: `connections` wires, dealt out over the addresses in turn,
 * each sending its next request as soon as the last was answered. The job comes as one IPC message, the result goes back
 * as one.
 */

import { pathToFileURL } from 'node:url';
import type { Address } from './http-connection.ts';
import { type LoadResult, percentile } from './load-client.ts';
import { openWire, type Protocol, type Wire } from './wires/wire.ts';
import { documentId, documentText } from './workloads.ts';

export interface ClusterJob {
  readonly protocol: Protocol;
  readonly addresses: readonly Address[];
  readonly connections: number;
  readonly load:
    | { readonly kind: 'put'; readonly prefix: string }
    /** Of values that puts with this prefix wrote, in a scattered order. */
    | { readonly kind: 'get'; readonly prefix: string; readonly documents: number };
  readonly warmUpSeconds: number;
  /** Stop at whichever comes first. */
  readonly secondsMax: number;
  readonly requestsMax: number;
}

async function runJob(job: ClusterJob): Promise<LoadResult> {
  const wires = await Promise.all(
    Array.from({ length: job.connections }, (_, i) =>
      openWire(job.protocol, job.addresses[i % job.addresses.length] as Address),
    ),
  );
  try {
    const unlimited = Number.POSITIVE_INFINITY;
    const warm = await sendUntil(job, wires, {
      firstIndex: 0,
      requestsMax: unlimited,
      secondsMax: job.warmUpSeconds,
    });
    const startedAt = performance.now();
    const limits = {
      firstIndex: warm.nextIndex,
      requestsMax: job.requestsMax,
      secondsMax: job.secondsMax,
    };
    const { latencies, nextIndex } = await sendUntil(job, wires, limits);
    const seconds = (performance.now() - startedAt) / 1000;
    latencies.sort((a, b) => a - b);
    const latenciesMs = {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      max: latencies.at(-1) ?? Number.NaN,
    };
    return { requests: latencies.length, seconds, bodyBytes: 0, latenciesMs, nextIndex };
  } finally {
    for (const wire of wires) wire.close();
  }
}

interface Limits {
  readonly firstIndex: number;
  readonly requestsMax: number;
  readonly secondsMax: number;
}

async function sendUntil(
  { load }: ClusterJob,
  wires: readonly Wire[],
  { firstIndex, requestsMax, secondsMax }: Limits,
): Promise<{ latencies: number[]; nextIndex: number }> {
  const latencies: number[] = [];
  const stopAt = performance.now() + secondsMax * 1000;
  let next = firstIndex;
  const send = (wire: Wire, index: number): Promise<void> => {
    // A step that shares no factor with the number of documents visits each of them once before any of them twice.
    if (load.kind === 'get') return wire.get(documentId(load.prefix, (index * 7_919) % load.documents));
    const key = documentId(load.prefix, index);
    return wire.put(key, documentText(key, index));
  };
  await Promise.all(
    wires.map(async (wire) => {
      while (next < firstIndex + requestsMax && performance.now() < stopAt) {
        const sentAt = performance.now();
        await send(wire, next++);
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  return { latencies, nextIndex: next };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.once('message', (job: ClusterJob) => {
    runJob(job)
      .then((result) => ({ result }))
      .catch((error: Error) => ({ error: error.message }))
      .then((answer) => process.send?.(answer, () => process.exit(0)));
  });
}
