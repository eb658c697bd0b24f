/**
 * etcd over gRPC, by its npm client. All connections to one node share a channel, as gRPC's clients do: what counts is how
 * many requests are on their way.
 */

import { createRequire } from 'node:module';
import type { Address } from '../http-connection.ts';
import { cachedPackage } from '../npm-cache.ts';
import type { Wire } from './wire.ts';

const etcdClientVersion = '1.1.2';

/** The part of `etcd3` that is used. */
interface EtcdClient {
  readonly kv: {
    put(request: { key: Buffer; value: Buffer }): Promise<unknown>;
    range(request: { key: Buffer }): Promise<{ readonly kvs: readonly unknown[] }>;
  };
  close(): void;
}
type EtcdModule = { readonly Etcd3: new (options: { hosts: string }) => EtcdClient };

/** Installs the client once. @throws Error when npm cannot */
export function etcdClientDirectory(): string {
  return cachedPackage('etcd3', etcdClientVersion);
}

const clients = new Map<string, EtcdClient>();

export async function openGrpcWire({ host, port }: Address): Promise<Wire> {
  const hosts = `http://${host}:${port}`;
  const client = clients.get(hosts) ?? newClient(hosts);
  clients.set(hosts, client);
  return {
    put: async (key, value) => {
      await client.kv.put({ key: Buffer.from(key), value: Buffer.from(value) });
    },
    get: async (key) => {
      const { kvs } = await client.kv.range({ key: Buffer.from(key) });
      if (kvs.length !== 1) throw new Error(`${key} is missing`);
    },
    close: () => {
      if (clients.delete(hosts)) client.close();
    },
  };
}

function newClient(hosts: string): EtcdClient {
  const home = etcdClientDirectory();
  const { Etcd3 } = createRequire(`${home}/package.json`)('etcd3') as EtcdModule;
  return new Etcd3({ hosts });
}
