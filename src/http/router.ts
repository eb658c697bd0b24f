/**
 * Finds the handler for a request. Three tables: endpoints of the node (`/_up`), of a database (`/db/_changes`), and of
 * a document; see routes.ts for what is in them.
 */

import type { Database } from '../database/database.ts';
import { failure } from '../errors.ts';
import { preflightHeaders } from './cors.ts';
import type { Exchange } from './exchange.ts';
import {
  admitPrincipal,
  authenticate,
  type DatabaseLevel,
  documentHooks,
  requireDatabaseLevel,
  requireServerLevel,
  type ServerLevel,
} from './gate.ts';
import { settleLeaderless } from './leaderless.ts';
import { sendEmpty, sendError } from './respond.ts';
import type { ClusterServices } from './services.ts';
import { orAtLeader, type Settled, settle } from './single-leader.ts';

type Outcome = void | Promise<void>;

export interface ServerEndpoint {
  readonly level: ServerLevel;
  handle(exchange: Exchange): Outcome;
}

export interface DatabaseEndpoint {
  readonly level: DatabaseLevel;
  handle(exchange: Exchange, database: Database): Outcome;
}

/** Names a document and perhaps one of its attachments. */
export interface DocumentTarget {
  readonly id: string;
  readonly attachment: string | undefined;
}

export interface DocumentEndpoint {
  readonly level: DatabaseLevel;
  handle(exchange: Exchange, database: Database, target: DocumentTarget): Outcome;
}

/** By method; HEAD is GET unless it has its own row. */
export type Methods<Endpoint> = ReadonlyMap<string, Endpoint>;

export interface Routes {
  readonly root: Methods<ServerEndpoint>;
  /** By the first segment; what follows is in `exchange.segments`. */
  readonly server: ReadonlyMap<string, Methods<ServerEndpoint>>;
  /** Names that tools expect: endpoints of the node while no database is called so. */
  readonly unlessDatabase: ReadonlyMap<string, Methods<ServerEndpoint>>;
  /** Databases that are created, or need not exist. */
  readonly databaseName: Methods<ServerEndpoint>;
  readonly database: Methods<DatabaseEndpoint>;
  /** By the segment after the database's name. */
  readonly inDatabase: ReadonlyMap<string, Methods<DatabaseEndpoint>>;
  /** Names in `server` and `inDatabase` whose handlers look at further segments; below all others there is nothing. */
  readonly open: ReadonlySet<string>;
  readonly document: Methods<DocumentEndpoint>;
  readonly attachment: Methods<DocumentEndpoint>;
  /** Paths below a design document, by their first segment. */
  readonly inDesign: ReadonlyMap<string, Methods<DatabaseEndpoint>>;
}

/** Reserved names that are databases, not endpoints. */
const systemDatabases: ReadonlySet<string> = new Set(['_users', '_replicator', '_global_changes']);

/** Answers the request. Throws or rejects with what the answer's error is to be. */
export function dispatch(routes: Routes, exchange: Exchange): Outcome {
  const preflight = preflightHeaders(exchange);
  if (preflight !== undefined) return sendEmpty(exchange, 204, preflight);
  const first = exchange.segments[0];
  if (first === '_session' && exchange.segments.length === 1) return serve(routes, exchange, first);
  const principal = authenticate(exchange);
  if (principal instanceof Promise) {
    return principal.then((known) => {
      admitPrincipal(exchange, known);
      return route(routes, exchange, first);
    });
  }
  admitPrincipal(exchange, principal);
  return route(routes, exchange, first);
}

/** GET and HEAD of the session show who the credentials belong to; signing in and out must work with stale ones. */
async function serve(routes: Routes, exchange: Exchange, name: string): Promise<void> {
  const endpoint = select(exchange, routes.server.get(name) ?? new Map<string, ServerEndpoint>());
  if (endpoint === undefined) return;
  if (endpoint.level !== 'nobody_asked') admitPrincipal(exchange, await authenticate(exchange));
  await endpoint.handle(exchange);
}

function route(routes: Routes, exchange: Exchange, first: string | undefined): Outcome {
  if (first === undefined) return onServer(exchange, routes.root);
  if (first.startsWith('_') && !systemDatabases.has(first)) {
    const methods = routes.server.get(first);
    if (methods === undefined || isBelow(routes, exchange, 0)) throw failure('not_found', 'missing');
    return onServer(exchange, methods);
  }
  return inDatabase(routes, exchange, first);
}

function onServer(exchange: Exchange, methods: Methods<ServerEndpoint>): Outcome {
  const endpoint = select(exchange, methods);
  if (endpoint === undefined) return;
  requireServerLevel(exchange, endpoint.level);
  return endpoint.handle(exchange);
}

