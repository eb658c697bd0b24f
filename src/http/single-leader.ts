/**
 * What a request to a single-leader database needs before its handler runs: a write needs the leader, a read needs the
 * consistency that it asks for. What cannot be given is refused; it is never given weaker.
 *
 *   PUT /ledger/e1?ack=sync&receipt=true        here where this node leads, else taken to the leader or refused
 *   GET /ledger/e1?consistency=session          with Tercet-After: a position that an earlier answer has told
 *
 * Upkeep of one replica (compaction) is neither. Of other databases that the group created only what its log says of them
 * is written at the leader: that they are dropped, and their settings.
 */

import { performance } from 'node:perf_hooks';
import { formatOnBehalfOf } from '../access/on-behalf-of.ts';
import type { WriteReceipt } from '../database/writes.ts';
import { failure, TercetError } from '../errors.ts';
import { ackWish } from './ack-parameters.ts';
import { hasBody, holdBody } from './body.ts';
import type { Exchange } from './exchange.ts';
import { forwardedHeader } from './forwarder.ts';
import { count, flag } from './query.ts';
import type { ClusterServices, GroupPosition, LeaderPlace } from './services.ts';

/** How long a write waits for somebody to lead. */
const leaderWaitMs = 2_000;
/** Between two attempts when nobody tells of a new leader. */
const retryMs = 100;
/** How long a session read waits for its position. */
const positionWaitMs = 2_000;
/** A body up to this is read before it is forwarded, so that it can be sent to the next leader too. */
const heldBytesMax = 65_536;

const readingPosts: ReadonlySet<string> = new Set([
  ...['_all_docs', '_design_docs', '_local_docs', '_changes', '_bulk_get', '_revs_diff', '_missing_revs'],
  ...['_find', '_explain', '_partition', '_temp_view'],
]);
const loggedSettings: ReadonlySet<string> = new Set([
  ...['_security', '_revs_limit', '_purged_infos_limit', '_replication'],
]);
const upkeep: ReadonlySet<string> = new Set(['_compact', '_view_cleanup']);

/**
 * Who answers: `here` lets the handler run, `answered` means that the client has its answer. `edits_forwarded`: the handler
 * runs, its edit is taken to the leader, and what is no edit fails as `not_leader`; see {@link orAtLeader}.
 */
export type Settled = 'here' | 'edits_forwarded' | 'answered';

/** Undefined where there is nothing to settle. @throws TercetError in place of a promise, too */
export function settle(
  exchange: Exchange,
  cluster: ClusterServices,
  name: string,
): Promise<Settled> | undefined {
  const isCreation = exchange.segments.length === 1 && exchange.method === 'PUT';
  if (isCreation) return undefined;
  // A witness has nothing to answer from, whatever is asked.
  if (!exchange.services.databases.has(name) && !cluster.hasDocuments()) return goToLeader(exchange, cluster);
  if (cluster.isInCatalog(name)) return settleKnown(exchange, cluster, name);
  return exchange.services.databases.has(name) ? undefined : settleUnknown(exchange, cluster, name);
}

/** This node may only not have heard of it yet. */
async function settleUnknown(exchange: Exchange, cluster: ClusterServices, name: string): Promise<Settled> {
  await cluster.readBarrier().catch((cause: unknown) => {
    if (!(cause instanceof TercetError) || cause.code === 'removed_from_cluster') throw cause;
    const advice = diskRefusal(exchange)?.reason ?? 'Try again.';
    throw failure(
      'no_leader',
      `It cannot be told whether there is such a database: no leader confirmed it. ${advice}`,
    );
  });
  return cluster.isInCatalog(name) ? ((await settleKnown(exchange, cluster, name)) ?? 'here') : 'here';
}

function settleKnown(
  exchange: Exchange,
  cluster: ClusterServices,
  name: string,
): Promise<Settled> | undefined {
  if (!cluster.isSingleLeader(name)) {
    return changesCatalog(exchange) ? goToLeader(exchange, cluster) : undefined;
  }
  switch (accessOf(exchange)) {
    case 'read':
      return settleRead(exchange, cluster);
    case 'write':
      return settleWrite(exchange, cluster);
    case 'neither':
      return undefined;
  }
}

