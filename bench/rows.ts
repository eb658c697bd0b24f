/** The lines of the table: what each is called, its unit, what was aimed for. Values come from the parts. */

import { type ClusterPeer, type ClusterRowId, clusterRows, peerTitles } from './cluster-rows.ts';
import { type QuorumRowId, quorumRows } from './quorum-rows.ts';

export type Unit =
  | 'documents/s'
  | 'requests/s'
  | 'rows/s'
  | 'seconds'
  | 'megabytes'
  | 'milliseconds'
  | 'microseconds'
  | 'bytes'
  | 'times'
  | 'percent';

export type Target =
  /** Tercet's value is at least this many times as good as that of the system beside it. */
  | { readonly kind: 'times_peer'; readonly atLeast: number }
  /** The same of what CouchDB was stated to reach. */
  | { readonly kind: 'times_stated'; readonly atLeast: number }
  | { readonly kind: 'at_most'; readonly value: number };

export interface RowDefinition {
  readonly title: string;
  readonly unit: Unit;
  readonly target?: Target;
  /** What Tercet is compared with; pouchdb-server where nothing is said. */
  readonly beside?: Peer;
  /** What CouchDB 3.5 was stated to reach on a machine of this kind, fsync before the answer; not measured here. */
  readonly couchdbStated?: number;
}

const times = (atLeast: number): Target => ({ kind: 'times_peer', atLeast });
const atMost = (value: number): Target => ({ kind: 'at_most', value });

const rowDefinitions = {
  'put-1': { title: 'PUT, 1 connection', unit: 'requests/s', target: times(4), couchdbStated: 300 },
  'put-16': { title: 'PUT, 16 connections', unit: 'requests/s', target: times(10) },
  'put-64': { title: 'PUT, 64 connections', unit: 'requests/s', target: times(10), couchdbStated: 1_700 },
  'put-16-default': {
    title: 'PUT, 16 connections, default strategy (single-leader) on one node',
    unit: 'requests/s',
  },
  'get-1': { title: 'GET, 1 connection', unit: 'requests/s', target: times(10) },
  'get-16': { title: 'GET, 16 connections', unit: 'requests/s', target: times(10) },
  'get-64': { title: 'GET, 64 connections', unit: 'requests/s', target: times(10), couchdbStated: 2_700 },
  bulk: { title: '_bulk_docs of 500', unit: 'documents/s', target: times(7), couchdbStated: 15_000 },
  'all-docs': { title: '_all_docs?include_docs', unit: 'rows/s', target: times(10) },
  changes: { title: '_changes', unit: 'rows/s', target: times(10) },
  push: { title: 'PouchDB push', unit: 'documents/s' },
  pull: { title: 'PouchDB pull', unit: 'documents/s' },
  'replicate-time': { title: 'node to node, 100,000 documents', unit: 'seconds', target: atMost(6) },
  'replicate-rate': { title: 'node to node', unit: 'documents/s', couchdbStated: 4_700 },
  'load-million': { title: 'loading a million documents', unit: 'documents/s' },
  'memory-loaded': { title: 'resident memory after loading them', unit: 'megabytes', target: atMost(300) },
  'memory-peak': { title: 'peak resident memory while loading them', unit: 'megabytes' },
  'disk-loaded': { title: 'disk taken by them', unit: 'megabytes' },
  open: { title: 'start to first answer with them', unit: 'seconds', target: atMost(2) },
  'memory-opened': { title: 'resident memory after opening them', unit: 'megabytes', target: atMost(300) },
  'memory-read': {
    title: 'resident memory after reading them all',
    unit: 'megabytes',
    target: atMost(300),
  },
  'branches-load': { title: '10,000 branches joined to one document', unit: 'seconds' },
  'branches-update': { title: 'update of that document, median', unit: 'milliseconds' },
  'tree-put-without': { title: 'PUT, 64 connections, no hash tree', unit: 'requests/s' },
  'tree-put': { title: 'PUT, 64 connections, hash tree kept', unit: 'requests/s' },
  'tree-cost': { title: 'PUT throughput that the hash tree costs', unit: 'percent', target: atMost(10) },
  'tree-cpu-without': { title: 'CPU time of such a PUT, no hash tree', unit: 'microseconds' },
  'tree-cpu': { title: 'CPU time of such a PUT, hash tree kept', unit: 'microseconds' },
  'tree-cpu-cost': { title: 'CPU time of a PUT that the hash tree adds', unit: 'percent' },
  'tree-root': {
    title: 'root of a million documents after a write',
    unit: 'milliseconds',
    target: atMost(50),
  },
  'branches-read': { title: 'read of that document, median', unit: 'milliseconds' },
} as const satisfies Record<string, RowDefinition>;

