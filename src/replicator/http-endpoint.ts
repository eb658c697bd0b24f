/**
 * A database of another node, or of any CouchDB or PouchDB server, over HTTP. Replies are another party's input: every
 * one is checked for its shape, and one that lacks it is a transient fault, because a proxy or a restart may be behind it.
 */

import { parseRevision } from '../document/revision.ts';
import { type Checkpoint, parseCheckpoint } from '../multi-leader/checkpoint.ts';
import {
  type ChangesPage,
  type ChangesRequest,
  type ChangesSelection,
  EndpointFault,
  type FetchedChunk,
  type Refusal,
  type ReplicationEndpoint,
  type TransferChange,
  type TransferDocument,
  type WantedRevisions,
  type WriteReport,
} from './endpoint.ts';
import { HttpClient, type JsonReply, type RemoteAddress } from './http-client.ts';
import { HttpFetcher } from './http-fetch.ts';
import { HttpPusher } from './http-push.ts';
import { isObject } from './transfer-document.ts';

export interface HttpEndpointOptions {
  readonly address: RemoteAddress;
  /** Stable name for the replication id; the URL unless the database belongs to a peer with a name of its own. */
  readonly identity?: string;
  readonly selection: ChangesSelection;
  /** Create the database when it is not there. */
  readonly create: boolean;
  /** A connection that is silent for so long is given up; changes feeds send heartbeats three times as often. */
  readonly idleMs: number;
  readonly connectionsMax: number;
}

export class HttpEndpoint implements ReplicationEndpoint {
  readonly shownName: string;
  readonly identity: string;
  readonly #options: HttpEndpointOptions;
  readonly #client: HttpClient;
  readonly #requireSuccess: (reply: JsonReply, doing: string) => void;
  readonly #fetcher: HttpFetcher;
  readonly #pusher: HttpPusher;
  /** Current revisions of the `_local` documents. */
  readonly #revisionsOfLocal = new Map<string, string>();

  constructor(options: HttpEndpointOptions) {
    const { url } = options.address;
    this.shownName = `${url}/`;
    this.identity = options.identity ?? url;
    this.#options = options;
    this.#client = new HttpClient(options.address, options);
    this.#requireSuccess = successCheck(url);
    this.#fetcher = new HttpFetcher(this.#client, this.#requireSuccess);
    this.#pusher = new HttpPusher(this.#client, this.#requireSuccess);
  }

  async open(signal: AbortSignal): Promise<void> {
    const { url } = this.#options.address;
    if (this.#options.create) {
      const created = await this.#client.json({ method: 'PUT', path: '', signal });
      if (created.status !== 412) this.#requireSuccess(created, 'creating the database');
    }
    const found = await this.#client.json({ method: 'GET', path: '', signal });
    if (found.status === 404) throw new EndpointFault('fatal', 'db_not_found', `could not open ${url}`);
    this.#requireSuccess(found, 'opening the database');
    if (!isObject(found.body)) throw new EndpointFault('transient', 'bad_reply', `${url} is not a database`);
    // pouchdb-server shows the adapter that it keeps a database with; nobody else does.
    const isPouch = found.body.adapter !== undefined || found.body.backend_adapter !== undefined;
    this.#pusher.takesMultipart = !isPouch;
  }

  async readCheckpoint(id: string, signal: AbortSignal): Promise<Checkpoint | undefined> {
    const path = `/_local/${encodeURIComponent(id)}`;
    const reply = await this.#client.json({ method: 'GET', path, signal });
    if (reply.status === 404) {
      this.#revisionsOfLocal.delete(id);
      return undefined;
    }
    this.#requireSuccess(reply, 'reading the checkpoint');
    const revision = isObject(reply.body) ? reply.body._rev : undefined;
    if (typeof revision === 'string') this.#revisionsOfLocal.set(id, revision);
    return parseCheckpoint(reply.body);
  }

  async writeCheckpoint(id: string, checkpoint: Checkpoint, signal: AbortSignal): Promise<void> {
    let reply = await this.#putLocal(id, checkpoint, signal);
    if (reply.status === 409) {
      await this.readCheckpoint(id, signal);
      reply = await this.#putLocal(id, checkpoint, signal);
    }
    this.#requireSuccess(reply, 'writing the checkpoint');
    const revision = isObject(reply.body) ? reply.body.rev : undefined;
    if (typeof revision === 'string') this.#revisionsOfLocal.set(id, revision);
  }

