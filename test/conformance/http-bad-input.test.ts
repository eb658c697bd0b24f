/** Whatever a client sends, it gets a 4xx in CouchDB's shape, and the node goes on serving its neighbours. */

import { once } from 'node:events';
import { createConnection } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp({
    limits: {
      ...{ documentBytesMax: 10_000, requestBodyBytesMax: 100_000, attachmentBytesMax: 50_000 },
      ...{ headerBytesMax: 4_096, headerTimeMsMax: 400, requestTimeMsMax: 400, jsonDepthMax: 50 },
    },
  });
  await app.request('PUT', '/db');
  await app.request('PUT', '/db/doc', { a: 1 });
});

afterAll(() => app.close());

afterEach(async () => {
  expect(app.defects).toEqual([]);
  expect((await app.request('GET', '/db/doc')).json.a).toBe(1);
});

const deep = `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`;

test.each([
  ['malformed JSON', '/db/x', '{"a":', 400, 'bad_request'],
  ['an array', '/db/x', '[]', 400, 'bad_request'],
  ['a string', '/db/x', '"x"', 400, 'bad_request'],
  ['null', '/db/x', 'null', 400, 'bad_request'],
  ['nothing', '/db/x', '', 400, 'bad_request'],
  ['deep nesting', '/db/x', deep, 400, 'bad_request'],
  ['a million brackets', '/db/x', '['.repeat(90_000), 400, 'bad_request'],
  ['a document that is too large', '/db/x', `{"a":"${'x'.repeat(20_000)}"}`, 413, 'document_too_large'],
  ['an unknown special member', '/db/x', '{"_x":1}', 400, 'doc_validation'],
  ['a bad revision', '/db/x', '{"_rev":"abc"}', 400, 'bad_request'],
  ['a revision of the wrong type', '/db/x', '{"_rev":1}', 400, 'bad_request'],
  ['a bad revision in the query', '/db/x?rev=1', '{}', 400, 'bad_request'],
  ['a revision that the query contradicts', '/db/x?rev=1-a', '{"_rev":"1-b"}', 400, 'bad_request'],
  ['attachments of the wrong type', '/db/x', '{"_attachments":1}', 400, 'doc_validation'],
  ['bad base64', '/db/x', '{"_attachments":{"a":{"data":"???"}}}', 400, 'bad_request'],
  ['a stub of nothing', '/db/x', '{"_attachments":{"a":{"stub":true}}}', 412, 'missing_stub'],
  ['content that does not follow', '/db/x', '{"_attachments":{"a":{"follows":true}}}', 400, 'bad_request'],
  ['a reserved id', '/db/_x', '{}', 400, 'illegal_docid'],
  [
    'an id that is too long',
    `/db/${'x'.repeat(2_000)}%20`.replace('x', 'x'.repeat(1_500)),
    '{}',
    201,
    undefined,
  ],
  ['an encoded slash in the name of no database', '/a%2Fb/x', '{}', 404, 'not_found'],
  ['a broken percent-encoding', '/db/%E0%A4%A', '{}', 400, 'bad_request'],
  ['a broken percent-encoding in the query', '/db/x?rev=%', '{}', 400, 'bad_request'],
  ['new_edits=false without a revision', '/db/x?new_edits=false', '{}', 400, 'bad_request'],
  ['new_edits that is no boolean', '/db/x?new_edits=1', '{}', 400, 'query_parse_error'],
  ['an illegal database name', '/UPPER', '{}', 400, 'illegal_database_name'],
])('PUT with %s', async (_what, path, body, status, error) => {
  const reply = await app.request('PUT', path, body, { 'content-type': 'application/json' });
  expect([reply.status, reply.json.error]).toEqual([status, error]);
  if (status >= 400) {
    expect(reply.json.reason).toEqual(expect.any(String));
    expect(reply.headers.get('tercet-write')).toBe('did_not_happen');
  }
});

