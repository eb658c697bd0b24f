/**
 * What a request to a leaderless database needs before its handler runs: a replica of it, and as many more as it asks for.
 *
 *   PUT /carts/c1?w=3            Tercet-Quorum: w=3/3; n1,n2,n3       202 where fewer have it in time
 *   GET /carts/c1?r=2            Tercet-Consistency: quorum; r=2/3; n1,n3
 *   GET /carts/_all_docs         Tercet-Consistency: eventual; r=1/3; n1
 *   GET /carts/c1?coordinator=client  Tercet-Consistency: eventual; r=1/3; n1       the client asks the others itself
 *
 * A node that holds no replica passes the request on to one that does. Only documents are read by quorum: lists and feeds
 * are what one replica has, and a request that asks more of them is refused. What cannot be given is never given weaker.
 */

import type { QuorumReceipt, QuorumWish } from '../database/writes.ts';
import { failure, type TercetError } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import { forwardedHeader } from './forwarder.ts';
import type { LeaderlessPlace, LeaderlessServices } from './leaderless-services.ts';
import { oneOf, queryParameters, wholeNumber } from './parameters.ts';
import type { ClusterServices } from './services.ts';
import { accessOf, goToLeader, holdSmallBody, isSuccess, type Settled } from './single-leader.ts';

/** Equal on all nodes, or one node's own business. */
const anywhere: ReadonlySet<string> = new Set([
  ...['_replication', '_security', '_revs_limit', '_purged_infos_limit', '_compact', '_view_cleanup'],
]);
/** Agreed on by the group, whose leader takes changes of them. */
const ofGroup: ReadonlySet<string> = new Set(['_security', '_revs_limit', '_purged_infos_limit']);

const countNames = ['n', 'r', 'w', 'pr', 'pw'] as const;

/** Undefined where there is nothing to settle. @throws TercetError in place of a promise, too */
export function settleLeaderless(
  exchange: Exchange,
  { cluster, leaderless }: { readonly cluster: ClusterServices; readonly leaderless: LeaderlessServices },
  { name, place }: { readonly name: string; readonly place: LeaderlessPlace },
): Promise<Settled> | undefined {
  const { method, segments } = exchange;
  const second = segments[1];
  // Creation and deletion are the group's.
  if (second === undefined && (method === 'PUT' || method === 'DELETE')) return undefined;
  if (second !== undefined && anywhere.has(second)) {
    return method === 'PUT' && ofGroup.has(second) ? goToLeader(exchange, cluster) : undefined;
  }
  mustBelong(exchange, cluster);
  if (isForClient(exchange)) return settleAlone(exchange, place);
  const wish = quorumWish(exchange, place);
  if (!place.isOwner) return passOn(exchange, leaderless, { name, place });
  switch (accessOf(exchange)) {
    case 'write':
      markWrite(exchange, place, wish);
      return undefined;
    case 'read':
      return settleRead(exchange, leaderless, { name, place, wish });
    case 'neither':
      return undefined;
  }
}

/**
 * What a node acknowledged after it was removed nobody else would hear of, and what it reads may be long gone, which only
 * `eventual` allows for. @throws TercetError `removed_from_cluster`
 */
function mustBelong(exchange: Exchange, cluster: ClusterServices): void {
  const advice = cluster.removal();
  if (advice === undefined) return;
  const access = accessOf(exchange);
  const mayBeOld = access === 'read' && exchange.query.get('consistency') === 'eventual';
  if (access !== 'neither' && !mayBeOld) throw failure('removed_from_cluster', advice);
}

// --- the client coordinates

/** @throws TercetError `query_parse_error` */
function isForClient({ query }: Exchange): boolean {
  if (!query.has('coordinator')) return false;
  const parameters = queryParameters(query);
  if (oneOf(parameters, 'coordinator', ['node', 'client']) === 'node') return false;
  const name = countNames.find((count) => query.has(count));
  if (name === undefined) return true;
  throw parameters.complaint(`\`${name}\` is the client's own business where it coordinates.`);
}

/** The client means this replica and no other: nobody else is told, asked or kept hints for. */
function settleAlone(exchange: Exchange, place: LeaderlessPlace): undefined {
  if (!place.isOwner) throw noReplica(place);
  const { n } = place.settings;
  const { name } = exchange.services.node;
  const isRead = accessOf(exchange) === 'read';
  if (isRead && !place.isWhole && documentId(exchange) !== undefined) throw notWhole();
  if (isRead) return mark(exchange, `eventual; r=1/${n}; ${name}`);
  exchange.writeOptions = { coordinator: 'client' };
  exchange.answerMark = {
    status: (status) => status,
    headers: () => ['Tercet-Quorum', `w=1/${n}; ${name}`],
  };
}

function notWhole(): TercetError {
  return failure(
    'service_unavailable',
    'The disk of this replica was lost, and it does not have again yet all that it acknowledged.',
  );
}

