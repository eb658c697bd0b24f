/**
 * How writes of a leaderless database go: into the own replica and to the others at once, and the client is told when W
 * of N have it.
 *
 * An edit is an ordinary one here, checked against what this replica knows. Its base may be known elsewhere only: a
 * replica that missed a write asks the others before it says that there is a conflict. What an edit made, or a
 * replicated revision as it came, is what the others are sent: they join it, whatever else they have.
 *
 * A turn of the own database, its fsync, and the way to the others and back run beside each other.
 */

import { type ApplySettings, applyEdits, applyTogether } from '../database/apply.ts';
import type { Database } from '../database/database.ts';
import type {
  BlobReference,
  DocumentEdit,
  EditOutcome,
  PurgeOutcome,
  ReplicatedRevision,
} from '../database/model.ts';
import type { DatabaseSettings } from '../database/settings.ts';
import type { Turn } from '../database/turn.ts';
import { type WholeRevision, wholeRevisionsInTurn } from '../database/whole-documents.ts';
import type { LocalWrite, WriteOptions, Writes } from '../database/writes.ts';
import { failure, TercetError } from '../errors.ts';
import { settingsOfRequest } from '../leaderless/presets.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { ReplicaSet } from './replica-sets.ts';
import { type DecidedOutcome, WriteRound, type WriteRoundContext } from './write-round.ts';

/** Writes of one request are cut into parts of this many, so that a big one does not hold the others up. */
const writesPerPart = 250;

export interface QuorumWritesContext {
  readonly database: Database;
  /** Straight into the store: what is one replica's own. */
  readonly local: Writes;
  /** There once the node is open. */
  readonly round: () => WriteRoundContext;
  readonly setOf: (database: string) => ReplicaSet | undefined;
  /** Asks the others for these documents and joins what they have. */
  readonly catchUp: (set: ReplicaSet, ids: readonly string[]) => Promise<void>;
  /** Through the group: all nodes have the same settings. */
  readonly changeSettings: (database: string, change: Partial<DatabaseSettings>) => Promise<void>;
  readonly purge: (set: ReplicaSet, request: PurgeRequest) => Promise<PurgeOutcome>;
}

type PurgeRequest = Parameters<Writes['purge']>[0];

export class QuorumWrites implements Writes {
  readonly #context: QuorumWritesContext;

  constructor(context: QuorumWritesContext) {
    this.#context = context;
  }

  async edit(edits: readonly DocumentEdit[], options: WriteOptions): Promise<EditOutcome[]> {
    if (options.coordinator === 'client') return this.#context.local.edit(edits, options);
    const set = this.#set();
    if (!set.isWhole) await this.#recall(set, edits);
    const outcomes = await this.#inParts(edits, options, applyEdits);
    const unknown: number[] = [];
    for (const [at, edit] of edits.entries()) {
      if (this.#mayBeKnownElsewhere(edit, outcomes[at])) unknown.push(at);
    }
    if (unknown.length === 0) return outcomes;
    const again = unknown.map((at) => edits[at]!);
    await this.#context.catchUp(set, [...new Set(again.map(({ id }) => id))]);
    const second = await this.#inParts(again, options, applyEdits);
    for (const [index, at] of unknown.entries()) outcomes[at] = second[index]!;
    return outcomes;
  }

  /** A replica that lost its disk would take what it has forgotten for new where an edit does not say what it replaces. */
  async #recall(set: ReplicaSet, edits: readonly DocumentEdit[]): Promise<void> {
    const unnamed = edits.filter(({ base }) => base === undefined).map(({ id }) => id);
    if (unnamed.length > 0) await this.#context.catchUp(set, [...new Set(unnamed)]);
  }

  insert(revisions: readonly ReplicatedRevision[], options: WriteOptions): Promise<EditOutcome[]> {
    if (options.coordinator === 'client') return this.#context.local.insert(revisions, options);
    return this.#inParts(revisions, options, applyTogether);
  }

  purge(request: PurgeRequest): Promise<PurgeOutcome> {
    return this.#context.purge(this.#set(), request);
  }

  /** Kept by one replica: what a replicator remembers of this one's changes means nothing to the others. */
  writeLocal(write: LocalWrite): Promise<string> {
    return this.#context.local.writeLocal(write);
  }

  changeSettings(change: Partial<DatabaseSettings>): Promise<void> {
    return this.#context.changeSettings(this.#context.database.name, change);
  }

  /** The others ask for it when they are sent a revision that names it. */
  storeBlob(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    return this.#context.local.storeBlob(content, bytesMax);
  }