/** Whether it changes what the group's log says of a database, whatever its strategy. */
function changesCatalog({ method, segments }: Exchange): boolean {
  const [, second] = segments;
  if (second === undefined) return method === 'DELETE';
  return loggedSettings.has(second) && (method === 'PUT' || method === 'POST');
}

/** What a request does with a database. */
export function accessOf({ method, segments }: Exchange): 'read' | 'write' | 'neither' {
  const second = segments[1] ?? '';
  switch (method) {
    case 'GET':
    case 'HEAD':
      return 'read';
    case 'POST': {
      if (upkeep.has(second)) return 'neither';
      const isBelowDesign = second === '_design' && segments.length > 3;
      return isBelowDesign || readingPosts.has(second) ? 'read' : 'write';
    }
    case 'PUT':
    case 'DELETE':
    case 'COPY':
      return 'write';
    default:
      return 'neither';
  }
}

// --- writes

async function settleWrite(exchange: Exchange, cluster: ClusterServices): Promise<Settled> {
  const ack = ackWish(exchange.query);
  const wantsReceipt = flag(exchange.query, 'receipt');
  const deadline = performance.now() + leaderWaitMs;
  const place = await cluster.leader(leaderWaitMs);
  const isForwarded =
    place.kind === 'there' && mayForwardEdit(exchange, cluster) && (await holdSmallBody(exchange));
  const settled = isForwarded ? 'edits_forwarded' : await atLeader(exchange, cluster, { place, deadline });
  if (settled === 'answered') return settled;
  const receipts: WriteReceipt[] = [];
  exchange.writeOptions = {
    ack,
    onBehalfOf: isForwarded ? formatOnBehalfOf(exchange.principal) : undefined,
    onReceipt: (receipt) => receipts.push(receipt),
  };
  exchange.answerMark = {
    status: (status) => (isSuccess(status) && receipts.some(({ met }) => !met) ? 202 : status),
    headers: () => writeHeaders(cluster, receipts, wantsReceipt),
  };
  return settled;
}

/** As {@link goToLeader}, where it was just looked who leads. */
function atLeader(
  exchange: Exchange,
  cluster: ClusterServices,
  { place, deadline }: { readonly place: LeaderPlace; readonly deadline: number },
): 'here' | Promise<'here' | 'answered'> {
  return place.kind === 'here' ? 'here' : goToLeader(exchange, cluster, { deadline });
}

/** One document in JSON, PUT under an ordinary id or POSTed; what its handler makes of it may still be something else. */
function mayForwardEdit(exchange: Exchange, cluster: ClusterServices): boolean {
  const { method, segments } = exchange;
  const [name = '', id, ...below] = segments;
  const isDocument =
    (method === 'POST' && id === undefined) ||
    (method === 'PUT' && id !== undefined && !id.startsWith('_') && below.length === 0);
  const isMultipart = exchange.header('content-type')?.toLowerCase().startsWith('multipart/') === true;
  const isHere = exchange.header(forwardedHeader) === undefined && cluster.followerWrites === 'forward';
  return cluster.forwardsEdits && isHere && isDocument && !isMultipart && !name.startsWith('_');
}

/** Runs the handler of a request whose edit is forwarded; what the leader has to do as a whole is taken to it after all. */
export async function orAtLeader(
  exchange: Exchange,
  cluster: ClusterServices,
  handle: () => Promise<void> | void,
): Promise<void> {
  try {
    await handle();
  } catch (error) {
    const isRefused = error instanceof TercetError && error.code === 'not_leader';
    if (!isRefused || exchange.response.headersSent) throw error;
    const { onBehalfOf: _, ...writeOptions } = exchange.writeOptions;
    exchange.writeOptions = writeOptions;
    const { answerMark } = exchange;
    exchange.answerMark = undefined;
    if ((await goToLeader(exchange, cluster)) === 'answered') return;
    exchange.answerMark = answerMark;
    await handle();
  }
}

