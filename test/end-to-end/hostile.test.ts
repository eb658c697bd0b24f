/**
 * Clients that send what nobody should, against a real process with a neighbour on it who must notice nothing: whatever
 * comes gets a 4xx in CouchDB's shape or a closed connection, and leaves neither memory nor sockets behind.
 */

import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { constants, deflateRawSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { type Neighbour, startNeighbour } from './neighbour.ts';
import {
  descriptorsMax,
  figuresMissing,
  openSockets,
  peakResidentBytes,
  residentBytes,
} from './process-figures.ts';
import {
  connectTo,
  jsonRequest as json,
  type RawReply,
  readReply,
  rawRequest as request,
  sendRaw,
} from './raw-http.ts';

const limits = {
  documentBytesMax: 500_000,
  requestBodyBytesMax: 2_000_000,
  attachmentBytesMax: 20_000_000,
  headerTimeMsMax: 2_000,
  requestTimeMsMax: 1_000,
};
/** What may be resident on top of a quiet node at the worst moment, and what may stay. */
const peakGrowthBytesMax = 400_000_000;
const lastingGrowthBytesMax = 250_000_000;

const harness = openHarness();
let node: TestNode;
let neighbour: Neighbour;
let quietSockets: number;
let quietBytes: number;

beforeAll(async () => {
  const config = join(await harness.temporaryDirectory(), 'config.json');
  await writeFile(config, JSON.stringify({ limits }));
  node = await harness.startNode({ flags: ['--config', config] });
  neighbour = await startNeighbour(node.url);
  await neighbour.untilRounds(20);
  expect((await sendRaw(node.port, put('/db', '')))?.status).toBe(201);
  expect((await sendRaw(node.port, put('/db/doc', '{"a":1}')))?.status).toBe(201);
  if (!figuresMissing) {
    quietSockets = openSockets(node.pid);
    quietBytes = residentBytes(node.pid);
  }
});
afterEach(async () => {
  await neighbour.untilRounds(3);
  expect(neighbour.complaints).toEqual([]);
});
afterAll(async () => {
  await neighbour.stop();
  await harness.close();
});

const put = (path: string, body: string | Uint8Array, headers: readonly string[] = []) =>
  json('PUT', path, body, headers);
const get = (path: string, headers: readonly string[] = []) => request('GET', path, headers, '');

function expectRefusal(reply: RawReply | undefined, what: string, status?: number): void {
  const text = `${what}: ${JSON.stringify(reply)}`;
  expect(reply, text).toBeDefined();
  expect(reply?.json, text).toEqual({ error: expect.any(String), reason: expect.any(String) });
  if (status !== undefined) expect(reply?.status, text).toBe(status);
  expect(reply?.status, text).toBeGreaterThanOrEqual(400);
  expect(reply?.status, text).toBeLessThan(500);
}

describe('bodies', () => {
  const deepObject = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
  const bodies: readonly (readonly [string, string | Uint8Array])[] = [
    ['malformed JSON', '{"docs":[{"_id":'],
    ['a megabyte of brackets', '['.repeat(1_000_000)],
    ['objects 100,000 deep', `{"docs":[${deepObject}],"keys":${deepObject},"selector":${deepObject}}`],
    ['invalid UTF-8', Buffer.from('{"\xff\xfe":"\xc3\x28"}', 'latin1')],
    ['a lone number', '1e999'],
    ['a lone string', '"docs"'],
    ['NUL bytes', '{"a":\0\0\0}'],
    ['nothing but spaces', ' '.repeat(100_000)],
  ];
  const endpoints: readonly (readonly [string, string])[] = [
    ['PUT', '/db/hostile'],
    ['POST', '/db'],
    ['POST', '/db/_bulk_docs'],
    ['POST', '/db/_bulk_get'],
    ['POST', '/db/_all_docs'],
    ['POST', '/db/_all_docs/queries'],
    ['POST', '/db/_changes?filter=_selector'],
    ['POST', '/db/_revs_diff'],
    ['POST', '/db/_missing_revs'],
    ['POST', '/db/_purge'],
    ['PUT', '/db/_local/hostile'],
    ['PUT', '/db/_design/hostile'],
    ['PUT', '/db/_security'],
    ['PUT', '/_users/org.couchdb.user:x'],
    ['POST', '/_dbs_info'],
    ['POST', '/_replicate'],
    ['POST', '/_replicator'],
    ['POST', '/_session'],
  ];

  test.each(bodies)('%s is refused wherever JSON is read', async (what, body) => {
    for (const [method, path] of endpoints) {
      const reply = await sendRaw(node.port, json(method, path, body));
      // A name and a password need little room, so the session has a limit of its own.
      const status = path === '/_session' && body.length > 10_000 ? 413 : 400;
      expectRefusal(reply, `${what} to ${method} ${path}`, status);
    }
  });

  test('members called __proto__ and constructor are data, not power', async () => {
    const body =
      '{"__proto__":{"isAdmin":true,"a":1},"constructor":{"prototype":{"a":1}},"docs":[],"keys":[]}';
    for (const [method, path] of endpoints) {
      const reply = await sendRaw(node.port, json(method, path, body));
      const what = `${method} ${path}: ${JSON.stringify(reply)}`;
      expect(reply?.status, what).toBeLessThan(500);
      if (reply!.status >= 400) expectRefusal(reply, what);
    }
    const doc = await sendRaw(node.port, get('/db/doc'));
    expect(doc?.json).toEqual({ _id: 'doc', _rev: expect.any(String), a: 1 });
  });

  test('bodies above the limit are refused, declared or chunked', async () => {
    const large = `{"a":"${'x'.repeat(limits.requestBodyBytesMax)}"}`;
    const chunk = `${Buffer.byteLength(large).toString(16)}\r\n${large}\r\n0\r\n\r\n`;
    const chunked = ['Content-Type: application/json', 'Transfer-Encoding: chunked'];
    const expecting = [chunked[0]!, `Content-Length: ${10 ** 12}`, 'Expect: 100-continue'];
    for (const path of ['/db/large', '/db/_bulk_docs', '/db/_revs_diff']) {
      const method = path === '/db/large' ? 'PUT' : 'POST';
      expectRefusal(await sendRaw(node.port, json(method, path, large)), path, 413);
      expectRefusal(await sendRaw(node.port, request(method, path, chunked, chunk)), `chunked ${path}`, 413);
      expectRefusal(await sendRaw(node.port, request(method, path, expecting, '')), `announced ${path}`, 413);
    }
    const tooLargeDocument = `{"a":"${'x'.repeat(limits.documentBytesMax)}"}`;
    expectRefusal(await sendRaw(node.port, put('/db/large', tooLargeDocument)), 'a document', 413);
    const tooLong = request('PUT', '/db/large/a', [`Content-Length: ${limits.attachmentBytesMax + 1}`], 'x');
    expectRefusal(await sendRaw(node.port, tooLong), 'an attachment', 413);
  });

  test('gzip bombs are refused without being unpacked, and damaged gzip as well', async () => {
    const bomb = zeros(400);
    const headers = ['Content-Encoding: gzip'];
    for (const [method, path] of [...endpoints, ['PUT', '/db/bomb/attachment']] as const) {
      const reply = await sendRaw(node.port, json(method, path, bomb, headers));
      expectRefusal(reply, `${method} ${path}`, 413);
    }
    const whole = gzipSync('{"a":1}');
    const half = whole.subarray(0, whole.length - 6);
    const layered = gzipSync(bomb);
    for (const [what, body] of Object.entries({ half, layered, 'no gzip': Buffer.from('{"a":1}') })) {
      expectRefusal(await sendRaw(node.port, put('/db/bomb', body, headers)), what, 400);
      if (what === 'layered') continue;
      expectRefusal(await sendRaw(node.port, put('/db/bomb/a', body, headers)), `${what} attached`, 400);
    }
    const unknown = put('/db/bomb', bomb, ['Content-Encoding: br']);
    expectRefusal(await sendRaw(node.port, unknown), 'an unknown encoding', 415);
    expect((await sendRaw(node.port, get('/db/bomb')))?.status).toBe(404);
  });
});

/** Megabytes of zeros, compressed to about a thousandth: one megabyte again and again, without the sum behind the last. */
function zeros(megabytes: number): Buffer {
  const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  const megabyte = deflateRawSync(Buffer.alloc(1_000_000), { finishFlush: constants.Z_FULL_FLUSH });
  return Buffer.concat([head, ...Array.from({ length: megabytes }, () => megabyte)]);
}

describe('framing', () => {
  const chunked = 'Transfer-Encoding: chunked';
  const chunks = '7\r\n{"a":1}\r\n0\r\n\r\n';
  const body = '{"a":1}';

  test.each<readonly [string, readonly string[], string]>([
    ['Content-Length and Transfer-Encoding', ['Content-Length: 7', chunked], chunks],
    ['Transfer-Encoding and Content-Length', [chunked, 'Content-Length: 7'], body],
    ['two lengths', ['Content-Length: 7', 'Content-Length: 8'], body],
    ['a negative length', ['Content-Length: -7'], body],
    ['a length that is no number', ['Content-Length: seven'], body],
    ['a length beyond all numbers', [`Content-Length: ${'9'.repeat(40)}`], body],
    ['an unknown Transfer-Encoding', ['Transfer-Encoding: xchunked'], body],
    ['chunked twice', ['Transfer-Encoding: chunked, identity'], chunks],
    ['a chunk size that is no number', [chunked], 'zz\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size beyond all numbers', [chunked], `${'f'.repeat(17)}\r\n`],
    ['endless chunk extensions', [chunked], `7;${'x'.repeat(40_000)}\r\n${body}\r\n0\r\n\r\n`],
    ['a chunk longer than it says', [chunked], '3\r\n{"a":1}\r\n0\r\n\r\n'],
    ['a body longer than its length', ['Content-Length: 3'], body],
    ['a header without a colon', ['Content-Length 7'], body],
    ['a header with a NUL', ['X-A: a\0b', 'Content-Length: 7'], body],
    ['a header in the next line', ['X-A: a\nContent-Length: 7'], body],
    ['a space before the colon', ['Content-Length : 7'], body],
    ['a hundred thousand bytes of headers', [`X-A: ${'x'.repeat(100_000)}`, 'Content-Length: 7'], body],
    ['ten thousand headers', Array.from({ length: 10_000 }, (_, n) => `X-${n}: 1`), body],
  ])('%s is refused, and nothing is written', async (what, headers, sent) => {
    expectRefusal(await sendRaw(node.port, request('PUT', '/db/framed', headers, sent)), what);
    expect((await sendRaw(node.port, get('/db/framed')))?.status).toBe(404);
  });

  test.each([
    ['the hello of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['a protocol of its own', 'HELO example.org\r\n\r\n'],
    ['a version that nobody knows', 'GET / HTTP/7.3\r\nHost: x\r\n\r\n'],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['noise', Buffer.from(Array.from({ length: 5_000 }, (_, n) => (n * 167 + 13) % 256)).toString('latin1')],
    ['a NUL in the request line', 'GET /db/\0doc HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('%s is no request', async (what, bytes) => {
    expectRefusal(await sendRaw(node.port, Buffer.from(bytes, 'latin1')), what);
  });

  test('a body shorter than its length is given up, whether the sender waits or hangs up', async () => {
    const short = request('PUT', '/db/short', ['Content-Length: 100'], body);
    expectRefusal(await sendRaw(node.port, short), 'waiting', 408);
    const socket = await connectTo(node.port);
    socket.end(short);
    const reply = await readReply(socket);
    if (reply !== undefined) expectRefusal(reply, 'hanging up');
    socket.destroy();
    expect((await sendRaw(node.port, get('/db/short')))?.status).toBe(404);
  });

  test('a client that closes its half after a whole request gets its answer', async () => {
    const socket = await connectTo(node.port);
    socket.end(get('/db/doc'));
    expect((await readReply(socket))?.json).toMatchObject({ a: 1 });
    socket.destroy();
  });
});

describe('paths', () => {
  test.each([
    ['/db/%', 400],
    ['/db/%zz', 400],
    ['/db/%ff%fe', 400],
    ['/db/%ed%a0%80', 400],
    ['/%2e%2e/%2e%2e/etc/passwd', 404],
    ['/../../etc/passwd', 404],
    ['/db/..', 404],
    ['/db/../doc', 404],
    ['/db/%2e%2e%2fdoc', 404],
    ['/db%2fdoc', 404],
    ['/db%2f..%2fdb', 404],
    ['/db/a%2fb', 404],
    ['/db/%00', 404],
    ['/db//', 404],
    ['/db//doc', 404],
    ['/db/doc?rev=%', 400],
    ['/db/_all_docs?startkey=%22', 400],
    ['/db/_changes?filter=no/such', 404],
    ['/db/_changes?filter=../../x', 400],
    ['/db/_changes?filter=_nonsense', 400],
    ['/db/_changes?feed=continuous&filter=no/such', 404],
    ['/_nonsense', 404],
    ['/__proto__', 404],
    ['/db/__proto__', 404],
    ['/db/_design/__proto__/constructor', 404],
  ])('%s is answered %i', async (path, status) => {
    expectRefusal(await sendRaw(node.port, get(path)), path, status);
  });

  test.each([
    ['the id of a document', `/db/${'x'.repeat(8_000)}`, 404],
    ['an id beyond the header limit', `/db/${'x'.repeat(100_000)}`, 431],
    ['the name of a database', `/${'%61'.repeat(9_000)}`, 404],
    ['a path', `/db${'/x'.repeat(10_000)}`, 404],
    ['a query that is ignored', `/db/doc?${'a=b&'.repeat(7_000)}`, 200],
  ])('%s may be far too long', async (what, path, status) => {
    const reply = await sendRaw(node.port, get(path));
    if (status === 200) expect(reply?.status).toBe(200);
    else expectRefusal(reply, what, status);
  });
});

describe('connections', () => {
  const opened: Socket[] = [];
  afterEach(() => {
    for (const socket of opened.splice(0)) socket.destroy();
  });

  async function open(count: number, first: Buffer): Promise<Socket[]> {
    const sockets: Socket[] = [];
    const connect = async () => {
      const socket = await connectTo(node.port);
      socket.write(first);
      sockets.push(socket);
      opened.push(socket);
    };
    while (sockets.length < count) {
      await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, connect));
    }
    return sockets;
  }

  /** Sends one byte after another, as slowly as the node would wait for ever if it waited for the next byte. */
  function trickle(sockets: readonly Socket[], bytes: string): () => void {
    let place = 0;
    const timer = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write(bytes.charAt(place % bytes.length));
      place += 1;
    }, 50);
    return () => clearInterval(timer);
  }

  test.each([
    ['headers', 'PUT /db/slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', 'x'],
    ['bodies', 'PUT /db/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"a":"', 'x'],
    [
      'chunks',
      'PUT /db/slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
      '1\r\n \r\n',
    ],
    ['uploads', 'PUT /db/slow/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n', 'x'],
  ])('hundreds of senders of slow %s are told that it takes too long', async (_what, first, then) => {
    const sockets = await open(200, Buffer.from(first));
    const stop = trickle(sockets, then);
    const replies = await Promise.all(sockets.map(readReply));
    stop();
    for (const reply of replies) expectRefusal(reply, 'slow', 408);
    expect((await sendRaw(node.port, get('/db/slow')))?.status).toBe(404);
  });

  test('thousands of idle connections are in nobody’s way', async () => {
    const sockets = await open(Math.min(3_000, descriptorsMax() - 300), get('/_up'));
    const replies = await Promise.all(sockets.map(readReply));
    expect(new Set(replies.map((reply) => reply?.status))).toEqual(new Set([200]));
    await neighbour.untilRounds(20);
    expect(sockets.filter((socket) => socket.closed)).toEqual([]);
  });

  test('a thousand requests at once on one connection are answered in their order', async () => {
    const requests = Array.from({ length: 1_000 }, (_, n) => get(n % 2 === 0 ? '/db/doc' : `/db/no-${n}`));
    const [socket] = await open(1, Buffer.concat(requests));
    let text = '';
    socket!.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1]);
    await waitUntil('all are answered', () => statuses().length === 1_000);
    expect(statuses().every((status, n) => status === (n % 2 === 0 ? '200' : '404'))).toBe(true);
  });

  test('clients vanish in the middle of feeds, downloads and uploads, and nothing is held for them', async () => {
    const attachment = Buffer.alloc(10_000_000, 'abcdefghij');
    expect((await sendRaw(node.port, json('PUT', '/db/large/a', attachment)))?.status).toBe(201);
    const vanishing = [
      ...(await open(100, get('/db/_changes?feed=continuous&heartbeat=100'))),
      ...(await open(100, get('/db/_changes?feed=longpoll&since=now'))),
      ...(await open(50, get('/_db_updates?feed=eventsource'))),
      ...(await open(50, get('/db/large/a'))),
      ...(await open(50, json('PUT', '/db/half/a', '', [`Content-Length: ${10 ** 7}`]))),
      ...(await open(50, json('POST', '/db/_bulk_docs', '', ['Transfer-Encoding: chunked']))),
    ];
    await waitUntil('the feeds are open', async () => (await feeds()) === 251);
    for (const socket of vanishing.slice(0, 150)) socket.resetAndDestroy();
    for (const socket of vanishing.slice(150)) socket.destroy();
    await waitUntil('only the neighbour’s feed is left', async () => (await feeds()) === 1);
    expect((await sendRaw(node.port, get('/db/half')))?.status).toBe(404);
  });

  async function feeds(): Promise<unknown> {
    return (await sendRaw(node.port, get('/_node/_local/_system')))?.json?.feeds;
  }
});

// skip: where the system does not say what a process holds
test.skipIf(figuresMissing)(
  'after all this neither memory nor sockets are kept, and the neighbour saw nothing',
  async () => {
    await waitUntil('sockets are back to where they were', () => openSockets(node.pid) <= quietSockets + 2);
    expect(peakResidentBytes(node.pid) - quietBytes).toBeLessThan(peakGrowthBytesMax);
    expect(residentBytes(node.pid) - quietBytes).toBeLessThan(lastingGrowthBytesMax);
    expect(node.output()).not.toContain('defect');
  },
);
