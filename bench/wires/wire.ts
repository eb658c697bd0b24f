/** How the load client speaks to a cluster: one {@link Wire} is one connection with one request on its way. */

import type { Address } from '../http-connection.ts';
import { openGrpcWire } from './etcd-grpc.ts';
import { openGatewayWire, openTercetWire } from './http.ts';
import { openPostgresWire } from './postgres.ts';
import { openRedisWire } from './redis.ts';

export type Protocol = 'tercet' | 'etcd-http' | 'etcd-grpc' | 'redis' | 'postgres';

export interface Wire {
  /** Resolves once the cluster says that the value is as durable as it was asked to make it. */
  put(key: string, value: string): Promise<void>;
  /** Rejects when there is no such value. */
  get(key: string): Promise<void>;
  close(): void;
}

export function openWire(protocol: Protocol, address: Address): Promise<Wire> {
  switch (protocol) {
    case 'tercet':
      return openTercetWire(address);
    case 'etcd-http':
      return openGatewayWire(address);
    case 'etcd-grpc':
      return openGrpcWire(address);
    case 'redis':
      return openRedisWire(address);
    case 'postgres':
      return openPostgresWire(address);
  }
}