export function isSuccess(status: number): boolean {
  return status === 200 || status === 201;
}

function writeHeaders(
  cluster: ClusterServices,
  receipts: readonly WriteReceipt[],
  wantsReceipt: boolean,
): string[] {
  // Of a write in several entries the last one tells most; one that missed its policy tells more.
  const last = receipts.find(({ met }) => !met) ?? receipts.at(-1);
  const furthest = receipts.reduce<GroupPosition>(later, cluster.appliedPosition());
  const position = ['Tercet-Position', formatGroupPosition(furthest)];
  return last === undefined || !wantsReceipt ? position : [...position, 'Tercet-Receipt', shownReceipt(last)];
}

function later(left: GroupPosition, right: GroupPosition): GroupPosition {
  return right.index > left.index ? right : left;
}

function shownReceipt({ met, policy, term, index, durableOn, elapsedMs }: WriteReceipt): string {
  const milliseconds = Math.round(elapsedMs * 1_000) / 1_000;
  return JSON.stringify({ met, policy, term, index, durable_on: durableOn, milliseconds });
}

/**
 * Takes the request to the leader, unless that is this node. While the write certainly did not happen it is tried again
 * with whoever leads then, for as long as a write waits for a leader.
 * @throws TercetError `not_leader`, `no_leader`, `removed_from_cluster`, `write_outcome_unknown`, ...
 */
export async function goToLeader(
  exchange: Exchange,
  cluster: ClusterServices,
  {
    policy = 'as_configured',
    deadline = performance.now() + leaderWaitMs,
  }: { readonly policy?: 'as_configured' | 'always'; readonly deadline?: number } = {},
): Promise<'here' | 'answered'> {
  while (true) {
    const place = await cluster.leader(Math.max(0, deadline - performance.now()));
    if (place.kind === 'here') return 'here';
    if (place.kind === 'none') throw nobodyLeads(exchange);
    if (place.kind === 'removed') throw failure('removed_from_cluster', place.advice);
    const isForwarded = exchange.header(forwardedHeader) !== undefined;
    const { forwarder } = exchange.shared;
    const isRefused = policy === 'as_configured' && cluster.followerWrites === 'refuse';
    if (isForwarded || isRefused || forwarder === undefined) {
      throw failure('not_leader', `${place.name} leads, at ${place.url}; the write did not happen.`);
    }
    const isRepeatable = await holdSmallBody(exchange);
    const forwarded = await forwarder.forward(exchange, place, 'while_it_leads');
    if (forwarded.kind === 'answered') return 'answered';
    if (!isRepeatable || performance.now() >= deadline) throw forwarded.error;
    await leaderChange(cluster, retryMs);
  }
}

function nobodyLeads(exchange: Exchange): TercetError {
  const refusal = diskRefusal(exchange);
  if (refusal === undefined) return failure('no_leader');
  return failure(refusal.code, `${refusal.reason} The write did not happen.`);
}

/** A node whose disk takes no writes has left its part in the group: it does not know who leads, or what is current. */
function diskRefusal({ services }: Exchange): TercetError | undefined {
  const health = services.node.storeHealth();
  if (health.kind === 'writable') return undefined;
  return failure(
    health.cause === 'disk_full' ? 'insufficient_storage' : 'disk_failure',
    `The disk of this node takes no writes (${health.cause}), so it has no part in the cluster until it does: ask another node.`,
  );
}

/** Whether the request can be sent a second time. */
export async function holdSmallBody(exchange: Exchange): Promise<boolean> {
  const { request, heldBody } = exchange;
  if (heldBody !== undefined || !hasBody(request)) return true;
  const { requestBodyBytesMax } = exchange.services.http.limits;
  const length = request.headers['content-length'];
  if (length === undefined || Number(length) > Math.min(heldBytesMax, requestBodyBytesMax)) return false;
  await holdBody(exchange, heldBytesMax);
  return true;
}

function leaderChange(cluster: ClusterServices, waitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const settled = (): void => {
      clearTimeout(timer);
      stop();
      resolve();
    };
    const timer = setTimeout(settled, waitMs);
    const stop = cluster.onLeaderChange(settled);
  });
}

