/** What orchestrators and monitors ask a node: `/livez`, `/readyz`, `/metrics`. */

import { memoryUsage } from 'node:process';
import type { AckSettings } from '../../database/model.ts';
import type { Exchange } from '../exchange.ts';
import type { LeaderlessFigures } from '../leaderless-services.ts';
import { sendBytes, sendJson } from '../respond.ts';
import type { ClusterMember, ClusterServices, ClusterStatus } from '../services.ts';

/** Every database more is a time series more. */
const labelledDatabasesMax = 100;

/** The process answers. Whether it can do its work is no reason to start it anew. */
export function live(exchange: Exchange): void {
  sendJson(exchange, 200, { status: 'ok' });
}

/** 503 while requests are better sent to another node; with `?verbose` it says what was looked at. */
export function ready(exchange: Exchange): void {
  const checks = readiness(exchange);
  const failed = Object.values(checks).some((outcome) => outcome !== 'ok');
  const isVerbose = exchange.query.has('verbose') && exchange.query.get('verbose') !== 'false';
  const status = failed ? 'not_ready' : 'ok';
  sendJson(exchange, failed ? 503 : 200, failed || isVerbose ? { status, checks } : { status });
}

const noPartYet =
  'no part in the cluster yet: whoever runs it adds this node with "tercet node add"; a node whose disk is new is taken in by itself';

/** `ok`, or why not. A leader matters only where there are databases that need one. */
function readiness({ services }: Exchange): Readonly<Record<string, string>> {
  const { cluster, databases, node } = services;
  const health = node.storeHealth();
  const store = health.kind === 'writable' ? 'ok' : `read-only: ${health.cause}`;
  if (cluster === undefined) return { store };
  const { awaitsAdmission, leader, removal } = cluster.status();
  const membership = removal?.advice ?? (awaitsAdmission ? noPartYet : 'ok');
  const needsLeader = databases.names().some((name) => cluster.isSingleLeader(name));
  if (!needsLeader || membership !== 'ok') return { store, membership };
  return { store, membership, leader: leader === undefined ? 'no leader is known' : 'ok' };
}

/** Prometheus' text format. */
export function metrics(exchange: Exchange): void {
  const { cluster, leaderless } = exchange.services;
  const families = [
    ...ofNode(exchange),
    ...(cluster === undefined ? [] : ofGroup(cluster)),
    ...(leaderless === undefined ? [] : ofLeaderless(leaderless.figures())),
  ];
  const text = families.flatMap(lines).join('\n');
  sendBytes(exchange, 200, 'text/plain; version=0.0.4; charset=utf-8', Buffer.from(`${text}\n`));
}

/** All samples of one name. */
interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

function lines({ name, kind, help, samples }: Family): string[] {
  const rows = samples.map(({ labels = {}, value }) => `tercet_${name}${labelText(labels)} ${value}`);
  return [`# HELP tercet_${name} ${help}`, `# TYPE tercet_${name} ${kind}`, ...rows];
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, kind: 'counter', help, samples };
}

function gauge(name: string, help: string, ...samples: readonly Sample[]): Family {
  return { name, kind: 'gauge', help, samples };
}

function ofNode({ services, shared: { counters, feeds } }: Exchange): Family[] {
  const { databases, node } = services;
  const methods = [...counters.methods].map(([method, value]) => ({ labels: { method }, value }));
  const statuses = [...counters.statuses].map(([code, value]) => ({ labels: { code: String(code) }, value }));
  const isWritable = node.storeHealth().kind === 'writable';
  return [
    gauge('info', 'Which node this is.', { labels: { node: node.name, version: node.version }, value: 1 }),
    gauge('uptime_seconds', 'Since the process began.', { value: Math.floor(process.uptime()) }),
    gauge('resident_memory_bytes', 'Memory of the process.', { value: memoryUsage().rss }),
    gauge('store_writable', '1 while the disk takes writes.', { value: isWritable ? 1 : 0 }),
    gauge('databases', 'Databases of this node.', { value: databases.names().length }),
    gauge('live_feeds', 'Changes feeds that are held open.', { value: feeds.size }),
    counter('http_requests_total', 'Requests by method.', methods),
    counter('http_responses_total', 'Answers by status.', statuses),
  ];
}

