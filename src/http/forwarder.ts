/**
 * Takes whole requests to another node: what a follower does with a write. The client sees the other node's answer.
 *
 *     client ──► follower: who asks? ──► leader: the same request, with the follower's proof and the client's name
 *
 * A body is passed on as it arrives, and so is the answer. What matters is what to say when the other node vanishes in
 * between, so that nobody repeats a write that happened or gives up one that did not:
 *
 * 1. No connection came about, or the other node says that it does not lead: the write did not happen, and may be tried
 *    elsewhere (`not_taken`).
 * 2. The connection broke before the whole body was sent: the write did not happen, because nothing is written before a
 *    body is complete. The body is gone, so the client has to repeat it.
 * 3. Anything else: unknown.
 * 4. Part of the answer is out: the connection to the client is cut.
 *
 * A leader that is paused or cut off closes nothing. So a request also ends, as 3, when this node has known of another
 * leader, or of none, for a moment.
 *
 * What must not be done late is asked for first: the body goes out when the other node, at work on the request, says "100 Continue".
 * One that is paused finds the head when it goes on, asks nobody any more, and does nothing: given up before, it is 2.
 */

import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import { formatOnBehalfOf, onBehalfOfHeader } from '../access/on-behalf-of.ts';
import { failure, type TercetError } from '../errors.ts';
import { hasBody } from './body.ts';
import { ClientGone, type Exchange } from './exchange.ts';
import { leaderHeader, writeHead } from './respond.ts';
import type { ClusterServices } from './services.ts';

/** Names the node that forwarded a request: it is not forwarded again. */
export const forwardedHeader = 'tercet-forwarded';

/** How long a leader that has been replaced may take to say itself what became of a request. */
const graceMs = 1_000;
const connectMsMax = 2_000;

/** Headers that belong to one connection, or that this node has already acted on. */
const notForwarded: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['host', 'expect', 'authorization', 'cookie', 'origin', 'content-length'],
  ...['tercet-peer', onBehalfOfHeader, forwardedHeader],
]);
const notRelayed: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'trailer', 'transfer-encoding', 'upgrade', 'date'],
]);

export interface Destination {
  readonly name: string;
  readonly url: string;
}

export type Forwarded =
  /** The client has the other node's answer, or as much of it as there was. */
  | { readonly kind: 'answered' }
  /** Certainly nothing happened there, and the client has been told nothing. */
  | { readonly kind: 'not_taken'; readonly error: TercetError };

/** With `always` it is waited for as long as it takes; with a time, what it is to do is held back until it asks for it. */
export type Patience = 'while_it_leads' | 'always' | { readonly answerMsMax: number };

export interface Forwarder {
  /**
   * @param patience whether to give up when the destination leads no longer, or when it has not begun to answer in time
   * @throws TercetError, ClientGone when it cannot be tried again
   */
  forward(exchange: Exchange, to: Destination, patience: Patience): Promise<Forwarded>;
  close(): void;
}

interface Waiting {
  readonly to: Destination;
  readonly outgoing: ClientRequest;
}

