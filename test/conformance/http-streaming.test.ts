/** Large answers: in constant memory, compressed where the client likes that, and never complete-looking when cut. */

import { createConnection, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

const documents = 4_000;
const documentBytes = 2_000;
const attachmentBytes = 12_000_000;

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp();
  await app.request('PUT', '/db');
  await app.request('PUT', '/db/small', { x: 1 });
  await app.request('PUT', '/db/with/attachment', Buffer.alloc(attachmentBytes, 'x'), {
    'content-type': 'text/plain',
  });
  await app.request('PUT', '/big');
  const text = 'y'.repeat(documentBytes);
  const docs = Array.from({ length: documents }, (_, index) => ({ _id: `d${index}`, text }));
  expect((await app.request('POST', '/big/_bulk_docs', { docs })).status).toBe(201);
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    expect(performance.now()).toBeLessThan(deadline);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const wanted = documents.toString();

test.each([
  ['/big/_all_docs?include_docs=true', 'GET', ''],
  ['/big/_changes?include_docs=true', 'GET', ''],
  ['/big/_changes?include_docs=true&feed=continuous', 'GET', ''],
  [
    '/big/_bulk_get',
    'POST',
    JSON.stringify({ docs: Array.from({ length: documents }, (_, n) => ({ id: `d${n}` })) }),
  ],
  ['/db/with/attachment', 'GET', ''],
  ['/db/with?attachments=true', 'GET', ''],
])(
  '%s waits for a client that does not read, and is freed when the client leaves',
  async (path, method, body) => {
    const accepted = new Promise<Socket>((resolve) => app.server.once('connection', resolve));
    const client = createConnection({ host: '127.0.0.1', port: app.port });
    client.pause();
    const head = `Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    client.write(`${method} ${path} HTTP/1.1\r\n${head}\r\n\r\n${body}`);
    const socket = await accepted;
    await until(() => socket.writableNeedDrain);
    // What the kernel does not take stays with the node: one write or two, never the rest of the answer.
    expect(socket.writableLength).toBeLessThan(1_000_000);
    client.destroy();
    await until(() => socket.destroyed);
  },
);

test('clients that vanish at any moment of any request leave nothing behind', async () => {
  const body = '{"a":1}';
  const requests = [
    (n: number) =>
      `PUT /db/v${n} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    (n: number) => `PUT /db/w${n}/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc`,
    (n: number) =>
      `PUT /db/z${n}/f HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\nabc`,
    () => 'GET /db HTTP/1.1\r\nHost: localhost\r\n\r\n',
    () => 'GET /big/_all_docs?include_docs=true HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n',
    () => 'GET /big/_all_docs?limit=200 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n',
    () => 'GET /big/_changes?feed=continuous&heartbeat=10 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    () => 'GET /db/with/attachment HTTP/1.1\r\nHost: localhost\r\n\r\n',
  ];
  let open = 0;
  app.server.on('connection', (socket) => {
    open += 1;
    socket.once('close', () => {
      open -= 1;
    });
  });
  await Promise.all(
    Array.from({ length: 160 }, (_, n) => {
      return new Promise<void>((resolve) => {
        const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => {
          socket.write(requests[n % requests.length]!(n), () => {
            // Sooner or later by turns, so that the answer is found at every stage.
            const leave = () => (n % 3 === 0 ? socket.resetAndDestroy() : socket.destroy());
            if (n % 4 === 0) leave();
            else if (n % 4 === 1) setImmediate(leave);
            else socket.once('data', leave).setTimeout(20, leave);
          });
        });
        socket.once('close', () => resolve());
      });
    }),
  );
  await until(() => open === 0);
  expect((await app.request('GET', '/_node/_local/_system')).json.feeds).toBe(0);
});

/** What comes until the node closes the connection, of which the client closes its half behind the request. */
function answerToLast(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: string[] = [];
    const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => socket.end(request));
    socket.setEncoding('latin1').on('data', (piece: string) => pieces.push(piece));
    socket.once('close', () => resolve(pieces.join(''))).once('error', reject);
  });
}