function inDatabase(routes: Routes, exchange: Exchange, name: string): Outcome {
  const { cluster, databases } = exchange.services;
  const isAlone = exchange.segments.length === 1;
  if (isAlone && routes.unlessDatabase.has(name) && !databases.has(name) && isReading(exchange)) {
    return onServer(exchange, routes.unlessDatabase.get(name) as Methods<ServerEndpoint>);
  }
  const settling = cluster === undefined ? undefined : settleDatabase(exchange, cluster, name);
  if (cluster === undefined || settling === undefined) return ofDatabase(routes, exchange, name);
  return settling.then((settled) => {
    if (settled === 'answered') return;
    const handle = () => ofDatabase(routes, exchange, name);
    return settled === 'here' ? handle() : orAtLeader(exchange, cluster, handle);
  });
}

/** What has to happen before a handler may run, by the strategy of the database. */
function settleDatabase(
  exchange: Exchange,
  cluster: ClusterServices,
  name: string,
): Promise<Settled> | undefined {
  const { leaderless } = exchange.services;
  const place = leaderless?.place(name);
  if (leaderless !== undefined && place !== undefined) {
    return settleLeaderless(exchange, { cluster, leaderless }, { name, place });
  }
  const settling = settle(exchange, cluster, name);
  if (settling === undefined || leaderless === undefined) return settling;
  return settling.then((settled) => {
    // Heard of meanwhile.
    const found = settled === 'here' ? leaderless.place(name) : undefined;
    if (found === undefined) return settled;
    return settleLeaderless(exchange, { cluster, leaderless }, { name, place: found }) ?? settled;
  });
}

/** Whether the path goes on after the segment at `index`, where it names nothing. */
function isBelow(routes: Routes, { segments }: Exchange, index: number): boolean {
  return segments.length > index + 1 && !routes.open.has(segments[index] as string);
}

function isReading({ method }: Exchange): boolean {
  return method === 'GET' || method === 'HEAD';
}

function ofDatabase(routes: Routes, exchange: Exchange, name: string): Outcome {
  const { segments, method } = exchange;
  const second = segments[1];
  if (second === undefined && routes.databaseName.has(method)) return onServer(exchange, routes.databaseName);
  const database = exchange.services.databases.get(name);
  if (second === undefined)
    return onDatabase(exchange, database, routes.database, routes.databaseName.keys());
  if (second.startsWith('_')) {
    const methods = routes.inDatabase.get(second);
    if (methods !== undefined) {
      if (isBelow(routes, exchange, 1)) throw failure('not_found', 'missing');
      return onDatabase(exchange, database, methods);
    }
    if (second === '_design' && segments.length > 3) {
      const below = routes.inDesign.get(segments[3] as string);
      if (below !== undefined) return onDatabase(exchange, database, below);
    }
  }
  const target = documentTarget(segments);
  const endpoint = select(exchange, target.attachment === undefined ? routes.document : routes.attachment);
  if (endpoint === undefined) return;
  requireDatabaseLevel(exchange, database, endpoint.level);
  // Local documents are no business of the hooks: see requireLocalDocuments.
  if (!target.id.startsWith('_local/')) {
    documentHooks(exchange, database)?.beforeRead(target.id, exchange.principal);
  }
  return endpoint.handle(exchange, database, target);
}

function onDatabase(
  exchange: Exchange,
  database: Database,
  methods: Methods<DatabaseEndpoint>,
  alsoAllowed: Iterable<string> = [],
): Outcome {
  const endpoint = select(exchange, methods, alsoAllowed);
  if (endpoint === undefined) return;
  requireDatabaseLevel(exchange, database, endpoint.level);
  return endpoint.handle(exchange, database);
}

/** `_design/x` and `_local/x` are ids of two segments, unless their slash came encoded. */
export function documentTarget(segments: readonly string[]): DocumentTarget {
  const second = segments[1] as string;
  const isReserved = second === '_design' || second === '_local';
  const idSegments = isReserved ? 2 : 1;
  const id = segments.slice(1, 1 + idSegments).join('/');
  const rest = segments.slice(1 + idSegments);
  return { id, attachment: rest.length === 0 ? undefined : rest.join('/') };
}

/** The endpoint for the request's method; answers 405 itself when there is none. */
function select<Endpoint>(
  exchange: Exchange,
  methods: Methods<Endpoint>,
  alsoAllowed: Iterable<string> = [],
): Endpoint | undefined {
  const { method } = exchange;
  const endpoint = methods.get(method) ?? (method === 'HEAD' ? methods.get('GET') : undefined);
  if (endpoint !== undefined) return endpoint;
  const allowed = [...methods.keys(), ...alsoAllowed];
  if (allowed.includes('GET') && !allowed.includes('HEAD')) allowed.push('HEAD');
  const reason = `Only ${allowed.toSorted().join(',')} allowed`;
  sendError(exchange, failure('method_not_allowed', reason), ['Allow', allowed.toSorted().join(', ')]);
  return undefined;
}
