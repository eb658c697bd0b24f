/**
 * The measuring client, in a process of its own so that it does not share a core's time with whoever starts it:
 * `connections` sockets, each sending its next request as soon as the last was answered. The job comes as one IPC
 * message, the result goes back as one.
 */

import { pathToFileURL } from 'node:url';
import { type Address, HttpConnection } from './http-connection.ts';
import { type Load, requestOf } from './workloads.ts';

export interface LoadJob {
  readonly address: Address;
  readonly database: string;
  readonly load: Load;
  readonly connections: number;
  /** Time of the same load before the clock starts. */
  readonly warmUpSeconds: number;
  /** Stop at whichever comes first. */
  readonly secondsMax: number;
  readonly requestsMax: number;
  /** Number of the first request, so that rounds in one database never meet. */
  readonly firstIndex: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly bodyBytes: number;
  readonly latenciesMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Number of the next unused request. */
  readonly nextIndex: number;
}

export function percentile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

async function runLoad(job: LoadJob): Promise<LoadResult> {
  const keepBodies = job.load.kind === 'rewrite';
  const connections = await Promise.all(
    Array.from({ length: job.connections }, () => HttpConnection.open(job.address, keepBodies)),
  );
  try {
    const state = {
      nextIndex: job.firstIndex,
      revision: job.load.kind === 'rewrite' ? job.load.revision : '',
    };
    await sendUntil(job, connections, state, {
      requests: Number.POSITIVE_INFINITY,
      seconds: job.warmUpSeconds,
    });
    const latencies: number[] = [];
    const startedAt = performance.now();
    const limit = { requests: job.requestsMax, seconds: job.secondsMax };
    const bodyBytes = await sendUntil(job, connections, state, limit, latencies);
    const seconds = (performance.now() - startedAt) / 1000;
    latencies.sort((a, b) => a - b);
    const latenciesMs = {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      max: latencies.at(-1) ?? Number.NaN,
    };
    return { requests: latencies.length, seconds, bodyBytes, latenciesMs, nextIndex: state.nextIndex };
  } finally {
    for (const connection of connections) connection.close();
  }
}

interface SendingState {
  nextIndex: number;
  revision: string;
}

async function sendUntil(
  job: LoadJob,
  connections: readonly HttpConnection[],
  state: SendingState,
  limit: { readonly requests: number; readonly seconds: number },
  latencies?: number[],
): Promise<number> {
  const lastIndex = state.nextIndex + limit.requests;
  const stopAt = performance.now() + limit.seconds * 1000;
  let bodyBytes = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (state.nextIndex < lastIndex && performance.now() < stopAt) {
        const request = requestOf(job.load, job.database, state.nextIndex++, state.revision);
        const sentAt = performance.now();
        const response = await connection.send(request);
        latencies?.push(performance.now() - sentAt);
        if (response.status >= 300) {
          throw new Error(`${request.slice(0, request.indexOf('\r\n'))} was answered ${response.status}`);
        }
        bodyBytes += response.bodyBytes;
        if (response.body !== undefined) state.revision = (JSON.parse(response.body) as { rev: string }).rev;
      }
    }),
  );
  return bodyBytes;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.once('message', (job: LoadJob) => {
    runLoad(job)
      .then((result) => ({ result }))
      .catch((error: Error) => ({ error: error.message }))
      .then((answer) => process.send?.(answer, () => process.exit(0)));
  });
}