function ofGroup(cluster: ClusterServices): Family[] {
  const { applied, commit, epochs, hasQuorum, leader, members, quorum, role, term } = cluster.status();
  const stalenessMs = cluster.stalenessMs();
  const yes = (isSo: boolean): Sample => ({ value: isSo ? 1 : 0 });
  const common = [
    gauge('group_term', 'Term of the replication group.', { value: term }),
    gauge('group_is_leader', '1 on the node that leads.', yes(role === 'leader')),
    gauge('group_has_leader', '1 while this node knows of a leader.', yes(leader !== undefined)),
    gauge('group_epochs', 'Epochs that this node remembers.', { value: epochs.length }),
    gauge('group_commit_index', 'Highest index that cannot be lost any more.', { value: commit }),
    gauge('group_applied_index', 'Highest index that readers of this node see.', { value: applied }),
  ];
  return [
    ...common,
    ...(hasQuorum === undefined ? [] : [gauge('group_has_quorum', '1 with a quorum.', yes(hasQuorum))]),
    ...(quorum === undefined ? [] : quorumGauges(quorum)),
    ...(stalenessMs === undefined ? [] : [staleness(stalenessMs)]),
    gauge(
      'group_ack_policy',
      '1 for the acknowledgement of each single-leader database.',
      ...[...cluster.policies()].slice(0, labelledDatabasesMax).map(policySample),
    ),
    gauge(
      'group_lag_entries',
      'Entries that a member lacks, told by the leader.',
      ...perMember(members, ({ lagEntries }) => lagEntries),
    ),
    gauge(
      'group_lag_seconds',
      'Since when a member has lacked any, told by the leader.',
      ...perMember(members, ({ lagMs }) => lagMs && lagMs / 1_000),
    ),
  ].filter(({ samples }) => samples.length > 0);
}

function ofLeaderless({ hints, hintsPending, phi, readRepairs, rounds }: LeaderlessFigures): Family[] {
  const pending = [...hintsPending];
  const perOwner = (measure: (tally: { hints: number; bytes: number }) => number): Sample[] =>
    pending.map(([owner, tally]) => ({ labels: { owner }, value: measure(tally) }));
  const byLabel = (label: string, counts: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
  const peers = [...phi].map(([peer, value]) => ({ labels: { peer }, value }));
  const families = [
    gauge('hints_pending', 'Hints that are kept for an owner.', ...perOwner((tally) => tally.hints)),
    gauge('hints_pending_bytes', 'What they take.', ...perOwner((tally) => tally.bytes)),
    counter('hints_total', 'Hints by what became of them.', byLabel('outcome', hints)),
    counter('read_repairs_total', 'Replicas that a read found stale.', [{ value: readRepairs }]),
    counter('anti_entropy_rounds_total', 'Comparisons of replicas.', byLabel('outcome', rounds)),
    gauge('peer_phi', "How surprising a peer's silence is.", ...peers),
  ];
  return families.filter(({ samples }) => samples.length > 0);
}

function quorumGauges({ inTouch, needed, voters }: NonNullable<ClusterStatus['quorum']>): Family[] {
  return [
    gauge('group_voters', 'Members that count for a majority.', { value: voters }),
    gauge('group_voters_needed', 'How many of them are one.', { value: needed }),
    gauge(
      'group_voters_in_touch',
      'How many of them the leader hears, told by the leader.',
      ...(inTouch === undefined ? [] : [{ value: inTouch }]),
    ),
  ];
}

function policySample([database, { policy, followers, onTimeout }]: readonly [string, AckSettings]): Sample {
  const ack = policy === 'semi-sync' ? `semi-sync(${followers})` : policy;
  return { labels: { database, ack, on_timeout: onTimeout }, value: 1 };
}

function staleness(stalenessMs: number): Family {
  return gauge('group_staleness_seconds', 'Bound on how old what is read here is.', {
    value: stalenessMs / 1_000,
  });
}

function perMember(
  members: readonly ClusterMember[],
  measure: (member: ClusterMember) => number | undefined,
): Sample[] {
  return members.flatMap((member) => {
    const value = measure(member);
    return value === undefined ? [] : [{ labels: { member: member.name }, value }];
  });
}
