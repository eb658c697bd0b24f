/** The lines of the table about clusters: each thing that is measured, beside each system that it is compared with. */

import type { Peer, RowDefinition, Target } from './rows.ts';

export type ClusterPeer = 'etcd-http' | 'etcd-grpc' | 'redis' | 'postgres';
export type ClusterMeasurement = 'put-1' | 'put-16' | 'put-64' | 'put-256' | 'get-64';
export type LeaderMeasurement = 'put-1' | 'put-16' | 'put-64' | 'put-256';
export type ClusterRowId =
  | `group-${ClusterMeasurement}-${ClusterPeer}`
  | `group-${ClusterMeasurement}-p99-${ClusterPeer}`
  | `group-leader-${LeaderMeasurement}`;

const measurements: readonly ClusterMeasurement[] = ['put-1', 'put-16', 'put-64', 'put-256', 'get-64'];
export const clusterPeers: readonly ClusterPeer[] = ['etcd-http', 'etcd-grpc', 'redis', 'postgres'];
export const peerTitles: Readonly<Record<Peer, string>> = {
  'single-leader': 'Tercet with a leader',

  'etcd-http': 'etcd by HTTP',
  'etcd-grpc': 'etcd by gRPC',
  redis: 'Redis',
  postgres: 'PostgreSQL',
};

/** Aims of writes at 64 and 256 connections, and of reads. */
const putAims: Partial<Record<ClusterPeer, number>> = { 'etcd-http': 2, 'etcd-grpc': 1 };
const getAims: Partial<Record<ClusterPeer, number>> = { 'etcd-http': 1.5, 'etcd-grpc': 1.5 };
const aimed: readonly ClusterMeasurement[] = ['put-64', 'put-256'];

function aimOf(measurement: ClusterMeasurement, peer: ClusterPeer): Target | undefined {
  const aims = measurement === 'get-64' ? getAims : aimed.includes(measurement) ? putAims : {};
  const atLeast = aims[peer];
  return atLeast === undefined ? undefined : { kind: 'times_peer', atLeast };
}

function titleOf(measurement: ClusterMeasurement): string {
  const [method = '', connections] = measurement.split('-');
  return `three nodes: ${method.toUpperCase()}, ${connections} connection${connections === '1' ? '' : 's'}`;
}

function rowsOf(measurement: ClusterMeasurement): [ClusterRowId, RowDefinition][] {
  return clusterPeers.flatMap((peer): [ClusterRowId, RowDefinition][] => {
    const target = aimOf(measurement, peer);
    const rate: RowDefinition = { title: titleOf(measurement), unit: 'requests/s', beside: peer };
    const isSlowTold = aimed.includes(measurement) && peer.startsWith('etcd');
    const slow: RowDefinition = {
      ...{ title: `${titleOf(measurement)}, p99`, unit: 'milliseconds', beside: peer },
      target: { kind: 'times_peer', atLeast: 1 },
    };
    return [
      [`group-${measurement}-${peer}`, target === undefined ? rate : { ...rate, target }],
      ...(isSlowTold ? [[`group-${measurement}-p99-${peer}`, slow] as [ClusterRowId, RowDefinition]] : []),
    ];
  });
}

const leaderRows = measurements
  .filter((measurement): measurement is LeaderMeasurement => measurement !== 'get-64')
  .map((measurement): [ClusterRowId, RowDefinition] => [
    `group-leader-${measurement}`,
    { title: `${titleOf(measurement)}, all to the leader`, unit: 'requests/s' },
  ]);

export const clusterRows: ReadonlyMap<ClusterRowId, RowDefinition> = new Map([
  ...measurements.flatMap(rowsOf),
  ...leaderRows,
]);
