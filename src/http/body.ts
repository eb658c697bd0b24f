/**
 * Reads request bodies: bounded in bytes, in time, and in what gzip may make of them.
 *
 * A body that is refused is not read to its end. The connection stays open for a moment all the same, because a client
 * that is still sending when its peer closes may never get to see the answer; after `lingerMs` it is cut.
 */

import type { IncomingMessage } from 'node:http';
import { createGunzip, gunzip } from 'node:zlib';
import { failure, type TercetError } from '../errors.ts';
import { type BodyArrival, type BodyWatch, ClientGone, type Exchange } from './exchange.ts';
import { asObject, parseJson } from './json-guard.ts';
import type { HttpLimits, JsonObject } from './services.ts';

const lingerMs = 2_000;
/** What may stand around a document, as `{"docs":[…]}` does: documents themselves are measured by parseDocument. */
const envelopeDepth = 4;
const watchIntervalMs = 250;
/** A body may take longer than `requestTimeMsMax` while it arrives at least at this pace. */
const paceBytesPerSecondMin = 16_384;
/** Bytes of a streamed body that may wait for the handler before the sender is made to wait. */
const queueBytesMax = 262_144;

/** A body above this takes its room until the request is answered: what was parsed of it is as large again. */
const passingBytesMax = 1_048_576;

export function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  );
}

/** The whole body, decompressed. @throws TercetError `too_large`, `request_timeout`, `bad_content_type`, `bad_request` */
export async function readBody(exchange: Exchange, bytesMax: number): Promise<Buffer> {
  const compressed = isGzip(exchange);
  startReading(exchange, bytesMax);
  const bytes = exchange.heldBody ?? (await collect(exchange, bytesMax));
  if (!compressed) return bytes;
  const inflated = await inflate(bytes, bytesMax);
  exchange.keepUntilAnswered(exchange.shared.bodyMemory.take(inflated.length));
  return inflated;
}

/** Reads the body as it came, and keeps it for sending on and for whoever reads it next. @throws as readBody */
export async function holdBody(exchange: Exchange, bytesMax: number): Promise<Buffer> {
  if (exchange.heldBody !== undefined) return exchange.heldBody;
  startReading(exchange, bytesMax);
  const bytes = await collect(exchange, bytesMax);
  exchange.heldBody = bytes;
  return bytes;
}

/** A JSON body of any type. @throws as readBody, and `bad_request` for what is not acceptable JSON */
export async function readJson(exchange: Exchange): Promise<unknown> {
  const { requestBodyBytesMax, jsonDepthMax } = exchange.services.http.limits;
  return parseJson(await readBody(exchange, requestBodyBytesMax), jsonDepthMax + envelopeDepth);
}

/** A JSON object; a POST has to say that it is one, as with CouchDB: browsers send no such type without asking. */
export async function readJsonObject(exchange: Exchange): Promise<JsonObject> {
  requireJsonType(exchange);
  return asObject(await readJson(exchange));
}

/** As readJsonObject, but no body at all is `{}`. */
export async function readOptionalJsonObject(exchange: Exchange): Promise<JsonObject> {
  return hasBody(exchange.request) ? readJsonObject(exchange) : {};
}

function requireJsonType(exchange: Exchange): void {
  if (exchange.method !== 'POST' || !hasBody(exchange.request)) return;
  const type = exchange.header('content-type') ?? '';
  if (!/^\s*application\/([\w.-]+\+)?json\b/i.test(type)) throw failure('bad_content_type');
}

/** The body as it arrives, decompressed. The sender waits while the handler is busy. */
export function streamBody(exchange: Exchange, bytesMax: number): AsyncIterable<Uint8Array> {
  const compressed = isGzip(exchange);
  startReading(exchange, bytesMax);
  const raw = exchange.heldBody === undefined ? arriving(exchange, bytesMax) : arrived(exchange.heldBody);
  return compressed ? inflated(raw) : raw;
}

/** Cuts the connection soon if the rest of a body that nobody wants keeps coming. */
export function lingerThenCut(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  request.resume();
  const timer = setTimeout(() => {
    if (!request.complete) request.socket.destroy();
  }, lingerMs);
  timer.unref();
  request.once('close', () => clearTimeout(timer));
}

/** Gives up on senders that are slower than allowed. One timer for all bodies: setting one per request would cost more. */
export function createBodyWatch(limits: HttpLimits): BodyWatch & { close(): void } {
  const arrivals = new Set<BodyArrival>();
  const timer = setInterval(() => {
    const now = performance.now();
    for (const arrival of arrivals) {
      const elapsedMs = now - arrival.startedAtMs;
      const expectedBytes = (elapsedMs / 1_000) * paceBytesPerSecondMin;
      if (elapsedMs > limits.requestTimeMsMax && arrival.bytes < expectedBytes) arrival.giveUp();
    }
  }, watchIntervalMs);
  timer.unref();
  return {
    watch: (arrival) => arrivals.add(arrival),
    forget: (arrival) => arrivals.delete(arrival),
    close: () => clearInterval(timer),
  };
}

/** Decompresses a whole buffer, at most `bytesMax` bytes of it. @throws TercetError `too_large`, `bad_request` */
export function inflate(bytes: Uint8Array, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: bytesMax }, (error, result) => {
      if (error === null) resolve(result);
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') reject(failure('too_large'));
      else reject(failure('bad_request', 'The gzip content is damaged.'));
    });
  });
}

