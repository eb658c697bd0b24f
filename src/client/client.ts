/**
 * The typed client: one fetch-based module for browsers and Node, for Tercet and anything else that speaks CouchDB.
 *
 *   import { connect } from 'tercet/client';
 *
 *   const tercet = connect('http://127.0.0.1:5984');
 *   const notes = tercet.database<{ text: string }>('notes');
 *   const { rev } = await notes.put({ _id: 'hello', text: 'world' });
 *   for await (const change of notes.changes({ live: true, includeDocuments: true })) console.log(change.id);
 *
 * Every failure is a {@link RequestError}: CouchDB's status, `error` and `reason`, and whether a write definitely did
 * not happen. Offline storage and two-way sync are PouchDB's job, which works against the same URLs.
 */

import { HttpRequests, type RequestOptions } from './http-requests.ts';
import { readLines } from './lines.ts';
import { databasePath, documentPath } from './paths.ts';

// biome-ignore lint/performance/noBarrelFile: this is an entry of the package, which must name what callers need.
export { RequestError } from './http-requests.ts';
export { QuorumError } from './quorum-error.ts';
export { connectReplicas } from './replicas.ts';

export interface ClientOptions {
  /** Basic credentials. */
  readonly credentials?: { readonly name: string; readonly password: string };
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** What every stored document has beside its own members. */
export interface Stored {
  readonly _id: string;
  readonly _rev: string;
}

export interface Written {
  readonly id: string;
  readonly rev: string;
}

export interface WriteOptions {
  /**
   * Of this write alone, up to 255 printable ASCII characters: after a lost answer the same call with the same key, at any
   * node, is done once. Tercet only; CouchDB ignores it.
   */
  readonly idempotencyKey?: string;
}

/** A row of a bulk write: written, or why not. */
export type BulkOutcome = Written | { readonly id: string; readonly error: string; readonly reason: string };

export interface ReadOptions {
  readonly rev?: string;
  /** Adds `_conflicts`: the other live revisions. */
  readonly conflicts?: boolean;
}

export interface ListOptions {
  readonly startKey?: string;
  readonly endKey?: string;
  readonly inclusiveEnd?: boolean;
  readonly descending?: boolean;
  readonly skip?: number;
  readonly limit?: number;
}

export interface ChangesOptions {
  /** A `seq` of an earlier change, `'now'`, or nothing for the beginning. */
  readonly since?: string;
  /** Stay open and go on with every later change. */
  readonly live?: boolean;
  readonly includeDocuments?: boolean;
  /** Only documents that match this Mango selector. */
  readonly selector?: object;
  readonly limit?: number;
  /** Ends the feed. */
  readonly signal?: AbortSignal;
}

export interface Change<Body> {
  /** Where the feed is after this change: give it as `since` to go on. */
  readonly seq: string;
  readonly id: string;
  readonly deleted?: boolean;
  readonly changes: readonly { readonly rev: string }[];
  /** With `includeDocuments`. */
  readonly doc?: Body & Stored;
}

/** A client of one node; opens no connection before the first call. */
export function connect(url: string, options: ClientOptions = {}): TercetClient {
  return new TercetClient(new HttpRequests(url, options));
}

export class TercetClient {
  readonly #requests: HttpRequests;

  /** Use {@link connect}. */
  constructor(requests: HttpRequests) {
    this.#requests = requests;
  }

  /** What `GET /` says: version, vendor, the cluster's uuid. */
  info(): Promise<{
    readonly uuid: string;
    readonly version: string;
    readonly vendor: { readonly name: string };
  }> {
    return this.#requests.json('GET', '/');
  }

  databaseNames(): Promise<readonly string[]> {
    return this.#requests.json('GET', '/_all_dbs');
  }

  /** @throws RequestError 412 `file_exists` */
  async createDatabase(name: string): Promise<void> {
    await this.#requests.json('PUT', databasePath(name));
  }

  /** @throws RequestError 404 */
  async deleteDatabase(name: string): Promise<void> {
    await this.#requests.json('DELETE', databasePath(name));
  }

  /** The database of that name, which need not exist yet. `Body` is what its documents are taken to look like. */
  database<Body extends object = Record<string, unknown>>(name: string): DatabaseClient<Body> {
    return new DatabaseClient<Body>(this.#requests, databasePath(name));
  }
}

export class DatabaseClient<Body extends object> {
  readonly #requests: HttpRequests;
  readonly #path: string;

