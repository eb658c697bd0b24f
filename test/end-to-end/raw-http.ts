/** HTTP byte by byte, for requests that no well-behaved client can be made to send. */

import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

export interface RawReply {
  readonly status: number;
  /** Undefined when the body is not JSON. */
  readonly json: Readonly<Record<string, unknown>> | undefined;
}

const replyDeadlineMs = 15_000;

export async function connectTo(port: number): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  // Being cut off is what many of these sockets are for.
  socket.on('error', () => undefined);
  return socket;
}

/** Sends bytes and gives the first reply; undefined when the connection was closed without one. */
export async function sendRaw(
  port: number,
  ...pieces: (string | Uint8Array)[]
): Promise<RawReply | undefined> {
  const socket = await connectTo(port);
  try {
    for (const piece of pieces) socket.write(piece);
    return await readReply(socket);
  } finally {
    socket.destroy();
  }
}

/** The first reply on a connection; undefined when that is closed without one. */
export function readReply(socket: Socket): Promise<RawReply | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const deadline = setTimeout(() => {
      reject(
        new Error(`no reply in ${replyDeadlineMs} ms, only: ${Buffer.concat(chunks).toString('latin1')}`),
      );
    }, replyDeadlineMs);
    const settle = (reply: RawReply | undefined) => {
      clearTimeout(deadline);
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      resolve(reply);
    };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      const reply = parseReply(Buffer.concat(chunks));
      if (reply !== undefined) settle(reply);
    };
    const onEnd = () => settle(undefined);
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  });
}

/** Undefined while it is not complete. Only replies with a Content-Length, which all errors of a node have. */
function parseReply(bytes: Buffer): RawReply | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
  if (status === 100) return parseReply(bytes.subarray(headEnd + 4));
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const body = bytes.subarray(headEnd + 4);
  if (body.length < length) return undefined;
  try {
    return { status, json: JSON.parse(body.toString('utf8', 0, length)) };
  } catch {
    return { status, json: undefined };
  }
}

/** The bytes of one request; `headers` are whole lines. */
export function rawRequest(
  method: string,
  path: string,
  headers: readonly string[],
  body: string | Uint8Array,
): Buffer {
  const head = [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
}

/** With the right length and type. */
export function jsonRequest(
  method: string,
  path: string,
  body: string | Uint8Array,
  headers: readonly string[] = [],
): Buffer {
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return rawRequest(method, path, ['Content-Type: application/json', length, ...headers], body);
}
