/** One replica of one database: documents, their changes feed, local documents, attachments, settings. */

import { failure, type TercetError } from '../errors.ts';
import type { Position } from '../replication/position.ts';
import { formatPosition } from '../replication/position.ts';
import { keyKinds } from '../store/keys.ts';
import type { CommitOptions } from '../store/store.ts';
import { allDocuments, allDocumentsByIds } from './all-documents.ts';
import type { ApplySettings } from './apply.ts';
import { Blobs } from './blobs.ts';
import { changes, readBuckets } from './changes.ts';
import { CommitSignal } from './commit-signal.ts';
import { compactDatabase, isCompactionDue } from './compaction.ts';
import type { DatabaseContext } from './context.ts';
import { type HashTree, openHashTree } from './hash-tree.ts';
import { LeaderlessPart } from './leaderless.ts';
import type { LocalDocument, LocalDocumentsQuery } from './local-documents.ts';
import { localDocuments, readLocal } from './local-documents.ts';
import { type InTurnContext, LocalWrites } from './local-writes.ts';
import type {
  AllDocumentsQuery,
  AllDocumentsRow,
  BlobReference,
  ChangesBatch,
  ChangesQuery,
  DatabaseInfo,
  DocumentEdit,
  EditOutcome,
  OpenRevision,
  PurgeOutcome,
  ReadOptions,
  ReadOutcome,
  ReplicatedRevision,
  RevisionDifference,
  SecurityObject,
} from './model.ts';
import { readDocument, readOpenRevisions, revisionsDifference } from './reads.ts';
import type { DatabaseSettings } from './settings.ts';
import { decodeSettings } from './settings.ts';
import { placeOf } from './since.ts';
import type { Counters, TurnResult } from './turn.ts';
import { NO_COUNTS, Turn } from './turn.ts';
import { Writer } from './writer.ts';
import type { WriteOptions, Writes } from './writes.ts';

export class Database {
  readonly name: string;
  readonly incarnation: string;
  /** What writes on a turn need to know; for strategies. */
  readonly inTurn: InTurnContext;
  /** What only leaderless databases have. */
  readonly leaderless: LeaderlessPart | undefined;
  readonly #context: DatabaseContext;
  readonly #writer: Writer;
  readonly #writes: Writes;
  readonly #blobs: Blobs;
  readonly #buckets: Map<number, number>;
  readonly #commits = new CommitSignal();
  #counters: Counters;
  #applySettings: ApplySettings & DatabaseSettings;
  #compaction: Promise<void> | undefined;
  #gone: TercetError | undefined;

