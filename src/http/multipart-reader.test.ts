import fc from 'fast-check';
import { expect, test } from 'vitest';
import { boundaryOf, readMultipart } from './multipart-reader.ts';

interface ReadPart {
  readonly headers: Record<string, string>;
  readonly content: string;
}

async function* inChunks(text: string | Buffer, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(text: string | Buffer, size = 7, boundary = 'b'): Promise<ReadPart[]> {
  const parts: ReadPart[] = [];
  for await (const part of readMultipart(inChunks(text, size), boundary)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of part.content) chunks.push(chunk);
    parts.push({
      headers: Object.fromEntries(part.headers),
      content: Buffer.concat(chunks).toString('latin1'),
    });
  }
  return parts;
}

const two =
  '--b\r\nContent-Type: application/json\r\n\r\n{"a":1}\r\n--b\r\nX-Name:  y \r\nZ: 1\r\n\r\nbytes\r\n--b--\r\n';

test.each([1, 2, 3, 5, 8, 1000])('two parts arrive whole in chunks of %d bytes', async (size) => {
  expect(await read(two, size)).toEqual([
    { headers: { 'content-type': 'application/json' }, content: '{"a":1}' },
    { headers: { 'x-name': 'y', z: '1' }, content: 'bytes' },
  ]);
});

test.each([
  ['a preamble and an epilogue', 'hello\r\n--b\r\n\r\nx\r\n--b--\r\ngoodbye', ['x']],
  ['no line break after the last boundary', '--b\r\n\r\nx\r\n--b--', ['x']],
  ['an empty part', '--b\r\n\r\n\r\n--b--', ['']],
  ['blanks after a boundary', '--b  \r\n\r\nx\r\n--b--', ['x']],
  ['no parts', '--b--', []],
  [
    'what looks like a boundary but is none',
    '--b\r\n\r\n--c\r\n-b\r\n--\r\n\r\n--b--',
    ['--c\r\n-b\r\n--\r\n'],
  ],
])('%s is understood', async (_what, text, contents) => {
  expect((await read(text, 3)).map((part) => part.content)).toEqual(contents);
});

test.each([
  ['nothing at all', ''],
  ['no boundary', 'hello'],
  ['no end', '--b\r\n\r\nx'],
  ['an end in the head', '--b\r\nContent-Type: te'],
  ['a head line without a colon', '--b\r\nnonsense\r\n\r\nx\r\n--b--'],
  ['text after a boundary', '--bx\r\n\r\nx\r\n--b--'],
  ['an endless head', `--b\r\n${'X: y\r\n'.repeat(5_000)}`],
])('%s is a bad request', async (_what, text) => {
  await expect(read(text)).rejects.toThrow('bad_request');
});

test('a part that is not read is skipped', async () => {
  const names: (string | undefined)[] = [];
  for await (const part of readMultipart(inChunks(two, 4), 'b')) names.push(part.headers.get('z'));
  expect(names).toEqual([undefined, '1']);
});

test('any bytes in any chunks come back as they were sent', async () => {
  const contents = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(contents, fc.integer({ min: 1, max: 40 }), async (parts, size) => {
      const text = parts.map(
        (part) => `--frontier\r\nA: b\r\n\r\n${Buffer.from(part).toString('latin1')}\r\n`,
      );
      const body = Buffer.from(`${text.join('')}--frontier--\r\n`, 'latin1');
      const found = await read(body, size, 'frontier');
      expect(found.map((part) => part.content)).toEqual(
        parts.map((part) => Buffer.from(part).toString('latin1')),
      );
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['multipart/related; boundary=abc', 'abc'],
  ['multipart/related;boundary="a b;c"', 'a b;c'],
  ['multipart/related; type="x"; BOUNDARY=abc; y=1', 'abc'],
])('the boundary of %j is %j', (type, boundary) => {
  expect(boundaryOf(type)).toBe(boundary);
});

test('a multipart type without a boundary is a bad request', () => {
  expect(() => boundaryOf('multipart/related')).toThrow('no boundary');
});
