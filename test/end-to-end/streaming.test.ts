/** The memory of a node does not grow with the size of what it takes or gives, however slow the other side is. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { letters } from './incompressible.ts';
import { figuresMissing, residentBytes } from './process-figures.ts';
import { connectTo, jsonRequest } from './raw-http.ts';

const documents = 6_000;
const documentLetters = 10_000;
const attachmentBytes = 200_000_000;
/** Buffers, caches and garbage, but no copy of what flows: the readers together are owed many times as much. */
const growthBytesMax = 100_000_000;
const slowReaders = 8;

const harness = openHarness();
let node: TestNode;

beforeAll(async () => {
  node = await harness.startNode();
  await put('/large', '');
  for (let from = 0; from < documents; from += 200) {
    const docs = Array.from({ length: 200 }, (_, n) => ({
      _id: `doc-${from + n}`,
      text: letters(from + n, documentLetters),
    }));
    const answer = await fetch(`${node.url}/large/_bulk_docs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ docs }),
    });
    expect(answer.status).toBe(201);
    await answer.arrayBuffer();
  }
}, 60_000);
afterAll(() => harness.close());

async function put(path: string, body: string): Promise<void> {
  const answer = await fetch(`${node.url}${path}`, { method: 'PUT', body });
  await answer.arrayBuffer();
  expect(answer.status).toBe(201);
}

/** The most that is resident while `work` goes on, above what was before. */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  const before = residentBytes(node.pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentBytes(node.pid));
  }, 10);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, residentBytes(node.pid)) - before;
}

/** A request on a connection of its own; a body is sent as JSON. */
async function open(method: string, path: string, body?: string): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json' };
  const request = httpRequest(`${node.url}${path}`, { method, headers, agent: false });
  request.end(body);
  const [response] = await once(request, 'response');
  return response as IncomingMessage;
}

/** Clients that ask and then do not read: what is not taken must stay where it is. */
async function holdUnread(request: Buffer): Promise<() => void> {
  const sockets = await Promise.all(Array.from({ length: slowReaders }, () => connectTo(node.port)));
  for (const socket of sockets) {
    socket.pause();
    socket.write(request);
  }
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

// skip: where the system does not say what a process holds
describe.skipIf(figuresMissing)('memory stays far below the size', () => {
  const ids = Array.from({ length: documents }, (_, n) => `doc-${n}`);
  const keys = JSON.stringify({ keys: ids });
  const docs = JSON.stringify({ docs: ids.map((id) => ({ id })) });

  test.each([
    ['of all documents', 'GET', '/large/_all_docs?include_docs=true', ''],
    ['of all documents by their ids', 'POST', '/large/_all_docs?include_docs=true', keys],
    ['of a bulk read', 'POST', '/large/_bulk_get?revs=true', docs],
    ['of all changes with their documents', 'GET', '/large/_changes?include_docs=true', ''],
    ['of a live feed', 'GET', `/large/_changes?include_docs=true&feed=continuous&limit=${documents}`, ''],
  ])('%s, when they are read and when many readers do not read on', async (_what, method, path, body) => {
    const growth = await growthDuring(async () => {
      const release = await holdUnread(jsonRequest(method, path, body));
      let bytes = 0;
      for await (const chunk of await open(method, path, body)) bytes += (chunk as Buffer).length;
      expect(bytes).toBeGreaterThan(documents * documentLetters);
      release();
    });
    expect(growth).toBeLessThan(growthBytesMax);
  });

  test('of an attachment on its way in, and out while many readers do not read on', async () => {
    const piece = createHash('sha512').update('piece').digest();
    const chunk = Buffer.concat(Array.from({ length: 1_000 }, () => piece));
    const upload = await growthDuring(() => sendAttachment('/large/film/reel', chunk));
    expect(upload).toBeLessThan(growthBytesMax);

    const download = await growthDuring(async () => {
      const release = await holdUnread(jsonRequest('GET', '/large/film/reel', ''));
      const expected = createHash('md5');
      const read = createHash('md5');
      for (let bytes = 0; bytes < attachmentBytes; bytes += chunk.length) expected.update(chunk);
      let bytes = 0;
      for await (const part of await open('GET', '/large/film/reel')) {
        bytes += (part as Buffer).length;
        read.update(part as Buffer);
      }
      expect(bytes).toBe(attachmentBytes);
      expect(read.digest('hex')).toBe(expected.digest('hex'));
      release();
    });
    expect(download).toBeLessThan(growthBytesMax);
  });
});

async function sendAttachment(path: string, chunk: Buffer): Promise<void> {
  const request = httpRequest(`${node.url}${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'video/x-test', 'content-length': attachmentBytes },
    agent: false,
  });
  const answered = once(request, 'response');
  for (let bytes = 0; bytes < attachmentBytes; bytes += chunk.length) {
    if (!request.write(chunk)) await once(request, 'drain');
  }
  request.end();
  const [response] = (await answered) as [IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(201);
  await waitUntil('it is there', async () => {
    const head = await fetch(`${node.url}${path}`, { method: 'HEAD' });
    return head.headers.get('content-length') === String(attachmentBytes);
  });
}
