/** Attachments over HTTP: on their own, inline, and as parts of multipart bodies in both directions. */

import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { boundaryOf, readMultipart } from '../../src/http/multipart-reader.ts';
import { type Reply, startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;
let number = 0;
let db = '';

beforeAll(async () => {
  app = await startTestApp();
});

beforeEach(async () => {
  number += 1;
  db = `/db${number}`;
  await app.request('PUT', db);
});

afterAll(async () => {
  expect(app.defects).toEqual([]);
  await app.close();
});

const text = { 'content-type': 'text/plain' };
const md5 = (bytes: string | Buffer) => createHash('md5').update(bytes).digest('base64');

test('an attachment makes its document, is changed and deleted', async () => {
  const made = await app.request('PUT', `${db}/a/x.txt`, 'hello', text);
  expect([made.status, made.json.id, made.json.rev]).toEqual([201, 'a', expect.stringMatching(/^1-/)]);
  expect((await app.request('PUT', `${db}/a/x.txt`, 'again', text)).status).toBe(409);
  const second = await app.request('PUT', `${db}/a/sub/y.txt?rev=${made.json.rev}`, 'more', text);
  expect(second.json.rev).toMatch(/^2-/);
  expect((await app.request('GET', `${db}/a/sub/y.txt`)).text).toBe('more');
  const stubs = (await app.request('GET', `${db}/a`)).json._attachments;
  expect(stubs['x.txt']).toEqual({
    ...{ content_type: 'text/plain', revpos: 1, digest: `md5-${md5('hello')}`, length: 5, stub: true },
  });
  const deleted = await app.request('DELETE', `${db}/a/x.txt`, undefined, {
    'if-match': `"${second.json.rev}"`,
  });
  expect([deleted.status, deleted.json.rev]).toEqual([200, expect.stringMatching(/^3-/)]);
  expect((await app.request('GET', `${db}/a/x.txt`)).json.reason).toBe('Document is missing attachment');
});

test('an attachment is served with its type, digest and length, and sandboxed', async () => {
  await app.request('PUT', `${db}/a/x.html`, '<b>x</b>', { 'content-type': 'text/html' });
  const reply = await app.request('GET', `${db}/a/x.html`);
  const shown = [
    'content-type',
    'etag',
    'content-md5',
    'content-length',
    'accept-ranges',
    'content-security-policy',
  ];
  expect(shown.map((name) => reply.headers.get(name))).toEqual([
    ...['text/html', `"${md5('<b>x</b>')}"`, md5('<b>x</b>'), '8', 'bytes', 'sandbox'],
  ]);
  const known = { 'if-none-match': `"${md5('<b>x</b>')}"` };
  expect((await app.request('GET', `${db}/a/x.html`, undefined, known)).status).toBe(304);
  const head = await app.request('HEAD', `${db}/a/x.html`);
  expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '8']);
});

test.each([
  ['bytes=1-3', 206, 'ell', 'bytes 1-3/11'],
  ['bytes=-5', 206, 'world', 'bytes 6-10/11'],
  ['bytes=6-', 206, 'world', 'bytes 6-10/11'],
  ['bytes=0-0,4-5', 200, 'hello world', null],
  ['bytes=50-', 416, undefined, 'bytes */11'],
])('the range %s is answered %d', async (range, status, body, contentRange) => {
  await app.request('PUT', `${db}/a/x`, 'hello world', text);
  const reply = await app.request('GET', `${db}/a/x`, undefined, { range });
  expect([reply.status, reply.headers.get('content-range')]).toEqual([status, contentRange]);
  if (body === undefined) expect(reply.json.error).toBe('requested_range_not_satisfiable');
  else expect(reply.text).toBe(body);
});

test('a range that was conditional on an older content gets everything', async () => {
  await app.request('PUT', `${db}/a/x`, 'hello', text);
  const reply = await app.request('GET', `${db}/a/x`, undefined, {
    range: 'bytes=0-1',
    'if-range': '"older"',
  });
  expect([reply.status, reply.text]).toEqual([200, 'hello']);
});