  async newestSequence(signal: AbortSignal): Promise<string | undefined> {
    const reply = await this.#client.json({ method: 'GET', path: '', signal });
    this.#requireSuccess(reply, 'reading the newest sequence');
    const sequence = isObject(reply.body) ? reply.body.update_seq : undefined;
    return sequence === undefined ? undefined : readSequence(sequence);
  }

  async readChanges(request: ChangesRequest, signal: AbortSignal): Promise<ChangesPage> {
    const { selection, address } = this.#options;
    const { path, body } = changesRequest(this.#options, request);
    const reply = await this.#client.json(
      body === undefined
        ? { method: 'GET', path, signal }
        : { method: 'POST', path, body: Buffer.from(JSON.stringify(body)), signal },
    );
    if (reply.status === 404 && selection.filter !== undefined) {
      throw new EndpointFault(
        'fatal',
        'bad_request',
        `${address.url} has no filter ${selection.filter.name}`,
      );
    }
    this.#requireSuccess(reply, 'reading changes');
    return readChangesPage(reply.body, request.limit);
  }

  async missingRevisions(named: WantedRevisions, signal: AbortSignal): Promise<WantedRevisions> {
    // Member by member: an object of a thousand ids that no other object has is slow to build and to write.
    const members = [...named].map(([id, revisions]) => `${JSON.stringify(id)}:${JSON.stringify(revisions)}`);
    const body = Buffer.from(`{${members.join(',')}}`);
    const reply = await this.#client.json({ method: 'POST', path: '/_revs_diff', body, signal });
    if (reply.status === 400 && named.size > 0) return this.#missingOfHalves(named, reply, signal);
    this.#requireSuccess(reply, 'comparing revisions');
    return readDifference(reply.body, named);
  }

  /** Finds the document whose name the target refuses; it counts as missing, and will be refused by name. */
  async #missingOfHalves(
    named: WantedRevisions,
    refusal: JsonReply,
    signal: AbortSignal,
  ): Promise<WantedRevisions> {
    // A target that refuses to be asked about nothing refuses the question, not the names in it.
    const probe = { method: 'POST', path: '/_revs_diff', body: Buffer.from('{}'), signal } as const;
    if ((await this.#client.json(probe)).status === refusal.status)
      this.#requireSuccess(refusal, 'comparing revisions');
    if (named.size === 1) return named;
    const all = [...named];
    const half = all.length >> 1;
    const first = await this.missingRevisions(new Map(all.slice(0, half)), signal);
    const second = await this.missingRevisions(new Map(all.slice(half)), signal);
    return new Map([...first, ...second]);
  }

  fetchDocuments(wanted: WantedRevisions, signal: AbortSignal): AsyncIterable<FetchedChunk> {
    return this.#fetcher.fetch(wanted, signal);
  }

  writeDocuments(documents: readonly TransferDocument[], signal: AbortSignal): Promise<WriteReport> {
    return this.#pusher.push(documents, signal);
  }

  async ensureFullCommit(signal: AbortSignal): Promise<void> {
    const body = Buffer.from('{}');
    const reply = await this.#client.json({ method: 'POST', path: '/_ensure_full_commit', body, signal });
    // A target without this endpoint is durable when it answers a write, or never.
    if (reply.status === 405 || reply.status === 501) return;
    this.#requireSuccess(reply, 'committing');
  }

  close(): void {
    this.#client.close();
  }

  #putLocal(id: string, checkpoint: Checkpoint, signal: AbortSignal): Promise<JsonReply> {
    const _rev = this.#revisionsOfLocal.get(id);
    const body = { _id: `_local/${id}`, ...(_rev === undefined ? {} : { _rev }), ...checkpoint };
    return this.#client.json({
      method: 'PUT',
      path: `/_local/${encodeURIComponent(id)}`,
      body: Buffer.from(JSON.stringify(body)),
      signal,
    });
  }
}