// --- reads

async function settleRead(exchange: Exchange, cluster: ClusterServices): Promise<Settled> {
  const level = exchange.query.get('consistency') ?? 'linearizable';
  const after = exchange.header('tercet-after');
  const give = giver(exchange, level);
  if (after !== undefined) await reach(exchange, cluster, parseGroupPosition(after));
  const given = await give(cluster);
  exchange.answerMark = {
    status: (status) => status,
    // Made when the head is sent, so that the position is not before what was read.
    headers: () => [
      ...['Tercet-Consistency', given],
      ...['Tercet-Position', formatGroupPosition(cluster.appliedPosition())],
    ],
  };
  return 'here';
}

/** Gives what the level asks for, and how the answer says so. */
function giver(exchange: Exchange, level: string): (cluster: ClusterServices) => Promise<string> {
  const stalenessMsMax = count(exchange.query, 'max_staleness_ms');
  if ((level === 'bounded') !== (stalenessMsMax !== undefined)) {
    throw failure('query_parse_error', '`consistency=bounded` and `max_staleness_ms` go together.');
  }
  switch (level) {
    case 'linearizable':
      return (cluster) => linearizable(exchange, cluster);
    case 'session':
      return () => Promise.resolve('session');
    case 'bounded':
      return (cluster) => bounded(exchange, cluster, stalenessMsMax ?? 0);
    case 'eventual':
      return (cluster) => Promise.resolve(`eventual${shownStaleness(cluster.stalenessMs())}`);
    default:
      throw failure(
        'query_parse_error',
        '`consistency` must be one of linearizable, session, bounded, eventual.',
      );
  }
}

async function linearizable(exchange: Exchange, cluster: ClusterServices): Promise<string> {
  const { by } = await cluster
    .readBarrier()
    .catch(refused(exchange, 'It cannot be told whether this node is current.'));
  return `linearizable;by=${by}`;
}

/** Too old to read as it is, the replica can still be brought up to date first. */
async function bounded(
  exchange: Exchange,
  cluster: ClusterServices,
  stalenessMsMax: number,
): Promise<string> {
  const stalenessMs = cluster.stalenessMs();
  if (stalenessMs !== undefined && stalenessMs <= stalenessMsMax) {
    return `bounded${shownStaleness(stalenessMs)}`;
  }
  const age = stalenessMs === undefined ? 'of unknown age' : `${Math.ceil(stalenessMs)} ms old`;
  const { by } = await cluster.readBarrier().catch(refused(exchange, `What this node has is ${age}.`));
  return `linearizable;by=${by}`;
}

function shownStaleness(stalenessMs: number | undefined): string {
  return stalenessMs === undefined ? '' : `;staleness-ms=${Math.ceil(stalenessMs)}`;
}

function reach(exchange: Exchange, cluster: ClusterServices, position: GroupPosition): Promise<void> {
  return cluster
    .waitForPosition(position, positionWaitMs)
    .catch(refused(exchange, 'This node has not got as far as Tercet-After says.'));
}

/** An operating error becomes a refusal that says what else could be asked for; a defect stays one. */
function refused(exchange: Exchange, reason: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof TercetError) || cause.code === 'removed_from_cluster') throw cause;
    const why = [reason, cause.reason, diskRefusal(exchange)?.reason].filter(Boolean).join(' ');
    throw failure('consistency_unavailable', `${why} A weaker \`consistency\` may be available.`);
  };
}

/** Opaque for clients; equal on all nodes. */
function formatGroupPosition({ term, index }: GroupPosition): string {
  return `${term}-${index}`;
}

/** @throws TercetError `bad_request` */
function parseGroupPosition(text: string): GroupPosition {
  const [, term, index] = /^(\d{1,15})-(\d{1,15})$/.exec(text.trim()) ?? [];
  if (term === undefined || index === undefined) {
    throw failure('bad_request', 'Tercet-After must be what an answer has told as Tercet-Position.');
  }
  return { term: Number(term), index: Number(index) };
}
