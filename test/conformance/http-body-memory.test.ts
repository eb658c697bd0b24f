/** Many large bodies at once: what a node holds of them is bounded, and those who send are served first. */

import { createConnection, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp({ limits: { requestBodyBytesMax: 100_000, bodyMemoryBytesMax: 200_000 } });
  await app.request('PUT', '/db');
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

interface Unfinished {
  readonly socket: Socket;
  readonly answer: Promise<string>;
}

/** Sends 60,000 of 90,000 bytes and then nothing. */
function unfinished(path: string): Unfinished {
  const socket = createConnection({ host: '127.0.0.1', port: app.port });
  const head = 'Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 90000';
  socket.write(`PUT ${path} HTTP/1.1\r\n${head}\r\n\r\n{"a":"${'x'.repeat(60_000)}`);
  const answer = new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(bytes.toString()));
    socket.on('error', () => resolve(''));
  });
  return { socket, answer };
}

const body = JSON.stringify({ a: 'x'.repeat(90_000) });

test('unfinished bodies make room for those that are sent, and are told to come again', async () => {
  const senders = ['a', 'b', 'c', 'd'].map((id) => unfinished(`/db/${id}`));
  const answer = await Promise.race(senders.map((sender) => sender.answer));
  expect(answer).toMatch(/^HTTP\/1\.1 503 .*Retry-After: 1\r\n.*"service_unavailable"/s);
  expect(answer).toContain('Tercet-Write: did_not_happen');
  expect((await app.request('PUT', '/db/sent', body)).status).toBe(201);
  expect((await app.request('PUT', '/db/small', {})).status).toBe(201);
  for (const { socket } of senders) socket.destroy();
  const together = ['e', 'f'].map((id) => app.request('PUT', `/db/${id}`, body));
  expect((await Promise.all(together)).map((reply) => reply.status)).toEqual([201, 201]);
});

test('what gzip makes of bodies is counted and freed again', async () => {
  const headers = { 'content-encoding': 'gzip' };
  for (let round = 0; round < 5; round += 1) {
    const reply = await app.request('PUT', `/db/gzip${round}`, gzipSync(body), headers);
    expect(reply.status).toBe(201);
  }
});