function successCheck(url: string): (reply: JsonReply, doing: string) => void {
  return (reply, doing) => {
    if (reply.status >= 200 && reply.status < 300) return;
    const said = isObject(reply.body) ? `: ${String(reply.body.error)}, ${String(reply.body.reason)}` : '';
    const reason = `${doing} at ${url} was answered ${reply.status}${said}`.slice(0, 500);
    if (reply.status === 401) throw new EndpointFault('fatal', 'unauthorized', reason);
    if (reply.status === 403) throw new EndpointFault('fatal', 'forbidden', reason);
    const wasRefused = reply.status >= 300 && reply.status < 500 && !retriedStatuses.has(reply.status);
    throw new EndpointFault(
      wasRefused ? 'fatal' : 'transient',
      wasRefused ? 'bad_request' : 'failed',
      reason,
    );
  };
}

/** 404 as well: a database may be deleted and made again, or be behind a proxy that is starting. */
const retriedStatuses: ReadonlySet<number> = new Set([404, 408, 409, 425, 429]);

function changesRequest(
  options: HttpEndpointOptions,
  request: ChangesRequest,
): { readonly path: string; readonly body: object | undefined } {
  const { selection } = options;
  const query = new URLSearchParams({
    feed: request.wait ? 'longpoll' : 'normal',
    style: selection.winningRevisionsOnly === true ? 'main_only' : 'all_docs',
    since: request.since,
    limit: String(request.limit),
    heartbeat: String(Math.max(1_000, Math.floor(options.idleMs / 3))),
  });
  if (selection.documentIds !== undefined) {
    query.set('filter', '_doc_ids');
    return { path: `/_changes?${query}`, body: { doc_ids: selection.documentIds } };
  }
  if (selection.selector !== undefined) {
    query.set('filter', '_selector');
    return { path: `/_changes?${query}`, body: { selector: selection.selector } };
  }
  if (selection.filter !== undefined) {
    query.set('filter', selection.filter.name);
    for (const [name, value] of Object.entries(selection.filter.parameters)) query.set(name, value);
  }
  return { path: `/_changes?${query}`, body: undefined };
}

function readChangesPage(body: unknown, limit: number): ChangesPage {
  if (!isObject(body) || !Array.isArray(body.results)) throw badReply('_changes is answered without results');
  if (body.results.length > limit) throw badReply('_changes is answered by more rows than asked for');
  const refused: Refusal[] = [];
  const rows = body.results.map((row) => readRow(row, refused));
  const { pending } = body;
  return {
    rows,
    refused,
    lastSequence: readSequence(body.last_seq),
    pending: Number.isSafeInteger(pending) && (pending as number) >= 0 ? (pending as number) : undefined,
  };
}

/** A revision that is out of the range of names goes to `refused`; what does not even look like one spoils the page. */
function readRow(row: unknown, refused: Refusal[]): TransferChange {
  if (!isObject(row) || typeof row.id !== 'string' || !Array.isArray(row.changes))
    throw badReply('a row is malformed');
  const revisions: string[] = [];
  for (const change of row.changes) {
    const text: unknown = isObject(change) ? change.rev : undefined;
    if (typeof text !== 'string' || !/^\d+-/.test(text)) throw badReply('a row names a malformed revision');
    if (parseRevision(text) !== undefined) revisions.push(text);
    else refused.push({ id: row.id, revision: text.slice(0, 200), reason: 'no node takes such a revision' });
  }
  return { id: row.id, revisions };
}

/** Numbers of CouchDB 1 and PouchDB, strings of CouchDB 2 and later, arrays of some clusters. */
function readSequence(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return JSON.stringify(value);
  throw badReply('the source does not say its sequence');
}

function readDifference(body: unknown, named: WantedRevisions): WantedRevisions {
  if (!isObject(body)) throw badReply('_revs_diff is not answered by an object');
  const missing = new Map<string, readonly string[]>();
  for (const [id, difference] of Object.entries(body)) {
    const revisions = isObject(difference) ? difference.missing : undefined;
    const asked = named.get(id);
    if (asked === undefined || !Array.isArray(revisions))
      throw badReply('_revs_diff is answered by a malformed row');
    // Only what was asked about: a source may not be asked for revisions that its own feed never named.
    missing.set(
      id,
      asked.filter((revision) => revisions.includes(revision)),
    );
  }
  return missing;
}

function badReply(reason: string): EndpointFault {
  return new EndpointFault('transient', 'bad_reply', reason);
}
