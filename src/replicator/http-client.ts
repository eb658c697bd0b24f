/**
 * A small HTTP client for one remote database: kept-alive connections, idle time-outs, bounded replies.
 *
 * node:http rather than fetch: replication is many small requests, fetch costs several times the CPU of each, and idle
 * time-outs (rather than total ones) need the socket.
 */

import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ContentFault, EndpointFault } from './endpoint.ts';

/** Where a remote database is and how to be let in. */
export interface RemoteAddress {
  /** Without credentials, query and closing slash. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further headers, made anew for every request. */
  readonly prove?: (request: {
    readonly method: string;
    readonly target: string;
  }) => Readonly<Record<string, string>>;
}

export interface HttpClientOptions {
  /** A connection that is silent for so long is given up. */
  readonly idleMs: number;
  readonly connectionsMax: number;
}

export interface RemoteRequest {
  readonly method: 'GET' | 'PUT' | 'POST';
  /** Beginning with a slash, encoded; may carry a query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

export interface JsonReply {
  readonly status: number;
  readonly body: unknown;
}

/** Bytes of one JSON reply. Larger documents' attachments are streamed, so this bounds documents only. */
const replyBytesMax = 64_000_000;

export class ReplyTooLarge extends EndpointFault {
  constructor(shownName: string) {
    super('transient', 'bad_reply', `a reply of ${shownName} is larger than ${replyBytesMax} bytes`);
  }
}

/** A kept connection that the other side closed at the moment it was used again: nobody's fault. */
class StaleConnection extends EndpointFault {
  constructor(url: string) {
    super('transient', 'unreachable', `${url}: the connection was closed`);
  }
}

export class HttpClient {
  readonly #address: RemoteAddress;
  readonly #base: URL;
  readonly #idleMs: number;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #send: typeof httpRequest;

  constructor(address: RemoteAddress, options: HttpClientOptions) {
    const isTls = address.url.startsWith('https:');
    const settings = { keepAlive: true, maxSockets: options.connectionsMax, scheduling: 'lifo' } as const;
    this.#address = address;
    this.#base = new URL(address.url);
    this.#idleMs = options.idleMs;
    this.#agent = isTls ? new HttpsAgent(settings) : new HttpAgent(settings);
    this.#send = isTls ? httpsRequest : httpRequest;
  }

  /** Sends a request and reads its JSON reply. An empty reply gives `undefined`. */
  async json(request: RemoteRequest): Promise<JsonReply> {
    const reply = await this.#exchange({
      ...request,
      headers: {
        accept: 'application/json',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...request.headers,
      },
    });
    const text = await this.#readAll(reply, request);
    return { status: reply.statusCode ?? 0, body: this.#parse(text, reply.statusCode ?? 0) };
  }

  /** Sends a request and streams a reply of status 200; any other reply is read and given to `refuse` to throw. */
  async *stream(request: RemoteRequest, refuse: (reply: JsonReply) => never): AsyncIterable<Uint8Array> {
    const reply = await this.#exchange(request);
    const status = reply.statusCode ?? 0;
    if (status !== 200) {
      const body = this.#parse(await this.#readAll(reply, request), status);
      return refuse({ status, body });
    }
    try {
      for await (const chunk of reply) yield chunk as Uint8Array;
    } catch (error) {
      throw this.#unreachable(error);
    } finally {
      reply.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Replication's requests may all be repeated. */
  async #exchange(request: RemoteRequest): Promise<IncomingMessage> {
    try {
      return await this.#attempt(request);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#attempt(request);
    }
  }

  async #attempt(request: RemoteRequest): Promise<IncomingMessage> {
    request.signal.throwIfAborted();
    const body = request.body;
    const fixedLength = body instanceof Uint8Array ? { 'content-length': String(body.byteLength) } : {};
    // Not as a URL: that would take a document called `..` for a step up.
    const path = `${this.#base.pathname}${request.path}`;
    const proof = this.#address.prove?.({ method: request.method, target: path });
    const outgoing = this.#send({
      host: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port,
      path,
      method: request.method,
      agent: this.#agent,
      headers: { ...this.#address.headers, ...request.headers, ...fixedLength, ...proof },
      signal: request.signal,
      timeout: this.#idleMs,
    });
    const isWhole = body === undefined || body instanceof Uint8Array;
    const replied = this.#reply(outgoing, isWhole);
    if (isWhole) {
      outgoing.end(body);
      return replied;
    }
    const sent = pipeline(Readable.from(body, { objectMode: false }), outgoing);
    // A target may answer, for instance with a refusal, before it has read everything.
    sent.catch((error: Error) => outgoing.destroy(error));
    return replied;
  }

  #reply(outgoing: ClientRequest, isRepeatable: boolean): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      outgoing.once('response', (reply) => {
        reply.on('error', () => undefined); // Told to whoever reads the reply; unread, it has no consequence.
        resolve(reply);
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // What went wrong may be the body that is being sent, which is the source's fault and not this end's.
        if (error instanceof ContentFault || error instanceof EndpointFault) return reject(error);
        const isStale = outgoing.reusedSocket && error.code === 'ECONNRESET' && isRepeatable;
        return reject(isStale ? new StaleConnection(this.#address.url) : this.#unreachable(error));
      });
      outgoing.once('timeout', () => {
        outgoing.destroy(new Error(`silent for ${this.#idleMs} ms`));
      });
    });
  }

  async #readAll(reply: IncomingMessage, request: RemoteRequest): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of reply as AsyncIterable<Buffer>) {
        bytes += chunk.byteLength;
        if (bytes > replyBytesMax) throw new ReplyTooLarge(`${this.#address.url}${request.path}`);
        chunks.push(chunk);
      }
    } catch (error) {
      reply.destroy();
      throw error instanceof EndpointFault ? error : this.#unreachable(error);
    }
    return Buffer.concat(chunks, bytes).toString('utf8');
  }

  #parse(text: string, status: number): unknown {
    if (text.trim() === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      // An error page of a proxy is no JSON; its status says enough.
      if (status !== 200) return undefined;
      throw new EndpointFault(
        'transient',
        'bad_reply',
        `${this.#address.url} answered something that is not JSON`,
      );
    }
  }

  #unreachable(error: unknown): EndpointFault {
    const detail = error instanceof Error ? error.message : String(error);
    return new EndpointFault('transient', 'unreachable', `${this.#address.url}: ${detail}`);
  }
}