  /** Use {@link TercetClient.database}. */
  constructor(requests: HttpRequests, path: string) {
    this.#requests = requests;
    this.#path = path;
  }

  /** The document, or undefined when there is none or it is deleted. */
  async get(id: string, options: ReadOptions = {}): Promise<(Body & Stored) | undefined> {
    return this.#requests.jsonOrMissing('GET', this.#document(id), { query: { ...options } });
  }

  /** Writes a new document, or a new revision of the one that `_rev` names. @throws RequestError 409 `conflict` */
  put(
    document: Body & { readonly _id: string; readonly _rev?: string },
    options: WriteOptions = {},
  ): Promise<Written> {
    return this.#requests.json('PUT', this.#document(document._id), { body: document, ...keyed(options) });
  }

  /** Writes a new document under an id that the node makes up. */
  add(document: Body, options: WriteOptions = {}): Promise<Written> {
    return this.#requests.json('POST', this.#path, { body: document, ...keyed(options) });
  }

  /** @throws RequestError 409 `conflict`, 404 */
  remove({ _id, _rev }: Stored, options: WriteOptions = {}): Promise<Written> {
    return this.#requests.json('DELETE', this.#document(_id), { query: { rev: _rev }, ...keyed(options) });
  }

  /** Many writes in one request; each succeeds or fails alone, told in the order of the documents. */
  bulk(
    documents: readonly (Body & {
      readonly _id?: string;
      readonly _rev?: string;
      readonly _deleted?: boolean;
    })[],
    options: WriteOptions = {},
  ): Promise<readonly BulkOutcome[]> {
    const body = { docs: documents };
    return this.#requests.json('POST', `${this.#path}/_bulk_docs`, { body, ...keyed(options) });
  }

  /** Every document in the order of the ids, as they arrive. */
  async *all(options: ListOptions = {}): AsyncIterable<Body & Stored> {
    const { startKey, endKey, inclusiveEnd, ...rest } = options;
    const query = {
      ...rest,
      ...(startKey !== undefined && { startkey: JSON.stringify(startKey) }),
      ...(endKey !== undefined && { endkey: JSON.stringify(endKey) }),
      ...(inclusiveEnd !== undefined && { inclusive_end: inclusiveEnd }),
      include_docs: true,
    };
    const response = await this.#requests.send('GET', `${this.#path}/_all_docs`, { query });
    for await (const line of readLines(response)) {
      if (line.startsWith('{"id":')) yield (parseRow(line) as { doc: Body & Stored }).doc;
    }
  }

  /** The changes feed, as it arrives. A live one ends at the abort of its signal, or when the node goes away. */
  async *changes(options: ChangesOptions = {}): AsyncIterable<Change<Body>> {
    const request = changesRequest(options);
    const method = options.selector === undefined ? 'GET' : 'POST';
    const response = await this.#requests.send(method, `${this.#path}/_changes`, request);
    try {
      for await (const line of readLines(response)) {
        if (line.startsWith('{"seq":')) yield parseRow(line) as Change<Body>;
      }
    } catch (cause) {
      if (options.signal?.aborted !== true) throw cause;
    }
  }

  #document(id: string): string {
    return `${this.#path}/${documentPath(id)}`;
  }
}

function keyed({ idempotencyKey }: WriteOptions): RequestOptions {
  return idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': idempotencyKey } };
}

function changesRequest(options: ChangesOptions): RequestOptions {
  const { includeDocuments, limit, live, selector, signal, since } = options;
  return {
    query: {
      since: since ?? '0',
      ...(live === true && { feed: 'continuous', heartbeat: 30_000 }),
      ...(includeDocuments === true && { include_docs: true }),
      ...(limit !== undefined && { limit }),
      ...(selector !== undefined && { filter: '_selector' }),
    },
    ...(selector !== undefined && { body: { selector } }),
    ...(signal !== undefined && { signal }),
  };
}

/** Rows of a whole answer stand one a line, all but the last with a comma behind. */
function parseRow(line: string): unknown {
  return JSON.parse(line.endsWith(',') ? line.slice(0, -1) : line);
}
