/** One request and its answer, with everything a handler may need. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DocumentReader } from '../database/joined-reads.ts';
import type { WriteOptions } from '../database/writes.ts';
import type { BodyMemory, BodyShare } from './body-memory.ts';
import type { Counters } from './counters.ts';
import type { DatabaseUpdates } from './database-updates.ts';
import type { Forwarder } from './forwarder.ts';
import { parseTarget } from './path.ts';
import { parseQuery, type Query } from './query.ts';
import type { Principal, Services } from './services.ts';

/** What all exchanges of one server share. */
export interface Shared {
  readonly services: Services;
  readonly counters: Counters;
  readonly updates: DatabaseUpdates;
  readonly bodies: BodyWatch;
  readonly bodyMemory: BodyMemory;
  /** Answers without an end of their own (live feeds), to be cut when the server closes. */
  readonly feeds: Set<ServerResponse>;
  /** Answers to be cut when the client closes its half of the connection. */
  readonly endWithClient: WeakSet<ServerResponse>;
  /** Present together with `services.cluster`. */
  readonly forwarder: Forwarder | undefined;
}

/** What an answer says about the guarantees under which it was given. */
export interface AnswerMark {
  /** The status to send where a handler means `status`. */
  status(status: number): number;
  /** Names and values in turn, made when the head is sent. */
  headers(): readonly string[];
}

/** Keeps an eye on bodies that are arriving; see body.ts. */
export interface BodyWatch {
  watch(arrival: BodyArrival): void;
  forget(arrival: BodyArrival): void;
}

export interface BodyArrival {
  readonly startedAtMs: number;
  readonly bytes: number;
  giveUp(): void;
}

/** The client closed its connection: there is nobody left to answer. Ends a handler without a trace. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

const nothingAsked: WriteOptions = {};

const nobodyYet: Principal = { name: undefined, roles: [], isAdmin: false, isPeer: false, by: 'anonymous' };

export class Exchange {
  readonly shared: Shared;
  readonly services: Services;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly segments: readonly string[];
  readonly query: Query;
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  /** Set once, by the gate, before any handler runs. */
  principal: Principal = nobodyYet;
  /** A `Set-Cookie` value for the answer. */
  renewedCookie: string | undefined;
  /** Set for requests to single-leader and leaderless databases only. */
  answerMark: AnswerMark | undefined;
  /** What the request asks of its writes. */
  writeOptions: WriteOptions = nothingAsked;
  /** Reads documents as several replicas know them together, where that is more than the own one has. */
  documents: DocumentReader | undefined;
  /** The body as it came, where it was read ahead so that it can be sent on, perhaps twice. */
  heldBody: Buffer | undefined;
  #abort: AbortController | undefined;

  /** @throws TercetError `bad_request` for a target that cannot be understood */
  constructor(shared: Shared, request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    const target = parseTarget(request.url ?? '/');
    this.shared = shared;
    this.services = shared.services;
    this.request = request;
    this.response = response;
    this.method = request.method ?? 'GET';
    this.segments = target.segments;
    this.query = parseQuery(target.query);
    this.expectsContinue = expectsContinue;
  }

  /** Aborts when the answer is complete or the client has gone, whichever comes first. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.response.destroyed) abort.abort();
      else this.response.once('close', () => abort.abort());
    }
    return this.#abort.signal;
  }

  /**
   * Takes a client that closes its half for one that has gone. Most whole answers are given to it all the same, but who
   * waits without an end, or for another node, would do so for a client that nobody can tell from one that vanished.
   */
  endWithClient(): void {
    this.shared.endWithClient.add(this.response);
    if (this.request.socket.readableEnded) this.response.destroy();
  }

  /** Keeps the room for what the request's body became until the answer is out. */
  keepUntilAnswered(share: BodyShare): void {
    if (this.response.closed) share.release();
    else this.response.once('close', () => share.release());
  }

  /** A header that may occur once. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }
}
