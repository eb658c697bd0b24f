/**
 * Requests that never became requests: what Node's parser refuses before any handler runs. The answer is written by
 * hand, in the same shape as every other error.
 */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { failure, type TercetError } from '../errors.ts';
import type { OpenRequest } from './open-requests.ts';

const lingerMs = 1_000;
/** How long answers on their way may take on a connection that cannot be read any further. */
const answersMsMax = 10_000;

interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
}

/** Connections that wait for answers: what they bring meanwhile is not looked at. */
const finishing = new WeakSet<Socket>();

/** Connections on which a request was late once, when perhaps this node was. */
const excused = new WeakSet<Socket>();

/**
 * A node that was itself stopped or starved finds requests late that arrived in time and are only still to be read. So what
 * has arrived is read first, once for each connection; who is late all the same is found so again by the next check.
 */
export function isExcused(error: Error, socket: Socket, refuseLate: () => void): boolean {
  if ((error as ParserError).code !== 'ERR_HTTP_REQUEST_TIMEOUT' || excused.has(socket)) return false;
  excused.add(socket);
  const { bytesRead } = socket;
  // From a timer the first of these comes after one look at all connections.
  setImmediate(() =>
    setImmediate(() => {
      if (socket.bytesRead === bytesRead) refuseLate();
    }),
  );
  return true;
}

/**
 * What cannot be read may stand behind requests that are being answered, perhaps carried out already. Their clients get
 * those answers first, and only what never became a request is said to have had no effect.
 * @param open requests of this connection without their whole answer, in the order in which they came
 */
export function answerParserError(thrown: Error, socket: Socket, open: readonly OpenRequest[]): void {
  if (finishing.has(socket) && socket.writable) return;
  const error = thrown as ParserError;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const last = open.at(-1);
  if (last === undefined || (open.length === 1 && isOnlyBeingRead(last))) refuse(socket, error);
  else answerAfter(last, socket, error);
}

/** No request may come after one whose body never ends, and until it ends nothing is written. */
function isOnlyBeingRead({ request, response }: OpenRequest): boolean {
  return !request.complete && !response.headersSent && request.listenerCount('data') > 0;
}

function answerAfter({ request, response }: OpenRequest, socket: Socket, error: ParserError): void {
  finishing.add(socket);
  const timer = setTimeout(() => socket.destroy(), answersMsMax);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  response.once('finish', () => {
    finishing.delete(socket);
    // Without its end the request itself is what cannot be read, and it has its answer.
    if (request.complete && socket.writable) refuse(socket, error);
    else socket.destroySoon();
  });
}

function refuse(socket: Socket, error: ParserError): void {
  endWith(socket, errorFor(error));
}

/** The last answer on a connection that no handler has. */
export function endWith(socket: Duplex, error: TercetError): void {
  socket.end(rawAnswer(error));
  // Closing at once with unread bytes in the way would reset the connection and lose the answer.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

function errorFor(error: ParserError): TercetError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return failure('headers_too_large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return failure('too_large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return failure('request_timeout');
    case 'HPE_INVALID_METHOD':
      return looksLikeRequest(error.rawPacket)
        ? failure('method_not_allowed', 'The method is not known.')
        : failure('bad_request');
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
    case 'HPE_INVALID_CONTENT_LENGTH':
    case 'HPE_INVALID_TRANSFER_ENCODING':
    case 'HPE_UNEXPECTED_TRANSFER_ENCODING':
      return failure('bad_request', 'The length of the request body is not stated in one valid way.');
    default:
      return failure('bad_request', 'The request is not valid HTTP/1.1.');
  }
}

function looksLikeRequest(packet: Buffer | undefined): boolean {
  return (
    packet !== undefined && /^[A-Z-]{1,32} \S+ HTTP\/1\.[01]\r?\n/.test(packet.toString('latin1', 0, 8_192))
  );
}

function rawAnswer(error: TercetError): string {
  const body = `${JSON.stringify({ error: error.error, reason: error.reason })}\n`;
  return [
    `HTTP/1.1 ${error.status} ${error.error}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Tercet-Write: did_not_happen',
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
