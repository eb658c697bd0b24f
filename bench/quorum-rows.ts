/** The lines of the table about leaderless databases. */

import type { RowDefinition } from './rows.ts';

/** The same nodes with a leader, and other clusters. */
export type QuorumPeer = 'single-leader' | 'etcd-http' | 'etcd-grpc' | 'redis';
export type QuorumMeasurement = `${'put' | 'get'}-${1 | 16 | 64 | 256}`;
export type QuorumRowId = `quorum-${QuorumMeasurement}-${QuorumPeer}` | UpkeepRowId;
type UpkeepRowId = 'hints-replay' | 'compare-bytes' | 'compare-time' | 'heal-bytes' | 'heal-time';

export const quorumMeasurements: readonly QuorumMeasurement[] = [
  ...(['put-1', 'put-16', 'put-64', 'put-256'] as const),
  ...(['get-1', 'get-16', 'get-64', 'get-256'] as const),
];
export const quorumPeers: readonly QuorumPeer[] = ['single-leader', 'etcd-http', 'etcd-grpc', 'redis'];

/** What a CouchDB cluster of three nodes was stated to reach on a machine of this kind, and how many times that is aimed for. */
const stated: Partial<Record<QuorumMeasurement, { couchdb: number; aim: number }>> = {
  'put-64': { couchdb: 407, aim: 20 },
  'get-64': { couchdb: 633, aim: 15 },
};

function titleOf(measurement: QuorumMeasurement): string {
  const [method = '', connections] = measurement.split('-');
  const quorum = method === 'put' ? 'W' : 'R';
  return `${quorum}=2 of 3: ${method.toUpperCase()}, ${connections} connection${connections === '1' ? '' : 's'}`;
}

function rowsOf(measurement: QuorumMeasurement): [QuorumRowId, RowDefinition][] {
  return quorumPeers.map((peer) => {
    const known = peer === 'single-leader' ? stated[measurement] : undefined;
    const row: RowDefinition = {
      ...{ title: titleOf(measurement), unit: 'requests/s', beside: peer },
      ...(known && {
        couchdbStated: known.couchdb,
        target: { kind: 'times_stated', atLeast: known.aim } as const,
      }),
    };
    return [`quorum-${measurement}-${peer}`, row];
  });
}

const upkeepRows: readonly [UpkeepRowId, RowDefinition][] = [
  [
    'compare-bytes',
    {
      title: 'two replicas of a million equal documents compared',
      ...{ unit: 'bytes', target: { kind: 'at_most', value: 2_048 } },
    },
  ],
  ['compare-time', { title: 'the same', unit: 'milliseconds', target: { kind: 'at_most', value: 50 } }],
  [
    'heal-bytes',
    {
      title: '1,000 of a million documents brought by comparing: bytes, of their own',
      ...{ unit: 'times', target: { kind: 'at_most', value: 3 } },
    },
  ],
  ['heal-time', { title: 'the same', unit: 'milliseconds' }],
  [
    'hints-replay',
    { title: '100,000 hints replayed', unit: 'seconds', target: { kind: 'at_most', value: 15 } },
  ],
];

export const quorumRows: ReadonlyMap<QuorumRowId, RowDefinition> = new Map([
  ...quorumMeasurements.flatMap(rowsOf),
  ...upkeepRows,
]);
