/** Answers: whole ones in a single write, errors in CouchDB's shape. Streams are in streamed-answer.ts. */

import { gzip } from 'node:zlib';
import { failure, TercetError, type WriteOutcome } from '../errors.ts';
import { hasBody, lingerThenCut } from './body.ts';
import { corsHeaders } from './cors.ts';
import { countStatus } from './counters.ts';
import { ClientGone, type Exchange } from './exchange.ts';

/** Below this an answer fits a packet or three, and compressing it costs more than it saves. */
const gzipBytesMin = 4_096;

/** Up to this a copy costs less than a second system call. */
const joinedBytesMax = 8_192;

/** On every refusal by a node that does not lead. */
export const leaderHeader = 'Tercet-Leader';

const jsonType = 'application/json';

/** Names and values in turn: what `writeHead` takes without building an object. */
export type Headers = readonly string[];

const noHeaders: Headers = [];

/** Starts an answer; every answer of the node passes here. */
export function writeHead(exchange: Exchange, status: number, headers: readonly string[]): void {
  const { answerMark, request, response } = exchange;
  const told = answerMark === undefined ? status : answerMark.status(status);
  countStatus(exchange.shared.counters, told);
  const cors = corsHeaders(exchange);
  let all = cors === undefined ? headers : [...headers, ...cors];
  if (exchange.renewedCookie !== undefined) all = [...all, 'Set-Cookie', exchange.renewedCookie];
  if (answerMark !== undefined) all = [...all, ...answerMark.headers()];
  // Handlers need not read a body; whatever has not arrived when the answer is out is not waited for much longer.
  if (!request.complete && hasBody(request)) response.once('finish', () => lingerThenCut(request));
  response.writeHead(told, all as string[]);
}

export function sendJson(
  exchange: Exchange,
  status: number,
  value: unknown,
  headers: Headers = noHeaders,
): void {
  const text = `${JSON.stringify(value)}\n`;
  // Nearly always ASCII, of which every character is a byte.
  const isShort = text.length < gzipBytesMin;
  if (isShort && Buffer.byteLength(text) === text.length) finish(exchange, status, jsonType, text, headers);
  else sendBytes(exchange, status, jsonType, Buffer.from(text), headers);
}

/** One answer of known bytes; compressed when the client likes that and it is worth it. */
export function sendBytes(
  exchange: Exchange,
  status: number,
  contentType: string,
  bytes: Uint8Array,
  headers: Headers = noHeaders,
): void {
  if (bytes.length < gzipBytesMin || exchange.method === 'HEAD' || !acceptsGzip(exchange)) {
    finish(exchange, status, contentType, bytes, headers);
    return;
  }
  gzip(bytes, { level: 1 }, (error, compressed) => {
    if (exchange.response.destroyed) return;
    if (error !== null) finish(exchange, status, contentType, bytes, headers);
    else {
      const encoded = [...headers, 'Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding'];
      finish(exchange, status, contentType, compressed, encoded);
    }
  });
}

/** An answer without a body: 304, preflights. */
export function sendEmpty(exchange: Exchange, status: number, headers: Headers = noHeaders): void {
  writeHead(exchange, status, headers);
  exchange.response.end();
}

/**
 * Turns whatever a handler threw into an answer. Once the head is out nothing truthful can be said any more, so the
 * connection is cut: the client sees a truncated answer instead of a complete-looking wrong one.
 */
export function answerError(exchange: Exchange, thrown: unknown): void {
  const { request, response } = exchange;
  if (thrown instanceof ClientGone || response.destroyed) {
    request.socket.destroy();
    return;
  }
  const error = asTercetError(exchange, thrown);
  if (response.headersSent) {
    request.socket.destroy();
    return;
  }
  sendError(exchange, error);
}

export function sendError(exchange: Exchange, error: TercetError, headers: Headers = noHeaders): void {
  const { request, response } = exchange;
  const isWrite = exchange.method !== 'GET' && exchange.method !== 'HEAD';
  if (hasBody(request) && !request.complete) {
    // A client that has not been told to continue will not send its body, so the next request could not be found.
    if (exchange.expectsContinue) response.shouldKeepAlive = false;
  }
  let all = isWrite ? [...headers, 'Tercet-Write', writeOutcome(error)] : headers;
  if (error.retryAfterSeconds !== undefined) all = [...all, 'Retry-After', String(error.retryAfterSeconds)];
  if (error.code === 'not_leader') all = [...all, leaderHeader, leaderAddress(exchange)];
  sendJson(exchange, error.status, errorRow(error), all);
}

/** Where the leader is, for a client that wants to ask there itself; empty where nobody knows. */
function leaderAddress(exchange: Exchange): string {
  const { cluster, node } = exchange.services;
  const leader = cluster?.status().leader;
  return node.peers.find((peer) => peer.name === leader)?.url ?? '';
}

/** A defect may have struck after the write: only the table's own failures promise anything. */
function writeOutcome(error: TercetError): WriteOutcome {
  return error.code === 'internal_server_error' ? 'unknown' : error.writeOutcome;
}

/** The row that stands for a failure inside a larger answer. */
export function errorRow(error: TercetError): { error: string; reason: string } {
  return { error: error.error, reason: error.reason };
}

/** Anything else than an operating error is a defect of ours: reported here, hidden from the client. */
function asTercetError(exchange: Exchange, thrown: unknown): TercetError {
  if (thrown instanceof TercetError) return thrown;
  exchange.services.reportDefect?.(thrown, `${exchange.method} ${exchange.request.url ?? ''}`);
  return failure('internal_server_error');
}

export function acceptsGzip(exchange: Exchange): boolean {
  const accepted = exchange.header('accept-encoding');
  return accepted?.includes('gzip') === true && !/gzip\s*;\s*q=0(\.0*)?\s*(,|$)/.test(accepted);
}

/** Sends 304 when the client already has what `etag` (with its quotes) names. */
export function sendNotModified(exchange: Exchange, etag: string): boolean {
  const known = exchange.header('if-none-match');
  if (known === undefined) return false;
  const matches = known.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag);
  if (!matches && known.trim() !== '*') return false;
  sendEmpty(exchange, 304, ['ETag', etag]);
  return true;
}

/** @param content bytes, or text that has one byte for each character */
function finish(
  exchange: Exchange,
  status: number,
  contentType: string,
  content: Uint8Array | string,
  headers: Headers,
): void {
  const own = [
    'Content-Type',
    contentType,
    'Content-Length',
    String(content.length),
    'Cache-Control',
    'must-revalidate',
  ];
  writeHead(exchange, status, headers.length === 0 ? own : own.concat(headers));
  // A text joins the head in one buffer and one system call; bytes would be a second one. Latin-1 keeps every byte.
  if (typeof content === 'string') exchange.response.end(content, 'latin1');
  else if (content.length <= joinedBytesMax) exchange.response.end(latin1Of(content), 'latin1');
  else exchange.response.end(content);
}

function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
