/**
 * The leader's way of writes: check, log, tell.
 *
 *   edit ──► lock its ids ──► check against applied state ──► log the revisions it makes ──► acknowledged ──► client
 *                                                                                   └─► applied ──► unlock
 *
 * An id is locked until its write is applied, so applied state is all there is to check against, and `_rev` is a true
 * compare-and-set. Only a leader that has applied an entry of its own term checks at all: before that its applied state
 * may lack what an earlier leader acknowledged.
 *
 * What is refused before it is logged definitely did not happen. Once logged, a lost leadership leaves it open.
 */

import { applyEdit, applyReplicated } from '../database/apply.ts';
import type { Database } from '../database/database.ts';
import { recordOf } from '../database/edited-revision.ts';
import { applyLate } from '../database/late-revision.ts';
import { applyLocal } from '../database/local-documents.ts';
import { purgeInTurn } from '../database/local-writes.ts';
import type {
  AckSettings,
  BlobReference,
  DocumentEdit,
  EditOutcome,
  PurgeOutcome,
  ReplicatedRevision,
} from '../database/model.ts';
import type { DatabaseSettings } from '../database/settings.ts';
import type { Turn } from '../database/turn.ts';
import type { LocalWrite, WriteOptions, Writes } from '../database/writes.ts';
import type { RevisionPath } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import { pathOf } from '../document/revision-path.ts';
import { assert } from '../errors.ts';
import { type CommandLog, type Logged, tellsEarly } from './command-log.ts';
import type { Command, DatabaseRef, LoggedRevision } from './commands.ts';
import { type Checked, GatheredEdits, inEntries, revisionsOf } from './gathered-edits.ts';
import { IdLocks } from './id-locks.ts';

/** A larger body goes alone: what shares its entry would wait until all of it is on the disks. */
const GATHERED_BODY_BYTES = 65_536;
/** Chunks of an attachment on their way to the others together: a few share an fsync, and hold little memory. */
const CHUNKS_AT_ONCE = 8;

export interface LoggedWritesContext {
  readonly database: Database;
  readonly reference: DatabaseRef;
  readonly ack: () => AckSettings;
  readonly log: CommandLog;
  /** Takes edits to the leader, where this node does not lead. */
  readonly forward: (edits: readonly DocumentEdit[], options: WriteOptions) => Promise<EditOutcome[]>;
  /** Stores attachments on this node before they are logged. */
  readonly local: Writes;
  /** Writes are told once they can be read here: what decides who may do what must not lag behind what was answered. */
  readonly tellsApplied?: boolean;
}

export class LoggedWrites implements Writes {
  readonly #context: LoggedWritesContext;
  readonly #locks = new IdLocks();
  readonly #gathered: GatheredEdits;