  flush(): Promise<void> {
    return this.#context.local.flush();
  }

  #set(): ReplicaSet {
    const set = this.#context.setOf(this.#context.database.name);
    if (set === undefined) throw failure('not_found', 'Database does not exist.');
    return set;
  }

  /** Asked for a base that this replica never heard of. */
  #mayBeKnownElsewhere({ id, base }: DocumentEdit, outcome: EditOutcome | undefined): boolean {
    if (base === undefined || outcome?.kind !== 'failed' || outcome.error.code !== 'conflict') return false;
    return this.#context.database.revisionsDifference(new Map([[id, [base]]])).size > 0;
  }

  async #inParts<Write extends { readonly id: string }>(
    writes: readonly Write[],
    options: WriteOptions,
    apply: Apply<Write>,
  ): Promise<EditOutcome[]> {
    const set = this.#set();
    const settings = settingsOfRequest(set.settings, options.quorum ?? {});
    if (writes.length <= writesPerPart) return this.#write({ set, settings, options }, writes, apply);
    const parts: Promise<EditOutcome[]>[] = [];
    for (let at = 0; at < writes.length; at += writesPerPart) {
      parts.push(this.#write({ set, settings, options }, writes.slice(at, at + writesPerPart), apply));
    }
    const settled = await Promise.allSettled(parts);
    const refused = settled.find((part) => part.status === 'rejected');
    if (refused !== undefined && settled.every((part) => part.status === 'rejected')) throw refused.reason;
    return settled.flatMap((part, index) => {
      if (part.status === 'fulfilled') return part.value;
      if (!(part.reason instanceof TercetError)) throw part.reason;
      const error = part.reason;
      const its = writes.slice(index * writesPerPart, (index + 1) * writesPerPart);
      return its.map(({ id }): EditOutcome => ({ kind: 'failed', id, error }));
    });
  }

  #write<Write extends { readonly id: string }>(
    asked: Asked,
    writes: readonly Write[],
    apply: Apply<Write>,
  ): Promise<EditOutcome[]> {
    const { database } = this.#context;
    const context = this.#context.round();
    return new Promise((resolve, reject) => {
      let made: WholeRevision[] = [];
      let outcomes: EditOutcome[] = [];
      let hereError: unknown;
      let hasBegun = false;
      const round = new WriteRound(context, asked, (decided) => {
        const error = refusalOf(decided, asked, hereError);
        if (error === undefined) resolve(outcomes);
        else reject(error);
      });
      const begin = () => {
        if (made.length > 0) round.begin(made);
      };
      const settled = database.submit((turn) => {
        const applySettings = database.applySettings();
        outcomes = apply(turn, writes, applySettings);
        made = [];
        for (const outcome of outcomes) {
          if (outcome.kind === 'failed') continue;
          made.push(...wholeRevisionsInTurn(turn, outcome.id, outcome.revision, applySettings.digest));
        }
        // A turn may be gathered twice; what is sent is what the last gathering made.
        if (!hasBegun) queueMicrotask(begin);
        hasBegun = true;
      });
      settled.then(
        () => (made.length > 0 ? round.settledHere('durable') : resolve(outcomes)),
        (error: unknown) => {
          hereError = error;
          if (made.length === 0) reject(error);
          else round.settledHere(isNowhere(error) ? 'refused' : 'unknown');
        },
      );
    });
  }
}

type Apply<Write> = (turn: Turn, writes: readonly Write[], settings: ApplySettings) => EditOutcome[];

interface Asked {
  readonly set: ReplicaSet;
  readonly settings: LeaderlessSettings;
  readonly options: WriteOptions;
}

/** What to say instead of that the write was made; tells the receipt where it was. */
function refusalOf(
  { kind, receipt }: DecidedOutcome,
  { options, set, settings: { n, w } }: Asked,
  hereError: unknown,
): unknown {
  switch (kind) {
    case 'met':
    case 'partial': {
      const { owners, standIns, reached } = receipt;
      options.onQuorum?.({ met: kind === 'met', n, w, owners, standIns, reached });
      return undefined;
    }
    case 'unknown':
      return failure(
        'write_outcome_unknown',
        `None of ${set.owners.join(', ')} said that it has the write; it may or may not have happened.`,
      );
    case 'failed':
      return hereError ?? failure('service_unavailable', 'No replica took the write; it did not happen.');
  }
}

function isNowhere(error: unknown): boolean {
  return error instanceof TercetError && error.writeOutcome === 'did_not_happen';
}
