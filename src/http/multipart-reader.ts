/**
 * Reads `multipart/*` bodies part by part without holding a part in memory (RFC 2046, section 5.1).
 *
 *     --b\r\n                          ← delimiter
 *     Content-Type: application/json\r\n
 *     \r\n
 *     {"_attachments": …}\r\n--b\r\n   ← the line break before a delimiter belongs to the delimiter
 *     \r\n
 *     bytes of the attachment\r\n--b--
 *
 * Parts are read in order: asking for the next one skips what is left of the current one. Left out: nested multiparts
 * (a part is bytes), transfer encodings (HTTP has none inside parts).
 */

import { failure } from '../errors.ts';

const partHeadBytesMax = 16_384;
const lineBreak = Buffer.from('\r\n');
const headEnd = Buffer.from('\r\n\r\n');

export interface Part {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The part's bytes, once; valid until the next part is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** The `boundary` of a multipart Content-Type. @throws TercetError `bad_request` */
export function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw failure('bad_request', 'The multipart Content-Type has no boundary.');
  return boundary;
}

/** @throws TercetError `bad_request` for a body that is cut off or malformed */
export async function* readMultipart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
): AsyncGenerator<Part> {
  const reader = new DelimitedReader(source, Buffer.from(`\r\n--${boundary}`));
  try {
    await reader.skipPreamble();
    while (await reader.atPart()) {
      const headers = parsePartHead(await reader.readPartHead());
      yield { headers, content: reader.content() };
      for await (const _rest of reader.content()) {
        // Whatever the consumer did not want of this part.
      }
    }
  } finally {
    await reader.close();
  }
}

class DelimitedReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  // A first delimiter may open the body without a line break before it; this makes it look like all others.
  #buffer: Buffer = lineBreak;
  #isInsidePart = false;

  constructor(source: AsyncIterable<Uint8Array>, delimiter: Buffer) {
    this.#source = source[Symbol.asyncIterator]();
    this.#delimiter = delimiter;
  }

  async skipPreamble(): Promise<void> {
    this.#isInsidePart = true;
    for await (const _preamble of this.content()) {
      // Text before the first delimiter is for readers without multipart.
    }
  }

  /** After a delimiter: `--` ends the body, a line break (after optional blanks) opens a part. */
  async atPart(): Promise<boolean> {
    while (this.#buffer.length < 2) await this.#more();
    if (this.#buffer[0] === 0x2d && this.#buffer[1] === 0x2d) return false;
    let end = this.#buffer.indexOf(lineBreak);
    while (end < 0) {
      if (this.#buffer.length > partHeadBytesMax) throw malformed();
      await this.#more();
      end = this.#buffer.indexOf(lineBreak);
    }
    if (this.#buffer.subarray(0, end).toString('latin1').trim() !== '') throw malformed();
    // The line break stays: a part without headers is then `\r\n\r\n` at once, like any other.
    this.#buffer = this.#buffer.subarray(end);
    this.#isInsidePart = true;
    return true;
  }

  async readPartHead(): Promise<string> {
    let end = this.#buffer.indexOf(headEnd);
    while (end < 0) {
      if (this.#buffer.length > partHeadBytesMax) throw malformed();
      await this.#more();
      end = this.#buffer.indexOf(headEnd);
    }
    const head = this.#buffer.subarray(0, end).toString('utf8');
    this.#buffer = this.#buffer.subarray(end + headEnd.length);
    return head;
  }

  async *content(): AsyncGenerator<Uint8Array> {
    while (this.#isInsidePart) {
      const end = this.#buffer.indexOf(this.#delimiter);
      // Everything before the last possible start of a delimiter is certainly content.
      const safe = end >= 0 ? end : this.#buffer.length - this.#delimiter.length + 1;
      if (safe > 0) {
        const chunk = this.#buffer.subarray(0, safe);
        this.#buffer = this.#buffer.subarray(safe);
        yield chunk;
        continue;
      }
      if (end >= 0) {
        this.#buffer = this.#buffer.subarray(end + this.#delimiter.length);
        this.#isInsidePart = false;
        return;
      }
      await this.#more();
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #more(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true)
      throw failure('bad_request', 'The multipart body ended before its last boundary.');
    const chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
  }
}

function parsePartHead(head: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of head.split('\r\n')) {
    if (line === '') continue;
    const colon = line.indexOf(':');
    if (colon < 1) throw malformed();
    headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}

function malformed(): Error {
  return failure('bad_request', 'The multipart body is malformed.');
}