test('a large content goes in without a length and comes out as it was', async () => {
  const content = randomBytes(3_000_000);
  const chunks = Array.from({ length: 30 }, (_, index) =>
    content.subarray(index * 100_000, (index + 1) * 100_000),
  );
  const reply = await fetch(`${app.url}${db}/big/blob`, {
    ...{ method: 'PUT', duplex: 'half', body: Readable.toWeb(Readable.from(chunks)) },
  } as unknown as RequestInit);
  expect(reply.status).toBe(201);
  const back = Buffer.from(await (await fetch(`${app.url}${db}/big/blob`)).arrayBuffer());
  expect(back.equals(content)).toBe(true);
  const inline = await app.request('GET', `${db}/big?attachments=true`);
  expect(Buffer.from(inline.json._attachments.blob.data, 'base64').equals(content)).toBe(true);
});

test('an empty content and a compressed one are what they say', async () => {
  expect((await app.request('PUT', `${db}/a/x`, '', text)).status).toBe(201);
  expect((await app.request('GET', `${db}/a/x`)).text).toBe('');
  await app.request('PUT', `${db}/b/x`, gzipSync('plain'), { ...text, 'content-encoding': 'gzip' });
  expect((await app.request('GET', `${db}/b/x`)).text).toBe('plain');
});

test('a content that is not what Content-MD5 says is refused', async () => {
  expect((await app.request('PUT', `${db}/a/x`, 'hello', { 'content-md5': md5('other') })).status).toBe(400);
  expect((await app.request('PUT', `${db}/a/x`, 'hello', { 'content-md5': md5('hello') })).status).toBe(201);
});

test('inline contents go in by base64 and come out so where asked for', async () => {
  const data = Buffer.from('hello').toString('base64');
  const zipped = gzipSync('zipped').toString('base64');
  const _attachments = {
    a: { content_type: 'text/plain', data },
    b: { content_type: 'text/plain', data: zipped, encoding: 'gzip' },
  };
  const { json } = await app.request('PUT', `${db}/d`, { _attachments, x: 1 });
  const full = (await app.request('GET', `${db}/d?attachments=true`)).json;
  expect(Buffer.from(full._attachments.b.data, 'base64').toString()).toBe('zipped');
  expect(full._attachments.a.data).toBe(data);
  const kept = { a: { stub: true } };
  await app.request('PUT', `${db}/d`, { _rev: json.rev, _attachments: kept });
  const next = (await app.request('GET', `${db}/d?attachments=true`)).json;
  expect(Object.keys(next._attachments)).toEqual(['a']);
  expect(next._attachments.a.revpos).toBe(1);
});

test('atts_since shows only contents that are newer than what the reader has', async () => {
  const first = (await app.request('PUT', `${db}/d`, { _attachments: { old: { data: 'YQ==' } } })).json.rev;
  const second = (await app.request('PUT', `${db}/d/new?rev=${first}`, 'b', text)).json.rev;
  const since = encodeURIComponent(JSON.stringify([first]));
  const shown = (await app.request('GET', `${db}/d?atts_since=${since}`)).json;
  expect(shown._attachments).toMatchObject({ old: { stub: true }, new: { data: 'Yg==' } });
  expect(shown._revisions).toBeUndefined();
  const all = (await app.request('GET', `${db}/d?attachments=true&rev=${second}&revs=true`)).json;
  expect(all._attachments.old.data).toBe('YQ==');
  expect(all._revisions.start).toBe(2);
});

function related(document: object, parts: readonly { headers: string; content: string | Buffer }[]): Buffer {
  const pieces = [`--xyz\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(document)}\r\n`];
  const bytes = parts.flatMap(({ headers, content }) => [`--xyz\r\n${headers}\r\n`, content, '\r\n']);
  return Buffer.concat([...pieces, ...bytes, '--xyz--'].map((piece) => Buffer.from(piece)));
}

const relatedType = { 'content-type': 'multipart/related; boundary="xyz"' };
const follows = (length: number, more: object = {}) => ({
  follows: true,
  content_type: 'text/plain',
  length,
  ...more,
});

