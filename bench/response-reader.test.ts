import { describe, expect, it } from 'vitest';
import { type Response, ResponseReader } from './response-reader.ts';

const fixed = 'HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX: y\r\n\r\nhello';
const chunked =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n';

function readAll(text: string, pieceBytes: number): (Response | undefined)[] {
  const reader = new ResponseReader(true);
  const bytes = Buffer.from(text);
  const responses: (Response | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const response = reader.push(bytes.subarray(at, at + pieceBytes));
    if (response !== undefined) responses.push(response);
  }
  return responses;
}

describe('ResponseReader', () => {
  it.each([1, 2, 3, 7, 64, 1000])('reads a response of known length in pieces of %i bytes', (pieceBytes) => {
    expect(readAll(fixed, pieceBytes)).toEqual([{ status: 201, bodyBytes: 5, body: 'hello' }]);
  });

  it.each([1, 2, 3, 7, 64, 1000])('reads a chunked response in pieces of %i bytes', (pieceBytes) => {
    expect(readAll(chunked, pieceBytes)).toEqual([{ status: 200, bodyBytes: 13, body: 'abc0123456789' }]);
  });

  it('starts afresh after each response', () => {
    const reader = new ResponseReader(false);
    expect(reader.push(Buffer.from(chunked))).toEqual({ status: 200, bodyBytes: 13, body: undefined });
    expect(reader.push(Buffer.from(fixed))).toEqual({ status: 201, bodyBytes: 5, body: undefined });
  });

  it('takes an empty body as whole', () => {
    const reader = new ResponseReader(true);
    const empty = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
    expect(reader.push(Buffer.from(empty))).toEqual({ status: 200, bodyBytes: 0, body: '' });
  });

  it('refuses a response of unknown length', () => {
    const reader = new ResponseReader(false);
    expect(() => reader.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'))).toThrow('unknown length');
  });
});
