/**
 * What a turn of a leaderless database keeps beside its documents: the sums of the hash tree, graves, and the clock of
 * stamps. All of it becomes durable in the batch of the turn.
 */

import type { Digest, Revision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import {
  beforeAllStamps,
  compareStampTimes,
  laterStampTime,
  nextStampTime,
  type Stamp,
  type StampTime,
} from '../document/stamp.ts';
import { idDigestOf } from '../replication/hash-buckets.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import { decodeGrave, encodeGrave } from './graves.ts';
import { type Deltas, type HashTree, type SumsChange, TurnSums } from './hash-tree.ts';
import { TurnQuarantine } from './quarantine.ts';
import type { Head } from './records.ts';

/** What a leaderless database counts beside the others. */
export interface LeaderlessCounters {
  /** The highest stamp made or seen: a clock that goes back makes none below it, also after a restart. */
  readonly seen: StampTime;
  /** Records of the hash tree. */
  readonly deltas: Deltas;
  /** Documents that went since a compaction: the index of the hash tree may still name them. Absent: none. */
  readonly strays?: number;
  readonly graves: number;
  readonly quarantined: number;
  /** Bytes of the records in quarantine. */
  readonly quarantinedBytes: number;
}

const NO_COUNTS: LeaderlessCounters = {
  ...{ seen: beforeAllStamps, deltas: { first: 0, next: 0 } },
  ...{ graves: 0, quarantined: 0, quarantinedBytes: 0 },
};

export interface LeaderlessTurnContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
  readonly tree: HashTree;
  /** Name of this node, in the stamps it makes. */
  readonly node: string;
  readonly nowMs: () => number;
  /** What becomes of siblings. */
  readonly resolver: () => LeaderlessSettings['resolver'];
}

export interface LeaderlessResult {
  readonly counters: LeaderlessCounters;
  /** For {@link HashTree.adopt}. */
  readonly sums: SumsChange;
  /** The clock went on, or strays are counted anew: durable even if nothing else changes. */
  readonly isNews: boolean;
}

interface GraveChange {
  readonly committed: RevisionGraph | undefined;
  graph: RevisionGraph | undefined;
}

export class LeaderlessTurn {
  readonly #context: LeaderlessTurnContext;
  readonly #counters: LeaderlessCounters;
  readonly #sums: TurnSums;
  /** By digest of the id. */
  readonly #graves = new Map<string, GraveChange>();
  readonly #idDigests = new Map<string, string>();
  /** Digests of ids whose leaves are in the sums as they will be. */
  readonly #accounted = new Set<string>();
  /** Ids of documents whose siblings are settled later; undefined: each at once. */
  #unsettled: Set<string> | undefined;
  #seen: StampTime;
  #strays: number;
  #quarantine: TurnQuarantine | undefined;
  #nowMs: number | undefined;
  #mutations = 0;

  constructor(context: LeaderlessTurnContext, counters: LeaderlessCounters = NO_COUNTS) {
    this.#context = context;
    this.#counters = counters;
    this.#strays = counters.strays ?? 0;
    this.#seen = counters.seen;
    this.#sums = new TurnSums(context.tree, context.digest);
  }

  /** What becomes of siblings. */
  get resolver(): LeaderlessSettings['resolver'] {
    return this.#context.resolver();
  }

  /** Runs work in which siblings are left as they are; gives whose they are. */
  withSiblingsLeft<Result>(work: () => Result): {
    readonly result: Result;
    readonly unsettled: ReadonlySet<string>;
  } {
    const unsettled = new Set<string>();
    this.#unsettled = unsettled;
    try {
      return { result: work(), unsettled };
    } finally {
      this.#unsettled = undefined;
    }
  }

  /** Whether siblings of a document are to be left for later. */
  leavesSiblings(id: string): boolean {
    this.#unsettled?.add(id);
    return this.#unsettled !== undefined;
  }

  get quarantine(): TurnQuarantine {
    this.#quarantine ??= new TurnQuarantine(this.#context, this.#counters);
    return this.#quarantine;
  }

  /** One time for the whole turn. */
  nowMs(): number {
    this.#nowMs ??= this.#context.nowMs();
    return this.#nowMs;
  }