test('a client that closes its half behind a request gets the whole answer, and a feed ends', async () => {
  const body = '{"a":1}';
  const length = `Content-Length: ${body.length}`;
  const written = await answerToLast(`PUT /db/last HTTP/1.1\r\nHost: localhost\r\n${length}\r\n\r\n${body}`);
  expect(written).toMatch(/^HTTP\/1\.1 201 /);
  const list = await answerToLast('GET /big/_all_docs?include_docs=true HTTP/1.1\r\nHost: localhost\r\n\r\n');
  expect(list.match(/"_id":"d\d+"/g)).toHaveLength(documents);
  for (const feed of ['continuous', 'longpoll', 'eventsource']) {
    await answerToLast(`GET /db/_changes?feed=${feed}&since=now HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  }
  expect((await app.request('GET', '/_node/_local/_system')).json.feeds).toBe(0);
});

test('a slow reader gets everything', async () => {
  const response = await fetch(`${app.url}/big/_all_docs?include_docs=true`);
  const rows = (await response.json()) as { rows: { doc: { text: string } }[] };
  expect(rows.rows.length.toString()).toBe(wanted);
  expect(rows.rows.every((row) => row.doc.text.length === documentBytes)).toBe(true);
});

async function rawAnswer(path: string, acceptEncoding: string): Promise<{ head: string; body: Buffer }> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: ${acceptEncoding}\r\n\r\n`;
    const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => socket.write(request));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve());
    socket.on('error', reject);
  });
  const answer = Buffer.concat(chunks);
  const end = answer.indexOf('\r\n\r\n');
  return { head: answer.toString('latin1', 0, end), body: answer.subarray(end + 4) };
}

test.each([
  ['/db/small', 'gzip', false],
  ['/big/d1?revs=true', 'gzip', false],
  ['/big/_all_docs?limit=100', 'gzip, deflate', true],
  ['/big/_all_docs?limit=100', 'identity', false],
  ['/big/_all_docs?limit=100', 'gzip;q=0, deflate', false],
  ['/big/_all_docs?include_docs=true', 'gzip', true],
  ['/big/_all_docs?include_docs=true', '', false],
  ['/big/_changes?feed=continuous&limit=500', 'gzip', false],
])('%s with Accept-Encoding %j: compressed %s', async (path, encoding, isCompressed) => {
  const { head } = await rawAnswer(path, encoding);
  expect(/\r\ncontent-encoding: gzip/i.test(head)).toBe(isCompressed);
  expect(
    (await app.request('GET', path, undefined, { 'accept-encoding': encoding || 'identity' })).status,
  ).toBe(200);
});

test('compressed and plain answers say the same', async () => {
  const path = '/big/_all_docs?limit=100';
  const plain = await rawAnswer(path, 'identity');
  const compressed = await rawAnswer(path, 'gzip');
  expect(gunzipSync(compressed.body).toString()).toBe(plain.body.toString());
  expect(compressed.head).toMatch(/vary: accept-encoding/i);
});

test('HEAD of a list has the head alone', async () => {
  for (const path of ['/big/_all_docs?include_docs=true', '/big/_changes', '/big/_changes?feed=continuous']) {
    const reply = await app.request('HEAD', path);
    expect([reply.status, reply.text, reply.headers.get('content-type')]).toEqual([
      200,
      '',
      'application/json',
    ]);
  }
});

test('an answer that fails half way is cut, not finished', async () => {
  const database = app.databases.get('big');
  const original = database.allDocuments.bind(database);
  database.allDocuments = async function* (query) {
    for await (const rows of original(query)) {
      yield rows;
      throw new Error('the disk went away');
    }
  };
  const response = await fetch(`${app.url}/big/_all_docs?include_docs=true`);
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow();
  const failed = await app.request('GET', '/big/_all_docs?limit=1');
  expect([failed.status, failed.json.error]).toEqual([500, 'internal_server_error']);
  expect(failed.text).not.toContain('disk');
  database.allDocuments = original;
  expect(app.defects.splice(0).map(String)).toEqual([
    'Error: the disk went away',
    'Error: the disk went away',
  ]);
});
