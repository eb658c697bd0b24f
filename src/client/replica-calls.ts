/**
 * What a client that coordinates asks of one replica, over CouchDB's HTTP API. `coordinator=client` keeps the replica from
 * coordinating too: it answers for itself alone, and sends what it takes to nobody.
 */

import type { RevisionPath } from '../document/document.ts';
import { parseRevision, type Revision } from '../document/revision.ts';
import type { HeldRevision } from '../leaderless/held-revisions.ts';
import { type HttpRequests, RequestError } from './http-requests.ts';
import { databasePath, documentPath } from './paths.ts';

/** A document as it is to be written. */
export interface DocumentInput {
  readonly _id: string;
  readonly _rev?: string;
  readonly _deleted?: boolean;
}

/** One revision with its history, as CouchDB's replicators carry it. */
export interface RevisionDocument {
  readonly _id: string;
  readonly _rev: string;
  readonly _deleted?: boolean;
  readonly _revisions: RevisionPath;
  readonly _attachments?: object;
}

/** A leaf, and who told of it. */
export interface HeldDocument extends HeldRevision {
  readonly document: RevisionDocument;
  readonly from: string;
}

/** All leaves, tombstones too; or the tombstones of a document that the replica has forgotten. */
export interface Holding {
  readonly held: readonly HeldDocument[];
  readonly grave: readonly Revision[];
}

/** A row of `open_revs=all` to a client that coordinates. */
interface LeafRow {
  readonly ok?: RevisionDocument;
  readonly grave?: readonly string[];
}

/** A row of `_bulk_docs` has an error where the document was not taken. */
interface FailedRow {
  readonly error?: string;
  readonly reason?: string;
}

/**
 * What became of an edit on one replica.
 *
 * - `made`: it is durable there, as this revision.
 * - `superseded`: what it was made from is no leaf there any more, or is missing from the edit.
 * - `lacks_base`: the replica never heard of what it was made from.
 * - `refused`: it definitely did not happen there; `unknown`: it may have.
 */
export type EditAnswer =
  | { readonly kind: 'made'; readonly by: string; readonly revision: string }
  | {
      readonly kind: 'superseded' | 'lacks_base' | 'refused' | 'unknown';
      readonly by: string;
      readonly error: unknown;
    };

export interface ReplicaOptions {
  readonly name: string;
  readonly requests: HttpRequests;
  readonly database: string;
  /** A request that takes longer has failed. */
  readonly timeoutMs: number;
}

const alone = { coordinator: 'client' } as const;

export class ReplicaCalls {
  readonly name: string;
  readonly #requests: HttpRequests;
  readonly #path: string;
  readonly #timeoutMs: number;

  constructor({ name, requests, database, timeoutMs }: ReplicaOptions) {
    this.name = name;
    this.#requests = requests;
    this.#path = databasePath(database);
    this.#timeoutMs = timeoutMs;
  }

  /** Makes a revision of the edit. The same edit becomes the same revision on every replica that has its base. */
  async edit(document: DocumentInput): Promise<EditAnswer> {
    const by = this.name;
    try {
      const { rev } = await this.#json<{ rev: string }>('PUT', document._id, {}, document);
      return { kind: 'made', by, revision: rev };
    } catch (error) {
      if (!isConflict(error)) return { kind: isNowhere(error) ? 'refused' : 'unknown', by, error };
      return { kind: await this.#whyConflict(document), by, error };
    }
  }

  /** Joins a revision that was made elsewhere. */
  async insert(document: RevisionDocument): Promise<void> {
    await this.#json('PUT', document._id, { new_edits: false }, document);
  }

  /** Joins several at once, in that order: nobody reads some of them without the others. */
  async insertTogether(documents: readonly RevisionDocument[]): Promise<void> {
    const failed = await this.#send<readonly FailedRow[]>('POST', `${this.#path}/_bulk_docs`, {
      query: alone,
      body: { new_edits: false, docs: documents },
    });
    const first = failed.find(({ error }) => error !== undefined);
    if (first !== undefined) throw new Error(`${this.name} did not take it: ${first.error}: ${first.reason}`);
  }

  /** One revision with its history and the contents of its attachments. */
  async revision(id: string, revision: string): Promise<RevisionDocument> {
    return this.#json('GET', id, { rev: revision, revs: true, attachments: true });
  }

  /** What it has of a document; nothing where it never heard of it. */
  async holding(id: string): Promise<Holding> {
    try {
      const query = { open_revs: 'all', revs: true };
      const rows = await this.#json<readonly LeafRow[]>('GET', id, query);
      return {
        held: rows.flatMap(({ ok }) => (ok === undefined ? [] : [heldFrom(ok, this.name)])),
        grave: rows.flatMap(({ grave = [] }) => grave.flatMap((text) => parseRevision(text) ?? [])),
      };
    } catch (error) {
      // A database that is missing says nothing of what is in it.
      const isUnknown = error instanceof RequestError && error.status === 404 && error.reason === 'missing';
      if (isUnknown) return { held: [], grave: [] };
      throw error;
    }
  }

  /** The replica asks the others about the dead, and believes them. @throws when none of them told it of this one */
  async hearGraves(id: string): Promise<void> {
    const { ok } = await this.#send<{ ok: boolean }>('POST', `${this.#path}/_graves`, {
      query: alone,
      body: { id },
    });
    if (!ok) throw new Error(`${this.name} heard of no replica that has forgotten ${JSON.stringify(id)}.`);
  }

  async #whyConflict({ _id, _rev }: DocumentInput): Promise<'superseded' | 'lacks_base'> {
    if (_rev === undefined) return 'superseded';
    const difference = await this.#send<Record<string, unknown>>('POST', `${this.#path}/_revs_diff`, {
      query: alone,
      body: { [_id]: [_rev] },
    }).catch(() => ({})); // Whoever cannot say that the base is missing is believed that it is superseded.
    return _id in difference ? 'lacks_base' : 'superseded';
  }

  #json<Answer>(
    method: string,
    id: string,
    query: Readonly<Record<string, string | boolean>>,
    body?: object,
  ): Promise<Answer> {
    return this.#send(method, `${this.#path}/${documentPath(id)}`, {
      query: { ...query, ...alone },
      ...(body !== undefined && { body }),
    });
  }

  #send<Answer>(
    method: string,
    path: string,
    options: Parameters<HttpRequests['json']>[2] & object,
  ): Promise<Answer> {
    return this.#requests.json(method, path, { ...options, signal: AbortSignal.timeout(this.#timeoutMs) });
  }
}

function heldFrom(document: RevisionDocument, from: string): HeldDocument {
  const revision = parseRevision(document._rev) as Revision;
  return { revision, deleted: document._deleted === true, path: document._revisions, document, from };
}

function isConflict(error: unknown): boolean {
  return error instanceof RequestError && error.status === 409;
}

/** Node says why a connection failed; browsers do not, and then nothing is known. */
export function isNowhere(error: unknown): boolean {
  if (error instanceof RequestError) return error.writeOutcome === 'did_not_happen';
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  return cause?.code === 'ECONNREFUSED';
}