function noReplica({ owners }: LeaderlessPlace): TercetError {
  const names = owners.join(', ');
  return failure('service_unavailable', `This node has no replica of the database; ${names} have.`);
}

/** Counts of the request. @throws TercetError `query_parse_error` */
function quorumWish(exchange: Exchange, { settings: { n } }: LeaderlessPlace): QuorumWish {
  const { query } = exchange;
  if (!countNames.some((name) => query.has(name))) return noWish;
  const parameters = queryParameters(query);
  const counts: { -readonly [Name in keyof QuorumWish]: QuorumWish[Name] } = {};
  for (const name of countNames) {
    counts[name] = wholeNumber(parameters, name, { min: name.startsWith('p') ? 0 : 1, max: n });
  }
  if (counts.n !== undefined && counts.n !== n) {
    throw parameters.complaint(`\`n\` is ${n} for this database, and cannot be another one for a request.`);
  }
  return counts;
}

const noWish: QuorumWish = {};

// --- writes

function markWrite(exchange: Exchange, { settings }: LeaderlessPlace, quorum: QuorumWish): void {
  const receipts: QuorumReceipt[] = [];
  exchange.writeOptions = { quorum, onQuorum: (receipt) => receipts.push(receipt) };
  exchange.answerMark = {
    status: (status) => (isSuccess(status) && receipts.some(({ met }) => !met) ? 202 : status),
    headers: () => quorumHeader(receipts, quorum.w ?? settings.w),
  };
}

/** Of a write in several parts the one that reached fewest tells. */
function quorumHeader(receipts: readonly QuorumReceipt[], w: number): string[] {
  const [first, ...others] = receipts;
  if (first === undefined) return [];
  const least = others.reduce((a, b) => (b.reached < a.reached ? b : a), first);
  const who = [...least.owners.toSorted(), ...least.standIns.map((node) => `${node} stands in`)].join(',');
  const met = least.met ? '' : `; asked=${w}`;
  return ['Tercet-Quorum', `w=${least.reached}/${least.n}${met}; ${who}`];
}

// --- reads

interface Reading {
  readonly name: string;
  readonly place: LeaderlessPlace;
  readonly wish: QuorumWish;
}

function settleRead(
  exchange: Exchange,
  leaderless: LeaderlessServices,
  { name, place, wish }: Reading,
): Promise<Settled> | undefined {
  const level = exchange.query.get('consistency');
  if (level !== undefined && level !== 'eventual') {
    throw failure('query_parse_error', 'A leaderless database reads by quorum: ask for `r` replicas.');
  }
  const id = documentId(exchange);
  const r = level === 'eventual' ? 1 : (wish.r ?? place.settings.r);
  if (id === undefined || (r === 1 && place.isWhole)) {
    if (id === undefined && (wish.r ?? 1) > 1) {
      throw failure('query_parse_error', '`r` is for single documents; lists and feeds are of one replica.');
    }
    const shown = `eventual; r=1/${place.settings.n}; ${exchange.services.node.name}`;
    mark(exchange, shown);
    return undefined;
  }
  return leaderless.read(name, id, wish).then(({ from, n, reader }) => {
    exchange.documents = reader;
    mark(exchange, `quorum; r=${from.length}/${n}; ${from.toSorted().join(',')}`);
    return 'here';
  });
}

function mark(exchange: Exchange, consistency: string): undefined {
  exchange.answerMark = {
    status: (status) => status,
    headers: () => ['Tercet-Consistency', consistency],
  };
}

/** The document that a GET is about; undefined for lists, feeds and what is kept by one replica. */
function documentId({ method, segments }: Exchange): string | undefined {
  const [, second, third] = segments;
  if (second === undefined || (method !== 'GET' && method !== 'HEAD')) return undefined;
  if (!second.startsWith('_')) return second;
  if (second !== '_design' || third === undefined) return undefined;
  return segments.length === 3 || !(segments[3] ?? '').startsWith('_') ? `_design/${third}` : undefined;
}

// --- elsewhere

/** Takes the request to an owner, as long as it certainly was not begun by one before. */
async function passOn(
  exchange: Exchange,
  leaderless: LeaderlessServices,
  { name, place }: { readonly name: string; readonly place: LeaderlessPlace },
): Promise<Settled> {
  const { forwarder } = exchange.shared;
  if (forwarder === undefined || exchange.header(forwardedHeader) !== undefined) throw noReplica(place);
  const reachable = leaderless.reachableOwners(name);
  const isRepeatable = await holdSmallBody(exchange);
  for (const owner of reachable) {
    const url = exchange.services.node.peers.find((peer) => peer.name === owner)?.url;
    if (url === undefined) continue;
    const forwarded = await forwarder.forward(exchange, { name: owner, url }, 'always');
    if (forwarded.kind === 'answered') return 'answered';
    if (!isRepeatable) break;
  }
  throw failure(
    'service_unavailable',
    `None of the database's replicas (${place.owners.join(', ')}) can be reached.`,
  );
}
