/** A database of this node as one end of a replication: direct calls, no HTTP. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { limits } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import type {
  AttachmentEdit,
  ChangesFilter,
  DocumentRevision,
  ReplicatedRevision,
} from '../database/model.ts';
import { renderDocument } from '../document/document.ts';
import { compileSelector } from '../document/selector.ts';
import { failure, TercetError } from '../errors.ts';
import { type Checkpoint, parseCheckpoint } from '../multi-leader/checkpoint.ts';
import { checkedContent } from './checked-content.ts';
import {
  type ChangesPage,
  type ChangesRequest,
  type ChangesSelection,
  ContentFault,
  EndpointFault,
  type FetchedChunk,
  type ReplicationEndpoint,
  type TransferChange,
  type TransferDocument,
  type WantedRevisions,
  type WriteReport,
} from './endpoint.ts';
import { WriteTally } from './write-tally.ts';

/** Documents read without giving way to other work of the node. */
const chunkDocuments = 100;
const chunkBytesMax = 4_000_000;

export interface LocalEndpointOptions {
  readonly databases: Databases;
  readonly name: string;
  readonly identity: string;
  readonly selection: ChangesSelection;
  /** Makes the database where it is missing; undefined: it must be there. */
  readonly createDatabase: ((name: string) => Promise<void>) | undefined;
}

export class LocalEndpoint implements ReplicationEndpoint {
  readonly shownName: string;
  readonly identity: string;
  readonly #options: LocalEndpointOptions;
  readonly #filter: ChangesFilter | undefined;

  /** @throws TercetError when the selection needs what this node cannot do */
  constructor(options: LocalEndpointOptions) {
    this.shownName = options.name;
    this.identity = options.identity;
    this.#options = options;
    this.#filter = localFilter(options);
  }

  async open(): Promise<void> {
    const { databases, name, createDatabase } = this.#options;
    if (!databases.has(name) && createDatabase !== undefined) await unlessThere(createDatabase(name));
    // What was written last, checkpoints among it, may have been acknowledged a moment before it can be read.
    await this.#database().ensureFullCommit();
  }

  async readCheckpoint(id: string): Promise<Checkpoint | undefined> {
    return parseLocal(this.#database().readLocal(`_local/${id}`)?.body);
  }

  async writeCheckpoint(id: string, checkpoint: Checkpoint): Promise<void> {
    const database = this.#database();
    const base = database.readLocal(`_local/${id}`)?.revision;
    await database.writeLocal(`_local/${id}`, base, Buffer.from(JSON.stringify(checkpoint)));
  }

  async newestSequence(): Promise<string> {
    return this.#database().currentSequence();
  }

  async readChanges(request: ChangesRequest, signal: AbortSignal): Promise<ChangesPage> {
    const rows: TransferChange[] = [];
    let lastSequence = request.since;
    let pending: number | undefined;
    const batches = this.#database().changes({
      since: request.since,
      style: this.#options.selection.winningRevisionsOnly === true ? 'main_only' : 'all_docs',
      limit: request.limit,
      live: request.wait,
      signal,
      ...(this.#filter === undefined ? {} : { filter: this.#filter }),
    });
    for await (const batch of batches) {
      for (const row of batch.rows) rows.push({ id: row.id, revisions: row.revisions });
      lastSequence = batch.lastSequence;
      pending = batch.pending;
      if (request.wait && rows.length > 0) break;
    }
    signal.throwIfAborted();
    return { rows, lastSequence, pending, refused: [] };
  }

  async missingRevisions(named: WantedRevisions): Promise<WantedRevisions> {
    const difference = this.#database().revisionsDifference(named);
    return new Map([...difference].map(([id, one]) => [id, one.missing]));
  }

  async *fetchDocuments(wanted: WantedRevisions, signal: AbortSignal): AsyncIterable<FetchedChunk> {
    const source = this.#database();
    let documents: TransferDocument[] = [];
    let bytes = 0;
    for (const [id, revisions] of wanted) {
      for (const found of source.readOpenRevisions(id, revisions, { latest: true, path: true })) {
        if (found.kind === 'missing') continue;
        documents.push(toTransfer(source, found.document));
        bytes += found.document.body.byteLength;
      }
      if (documents.length < chunkDocuments && bytes < chunkBytesMax) continue;
      yield { documents, refused: [], failed: [] };
      documents = [];
      bytes = 0;
      await nextTurn();
      signal.throwIfAborted();
    }
    if (documents.length > 0) yield { documents, refused: [], failed: [] };
  }

  async writeDocuments(documents: readonly TransferDocument[], signal: AbortSignal): Promise<WriteReport> {
    const target = this.#database();
    const tally = new WriteTally();
    const missing = await insertAll(target, documents, { tally, signal, reuse: true });
    // What an attachment was to be taken from was replaced and compacted meanwhile.
    if (missing.length > 0) await insertAll(target, missing, { tally, signal, reuse: false });
    return tally.report(documents.length);
  }

  async ensureFullCommit(): Promise<void> {
    await this.#database().ensureFullCommit();
  }

  close(): void {
    // Nothing is held: each call looks the database up, because it may be deleted and made again.
  }

  #database(): Database {
    const { databases, name } = this.#options;
    if (!databases.has(name)) throw new EndpointFault('fatal', 'db_not_found', `could not open ${name}`);
    return databases.get(name);
  }
}

