/**
 * An answer of any size in constant memory: pieces are gathered into writes of about 64 KB, and a handler that is faster
 * than its client waits. A small answer never becomes a stream: it leaves in one write with its length.
 *
 * A handler adds whole rows with `text` and `bytes`, and awaits `flush()` whenever `isFull`. When the client goes away
 * `flush` throws ClientGone, which unwinds the handler and so frees whatever it was reading from.
 */

import { createGzip, type Gzip } from 'node:zlib';
import { ClientGone, type Exchange } from './exchange.ts';
import { acceptsGzip, type Headers, sendBytes, writeHead } from './respond.ts';

const chunkBytes = 65_536;
/** Most answers are far smaller than a chunk, so the first buffer is too. */
const firstBufferBytes = 8_192;
const nothing = Buffer.alloc(0);

export interface StreamSettings {
  readonly status?: number;
  readonly contentType?: string;
  readonly headers?: Headers;
  /** Never compressed: for feeds whose rows must not wait for each other. */
  readonly live?: boolean;
}

/** Undefined for HEAD, which is answered here: no handler needs to walk a list that nobody will get. */
export function startStream(exchange: Exchange, settings: StreamSettings = {}): StreamedAnswer | undefined {
  if (exchange.method !== 'HEAD') return new StreamedAnswer(exchange, settings);
  writeHead(exchange, settings.status ?? 200, streamHeaders(settings));
  exchange.response.end();
  return undefined;
}

export class StreamedAnswer {
  readonly #exchange: Exchange;
  readonly #settings: StreamSettings;
  /** A row may leave in several writes; nothing else may come between them. */
  isInsideRow = false;
  #buffer = nothing;
  #bufferBytes = firstBufferBytes;
  #used = 0;
  #gzip: Gzip | undefined;
  #isWaiting = false;

  constructor(exchange: Exchange, settings: StreamSettings) {
    this.#exchange = exchange;
    this.#settings = settings;
  }

  /** Sends the head now, so that the client of a quiet feed knows that it is connected. */
  open(): void {
    this.#begin();
    this.#exchange.response.flushHeaders();
  }

  get isFull(): boolean {
    return this.#used >= chunkBytes / 2;
  }

  text(text: string): void {
    // Three bytes is the most that a UTF-16 unit can take in UTF-8.
    this.#reserve(text.length * 3);
    this.#used += this.#buffer.write(text, this.#used);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Hands what is gathered to the connection and waits while that is behind. @throws ClientGone */
  async flush(): Promise<void> {
    const { response } = this.#exchange;
    if (response.destroyed) throw new ClientGone();
    if (this.#used === 0) return;
    this.#begin();
    const target = this.#gzip ?? response;
    const chunk = this.#take();
    if (target.write(chunk)) return;
    this.#isWaiting = true;
    await drained(target, this.#exchange.signal);
    this.#isWaiting = false;
  }

  /** A sign of life between rows, left out when the client is behind anyway. Rows that are gathered go with it. */
  heartbeat(text: string): void {
    const { response } = this.#exchange;
    if (this.isInsideRow || this.#isWaiting || response.destroyed || response.writableNeedDrain) return;
    this.#begin();
    this.text(text);
    (this.#gzip ?? response).write(this.#take());
    this.#gzip?.flush();
  }

  end(): void {
    const { response } = this.#exchange;
    if (response.destroyed) throw new ClientGone();
    if (!response.headersSent) {
      const { status = 200, contentType = 'application/json', headers } = this.#settings;
      sendBytes(this.#exchange, status, contentType, this.#take(), headers);
    } else {
      (this.#gzip ?? response).end(this.#take());
    }
  }

  #begin(): void {
    const { response } = this.#exchange;
    if (response.headersSent) return;
    const headers = streamHeaders(this.#settings);
    if (this.#settings.live === true || !acceptsGzip(this.#exchange)) {
      writeHead(this.#exchange, this.#settings.status ?? 200, headers);
      return;
    }
    headers.push('Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding');
    writeHead(this.#exchange, this.#settings.status ?? 200, headers);
    const gzip = createGzip({ level: 1 });
    gzip.pipe(response);
    response.once('close', () => gzip.destroy());
    this.#gzip = gzip;
  }

  #take(): Buffer {
    const chunk = this.#buffer.subarray(0, this.#used);
    // The connection may still hold the old buffer, so it is never written to again.
    this.#buffer = nothing;
    this.#bufferBytes = chunkBytes;
    this.#used = 0;
    return chunk;
  }

  #reserve(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2, this.#bufferBytes));
    larger.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = larger;
  }
}

function streamHeaders(settings: StreamSettings): string[] {
  const { contentType = 'application/json', headers = [] } = settings;
  return ['Content-Type', contentType, 'Cache-Control', 'must-revalidate', ...headers];
}

function drained(target: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = (): void => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    const onAbort = (): void => {
      target.off('drain', onDrain);
      reject(new ClientGone());
    };
    if (signal.aborted) onAbort();
    else {
      target.once('drain', onDrain);
      signal.addEventListener('abort', onAbort, { once: true });
    }
  });
}
