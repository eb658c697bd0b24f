/** What only a leaderless database has: a hash tree, stamps, graves of what it forgot, quarantine. */

import type { Digest, Revision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { assert } from '../errors.ts';
import type { Grave } from '../replication/graves.ts';
import { idDigestOf } from '../replication/hash-buckets.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { Clock } from '../runtime/ports.ts';
import { type DatabaseKeys, keyKinds } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import { type ApplySettings, applyAccepted } from './apply.ts';
import { applyBurial, applyForgetting } from './forgetting.ts';
import { decodeGrave } from './graves.ts';
import type { HashTree } from './hash-tree.ts';
import { type LeaderlessCounters, LeaderlessTurn, type LeaderlessTurnContext } from './leaderless-turn.ts';
import type { EditOutcome } from './model.ts';
import { decodeQuarantined, listQuarantine, type QuarantinedRevision } from './quarantine.ts';
import type { DocumentContext } from './reads.ts';
import { type TombstoneQuery, type Tombstones, tombstonesIn } from './tombstones.ts';
import type { Turn } from './turn.ts';

export interface LeaderlessOptions {
  /** Name of this node, in the stamps it makes: at most 255 ASCII characters. */
  readonly node: string;
  /** The rule as it is now. */
  readonly resolver: () => LeaderlessSettings['resolver'];
}

interface LeaderlessContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
  readonly clock: Clock;
}

/** What of it is read before the database is open. */
export interface OpenedTree {
  readonly tree: HashTree;
}

/** What the database around this part does for it. */
export interface LeaderlessHost {
  readonly submit: <Result>(work: (turn: Turn) => Result) => Promise<Result>;
  readonly settings: () => ApplySettings;
  readonly counters: () => LeaderlessCounters | undefined;
}

/** Names a revision of a document. */
export interface NamedRevision {
  readonly id: string;
  readonly revision: Revision;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Documents that are changed together, so that many do not hold the others up. */
const documentsPerTask = 250;

export class LeaderlessPart {
  /** For comparing replicas. */
  readonly tree: HashTree;
  readonly #context: LeaderlessContext;
  readonly #host: LeaderlessHost;
  readonly #turnContext: LeaderlessTurnContext;

  constructor(context: LeaderlessContext, options: LeaderlessOptions & OpenedTree, host: LeaderlessHost) {
    this.#context = context;
    this.#host = host;
    this.tree = options.tree;
    const { clock, digest, keys, store } = context;
    const { node, resolver, tree } = options;
    this.#turnContext = { store, keys, digest, tree, node, resolver, nowMs: () => clock.now() };
  }

  /** What is committed of documents, for whole-documents.ts and joined-reads.ts. */
  get committed(): DocumentContext {
    return this.#context;
  }

  /** For the database: this part of a turn. */
  begin(counters: LeaderlessCounters | undefined): LeaderlessTurn {
    return new LeaderlessTurn(this.#turnContext, counters);
  }

  /** What a document was forgotten with. */
  grave(id: string): RevisionGraph | undefined {
    if (this.counts().graves === 0) return undefined;
    const { digest, keys, store } = this.#context;
    const record = store.get(keys.grave(idDigestOf(id, digest)));
    return record && decodeGrave(record);
  }

  /** Since when {@link noteWhole} was told last, on this disk; undefined: never. */
  wholeSince(): string | undefined {
    const { keys, store } = this.#context;
    const note = store.get(keys.single(keyKinds.whole));
    return note && decoder.decode(note);
  }

  /**
   * This replica has what the others have, since it lost its disk (the empty text) or became an owner at the moment of that
   * name. Resolves once that is durable.
   */
  noteWhole(since: string): Promise<void> {
    const key = this.#context.keys.single(keyKinds.whole);
    return this.#host.submit((turn) => turn.add({ kind: 'put', key, value: encoder.encode(since) }));
  }

  /** How many graves there are, and what is in quarantine. */
  counts(): Pick<LeaderlessCounters, 'graves' | 'quarantined' | 'quarantinedBytes'> {
    return this.#host.counters() ?? { graves: 0, quarantined: 0, quarantinedBytes: 0 };
  }

  /** Deleted documents in a stretch of the changes feed. */
  tombstones(query: TombstoneQuery): Promise<Tombstones> {
    return tombstonesIn(this.#context, query);
  }

  /**
   * Forgets documents that are deleted, with no leaves but those named, and leaves graves: their place in the hash tree
   * stays. Whoever calls knows that every replica has these tombstones. Gives the ids that were forgotten.
   */
  async forgetTombstones(dead: ReadonlyMap<string, readonly Revision[]>): Promise<string[]> {
    const forget = (turn: Turn, [id, leaves]: readonly [string, readonly Revision[]]) =>
      applyForgetting(turn, id, leaves) ? [id] : [];
    return (await this.#inTasks([...dead], forget)).flat();
  }

  /**
   * Takes over graves of another replica, as its `tree.entries()` told them. A document here that is alive and was not
   * made from the tombstones goes to quarantine. Gives how many such stay because quarantine is full.
   */
  async bury(graves: readonly Pick<Grave, 'idDigest' | 'graph'>[]): Promise<number> {
    const buried = [];
    for (const { graph, idDigest } of graves)
      buried.push({ graph, idDigest, id: await this.tree.idOf(idDigest) });
    const outcomes = await this.#inTasks(buried, applyBurial);
    return outcomes.filter((outcome) => outcome === 'full').length;
  }

  /** In the order of ids and revisions; those behind `start` if it is given. */
  quarantine(limit: number, start?: NamedRevision): Promise<QuarantinedRevision[]> {
    return listQuarantine(this.#context, limit, start);
  }

  quarantined({ id, revision }: NamedRevision): QuarantinedRevision | undefined {
    const { keys, store } = this.#context;
    const key = keys.quarantined(id, revision);
    const record = store.get(key);
    return record && decodeQuarantined(key, record);
  }

  /**
   * Believes revisions in quarantine: each joins its document, merged with the tombstones it was not made from. An
   * outcome names the revision that came of it, or is `not_found`.
   */
  acceptQuarantined(revisions: readonly NamedRevision[]): Promise<EditOutcome[]> {
    return this.#inTasks(revisions, (turn, named) => applyAccepted(turn, named, this.#host.settings()));
  }

  /** Throws revisions in quarantine away; false for those that were not there. */
  discardQuarantined(revisions: readonly NamedRevision[]): Promise<boolean[]> {
    return this.#inTasks(revisions, (turn, { id, revision }) =>
      turn.leaderless === undefined ? false : turn.leaderless.quarantine.remove(id, revision),
    );
  }

  async #inTasks<Item, Result>(
    items: readonly Item[],
    work: (turn: Turn, item: Item) => Result,
  ): Promise<Result[]> {
    const results: Result[] = [];
    for (let at = 0; at < items.length; at += documentsPerTask) {
      const part = items.slice(at, at + documentsPerTask);
      results.push(...(await this.#host.submit((turn) => part.map((item) => work(turn, item)))));
    }
    return results;
  }
}

/** See {@link LeaderlessPart.committed}. */
export function committedOf({
  leaderless,
}: {
  readonly leaderless: LeaderlessPart | undefined;
}): DocumentContext {
  assert(leaderless !== undefined, 'the database is leaderless');
  return leaderless.committed;
}