export function createForwarder(cluster: ClusterServices): Forwarder {
  const settings = { keepAlive: true, scheduling: 'lifo' } as const;
  const agents = { http: new HttpAgent(settings), https: new HttpsAgent(settings) };
  const waiting = new Set<Waiting>();
  const timers = new Set<NodeJS.Timeout>();
  const abandonReplaced = async (): Promise<void> => {
    const leader = await cluster.leader(0);
    for (const { to, outgoing } of waiting) {
      if (leader.kind !== 'there' || leader.name !== to.name) outgoing.destroy(new Error('leads no longer'));
    }
  };
  const stop = cluster.onLeaderChange(() => {
    if (waiting.size === 0) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void abandonReplaced();
    }, graceMs);
    timers.add(timer);
  });
  return {
    forward: (exchange, to, patience) => {
      exchange.endWithClient();
      const isTls = to.url.startsWith('https:');
      const outgoing = open(exchange, to, isTls ? agents.https : agents.http);
      const isAsked = typeof patience === 'object';
      if (isAsked) outgoing.setHeader('Expect', '100-continue');
      if (patience === 'while_it_leads') {
        const entry = { to, outgoing };
        waiting.add(entry);
        outgoing.once('response', () => waiting.delete(entry)).once('close', () => waiting.delete(entry));
      } else if (patience !== 'always') endUnanswered(outgoing, patience.answerMsMax);
      return relay(exchange, to, { outgoing, isAsked });
    },
    close: () => {
      stop();
      for (const timer of timers) clearTimeout(timer);
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function endUnanswered(outgoing: ClientRequest, answerMsMax: number): void {
  const timer = setTimeout(() => outgoing.destroy(new Error('no answer in time')), answerMsMax);
  outgoing.once('response', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
}

function open(exchange: Exchange, to: Destination, agent: HttpAgent | HttpsAgent): ClientRequest {
  const { protocol, hostname, port } = new URL(to.url);
  const send = protocol === 'https:' ? httpsRequest : httpRequest;
  const { method } = exchange;
  // As it came: taking the URL apart and putting it together again would change some document ids.
  const target = (exchange.request.url ?? '/').replace(/^https?:\/\/[^/?]*(?=\/)/i, '');
  return send({
    ...{ method, agent, port, path: target, host: hostname.replace(/^\[|\]$/g, '') },
    headers: headersFor(exchange, target),
  });
}

function headersFor(exchange: Exchange, target: string): Record<string, string | string[]> {
  const { headers } = exchange.request;
  const kept = Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined && !notForwarded.has(entry[0]),
  );
  const onBehalfOf = formatOnBehalfOf(exchange.principal);
  const { cluster, node } = exchange.services;
  return {
    ...Object.fromEntries(kept),
    ...lengthHeader(exchange),
    [onBehalfOfHeader]: onBehalfOf,
    [forwardedHeader]: node.name,
    ...cluster?.peerHeaders({ method: exchange.method, target, onBehalfOf }),
  };
}

function lengthHeader({ heldBody, request }: Exchange): Record<string, string> {
  if (heldBody !== undefined) return { 'content-length': String(heldBody.length) };
  if (!hasBody(request)) return { 'content-length': '0' };
  const length = request.headers['content-length'];
  return length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': length };
}

interface Outgoing {
  readonly outgoing: ClientRequest;
  /** The other node asks for the body. */
  readonly isAsked: boolean;
}

function relay(exchange: Exchange, to: Destination, { outgoing, isAsked }: Outgoing): Promise<Forwarded> {
  const link = { isConnected: false };
  watchConnecting(outgoing, link);
  const onClientGone = (): void => void outgoing.destroy(new ClientGone());
  exchange.signal.addEventListener('abort', onClientGone, { once: true });
  const answered = new Promise<Forwarded>((resolve, reject) => {
    outgoing.once('response', (reply) => {
      if (isNotTaken(reply)) {
        reply.resume();
        resolve({ kind: 'not_taken', error: failure('not_leader', `${to.name} does not lead any more.`) });
      } else {
        relayAnswer(exchange, reply);
        resolve({ kind: 'answered' });
      }
    });
    outgoing.on('error', (cause) => {
      if (cause instanceof ClientGone || exchange.response.destroyed) reject(new ClientGone());
      else if (link.isConnected) reject(brokenOff(to, outgoing));
      else resolve({ kind: 'not_taken', error: unreachable(to) });
    });
  });
  if (isAsked) {
    outgoing.once('continue', () => sendBody(exchange, outgoing));
    outgoing.flushHeaders();
  } else sendBody(exchange, outgoing);
  return answered.finally(() => exchange.signal.removeEventListener('abort', onClientGone));
}

/** Notes when there is a connection, and gives up when there is none in time. */
function watchConnecting(outgoing: ClientRequest, link: { isConnected: boolean }): void {
  outgoing.once('socket', (socket) => {
    if (!socket.connecting) {
      link.isConnected = true;
      return;
    }
    const timer = setTimeout(() => outgoing.destroy(new Error('no connection')), connectMsMax);
    socket.once('connect', () => {
      link.isConnected = true;
    });
    socket.once('connect', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
  });
}

function sendBody({ heldBody, request, expectsContinue, response }: Exchange, outgoing: ClientRequest): void {
  if (heldBody !== undefined || !hasBody(request)) {
    outgoing.end(heldBody);
    return;
  }
  if (expectsContinue) response.writeContinue();
  request.pipe(outgoing);
}

/** The other node has not even begun: it knows that it is not the leader. */
function isNotTaken(reply: IncomingMessage): boolean {
  return reply.statusCode === 503 && reply.headers[leaderHeader.toLowerCase()] !== undefined;
}

function relayAnswer(exchange: Exchange, reply: IncomingMessage): void {
  const headers: string[] = [];
  for (let at = 0; at < reply.rawHeaders.length; at += 2) {
    const name = reply.rawHeaders[at] ?? '';
    if (!notRelayed.has(name.toLowerCase())) headers.push(name, reply.rawHeaders[at + 1] ?? '');
  }
  writeHead(exchange, reply.statusCode ?? 502, headers);
  // Destroys the answer where the other node stops short: cut off is better than seemingly complete.
  pipeline(reply, exchange.response, () => undefined);
}

function unreachable(to: Destination): TercetError {
  return failure('no_leader', `${to.name} leads, and cannot be reached; the write did not happen.`);
}

function brokenOff(to: Destination, outgoing: ClientRequest): TercetError {
  return outgoing.writableEnded
    ? failure('write_outcome_unknown', `${to.name} did not answer; the write may or may not have happened.`)
    : failure(
        'service_unavailable',
        `${to.name} went away before it had the whole request; the write did not happen.`,
      );
}
