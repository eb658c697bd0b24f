/**
 * The HTTP server of a node: `node:http`, a router of our own, and the limits that keep it standing.
 *
 * The path of a request: app (limits, errors) → gate (who asks, and may they) → router (which handler) → a handler in
 * `resources/`, which speaks to the database → respond or streamed-answer. A plain document read takes that path
 * without a single promise.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { failure, type TercetError } from '../errors.ts';
import { createBodyWatch } from './body.ts';
import { BodyMemory } from './body-memory.ts';
import { refuseForeignPage } from './browser-guard.ts';
import { answerParserError, endWith, isExcused } from './client-errors.ts';
import { countRequest, createCounters } from './counters.ts';
import { DatabaseUpdates } from './database-updates.ts';
import { Exchange, type Shared } from './exchange.ts';
import { createForwarder } from './forwarder.ts';
import { OpenRequests } from './open-requests.ts';
import { answerError } from './respond.ts';
import { dispatch } from './router.ts';
import { routes } from './routes.ts';
import type { Services } from './services.ts';
import { attachUpgrades } from './upgrades.ts';

const keepAliveMs = 75_000;
/** How long `close` lets answers on their way finish. */
const closeGraceMs = 2_000;

export interface App {
  readonly server: Server;
  /** Resolves with the port, which the system chose when `port` is 0. Rejects when it is taken. */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Stops accepting, lets answers on their way finish for a moment, then cuts what is left (feeds, idle clients). */
  close(): Promise<void>;
}

export function createApp(services: Services): App {
  const { limits } = services.http;
  const bodies = createBodyWatch(limits);
  const bodyMemory = new BodyMemory(Math.max(limits.bodyMemoryBytesMax, limits.requestBodyBytesMax));
  const updates = new DatabaseUpdates(services.databases);
  const forwarder = services.cluster && createForwarder(services.cluster);
  const shared: Shared = {
    ...{ services, counters: createCounters(), updates, bodies, bodyMemory, forwarder },
    feeds: new Set(),
    endWithClient: new WeakSet(),
  };
  const server = createServer({
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headerTimeMsMax,
    // Bodies are watched by body.ts, which knows a slow sender from a large attachment.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(limits.headerTimeMsMax / 4)),
    keepAliveTimeout: keepAliveMs,
    noDelay: true,
    // Node's own answer to a request without it would have no body.
    requireHostHeader: false,
  });
  server.maxConnections = limits.connectionsMax;
  server.maxRequestsPerSocket = 0;
  attach(server, shared);
  return {
    server,
    listen: (host, port) => listen(server, host, port),
    close: async () => {
      bodies.close();
      updates.close();
      const closed = close(server);
      for (const feed of shared.feeds) feed.destroy();
      await closed;
      forwarder?.close();
    },
  };
}

function attach(server: Server, shared: Shared): void {
  // For what else comes on a connection in the middle of them.
  const open = new OpenRequests();
  // A client may close its half after its last request, and waits for the answer. Node's types do not know the switch.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('connection', (socket) => {
    socket.once('end', () => {
      for (const { response } of open.on(socket)) if (shared.endWithClient.has(response)) response.destroy();
    });
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    open.add(request, response);
    countRequest(shared.counters, request.method ?? '');
    handle(shared, request, response, expectsContinue);
  };
  server.on('request', (request, response) => onRequest(request, response, false));
  server.on('checkContinue', (request, response) => onRequest(request, response, true));
  server.on('checkExpectation', (request, response) => onRequest(request, response, false));
  server.on('clientError', (error, duplex) => {
    const socket = duplex as Socket;
    const answer = () => answerParserError(error, socket, open.on(socket));
    if (!isExcused(error, socket, answer)) answer();
  });
  server.on('connect', (_request, socket) => {
    endWith(socket, failure('method_not_allowed', 'This node is no proxy.'));
  });
  // Without a listener Node itself goes on as if nobody had asked to upgrade.
  const { acceptPeer } = shared.services;
  if (acceptPeer !== undefined) {
    attachUpgrades(server, { acceptPeer, answerOn: (socket) => open.on(socket as Socket).at(-1)?.response });
  }
}

function handle(
  shared: Shared,
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
): void {
  let exchange: Exchange;
  try {
    exchange = new Exchange(shared, request, response, expectsContinue);
  } catch (error) {
    answerUnreadable(shared, request, response, error);
    return;
  }
  try {
    if (request.headers.host === undefined && request.httpVersion === '1.1') throw hostMissing();
    refuseForeignPage(exchange);
    const pending = dispatch(routes, exchange);
    if (pending !== undefined) pending.catch((error: unknown) => answerError(exchange, error));
  } catch (error) {
    answerError(exchange, error);
  }
}

/** RFC 9112 §3.2 wants a 400. */
function hostMissing(): TercetError {
  return failure('bad_request', 'A request needs a Host header.');
}

/** The target could not be parsed, so the answer is made for the root, which always can. */
function answerUnreadable(
  shared: Shared,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): void {
  request.url = '/';
  answerError(new Exchange(shared, request, response, false), error);
}

function listen(server: Server, host: string, port: number): Promise<{ port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1_024 }, () => {
      server.off('error', reject);
      resolve({ port: (server.address() as AddressInfo).port });
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    const timer = setTimeout(() => server.closeAllConnections(), closeGraceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