/** Decompresses while streaming; whoever consumes it bounds the bytes. */
export async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = createGunzip();
  let sourceError: unknown;
  const pump = async (): Promise<void> => {
    for await (const chunk of source) {
      if (decoder.destroyed) return;
      if (!decoder.write(chunk))
        await new Promise((resolve) => decoder.once('drain', resolve).once('close', resolve));
    }
    decoder.end();
  };
  const pumping = pump().catch((error: unknown) => {
    sourceError = error;
    decoder.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of decoder) yield chunk;
  } catch {
    throw sourceError ?? failure('bad_request', 'The gzip content is damaged.');
  } finally {
    decoder.destroy();
    await pumping;
  }
}

function isGzip(exchange: Exchange): boolean {
  const encoding = exchange.header('content-encoding');
  if (encoding === undefined || encoding === 'identity') return false;
  if (encoding === 'gzip' || encoding === 'x-gzip') return true;
  throw failure('bad_content_type', `Unsupported Content-Encoding: ${encoding}`);
}

/** Refuses on the declared length alone, before the client is invited to send. */
function startReading(exchange: Exchange, bytesMax: number): void {
  if (Number(exchange.request.headers['content-length'] ?? 0) > bytesMax) throw failure('too_large');
  if (exchange.expectsContinue && exchange.heldBody === undefined) exchange.response.writeContinue();
}

function collect(exchange: Exchange, bytesMax: number): Promise<Buffer> {
  const { request, shared } = exchange;
  return new Promise((resolve, reject) => {
    const pieces = new Pieces(Number(request.headers['content-length'] ?? 0));
    const share = shared.bodyMemory.share((error) => stop(error));
    const arrival = {
      startedAtMs: performance.now(),
      bytes: 0,
      giveUp: () => stop(failure('request_timeout')),
    };
    let isOver = false;
    const stop = (error: TercetError | ClientGone | undefined): void => {
      if (isOver) return;
      isOver = true;
      shared.bodies.forget(arrival);
      // A body that is whole has nothing more to tell, and taking the listeners away would cost more than they do.
      if (error !== undefined) request.off('data', onData).off('end', onEnd).off('close', onClose);
      share.complete();
      if (error === undefined && arrival.bytes > passingBytesMax) exchange.keepUntilAnswered(share);
      else share.release();
      if (error !== undefined) reject(error);
      else resolve(pieces.joined());
    };
    const onData = (chunk: Buffer): void => {
      arrival.bytes += chunk.length;
      if (arrival.bytes > bytesMax) stop(failure('too_large'));
      else {
        pieces.add(chunk);
        share.holds(arrival.bytes);
      }
    };
    const onEnd = (): void => stop(undefined);
    const onClose = (): void => {
      // Every request is closed in the end, and an error costs its stack.
      if (!isOver) stop(new ClientGone());
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose);
    shared.bodies.watch(arrival);
  });
}

/** Towards a length that was announced: what is not written yet costs nothing, and what is outgrown is long in going. */
const growthFactor = 8;

/** Bytes that belong together, in one growing buffer: many small pieces of a large body would cost far more. */
class Pieces {
  readonly #expected: number;
  #first: Buffer | undefined;
  #buffer: Buffer | undefined;
  #length = 0;

  /** @param expected how many bytes the sender has announced; it may send none of them, so they are not reserved */
  constructor(expected: number) {
    this.#expected = expected;
  }

  add(chunk: Buffer): void {
    if (this.#length === 0) this.#first = chunk;
    else this.#append(chunk);
    this.#length += chunk.length;
  }

  /** Most bodies are one piece, which is not copied. */
  joined(): Buffer {
    return this.#buffer?.subarray(0, this.#length) ?? this.#first ?? Buffer.alloc(0);
  }

  #append(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (this.#buffer === undefined || this.#buffer.length < needed) {
      const capacity = Math.max(needed, Math.min(growthFactor * needed, this.#expected || 2 * needed));
      const larger = Buffer.allocUnsafeSlow(capacity);
      this.joined().copy(larger);
      this.#buffer = larger;
      this.#first = undefined;
    }
    chunk.copy(this.#buffer, this.#length);
  }
}

async function* arrived(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* arriving(exchange: Exchange, bytesMax: number): AsyncGenerator<Uint8Array> {
  const { request, shared } = exchange;
  const queue: Buffer[] = [];
  let queuedBytes = 0;
  let outcome = 'open' as 'open' | 'complete' | Error;
  let wake: (() => void) | undefined;
  const settle = (value: 'complete' | Error): void => {
    if (outcome === 'open') outcome = value;
    wake?.();
  };
  const arrival = {
    startedAtMs: performance.now(),
    bytes: 0,
    giveUp: () => settle(failure('request_timeout')),
  };
  const onData = (chunk: Buffer): void => {
    arrival.bytes += chunk.length;
    if (arrival.bytes > bytesMax) settle(failure('too_large'));
    queue.push(chunk);
    queuedBytes += chunk.length;
    if (queuedBytes > queueBytesMax) request.pause();
    wake?.();
  };
  const onEnd = (): void => settle('complete');
  const onClose = (): void => settle(new ClientGone());
  request.on('data', onData).on('end', onEnd).on('close', onClose);
  shared.bodies.watch(arrival);
  try {
    while (true) {
      const chunk = queue.shift();
      if (outcome instanceof Error) throw outcome;
      if (chunk !== undefined) {
        queuedBytes -= chunk.length;
        yield chunk;
      } else if (outcome === 'complete') {
        return;
      } else {
        request.resume();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    shared.bodies.forget(arrival);
    request.off('data', onData).off('end', onEnd).off('close', onClose);
  }
}
