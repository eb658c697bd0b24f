/**
 * PostgreSQL's protocol 3, as much as two prepared statements need.
 * Messages: a letter, a length of 32 bits that counts itself, a body. https://www.postgresql.org/docs/15/protocol.html
 */

import type { Address } from '../http-connection.ts';
import { AnsweringSocket } from './socket.ts';
import type { Wire } from './wire.ts';

export const benchUser = 'bench';
const benchDatabase = 'postgres';
const protocolVersion = 196_608;
const readyForQuery = 0x5a;
const errorResponse = 0x45;
const dataRow = 0x44;

const createTable = 'CREATE TABLE IF NOT EXISTS bench (id text PRIMARY KEY, body text NOT NULL)';

export async function openPostgresWire(address: Address): Promise<Wire> {
  const socket = await connected(address);
  await checked(
    socket,
    Buffer.concat([
      parse('insert', 'INSERT INTO bench VALUES ($1, $2)'),
      parse('select', 'SELECT body FROM bench WHERE id = $1'),
      sync,
    ]),
  );
  return {
    put: async (key, value) => {
      await checked(socket, execution('insert', [key, value]));
    },
    get: async (key) => {
      const answer = await checked(socket, execution('select', [key]));
      if (!hasMessage(answer, dataRow)) throw new Error(`${key} is missing`);
    },
    close: () => socket.close(),
  };
}

export async function preparePostgres(address: Address): Promise<void> {
  const socket = await connected(address);
  await checked(socket, message('Q', text(createTable)));
  socket.close();
}

async function connected(address: Address): Promise<AnsweringSocket> {
  const socket = await AnsweringSocket.open(address, endOfAnswer);
  const body = Buffer.concat([
    int32(protocolVersion),
    ...['user', benchUser, 'database', benchDatabase, ''].map(text),
  ]);
  await checked(socket, Buffer.concat([int32(body.length + 4), body]));
  return socket;
}

async function checked(socket: AnsweringSocket, request: Buffer): Promise<Buffer> {
  const answer = await socket.ask(request);
  if (!hasMessage(answer, errorResponse)) return answer;
  throw new Error(`PostgreSQL answered ${answer.toString('latin1').replaceAll('\0', ' ')}`);
}

function execution(statement: string, values: readonly string[]): Buffer {
  const bound = values.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)]);
  const bind = [text(''), text(statement), int16(0), int16(values.length), ...bound, int16(0)];
  return Buffer.concat([
    message('B', Buffer.concat(bind)),
    message('E', Buffer.concat([text(''), int32(0)])),
    sync,
  ]);
}

function parse(name: string, statement: string): Buffer {
  return message('P', Buffer.concat([text(name), text(statement), int16(0)]));
}

/** The first message with this letter, in a whole answer. */
function hasMessage(answer: Buffer, letter: number): boolean {
  for (let at = 0; at < answer.length; at += 1 + answer.readUInt32BE(at + 1)) {
    if (answer[at] === letter) return true;
  }
  return false;
}

/** An answer ends with the message that says that the next request may come; a refused connection has just an error. */
function endOfAnswer(bytes: Buffer): number | undefined {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const letter = bytes[at];
    at += 1 + bytes.readUInt32BE(at + 1);
    if (at > bytes.length) return undefined;
    if (letter === readyForQuery) return at;
  }
  return undefined;
}

function message(letter: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

const sync = message('S', Buffer.alloc(0));