  /** See Turn.mutations. */
  get mutations(): number {
    return this.#mutations + (this.#quarantine?.mutations ?? 0);
  }

  /** A stamp above all that were made or seen here. */
  newStamp(): Stamp {
    this.#seen = nextStampTime(this.#seen, this.nowMs());
    const { counter, ms } = this.#seen;
    return { ms, counter, node: this.#context.node };
  }

  see(stamp: Stamp): void {
    this.#seen = laterStampTime(this.#seen, stamp);
  }

  idDigest(id: string): string {
    let digest = this.#idDigests.get(id);
    if (digest === undefined) {
      digest = idDigestOf(id, this.#context.digest);
      this.#idDigests.set(id, digest);
    }
    return digest;
  }

  /** What a document was forgotten with; undefined when it never was, or is back. */
  grave(idDigest: string): RevisionGraph | undefined {
    if (this.#counters.graves === 0 && this.#graves.size === 0) return undefined;
    return this.#graveChange(idDigest).graph;
  }

  setGrave(idDigest: string, graph: RevisionGraph | undefined): void {
    this.#mutations += 1;
    this.#graveChange(idDigest).graph = graph;
  }

  /** Accounts for a document that changed, came or went, before the turn ends. */
  replaced(id: string, before: Head | undefined, now: Head | undefined): void {
    const idDigest = this.idDigest(id);
    const grave = this.#graves.get(idDigest);
    const leavesBefore = leavesOf(before?.graph ?? grave?.committed);
    const leavesNow = leavesOf(now?.graph ?? grave?.graph);
    this.#replaceLeaves(idDigest, leavesBefore, leavesNow);
    if (this.#graves.size > 0) this.#accounted.add(idDigest);
    if (before === undefined && now !== undefined) this.#sums.come(idDigest, id);
    if (before !== undefined && now === undefined) this.#strays += 1;
  }

  /** A compaction looks for them; gives how many there were. */
  countStraysAnew(): number {
    const strays = this.#strays;
    if (strays > 0) this.#mutations += 1;
    this.#strays = 0;
    return strays;
  }

  finish(operations: Operation[]): LeaderlessResult {
    const { keys } = this.#context;
    let { graves } = this.#counters;
    for (const [idDigest, { committed, graph }] of this.#graves) {
      if (graph === committed) continue;
      if (!this.#accounted.has(idDigest)) this.#replaceLeaves(idDigest, leavesOf(committed), leavesOf(graph));
      graves += (graph === undefined ? 0 : 1) - (committed === undefined ? 0 : 1);
      const key = keys.grave(idDigest);
      operations.push(
        graph === undefined ? { kind: 'delete', key } : { kind: 'put', key, value: encodeGrave(graph) },
      );
    }
    const isNews =
      compareStampTimes(this.#seen, this.#counters.seen) > 0 || this.#strays !== (this.#counters.strays ?? 0);
    const { change: sums, deltas } = this.#sums.finish(keys, this.#counters.deltas, operations);
    const { quarantined, quarantinedBytes } = this.#quarantine?.finish(operations) ?? this.#counters;
    const [seen, strays] = [this.#seen, this.#strays];
    return { counters: { seen, deltas, strays, graves, quarantined, quarantinedBytes }, sums, isNews };
  }

  #replaceLeaves(
    idDigest: string,
    before: readonly Revision[] | undefined,
    now: readonly Revision[] | undefined,
  ): void {
    if (before === undefined && now === undefined) return;
    this.#sums.replace(idDigest, before, now);
  }

  #graveChange(idDigest: string): GraveChange {
    let change = this.#graves.get(idDigest);
    if (change === undefined) {
      const { keys, store } = this.#context;
      const record = store.get(keys.grave(idDigest));
      const committed = record === undefined ? undefined : decodeGrave(record);
      change = { committed, graph: committed };
      this.#graves.set(idDigest, change);
    }
    return change;
  }
}

function leavesOf(graph: RevisionGraph | undefined): readonly Revision[] | undefined {
  return graph?.leaves.map((leaf) => leaf.revision);
}