export type RowId = keyof typeof rowDefinitions | ClusterRowId | QuorumRowId;
/** Systems of one node. */
export type SystemName = 'tercet' | 'pouchdb-server';
/** Other clusters, and databases of other strategies. */
export type Peer = ClusterPeer | 'single-leader';
export type ClusterName = 'tercet' | Peer;

/** One round's value with its latencies where there are any. */
export interface Sample {
  readonly row: RowId;
  readonly system: SystemName | ClusterName;
  readonly value: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

export interface Summary {
  readonly median: number;
  readonly rounds: readonly number[];
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

export interface Row extends RowDefinition {
  readonly id: RowId;
  readonly tercet?: Summary;
  readonly peer?: Summary;
  /** Tercet's value over the peer's; for times, memory and disk the other way round, so that more is always better. */
  readonly ratio?: number;
  readonly verdict?: 'met' | 'missed' | 'not judged';
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function summarize(samples: readonly Sample[]): Summary | undefined {
  if (samples.length === 0) return undefined;
  const rounds = samples.map((sample) => sample.value);
  const p50 = samples.flatMap((sample) => sample.p50Ms ?? []);
  const p99 = samples.flatMap((sample) => sample.p99Ms ?? []);
  return {
    median: median(rounds),
    rounds,
    ...(p50.length > 0 ? { p50Ms: median(p50) } : {}),
    ...(p99.length > 0 ? { p99Ms: median(p99) } : {}),
  };
}

function isRate(unit: Unit): boolean {
  return unit.endsWith('/s');
}

function definitionOf(id: RowId): RowDefinition {
  const ofClusters = clusterRows.get(id as ClusterRowId) ?? quorumRows.get(id as QuorumRowId);
  const definition = ofClusters ?? rowDefinitions[id as keyof typeof rowDefinitions];
  if (definition === undefined) throw new Error(`there is no row ${id}`);
  return definition;
}

/** What the row's system beside Tercet is called. */
export function peerTitle({ id, beside }: Row): string {
  if (beside !== undefined) return peerTitles[beside];
  return id.startsWith('group-') || quorumRows.has(id as QuorumRowId) ? '' : 'pouchdb-server';
}

/** `fullSize: false` leaves absolute targets unjudged: they were set for more documents than were used. */
export function makeRow(id: RowId, samples: readonly Sample[], fullSize: boolean): Row {
  const definition = definitionOf(id);
  const of = (system: SystemName | ClusterName) =>
    summarize(samples.filter((sample) => sample.row === id && sample.system === system));
  const tercet = of('tercet');
  const peer = of(definition.beside ?? 'pouchdb-server');
  const quotient = tercet && peer ? tercet.median / peer.median : undefined;
  const ratio = quotient === undefined || isRate(definition.unit) ? quotient : 1 / quotient;
  const row: Row = {
    id,
    ...definition,
    ...(tercet ? { tercet } : {}),
    ...(peer ? { peer } : {}),
    ...(ratio === undefined ? {} : { ratio }),
  };
  return definition.target ? { ...row, verdict: judge(row, definition.target, fullSize) } : row;
}

function judge({ tercet, ratio, couchdbStated }: Row, target: Target, fullSize: boolean) {
  switch (target.kind) {
    case 'times_peer':
      if (ratio === undefined) return 'not judged';
      return ratio >= target.atLeast ? 'met' : 'missed';
    case 'times_stated':
      if (tercet === undefined || couchdbStated === undefined) return 'not judged';
      return tercet.median >= target.atLeast * couchdbStated ? 'met' : 'missed';
    case 'at_most':
      if (tercet === undefined || !fullSize) return 'not judged';
      return tercet.median <= target.value ? 'met' : 'missed';
  }
}
