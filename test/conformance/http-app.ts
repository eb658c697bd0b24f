/** A whole node's HTTP API over a memory store, for tests: real databases, real access, real sockets. */

import { Buffer } from 'node:buffer';
import type { Server } from 'node:http';
import { createConnection } from 'node:net';
import { createAccess } from '../../src/access/access.ts';
import { limits } from '../../src/config.ts';
import { type Databases, openDatabases, type RouteWrites } from '../../src/database/databases.ts';
import { createApp } from '../../src/http/app.ts';
import type { ClusterServices, CorsSettings, HttpLimits, Replications } from '../../src/http/services.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import type { StoreHealth } from '../../src/store/store.ts';

export interface TestAppOptions {
  /** What the node says of its disk; by itself the store of a test does not break. */
  readonly storeHealth?: () => StoreHealth;
  readonly admins?: Readonly<Record<string, string>>;
  readonly cors?: CorsSettings;
  readonly limits?: Partial<HttpLimits>;
  readonly replications?: Partial<Replications>;
  /** Default `n1`. */
  readonly name?: string;
  readonly peers?: readonly { readonly name: string; readonly url: string }[];
  /** By which peers prove themselves. */
  readonly secret?: string;
  readonly cluster?: (databases: Databases) => ClusterServices;
  readonly routeWrites?: RouteWrites;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  readonly json: any;
}

export interface TestApp {
  readonly url: string;
  readonly port: number;
  readonly databases: Databases;
  readonly server: Server;
  /** Errors that clients saw as 500. */
  readonly defects: unknown[];
  /** A body that is no string, bytes or stream is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Sends bytes as they are and gives all that comes back until the connection ends. */
  raw(text: string | Uint8Array): Promise<string>;
  close(): Promise<void>;
}

const noReplications: Replications = {
  replicate: () => Promise.resolve({ status: 200, body: { ok: true } }),
  jobs: () => [],
  documents: () => [],
  activeTasks: () => [],
};

export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const store = createMemoryStore();
  const defects: unknown[] = [];
  const databases = await openDatabases({
    ...{ store, digest: digest128, clock: systemClock, random: systemRandom, node: 'n1' },
    ...(options.routeWrites && { routeWrites: options.routeWrites }),
    onBackgroundFailure: (_work, cause) => defects.push(cause),
  });
  await databases.create('_users');
  await databases.create('_replicator');
  const access = await createAccess({
    admins: new Map(Object.entries(options.admins ?? {})),
    readUser: (id) => {
      const outcome = databases.get('_users').read(id);
      return outcome.kind === 'found' ? outcome.document : undefined;
    },
    ...{ cookieSecret: Buffer.from('for tests'), secret: options.secret, clock: systemClock },
    scrypt: { cost: 16, blockSize: 8, parallelization: 1 },
  });
  const app = createApp({
    ...{ databases, access, replications: { ...noReplications, ...options.replications } },
    ...(options.cluster && { cluster: options.cluster(databases) }),
    node: {
      ...{ name: options.name ?? 'n1', peers: options.peers ?? [], region: undefined },
      ...{ clusterUuid: 'c'.repeat(32), version: '0.1.0' },
      storeHealth: options.storeHealth ?? (() => store.health()),
    },
    http: { cors: options.cors, limits: { ...limits, ...options.limits } },
    reportDefect: (error) => defects.push(error),
  });
  const { port } = await app.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ url, port, databases, defects, server: app.server },
    request: (method, path, body, headers) =>
      request(`${url}${path}`, { method, body, headers: headers ?? {} }),
    raw: (text) => raw(port, text),
    close: async () => {
      await app.close();
      await databases.close();
      await store.close();
    },
  };
}

interface RequestSettings {
  readonly method: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
}

async function request(url: string, { method, body, headers }: RequestSettings): Promise<Reply> {
  const isJson = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
  const response = await fetch(url, {
    method,
    headers: { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : (body as string) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: tryJson(text) };
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not every answer is JSON; a test that expects it fails on the undefined.
    return undefined;
  }
}

function raw(port: number, text: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write(text));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
  });
}
