/**
 * Documents of the `_replicator` database: each asks for a replication, which lives as long as the document does.
 *
 * As in CouchDB 3, what becomes of it is written back only at the end, as `_replication_state` `completed` or `failed`;
 * running states are shown by /_scheduler/docs and change too often to be documents. The members that are written back
 * start with an underscore and are nevertheless part of the body, so they travel, and a client may send them back.
 * A document that says `completed` or `failed` is left alone, also after a restart, until somebody removes that member.
 * While the disk fails, reading the documents and writing back are tried again every few seconds.
 */

import { limits } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import type { ChangeRow, DocumentEdit, DocumentRevision } from '../database/model.ts';
import { canonicalJson } from '../document/canonical-json.ts';
import { TercetError } from '../errors.ts';
import type { Clock } from '../runtime/ports.ts';
import type { JobEnd } from './job.ts';
import { documentStateOf, infoOf, isoSeconds, type ShownNode, shownEnd } from './job-views.ts';
import { parseReplicationRequest, type ReplicationRequest } from './replication-request.ts';
import type { Scheduler } from './scheduler.ts';

const databaseName = '_replicator';
const stateMembers = [
  '_replication_state',
  '_replication_state_time',
  '_replication_state_reason',
  '_replication_stats',
  '_replication_id',
] as const;

const retryMs = 5_000;

type Body = Readonly<Record<string, unknown>>;

/** What is known of one document. */
interface Followed {
  /** What was asked for, without what was written back: tells an edit of a user from our own. */
  readonly asked: string;
  readonly jobId: string | undefined;
  readonly request: ReplicationRequest | undefined;
  readonly ended: { readonly state: 'completed' | 'failed'; readonly info: unknown } | undefined;
  readonly changedAt: number;
}

export interface ReplicatorDocumentsOptions {
  readonly databases: Databases;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly node: ShownNode;
  readonly onDefect: (error: unknown) => void;
}

/** Follows the `_replicator` database, now or as soon as there is one. */
export class ReplicatorDocuments {
  readonly #options: ReplicatorDocumentsOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #stopListening: () => void;
  #abort: AbortController | undefined;
  #following: Promise<void> = Promise.resolve();
  readonly #retries = new Set<() => void>();
  #closed = false;

