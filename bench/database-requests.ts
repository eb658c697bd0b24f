/** The few requests that prepare and check a measurement; the measured ones go through the load client. */

import type { LoadResult } from './load-client.ts';
import { load } from './processes.ts';
import type { RunningNode } from './systems.ts';

export const database = 'bench';
export const defaultDatabase = 'bench-default';

export async function requestJson(url: string, method = 'GET', body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    signal: AbortSignal.timeout(600_000),
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${method} ${url} was answered ${response.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text) as unknown;
}

/** For what the local store does with a write: multi-leader, for systems that know the word. */
export async function createDatabase(node: RunningNode): Promise<void> {
  await requestJson(`${node.url}/${database}?strategy=multi-leader`, 'PUT');
}

/** As whoever names no strategy gets it. */
export async function createDefaultDatabase(node: RunningNode): Promise<void> {
  await requestJson(`${node.url}/${defaultDatabase}`, 'PUT');
}

export async function countDocuments(url: string): Promise<number> {
  const info = (await requestJson(url)) as { doc_count: number };
  return info.doc_count;
}

const documentsPerRequest = 500;

/** Loads documents `prefix00000000…` and makes sure that they are all there. */
export async function loadDocuments(
  node: Pick<RunningNode, 'address' | 'url'>,
  prefix: string,
  documents: number,
): Promise<LoadResult> {
  const requests = Math.ceil(documents / documentsPerRequest);
  const result = await load({
    address: node.address,
    database,
    load: { kind: 'bulk', prefix, documentsPerRequest },
    connections: 2,
    warmUpSeconds: 0,
    secondsMax: Number.MAX_SAFE_INTEGER,
    requestsMax: requests,
    firstIndex: 0,
  });
  const found = await countDocuments(`${node.url}/${database}`);
  if (found !== requests * documentsPerRequest)
    throw new Error(`${found} of ${documents} documents were loaded`);
  return result;
}