test('a multipart body brings contents by name, by order and compressed', async () => {
  const _attachments = {
    one: follows(3),
    two: follows(3),
    three: follows(5, { encoding: 'gzip', encoded_length: 1 }),
  };
  const body = related({ x: 1, _attachments }, [
    { headers: 'Content-Disposition: attachment; filename="two"\r\n', content: '222' },
    { headers: '', content: '111' },
    { headers: 'Content-Encoding: gzip\r\n', content: gzipSync('33333') },
  ]);
  const reply = await app.request('PUT', `${db}/m`, body, relatedType);
  expect(reply.status).toBe(201);
  const contents = await Promise.all(
    ['one', 'two', 'three'].map((name) => app.request('GET', `${db}/m/${name}`)),
  );
  expect(contents.map((content) => content.text)).toEqual(['111', '222', '33333']);
  expect((await app.request('GET', `${db}/m`)).json.x).toBe(1);
});

test.each([
  ['a content that is too short', { a: follows(5) }, [{ headers: '', content: '1' }]],
  ['a content that is missing', { a: follows(1) }, []],
  ['a content that nothing names', {}, [{ headers: '', content: '1' }]],
  ['a wrong digest', { a: follows(1, { digest: 'md5-AAAA' }) }, [{ headers: '', content: '1' }]],
])('a multipart body with %s is refused', async (_what, _attachments, parts) => {
  const reply = await app.request('PUT', `${db}/m`, related({ _attachments }, parts), relatedType);
  expect([reply.status, reply.json.error]).toEqual([400, 'bad_request']);
  expect((await app.request('GET', `${db}/m`)).status).toBe(404);
});

test('a multipart body that breaks off is refused', async () => {
  const body = related({ _attachments: { a: follows(3) } }, [{ headers: '', content: '111' }]).subarray(
    0,
    -12,
  );
  expect((await app.request('PUT', `${db}/m`, body, relatedType)).status).toBe(400);
  expect((await app.request('PUT', `${db}/m`, 'x', { 'content-type': 'multipart/related' })).status).toBe(
    400,
  );
});

async function partsOf(reply: Reply): Promise<{ type: string; content: Buffer }[]> {
  const parts: { type: string; content: Buffer }[] = [];
  const boundary = boundaryOf(reply.headers.get('content-type') ?? '');
  for await (const part of readMultipart(Readable.from([Buffer.from(reply.text)]), boundary)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of part.content) chunks.push(chunk);
    parts.push({ type: part.headers.get('content-type') ?? '', content: Buffer.concat(chunks) });
  }
  return parts;
}

test('a document is sent as multipart/related to who wants that', async () => {
  await app.request('PUT', `${db}/m/x"y.txt`, 'hello', text);
  const reply = await app.request('GET', `${db}/m?attachments=true`, undefined, {
    accept: 'multipart/related',
  });
  const [document, content] = await partsOf(reply);
  expect(JSON.parse(document!.content.toString())._attachments['x"y.txt']).toMatchObject({
    follows: true,
    length: 5,
  });
  expect([content!.type, content!.content.toString()]).toEqual(['text/plain', 'hello']);
});