  constructor(options: ReplicatorDocumentsOptions) {
    this.#options = options;
    this.#stopListening = options.databases.onUpdate(({ name, kind }) => {
      if (name !== databaseName) return;
      if (kind === 'deleted') this.#leave();
      else if (this.#abort === undefined) this.#follow();
    });
    if (options.databases.has(databaseName)) this.#follow();
  }

  /** Rows of /_scheduler/docs. */
  views(): readonly object[] {
    return [...this.#followed].map(([id, followed]) => this.#view(id, followed));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening();
    this.#abort?.abort();
    for (const cancel of this.#retries) cancel();
    await this.#following;
  }

  #later(work: () => void): void {
    if (this.#closed) return;
    const cancel = this.#options.clock.after(retryMs, () => {
      this.#retries.delete(cancel);
      work();
    });
    this.#retries.add(cancel);
  }

  #follow(): void {
    const abort = new AbortController();
    this.#abort = abort;
    const database = this.#options.databases.get(databaseName);
    this.#following = this.#following
      .then(() => this.#read(database, abort.signal))
      .catch((error: unknown) => {
        if (abort.signal.aborted) return;
        if (this.#abort === abort) this.#abort = undefined;
        if (!(error instanceof TercetError)) this.#options.onDefect(error);
        // The database is gone, or its disk fails.
        this.#later(() => {
          if (this.#abort === undefined && this.#options.databases.has(databaseName)) this.#follow();
        });
      });
  }

  async #read(database: Database, signal: AbortSignal): Promise<void> {
    const feed = database.changes({
      since: '0',
      style: 'main_only',
      includeDocuments: true,
      live: true,
      signal,
    });
    for await (const batch of feed) {
      for (const row of batch.rows) await this.#take(database, row);
    }
  }

  /** The database was deleted: all that it asked for ends. */
  #leave(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    for (const id of [...this.#followed.keys()]) this.#forget(id).catch(this.#options.onDefect);
  }

  async #forget(id: string): Promise<void> {
    const followed = this.#followed.get(id);
    this.#followed.delete(id);
    if (followed?.jobId !== undefined) await this.#options.scheduler.remove(followed.jobId);
  }

  async #take(database: Database, row: ChangeRow): Promise<void> {
    const { id, document } = row;
    if (id.startsWith('_design/') || this.#closed) return;
    if (row.deleted || document === undefined) {
      await this.#forget(id);
      return;
    }
    const body = parseBody(document);
    const asked = askedFor(body);
    const ended = endedState(body);
    const before = this.#followed.get(id);
    if (before !== undefined && before.asked === asked && before.ended?.state === ended) return;
    await this.#forget(id);
    const changedAt = this.#options.clock.now();
    if (ended !== undefined) {
      const info = body._replication_stats ?? errorInfo(body._replication_state_reason);
      const request = this.#tryParse(body);
      this.#followed.set(id, { asked, jobId: undefined, request, ended: { state: ended, info }, changedAt });
      return;
    }
    await this.#begin(database, { id, asked, body });
  }

  async #begin(
    database: Database,
    { id, asked, body }: { readonly id: string; readonly asked: string; readonly body: Body },
  ): Promise<void> {
    const { scheduler, clock } = this.#options;
    const changedAt = clock.now();
    try {
      const request = parseReplicationRequest(body);
      const jobId = scheduler.jobIdOf(request);
      const other = scheduler.find(jobId);
      if (other !== undefined)
        throw new SameReplication(other.origin.kind === 'document' ? other.origin.id : undefined);
      this.#followed.set(id, { asked, jobId, request, ended: undefined, changedAt });
      scheduler.add(request, { kind: 'document', id }, (end) => {
        this.#finish(database, { id, asked, end }).catch(this.#options.onDefect);
      });
    } catch (error) {
      if (!(error instanceof TercetError) && !(error instanceof SameReplication)) throw error;
      const reason = error instanceof TercetError ? error.reason : error.message;
      this.#followed.set(id, {
        asked,
        jobId: undefined,
        request: this.#tryParse(body),
        ended: undefined,
        changedAt,
      });
      await this.#writeBack(database, { id, asked, result: { state: 'failed', reason } });
    }
  }

  async #finish(
    database: Database,
    { id, asked, end }: { readonly id: string; readonly asked: string; readonly end: JobEnd },
  ): Promise<void> {
    if (end.outcome.kind === 'stopped' || this.#closed) return;
    const entry = end.report?.history[0];
    const stats =
      entry === undefined
        ? undefined
        : {
            revisions_checked: entry.missing_checked,
            missing_revisions_found: entry.missing_found,
            docs_read: entry.docs_read,
            docs_written: entry.docs_written,
            doc_write_failures: entry.doc_write_failures,
            checkpointed_source_seq: entry.recorded_seq,
            start_time: isoSeconds(Date.parse(entry.start_time)),
          };
    const result =
      end.outcome.kind === 'completed'
        ? { state: 'completed' as const, stats }
        : { state: 'failed' as const, reason: `${end.error ?? 'failed'}: ${end.outcome.reason}` };
    await this.#writeBack(database, { id, asked, result });
  }

  /** Writes the end into the document, unless the user has asked for something else meanwhile. */
  async #writeBack(
    database: Database,
    {
      id,
      asked,
      result,
    }: {
      readonly id: string;
      readonly asked: string;
      readonly result: {
        readonly state: 'completed' | 'failed';
        readonly stats?: object | undefined;
        readonly reason?: string;
      };
    },
  ): Promise<void> {
    const { clock } = this.#options;
    const followed = this.#followed.get(id);
    if (this.#closed || followed?.asked !== asked) return;
    const info = result.stats ?? errorInfo(result.reason);
    this.#followed.set(id, {
      ...followed,
      jobId: undefined,
      ended: { state: result.state, info },
      changedAt: clock.now(),
    });
    const found = database.read(id);
    if (found.kind !== 'found') return;
    const { document } = found;
    const body = parseBody(document);
    if (askedFor(body) !== asked) return;
    const written = {
      ...withoutState(body),
      _replication_state: result.state,
      _replication_state_time: isoSeconds(clock.now()),
      ...(result.reason === undefined ? {} : { _replication_state_reason: result.reason }),
      ...(result.stats === undefined ? {} : { _replication_stats: result.stats }),
    };
    const edit: DocumentEdit = {
      id,
      base: document.revision,
      deleted: false,
      body: Buffer.from(canonicalJson(written, limits.jsonDepthMax)),
      attachments: document.attachments.map(({ name }) => ({ kind: 'keep', name })),
    };
    try {
      // A conflict means that somebody edited the document meanwhile; the feed tells of that edit.
      await database.edit([edit]);
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      this.#later(() => this.#writeBack(database, { id, asked, result }).catch(this.#options.onDefect));
    }
  }

  #tryParse(body: Body): ReplicationRequest | undefined {
    try {
      return parseReplicationRequest(body);
    } catch (error) {
      if (error instanceof TercetError) return undefined;
      throw error;
    }
  }

  #view(id: string, followed: Followed): object {
    const job = followed.jobId === undefined ? undefined : this.#options.scheduler.find(followed.jobId);
    const { request, ended, changedAt } = followed;
    return {
      database: databaseName,
      doc_id: id,
      id: followed.jobId ?? null,
      source: request === undefined ? null : shownEnd(request.source),
      target: request === undefined ? null : shownEnd(request.target),
      source_proxy: null,
      target_proxy: null,
      state: ended?.state ?? (job === undefined ? 'initializing' : documentStateOf(job)),
      error_count: job?.job?.state.failures ?? job?.errorCount ?? 0,
      info: ended?.info ?? (job === undefined ? null : infoOf(job)),
      node: this.#options.node.name,
      start_time: isoSeconds(job?.addedAt ?? changedAt),
      last_updated: isoSeconds(job?.updatedAt ?? changedAt),
    };
  }
}

class SameReplication extends Error {
  constructor(documentId: string | undefined) {
    super(
      documentId === undefined
        ? 'The same replication was already requested.'
        : `The same replication is already asked for by the document ${documentId}.`,
    );
  }
}

function parseBody(document: DocumentRevision): Body {
  return JSON.parse(Buffer.from(document.body).toString('utf8')) as Body;
}

function withoutState(body: Body): Body {
  const names: readonly string[] = stateMembers;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}

function askedFor(body: Body): string {
  return canonicalJson(withoutState(body), limits.jsonDepthMax);
}

function endedState(body: Body): 'completed' | 'failed' | undefined {
  const state = body._replication_state;
  return state === 'completed' || state === 'failed' ? state : undefined;
}

function errorInfo(reason: unknown): object | null {
  return typeof reason === 'string' ? { error: reason } : null;
}