async function unlessThere(creation: Promise<void>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    // Somebody else was faster, which is just as well.
    if (!(error instanceof TercetError && error.code === 'file_exists')) throw error;
  }
}

function parseLocal(body: Uint8Array | undefined): Checkpoint | undefined {
  if (body === undefined) return undefined;
  return parseCheckpoint(JSON.parse(Buffer.from(body).toString('utf8')));
}

function localFilter(options: LocalEndpointOptions): ChangesFilter | undefined {
  const { documentIds, selector, filter } = options.selection;
  if (documentIds !== undefined) return { kind: 'ids', ids: new Set(documentIds) };
  if (selector !== undefined) return selectorFilter(selector);
  if (filter === undefined) return undefined;
  if (filter.name === '_design') return { kind: 'design' };
  throw failure('not_implemented', `This node does not run filter functions yet: ${filter.name}`);
}

/** A selector may name underscore members too, so it sees the document as clients do. */
function selectorFilter(selector: Readonly<Record<string, unknown>>): ChangesFilter {
  const matches = compileSelector(selector);
  return {
    kind: 'matcher',
    matches: (document) => matches(JSON.parse(Buffer.from(renderDocument(document)).toString('utf8'))),
  };
}

function toTransfer(source: Database, document: DocumentRevision): TransferDocument {
  if (document.path === undefined) throw new Error('a path was asked for');
  return {
    id: document.id,
    revision: document.revision,
    path: document.path,
    deleted: document.deleted,
    body: document.body,
    attachments: document.attachments.map((stub) => ({
      name: stub.name,
      contentType: stub.contentType,
      length: stub.length,
      digest: stub.digest,
      revpos: stub.revpos,
      open: () => contentOf(source, stub.blob),
    })),
  };
}

interface Insertion {
  readonly tally: WriteTally;
  readonly signal: AbortSignal;
  /** Take contents that leaves of the document have here from there, instead of reading them again. */
  readonly reuse: boolean;
}

/** Gives the documents whose attachments could not be taken from where they were to be reused. */
async function insertAll(
  target: Database,
  documents: readonly TransferDocument[],
  insertion: Insertion,
): Promise<readonly TransferDocument[]> {
  const { tally, reuse } = insertion;
  const revisions: ReplicatedRevision[] = [];
  for (const document of documents) {
    const revision = await toRevision(target, document, insertion);
    if (revision !== undefined) revisions.push(revision);
  }
  if (revisions.length === 0) return [];
  const missing: TransferDocument[] = [];
  for (const outcome of await target.insert(revisions)) {
    if (outcome.kind !== 'failed') continue;
    const { error, id } = outcome;
    if (error.status >= 500) throw error;
    const meant = documents.filter((document) => document.id === id);
    if (reuse && error.code === 'missing_stub') missing.push(...meant);
    else for (const document of meant) tally.refuse(document, error.message);
  }
  return missing;
}

/** Undefined, and written down, when an attachment cannot be had or is not taken. */
async function toRevision(
  target: Database,
  document: TransferDocument,
  insertion: Insertion,
): Promise<ReplicatedRevision | undefined> {
  const { id, revision, path, deleted, body } = document;
  const plain = { id, revision, path, deleted, body };
  if (document.attachments.length === 0) return { ...plain, attachments: [] };
  try {
    const attachments = await insertion.tally.unlessUnreadable(document, () =>
      storeAttachments(target, document, insertion),
    );
    return attachments && { ...plain, attachments };
  } catch (error) {
    if (!(error instanceof TercetError && error.code === 'too_large')) throw error;
    insertion.tally.refuse(document, error.message);
    return undefined;
  }
}

/**
 * Streams in the contents that are not here. One that a leaf has under the same name is not named by its blob, which
 * might be compacted away before the write, but by its digest: the write itself looks for it.
 */
async function storeAttachments(
  target: Database,
  document: TransferDocument,
  { signal, reuse }: Insertion,
): Promise<readonly AttachmentEdit[]> {
  const known = reuse
    ? target
        .readOpenRevisions(document.id, 'all')
        .flatMap((leaf) => (leaf.kind === 'found' ? leaf.document.attachments : []))
    : [];
  const edits: AttachmentEdit[] = [];
  for (const one of document.attachments) {
    const { name, contentType, digest, revpos } = one;
    const isHere = known.some(
      (stub) =>
        stub.name === name &&
        stub.digest === digest &&
        stub.contentType === contentType &&
        stub.length === one.length &&
        stub.revpos === revpos,
    );
    if (isHere) {
      edits.push({ kind: 'keep', name, digest, revpos });
      continue;
    }
    const blob = await target.storeBlob(checkedContent(one, signal), limits.attachmentBytesMax);
    edits.push({ kind: 'stored', name, contentType, revpos, blob });
  }
  return edits;
}

/** A leaf's content is read after the leaf: meanwhile it may have been replaced and compacted. */
async function* contentOf(source: Database, blob: string): AsyncIterable<Uint8Array> {
  try {
    yield* source.readBlob(blob);
  } catch (error) {
    if (!(error instanceof TercetError && error.code === 'not_found')) throw error;
    throw new ContentFault(error.reason);
  }
}