  constructor(context: LoggedWritesContext) {
    this.#context = context;
    this.#gathered = new GatheredEdits({
      locks: this.#locks,
      check: (edits) => this.#checkEach(edits),
      log: (revisions, options, unlock) => this.#logEntry(revisions, options, unlock),
      barrier: () => context.log.barrier(),
      alone: async (edit, options) => (await this.#inRounds([edit], options, this.#checkEdit))[0]!,
    });
  }

  edit(edits: readonly DocumentEdit[], options: WriteOptions): Promise<EditOutcome[]> {
    const { forward, log } = this.#context;
    if (options.onBehalfOf !== undefined && !log.isLeading) return forward(edits, options);
    const [edit] = edits;
    if (edit === undefined || edits.length !== 1 || edit.body.length > GATHERED_BODY_BYTES)
      return this.#inRounds(edits, options, this.#checkEdit);
    return this.#gathered.edit(edit, options).then((outcome) => [outcome]);
  }

  readonly #checkEdit = (turn: Turn, edit: DocumentEdit): Checked => {
    const outcome = applyEdit(turn, edit, this.#settings());
    if (outcome.kind === 'failed') return { outcome, logged: [] };
    return { outcome, logged: loggedRevision(turn, edit.id, outcome.revision, undefined) };
  };

  /** All on one turn, which is thrown away: of different documents, they do not meet there. */
  #checkEach(edits: readonly DocumentEdit[]): (Checked | Error)[] {
    this.#context.log.requireLeading();
    return this.#context.database.preview((turn) =>
      edits.map((edit) => {
        try {
          return this.#checkEdit(turn, edit);
        } catch (cause) {
          return cause instanceof Error ? cause : new Error(String(cause));
        }
      }),
    );
  }

  async #logEntry(
    revisions: readonly LoggedRevision[],
    options: WriteOptions,
    unlock: () => void,
  ): Promise<void> {
    const logging = async (): Promise<Logged> => {
      const ack = this.#context.ack();
      return this.#context.log.tryLog([this.#writeCommand(revisions, ack, options)], ack, options);
    };
    const { applied, failed } = await logging().catch((cause: unknown) => {
      unlock();
      throw cause;
    });
    // Also a write that was not acknowledged in time is in the log: until it is applied nothing else may be checked.
    const settled = applied.then(unlock);
    if (failed !== undefined) throw failed;
    if (this.#context.tellsApplied === true) await this.#expedited(settled);
  }

  #writeCommand(revisions: readonly LoggedRevision[], ack: AckSettings, options: WriteOptions): Command {
    const isToldEarly = tellsEarly(ack, options) ? ({ isToldEarly: true } as const) : undefined;
    return { kind: 'write', database: this.#context.reference, revisions, ...isToldEarly };
  }

  insert(revisions: readonly ReplicatedRevision[], options: WriteOptions): Promise<EditOutcome[]> {
    return this.#inRounds(revisions, options, (turn, arrival) => {
      const { outcome, keptBy } =
        options.onOvertaken === undefined
          ? { outcome: applyReplicated(turn, arrival, this.#settings()), keptBy: undefined }
          : applyLate(turn, arrival, this.#settings());
      // A revision that is known already need not be logged again.
      const isNews = outcome.kind === 'written' && turn.touches(arrival.id);
      if (!isNews) return { outcome, logged: [] };
      if (keptBy !== undefined)
        options.onOvertaken?.({ id: arrival.id, revision: arrival.revision, keptBy: keptBy.revision });
      // In one entry: nowhere may a revision that was overtaken be seen without its tombstone.
      const news = keptBy === undefined ? [arrival] : [arrival, keptBy];
      return {
        outcome,
        logged: news.flatMap(({ id, revision, path }) => loggedRevision(turn, id, revision, path)),
      };
    });
  }

  async purge(request: ReadonlyMap<string, readonly string[]>): Promise<PurgeOutcome> {
    return this.#locked([...request.keys()], async () => {
      const { database } = this.#context;
      const purged = database.preview((turn) => purgeInTurn(turn, request, database.inTurn));
      const logged = this.#command({ kind: 'purge', request: [...request] });
      return { result: purged, logged: await this.#context.log.tryLog([logged], this.#context.ack(), {}) };
    });
  }

  async writeLocal(write: LocalWrite): Promise<string> {
    return this.#locked([`_local/${write.id}`], async () => {
      const { database } = this.#context;
      const revision = database.preview((turn) => applyLocal(turn, database.inTurn, write));
      const logged = this.#command({ kind: 'local', id: write.id, revision, body: write.body });
      return { result: revision, logged: await this.#context.log.tryLog([logged], this.#context.ack(), {}) };
    });
  }

  async changeSettings(change: Partial<DatabaseSettings>): Promise<void> {
    await this.#locked(
      ['_settings'],
      async () => {
        const logged = this.#command({ kind: 'settings', change });
        return {
          result: undefined,
          logged: await this.#context.log.tryLog([logged], this.#context.ack(), {}),
        };
      },
      'applied',
    );
  }

  /** Stores the content here, then logs it in chunks: it is on its way to the others before a write names it. */
  async storeBlob(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    this.#context.log.requireLeading();
    const { ack, database, local, log } = this.#context;
    const reference = await local.storeBlob(content, bytesMax);
    const { chunkSet, count } = database.blobs.chunksOf(reference.blob);
    for (let from = 0; from < count; from += CHUNKS_AT_ONCE) {
      const commands = Array.from({ length: Math.min(CHUNKS_AT_ONCE, count - from) }, (_, at) => {
        const index = from + at;
        return this.#command({
          kind: 'chunk',
          chunkSet,
          index,
          bytes: database.blobs.chunk(chunkSet, index),
        });
      });
      await log.log(commands, ack(), {});
    }
    await log.log([this.#command({ kind: 'blob', ...reference, chunkSet })], ack(), {});
    return reference;
  }

  readable(id: string): Promise<void> | undefined {
    const free = this.#locks.whenFree(id);
    return free && this.#expedited(free);
  }

  async flush(): Promise<void> {
    await this.#context.log.barrier();
  }

  /**
   * Writes of one request in rounds, each document at most once a round: the second write of a document is checked
   * against what the first one made.
   */
  async #inRounds<Write extends { readonly id: string }>(
    writes: readonly Write[],
    options: WriteOptions,
    check: (turn: Turn, write: Write) => Checked,
  ): Promise<EditOutcome[]> {
    const outcomes: EditOutcome[] = new Array(writes.length);
    let left = writes.map((write, place) => ({ write, place }));
    while (left.length > 0) {
      const seen = new Set<string>();
      const round = left.filter(({ write }) => !seen.has(write.id) && seen.add(write.id));
      const later = left.length === round.length ? [] : left.filter((item) => !round.includes(item));
      await this.#locked(
        [...seen],
        async () => {
          const checked = this.#context.database.preview((turn) =>
            round.map(({ write }) => check(turn, write)),
          );
          for (const [index, { outcome }] of checked.entries()) outcomes[round[index]!.place] = outcome;
          const news = checked.filter(({ logged }) => logged.length > 0);
          const ack = this.#context.ack();
          const commands = inEntries(news).map((entry) =>
            this.#writeCommand(revisionsOf(entry), ack, options),
          );
          return { result: undefined, logged: await this.#context.log.tryLog(commands, ack, options) };
        },
        later.length > 0 || this.#context.tellsApplied === true ? 'applied' : 'acknowledged',
      );
      left = later;
    }
    // A leader that was deposed without knowing would refuse by what it no longer knows: refusing is reading, too.
    if (outcomes.some((outcome) => outcome.kind === 'failed')) await this.#context.log.barrier();
    return outcomes;
  }

  /** Holds ids while `work` checks and logs, and on until what it logged is applied or will never be. */
  async #locked<Result>(
    ids: readonly string[],
    work: () => Promise<{ readonly result: Result; readonly logged: Logged }>,
    until: 'acknowledged' | 'applied' = 'acknowledged',
  ): Promise<Result> {
    const unlock = await this.#acquire(ids);
    const worked = await this.#ifLeading(work).catch((cause: unknown) => {
      unlock();
      throw cause;
    });
    // Also a write that was not acknowledged in time is in the log: until it is applied nothing else may be checked.
    const settled = worked.logged.applied.then(unlock);
    if (worked.logged.failed !== undefined) throw worked.logged.failed;
    if (until === 'applied') await this.#expedited(settled);
    return worked.result;
  }

  #acquire(ids: readonly string[]): Promise<() => void> {
    const isFree = this.#locks.areFree(ids);
    const unlock = this.#locks.acquire(ids);
    return isFree ? unlock : this.#expedited(unlock);
  }

  /** Waits for something that waits for entries to be applied. */
  async #expedited<Result>(result: Promise<Result>): Promise<Result> {
    const done = this.#context.log.expedite();
    return result.finally(done);
  }

  async #ifLeading<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#context.log.requireLeading();
    return work();
  }

  #command<Part extends { readonly kind: Command['kind'] }>(part: Part): Command {
    return { ...part, database: this.#context.reference } as unknown as Command;
  }

  #settings() {
    return this.#context.database.applySettings();
  }
}

/** What the log must say of a revision that the turn has just made. */
function loggedRevision(
  turn: Turn,
  id: string,
  revision: Revision,
  path: RevisionPath | undefined,
): readonly LoggedRevision[] {
  const head = turn.head(id);
  assert(head !== undefined, 'a written document has a head');
  const node = head.graph.nodes.find((candidate) => candidate.revision === revision);
  const record = recordOf(turn, head, revision);
  if (node === undefined || record === undefined) return [];
  const { start, ids } = path ?? pathOf(head.graph, revision);
  // Every replica has the parent already; a replicated revision may bring ancestors along.
  const known = path === undefined ? ids.slice(0, 2) : ids;
  const { attachments, body } = record;
  return [{ id, revision, path: { start, ids: known }, deleted: node.deleted, attachments, body }];
}