test('invalid UTF-8 is refused', async () => {
  const reply = await app.request('PUT', '/db/x', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
  expect([reply.status, reply.json]).toEqual([400, { error: 'bad_request', reason: 'invalid UTF-8 JSON' }]);
});

test('a document of the greatest depth goes in one by one and in bulk, a deeper one does not', async () => {
  const nested = (depth: number): object => (depth === 1 ? {} : { a: nested(depth - 1) });
  for (const [depth, status] of [
    [50, 201],
    [51, 400],
  ] as const) {
    const document = { _id: `depth${depth}`, ...nested(depth) };
    expect((await app.request('POST', '/db/_bulk_docs', { docs: [document] })).status).toBe(status);
    expect((await app.request('PUT', `/db/alone${depth}`, document)).status).toBe(status);
  }
});

test.each([
  ['POST', '/db/_bulk_docs', {}, 400],
  ['POST', '/db/_bulk_docs', { docs: {} }, 400],
  ['POST', '/db/_bulk_docs', { docs: [1] }, 400],
  ['POST', '/db/_bulk_docs', { docs: [{ _id: 1 }] }, 400],
  ['POST', '/db/_bulk_docs', { docs: [{ _id: '_x' }] }, 400],
  ['POST', '/db/_bulk_docs', { docs: [], new_edits: 1 }, 400],
  ['POST', '/db/_bulk_get', { docs: 1 }, 400],
  ['POST', '/db/_bulk_get', { docs: [1] }, 400],
  ['POST', '/db/_bulk_get', { docs: [{ rev: '1-a' }] }, 400],
  ['POST', '/db/_revs_diff', { a: 1 }, 400],
  ['POST', '/db/_revs_diff', { a: [1] }, 400],
  ['POST', '/db/_revs_diff', [], 400],
  ['POST', '/db/_purge', { a: '1-a' }, 400],
  ['POST', '/db/_all_docs', { keys: 1 }, 400],
  ['POST', '/db/_all_docs/queries', { queries: 1 }, 400],
  ['POST', '/db/_changes?filter=_selector', {}, 400],
  ['POST', '/db/_changes?filter=_selector', { selector: 1 }, 400],
  ['POST', '/db/_changes?filter=_selector', { selector: { a: { $nonsense: 1 } } }, 400],
  ['POST', '/db/_changes?filter=_doc_ids', { doc_ids: 'a' }, 400],
  ['PUT', '/db/_security', 1, 400],
  ['PUT', '/db/_security', { admins: 1 }, 400],
  ['PUT', '/db/_security', { admins: { names: [1] } }, 400],
  ['PUT', '/db/_revs_limit', '0', 400],
  ['PUT', '/db/_revs_limit', '"5"', 400],
  ['PUT', '/db/_local/x', { _rev: '1-a' }, 400],
  ['PUT', '/db/_local/x', { _attachments: { a: { data: '' } } }, 400],
  ['PUT', '/db/_local/x/a', 'x', 400],
  ['PUT', '/db/doc/_a', 'x', 400],
  ['POST', '/_session', { name: 1 }, 400],
  ['POST', '/_dbs_info', {}, 400],
  ['COPY', '/db/doc', undefined, 400],
  ['GET', '/db/_all_docs?limit=-1', undefined, 400],
  ['GET', '/db/_all_docs?limit=abc', undefined, 400],
  ['GET', '/db/_all_docs?startkey=a', undefined, 400],
  ['GET', '/db/_all_docs?descending=1', undefined, 400],
  ['GET', '/db/_all_docs/nonsense', undefined, 404],
  ['GET', '/db/_changes?feed=nonsense', undefined, 400],
  ['GET', '/db/_changes?since=nonsense', undefined, 400],
  ['GET', '/db/_changes?feed=continuous&since=nonsense', undefined, 400],
  ['GET', '/db/_changes?style=nonsense', undefined, 400],
  ['GET', '/db/_changes?heartbeat=0', undefined, 400],
  ['GET', '/db/_changes?filter=nonsense', undefined, 400],
  ['GET', '/db/_changes?filter=no/such', undefined, 404],
  ['GET', '/db/doc?rev=nonsense', undefined, 400],
  ['GET', '/db/doc?open_revs=nonsense', undefined, 400],
  ['GET', '/db/doc?open_revs=[1]', undefined, 400],
  ['GET', '/db/doc?open_revs={}', undefined, 400],
  ['GET', '/db/doc?atts_since=1', undefined, 400],
  ['GET', '/db/doc/missing.txt', undefined, 404],
  ['GET', '/_uuids?count=99999999', undefined, 400],
  ['GET', '/_nonsense', undefined, 404],
  ['GET', '/_node/nobody/_stats', undefined, 404],
  ['GET', '/_node/_local/_stats/__proto__', undefined, 404],
  ['GET', '//', undefined, 404],
  ['POST', '/db/_compact/none', {}, 404],
  ['POST', '/db/_purge/x', {}, 404],
  ['PUT', '/db/_security/x', {}, 404],
  ['GET', '/db/_changes/x', undefined, 404],
  ['POST', '/db/_bulk_docs/x', { docs: [{ _id: 'below' }] }, 404],
  ['GET', '/_up/x', undefined, 404],
  ['POST', '/_session/x', { name: 'a', password: 'a' }, 404],
])('%s %s of %j is %d', async (method, path, body, status) => {
  const reply = await app.request(method, path, body);
  expect(reply.status).toBe(status);
  expect(reply.json).toEqual({ error: expect.any(String), reason: expect.any(String) });
});

test('a member called __proto__ is kept like any other and changes nothing else', async () => {
  const body = '{"a":{"__proto__":{"polluted":1},"constructor":{"prototype":1}}}';
  expect((await app.request('PUT', '/db/proto', body)).status).toBe(201);
  expect((await app.request('GET', '/db/proto')).text).toContain('"__proto__":{"polluted":1}');
  expect((await app.request('PUT', '/db/proto2', '{"__proto__":1}')).json.error).toBe('doc_validation');
  const bulk = '{"docs":[{"_id":"p3","a":{"__proto__":{"_id":"x"}}}],"__proto__":{"new_edits":false}}';
  const json = { 'content-type': 'application/json' };
  const written = await app.request('POST', '/db/_bulk_docs', bulk, json);
  expect(written.json).toMatchObject([{ ok: true, id: 'p3' }]);
  const difference = await app.request('POST', '/db/_revs_diff', '{"__proto__":["9-a"]}', json);
  expect(difference.text).toMatch(/"__proto__":\{"missing":\["9-a"\]/);
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test.each([
  ['PATCH', '/db/doc', 'COPY, DELETE, GET, HEAD, PUT'],
  ['DELETE', '/', 'GET, HEAD'],
  ['PATCH', '/db', 'DELETE, GET, HEAD, POST, PUT'],
  ['GET', '/db/_bulk_docs', 'POST'],
  ['OPTIONS', '/db/doc', 'COPY, DELETE, GET, HEAD, PUT'],
])('%s %s is 405 and says what is allowed', async (method, path, allowed) => {
  const reply = await app.request(method, path);
  expect([reply.status, reply.json.error, reply.headers.get('allow')]).toEqual([
    405,
    'method_not_allowed',
    allowed,
  ]);
});

test('a POST that declares another type than JSON is 415', async () => {
  const reply = await app.request('POST', '/db', '{}', { 'content-type': 'text/plain' });
  expect([reply.status, reply.json.error]).toEqual([415, 'bad_content_type']);
});

test.each([
  ['a body that is too large', { body: Buffer.alloc(200_000, 0x20) }, 413],
  ['gzip that inflates beyond the limit', { body: gzipSync(Buffer.alloc(5_000_000)), encoding: 'gzip' }, 413],
  ['damaged gzip', { body: Buffer.from('nonsense'), encoding: 'gzip' }, 400],
  ['an unknown encoding', { body: Buffer.from('{}'), encoding: 'br' }, 415],
])('%s is refused', async (_what, { body, encoding }: { body: Buffer; encoding?: string }, status) => {
  const reply = await app.request(
    'PUT',
    '/db/big',
    body,
    encoding === undefined ? {} : { 'content-encoding': encoding },
  );
  expect(reply.status).toBe(status);
  const attachment = encoding === undefined ? await app.request('PUT', '/db/big/a', body) : reply;
  expect(attachment.status).toBe(status);
});

const head = 'Host: localhost\r\nConnection: close\r\n';

test.each([
  [
    'both lengths',
    `PUT /db/x HTTP/1.1\r\n${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    400,
  ],
  [
    'two different lengths',
    `PUT /db/x HTTP/1.1\r\n${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
    400,
  ],
  ['a negative length', `PUT /db/x HTTP/1.1\r\n${head}Content-Length: -2\r\n\r\n{}`, 400],
  ['bad chunks', `PUT /db/x HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
  ['too long headers', `GET / HTTP/1.1\r\n${head}X: ${'x'.repeat(10_000)}\r\n\r\n`, 431],
  ['an unknown method', `BREW / HTTP/1.1\r\n${head}\r\n`, 405],
  ['no Host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['a wish for a tunnel', `CONNECT localhost:80 HTTP/1.1\r\n${head}\r\n`, 405],
  ['no HTTP at all', 'hello\r\n\r\n', 400],
  ['a length beyond all limits', `PUT /db/x HTTP/1.1\r\n${head}Content-Length: 99999999999\r\n\r\n{}`, 413],
  ['a target that is no path', `GET db HTTP/1.1\r\n${head}\r\n`, 400],
  ['a path that climbs', `GET /db/.. HTTP/1.1\r\n${head}\r\n`, 404],
  [
    'a body that nobody reads and that never comes',
    'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n',
    200,
  ],
  ['a whole URL as target', `GET http://x/db/doc HTTP/1.1\r\n${head}\r\n`, 200],
  ['headers that do not end', 'GET / HTTP/1.1\r\nHost: localhost\r\n', 408],
  ['a body that does not end', `PUT /db/x HTTP/1.1\r\n${head}Content-Length: 20\r\n\r\n{`, 408],
  ['an attachment that does not end', `PUT /db/y/a HTTP/1.1\r\n${head}Content-Length: 20\r\n\r\n{`, 408],
  [
    'an unmet expectation of size',
    `PUT /db/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n`,
    413,
  ],
])('on the wire: %s', async (_what, text, status) => {
  const answer = await app.raw(text);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  if (status >= 400) expect(answer).toMatch(/\r\n\r\n\{"error":"\w+","reason":".+"\}\n$/);
});

test.each([
  ['a write', 'PUT', '{}', 201],
  ['a write that is refused', 'PUT', '[]', 400],
])('%s is answered before the nonsense behind it', async (_what, method, body, status) => {
  const path = `/db/before${status}`;
  const text = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n${body}NONSENSE\r\n\r\n`;
  const [first, second] = (await app.raw(text)).split(/(?=HTTP\/1\.1 )/);
  expect(first).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(second).toMatch(/^HTTP\/1.1 4\d\d .*Tercet-Write: did_not_happen/s);
  expect((await app.request('GET', path)).status).toBe(status === 201 ? 200 : 404);
});

test('nonsense behind several writes leaves each its answer', async () => {
  const write = (id: string) => `PUT /db/${id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`;
  const answers = await app.raw(`${write('one')}${write('two')}NONSENSE\r\n\r\n`);
  expect(answers.match(/HTTP\/1\.1 \d\d\d/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 201', 'HTTP/1.1 405']);
});

test('a deletion that does not wait for its broken body is not said to have had no effect', async () => {
  const { rev } = (await app.request('PUT', '/db/going', {})).json;
  const head = `DELETE /db/going?rev=${rev} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const answers = await app.raw(`${head}zz\r\n`);
  expect(answers).not.toContain('did_not_happen');
  expect((await app.request('GET', '/db/going')).json.reason).toBe('deleted');
});

test('a node that was stopped for longer than a request may take reads what came meanwhile', async () => {
  const accepted = once(app.server, 'connection');
  const socket = createConnection({ host: '127.0.0.1', port: app.port });
  await Promise.all([accepted, once(socket, 'connect')]);
  socket.end(`GET /db/doc HTTP/1.1\r\n${head}\r\n`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString('latin1', 0, 12)).toBe('HTTP/1.1 200');
});

test('a client that waits to be told to go on is told so', async () => {
  const text = `PUT /db/waited HTTP/1.1\r\n${head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`;
  expect(await app.raw(text)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201 Created\r\n/);
});

test('a client that goes away in the middle of its body leaves nothing behind', async () => {
  const written = new Promise<void>((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => {
      socket.write('PUT /db/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"a":1', () => {
        socket.destroy();
        resolve();
      });
    });
  });
  await written;
  expect((await app.request('GET', '/db/half')).status).toBe(404);
});

test('a thousand idle connections keep nobody waiting', async () => {
  const sockets = await Promise.all(
    Array.from({ length: 1_000 }, () => {
      return new Promise<ReturnType<typeof createConnection>>((resolve, reject) => {
        const socket = createConnection({ host: '127.0.0.1', port: app.port }, () => resolve(socket));
        socket.on('error', reject);
      });
    }),
  );
  expect((await app.request('GET', '/db/doc')).status).toBe(200);
  for (const socket of sockets) socket.destroy();
});