  /** Use {@link openDatabase}. */
  constructor(context: DatabaseContext, { buckets, counters, tree }: OpenedState) {
    this.name = context.name;
    this.incarnation = context.incarnation;
    this.#context = context;
    this.#counters = counters;
    this.#buckets = buckets;
    this.#blobs = new Blobs(context);
    const settings = decodeSettings(context.store.get(context.keys.single(keyKinds.settings)));
    this.#applySettings = { ...settings, digest: context.digest };
    this.#writer = new Writer({
      begin: () => this.#begin(),
      commit: (result, options) => this.#commit(result, options),
    });
    const applySettings = () => this.#applySettings;
    const submit = <Result>(work: (turn: Turn) => Result) => this.submit(work);
    this.inTurn = { keys: context.keys, store: context.store, settings: applySettings };
    const host = { submit, settings: applySettings, counters: () => this.#counters.leaderless };
    const leaderless = context.leaderless && tree && { ...context.leaderless, tree };
    this.leaderless = leaderless && new LeaderlessPart(context, leaderless, host);
    const local = new LocalWrites({ ...this.inTurn, blobs: this.#blobs, submit });
    this.#writes = context.routeWrites?.(this, local) ?? local;
  }

  // --- documents

  read(id: string, options: ReadOptions = {}): ReadOutcome {
    this.#mustExist();
    return readDocument(this.#context, id, options);
  }

  /**
   * `open_revs`: every leaf as CouchDB clients see the tree, or the named revisions. An unknown document has no
   * leaves; each of its named revisions is missing.
   */
  readOpenRevisions(
    id: string,
    wanted: 'all' | readonly string[],
    options: { readonly latest?: boolean; readonly path?: boolean } = {},
  ): OpenRevision[] {
    this.#mustExist();
    return readOpenRevisions(this.#context, id, wanted, options);
  }

  /**
   * For who decides on a write by what it reads: an acknowledged write may be readable only a moment later. Undefined where
   * there is nothing to wait for.
   */
  readable(id: string): Promise<void> | undefined {
    return this.#writes.readable?.(id);
  }

  /** Which of the named revisions are not here. Ids with nothing missing are left out. */
  revisionsDifference(wanted: ReadonlyMap<string, readonly string[]>): Map<string, RevisionDifference> {
    this.#mustExist();
    return revisionsDifference(this.#context, wanted, (id) => this.leaderless?.grave(id));
  }

  /** Outcomes in the order of the edits, once durable. Rejects only when nothing of it was accepted, or nobody knows. */
  edit(edits: readonly DocumentEdit[], options: WriteOptions = {}): Promise<EditOutcome[]> {
    return this.#writes.edit(edits, options);
  }

  /** `new_edits: false`: joins revisions made elsewhere. Gives only the failures. */
  async insert(revisions: readonly ReplicatedRevision[], options: WriteOptions = {}): Promise<EditOutcome[]> {
    const outcomes = await this.#writes.insert(revisions, options);
    return outcomes.filter((outcome) => outcome.kind === 'failed');
  }

  /** Removes leaf revisions for good, as if they had never been; anything else asked for is left alone. */
  async purge(
    request: ReadonlyMap<string, readonly string[]>,
  ): Promise<{ readonly purged: PurgeOutcome; readonly purgeSequence: string }> {
    const purged = await this.#writes.purge(request);
    return { purged, purgeSequence: this.#token(this.#counters.purgeSequence) };
  }

  // --- lists

  /** In chunks, from one snapshot. */
  allDocuments(query: AllDocumentsQuery): AsyncIterable<readonly AllDocumentsRow[]> {
    this.#mustExist();
    return allDocuments(this.#context, query);
  }

  /** In the order of the ids; undefined where there never was such a document. */
  allDocumentsByIds(
    ids: readonly string[],
    options: { readonly includeDocuments?: boolean; readonly conflicts?: boolean } = {},
  ): (AllDocumentsRow | undefined)[] {
    this.#mustExist();
    return allDocumentsByIds(this.#context, ids, options);
  }

  /** @throws TercetError bad_request for a `since` that is no token */
  changes(query: ChangesQuery): AsyncIterable<ChangesBatch> {
    this.#mustExist();
    const context = {
      ...this.#context,
      position: () => this.#position(),
      buckets: this.#buckets,
      nextCommit: (signal: AbortSignal | undefined) => this.#commits.next(signal),
    };
    return changes(context, query, placeOf(query.since, this.#position()));
  }

  /** The token of the newest committed change. */
  currentSequence(): string {
    return formatPosition(this.#position());
  }

  // --- local documents

  readLocal(id: string): LocalDocument | undefined {
    this.#mustExist();
    return readLocal(this.#context, id);
  }

  /** @throws TercetError conflict when `base` is not the current revision */
  async writeLocal(
    id: string,
    base: string | undefined,
    body: Uint8Array,
  ): Promise<{ readonly revision: string }> {
    return { revision: await this.#writes.writeLocal({ id, base, body }) };
  }

  /** @throws TercetError not_found, conflict */
  async deleteLocal(id: string, base: string | undefined): Promise<void> {
    await this.#writes.writeLocal({ id, base, body: undefined });
  }

  localDocuments(query: LocalDocumentsQuery): AsyncIterable<readonly LocalDocument[]> {
    this.#mustExist();
    return localDocuments(this.#context, query);
  }

  // --- attachments

  /** Streams content in; kept once by digest. @throws TercetError too_large above `bytesMax` */
  storeBlob(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    this.#mustExist();
    return this.#writes.storeBlob(content, bytesMax);
  }

  /** Streams content out, from byte `start` up to but not including `end`. */
  readBlob(
    blob: string,
    range?: { readonly start: number; readonly end: number },
  ): AsyncIterable<Uint8Array> {
    this.#mustExist();
    return this.#blobs.read(blob, range);
  }

  // --- settings and upkeep

  async info(): Promise<DatabaseInfo> {
    this.#mustExist();
    const stored = await this.#context.store.approximateBytes(this.#context.range);
    return {
      name: this.name,
      documentCount: this.#counters.documents,
      deletedDocumentCount: this.#counters.tombstones,
      updateSequence: this.currentSequence(),
      purgeSequence: this.#token(this.#counters.purgeSequence),
      incarnation: this.incarnation,
      compactRunning: this.#compaction !== undefined,
      fileBytes: stored,
      activeBytes: stored,
      externalBytes: this.#counters.bodyBytes,
    };
  }

  documentCount(): number {
    return this.#counters.documents;
  }

  security(): SecurityObject {
    this.#mustExist();
    return this.#applySettings.security;
  }

  async setSecurity(security: SecurityObject): Promise<void> {
    await this.#writes.changeSettings({ security });
  }

  revisionsLimit(): number {
    return this.#applySettings.revisionsLimit;
  }

  async setRevisionsLimit(revisionsLimit: number): Promise<void> {
    await this.#writes.changeSettings({ revisionsLimit });
  }

  purgedInfosLimit(): number {
    return this.#applySettings.purgedInfosLimit;
  }

  async setPurgedInfosLimit(purgedInfosLimit: number): Promise<void> {
    await this.#writes.changeSettings({ purgedInfosLimit });
  }

  /** Starts a compaction unless one runs; `info().compactRunning` tells when it has ended. */
  compact(): void {
    this.#mustExist();
    if (this.#compaction !== undefined) return;
    const context = {
      ...this.#context,
      writer: this.#writer,
      blobs: this.#blobs,
      stopped: () => this.#gone !== undefined,
    };
    this.#compaction = compactDatabase(context)
      .catch(this.#context.onCompactionFailure)
      .finally(() => {
        this.#compaction = undefined;
      });
  }

  /** Resolves when everything accepted so far is durable. */
  async ensureFullCommit(): Promise<void> {
    await this.#writes.flush();
  }

  /**
   * Ends feeds and refuses further use; resolves when nothing of this database is on its way any more.
   * @param reason what to say instead of that the database does not exist
   */
  async retire(reason?: TercetError): Promise<void> {
    this.#gone ??= reason ?? databaseGone();
    this.#commits.end(this.#gone);
    await this.#blobs.retire();
    await this.#writer.idle();
    await this.#compaction;
  }

  // --- for strategies

  /** Runs work in a coming turn; resolves with its result once that is durable. */
  async submit<Result>(work: (turn: Turn) => Result, options?: CommitOptions): Promise<Result> {
    this.#mustExist();
    return this.#writer.submit(work, options);
  }

  /** Runs work on a turn that is thrown away: what would these writes do now? */
  preview<Result>(work: (turn: Turn) => Result): Result {
    this.#mustExist();
    return work(this.#begin());
  }

  /** Contents of attachments, for installing what another replica cut into chunks. */
  get blobs(): Blobs {
    return this.#blobs;
  }

  applySettings(): ApplySettings & DatabaseSettings {
    return this.#applySettings;
  }

  // --- inside

  #begin(): Turn {
    const { digest, keys, store } = this.#context;
    const bucketCount = (bucket: number) => this.#buckets.get(bucket) ?? 0;
    const willNameBlob = (blob: string) => this.#blobs.willBeNamed(blob);
    const counters = this.#counters;
    const leaderless = this.leaderless?.begin(counters.leaderless);
    return new Turn({ store, keys, digest, counters, bucketCount, willNameBlob, leaderless });
  }

  async #commit(result: TurnResult, options: CommitOptions): Promise<void> {
    if (result.operations.length === 0) return;
    await this.#context.store.commit(result.operations, options);
    if (result.settings !== undefined) this.#adopt(decodeSettings(result.settings));
    const changed = result.counters.lastSequence !== this.#counters.lastSequence;
    this.#counters = result.counters;
    if (result.sums !== undefined) this.leaderless?.tree.adopt(result.sums);
    for (const [bucket, count] of result.buckets) this.#buckets.set(bucket, count);
    if (!changed) return;
    if (this.#gone === undefined && isCompactionDue(this.#counters)) this.compact();
    this.#commits.committed();
    this.#context.onChange();
  }

  #adopt(settings: DatabaseSettings): void {
    this.#applySettings = { ...settings, digest: this.#context.digest };
  }

  #position(): Position {
    return { incarnation: this.incarnation, place: this.#counters.lastSequence };
  }

  #token(place: number): string {
    return formatPosition({ incarnation: this.incarnation, place });
  }

  #mustExist(): void {
    if (this.#gone !== undefined) throw this.#gone;
  }
}

/** What a database has in memory from the start. */
interface OpenedState {
  readonly counters: Counters;
  readonly buckets: Map<number, number>;
  readonly tree: HashTree | undefined;
}

/** Reads what a database needs in memory: its counters, the pending index, and the sums of a leaderless one. */
export async function openDatabase(context: DatabaseContext): Promise<Database> {
  const { keys, store } = context;
  const bytes = store.get(keys.single(keyKinds.counters));
  const counters = bytes === undefined ? NO_COUNTS : (JSON.parse(Buffer.from(bytes).toString()) as Counters);
  const tree = context.leaderless && (await openHashTree(context));
  return new Database(context, { counters, buckets: await readBuckets(context), tree });
}

function databaseGone() {
  return failure('not_found', 'Database does not exist.');
}