test.each([
  ['open_revs', 'GET', (id: string) => `${db}/${id}?open_revs=all&attachments=true`, undefined],
  ['_bulk_get', 'POST', () => `${db}/_bulk_get?attachments=true`, { docs: [{ id: 'm' }, { id: 'none' }] }],
])('%s answers as multipart/mixed of documents and their contents', async (what, method, path, body) => {
  await app.request('PUT', `${db}/m/x`, 'hello', text);
  const reply = await app.request(method, path('m'), body, { accept: 'multipart/mixed' });
  expect(reply.headers.get('content-type')).toMatch(/^multipart\/mixed; boundary="/);
  const parts = await partsOf(reply);
  expect(parts[0]!.type).toMatch(/^multipart\/related; boundary=/);
  const inner = new Headers({ 'content-type': parts[0]!.type });
  const [document, content] = await partsOf({ ...reply, headers: inner, text: parts[0]!.content.toString() });
  expect(JSON.parse(document!.content.toString())._id).toBe('m');
  expect(content!.content.toString()).toBe('hello');
  if (what === '_bulk_get') {
    expect(parts[1]!.type).toBe('application/json; error="true"');
    expect(JSON.parse(parts[1]!.content.toString())).toMatchObject({ id: 'none', error: 'not_found' });
  }
});

test('a change and a list carry contents where asked for', async () => {
  await app.request('PUT', `${db}/m/x`, 'hello', text);
  const data = Buffer.from('hello').toString('base64');
  for (const path of ['_changes', '_all_docs']) {
    const { json } = await app.request('GET', `${db}/${path}?include_docs=true&attachments=true`);
    expect((json.results ?? json.rows)[0].doc._attachments.x.data).toBe(data);
  }
});

const noLatin = 'x/\u4e2d';

test.each([
  ['inline', () => app.request('PUT', `${db}/d`, inline(noLatin))],
  ['replicated', () => app.request('PUT', `${db}/d?new_edits=false`, { _rev: '1-a', ...inline(noLatin) })],
  ['too long', () => app.request('PUT', `${db}/d`, inline('x'.repeat(1_025)))],
  [
    'multipart',
    () => {
      const body = related({ _attachments: { a: follows(1, { content_type: noLatin }) } }, []);
      return app.request('PUT', `${db}/d`, body, relatedType);
    },
  ],
  ['standalone', () => app.request('PUT', `${db}/d/a`, 'a', { 'content-type': 'x'.repeat(1_025) })],
])('a content type that no header can carry is refused: %s', async (_how, write) => {
  const reply = await write();
  expect([reply.status, reply.json.error]).toEqual([400, 'doc_validation']);
  expect((await app.request('GET', `${db}/d`)).status).toBe(404);
});

test('an attachment whose stored type no header can carry is sent as bytes', async () => {
  const database = app.databases.get(db.slice(1));
  const blob = await database.storeBlob(Readable.from([Buffer.from('a')]), 10);
  const attachments = [{ kind: 'stored', name: 'a', contentType: noLatin, blob }] as const;
  const body = Buffer.from('{}');
  await database.edit([{ id: 'd', base: undefined, deleted: false, body, attachments }]);
  const reply = await app.request('GET', `${db}/d/a`);
  expect([reply.status, reply.text]).toEqual([200, 'a']);
  expect(reply.headers.get('content-type')).toBe('application/octet-stream');
});

test('no content is stored for a write that cannot succeed', async () => {
  await app.request('PUT', `${db}/d`, {});
  const stored = vi.spyOn(app.databases.get(db.slice(1)), 'storeBlob');
  const multipart = related({ _attachments: { a: follows(1) } }, [{ headers: '', content: 'a' }]);
  const stale = { _rev: `1-${'a'.repeat(32)}`, ...inline('text/plain') };
  const refused = [
    await app.request('PUT', `${db}/d`, multipart, relatedType),
    await app.request('PUT', `${db}/d`, inline('text/plain')),
    await app.request('PUT', `${db}/d`, stale),
    await app.request('PUT', `${db}/new`, stale),
  ];
  expect(refused.map((reply) => reply.status)).toEqual([409, 409, 409, 409]);
  const docs = [{ _id: 'd', ...inline('text/plain') }];
  const rows = await app.request('POST', `${db}/_bulk_docs`, { docs });
  expect(rows.json).toMatchObject([{ id: 'd', error: 'conflict' }]);
  expect(stored).not.toHaveBeenCalled();
});

test('a content is never newer than the revision that has it', async () => {
  const made = (await app.request('PUT', `${db}/d`, inline('a/b', { revpos: 99 }))).json.rev;
  const brought = { _rev: '2-b', ...inline('a/b', { revpos: 99 }) };
  await app.request('PUT', `${db}/e?new_edits=false`, brought);
  const revpos = async (id: string) =>
    (await app.request('GET', `${db}/${id}`)).json._attachments.a.revpos as number;
  expect([made.slice(0, 2), await revpos('d'), await revpos('e')]).toEqual(['1-', 1, 2]);
});

function inline(contentType: string, more: object = {}): object {
  return { _attachments: { a: { content_type: contentType, data: 'YQ==', ...more } } };
}
