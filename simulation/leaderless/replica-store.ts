/**
 * One replica's documents on its simulated disk: a record for each revision, joined into graphs when the process starts. It
 * keeps the promises that the real database keeps: nothing is visible before it is durable, an edit is checked against what
 * is committed, replicated revisions are joined as they are, graves judge what arrives for the dead.
 */

import { compareRevisions, type Revision } from '../../src/document/revision.ts';
import {
  addRevision,
  emptyGraph,
  graphOf,
  nodeOf,
  type RevisionGraph,
  type RevisionNode,
} from '../../src/document/revision-graph.ts';
import { addPath, missing, pathOf, pathOfDerived } from '../../src/document/revision-path.ts';
import { beforeAllStamps } from '../../src/document/stamp.ts';
import { hasDerivedForm, treeLeaves } from '../../src/document/tree-projection.ts';
import type { BucketEntry, NamedRevisions } from '../../src/leaderless/bucket-entries.ts';
import type { Tombstone } from '../../src/leaderless/tombstones.ts';
import {
  burialOf,
  type Grave,
  graveGraph,
  graveOf,
  judgeArrival,
  mergedGrave,
} from '../../src/replication/graves.ts';
import {
  bucketOf,
  contributionOf,
  digestOfLeaves,
  fanOut,
  idDigestOf,
  Sums,
} from '../../src/replication/hash-buckets.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { Operation } from '../../src/store/store.ts';
import type { CommitOutcome, SimulatedDisk } from '../disk.ts';
import type { LeaderlessCanary } from './canaries.ts';
import type { ToldRevision } from './messages.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bucketLevel = 4;

interface Document {
  graph: RevisionGraph;
  readonly records: Map<Revision, ToldRevision>;
  /** The place of its last change in this replica's feed. */
  sequence: number;
  /** Of the present graph, once somebody asked. */
  shown: { readonly leaves: readonly ToldRevision[]; readonly digest: string | undefined } | undefined;
}

interface DeadDocument extends Tombstone {
  readonly id: string;
}

/** `rejected`: something of it is in quarantine. */
export type JoinOutcome = CommitOutcome | { readonly kind: 'rejected' };

export interface ReplicaStoreOptions {
  readonly disk: SimulatedDisk;
  readonly canary: LeaderlessCanary;
  /** What follows from the leaves of a document that just changed: a merge, or nothing. */
  readonly settle: (
    id: string,
    leaves: readonly ToldRevision[],
    graph: RevisionGraph,
  ) => ToldRevision | undefined;
}

export class ReplicaStore {
  readonly #options: ReplicaStoreOptions;
  readonly #documents = new Map<string, Document>();
  readonly #graves = new Map<string, Grave>();
  readonly #quarantine = new Map<Revision, ToldRevision>();
  #sequence = 0;

  constructor(options: ReplicaStoreOptions) {
    this.#options = options;
    const range = { from: encoder.encode('a'), to: encoder.encode('z') };
    const entries = [...options.disk.entries(range)].map(
      ({ key, value }) => [decoder.decode(key), decoder.decode(value)] as const,
    );
    // What was written anew goes on from its grave.
    for (const [key, text] of entries) if (key.startsWith('grave ')) this.#load(key, text);
    for (const [key, text] of entries) if (!key.startsWith('grave ')) this.#load(key, text);
  }

  graph(id: string): RevisionGraph {
    return this.#documents.get(id)?.graph ?? emptyGraph;
  }

  grave(id: string): Grave | undefined {
    return this.#graves.get(idDigestOf(id, digest128));
  }

  /** The last place in this replica's feed. */
  sequence(): number {
    return this.#sequence;
  }

  ids(): readonly string[] {
    return [...this.#documents.keys()];
  }

  graves(): readonly Grave[] {
    return [...this.#graves.values()];
  }

  quarantined(): readonly ToldRevision[] {
    return [...this.#quarantine.values()];
  }

  /** Leaves as CouchDB's clients see them. */
  leaves(id: string): readonly ToldRevision[] {
    const document = this.#documents.get(id);
    return document === undefined ? [] : this.#shown(id, document).leaves;
  }

  /** A grave has the digest of its tombstones. */
  digest(id: string): string | undefined {
    const document = this.#documents.get(id);
    if (document !== undefined) return this.#shown(id, document).digest;
    const grave = this.grave(id);
    return grave === undefined ? undefined : digestOfLeaves(grave.leaves, digest128);
  }

  /** What of these is still here. */
  named(wanted: readonly NamedRevisions[]): readonly ToldRevision[] {
    return wanted.flatMap(({ id, revisions }) =>
      this.leaves(id).filter(({ revision }) => revisions.includes(revision)),
    );
  }

  entries(buckets: readonly number[]): readonly BucketEntry[] {
    return this.#allEntries().filter((entry) => buckets.includes(bucketOf(idDigestFor(entry))));
  }

  sums(level: number, indexes: readonly number[]): readonly string[] {
    const sums = new Map<number, Sums>();
    const add = (idDigest: string, contribution: string) => {
      const index = Math.floor(bucketOf(idDigest) / fanOut ** (bucketLevel - level));
      const sum = sums.get(index) ?? new Sums(1);
      sum.add(0, contribution);
      sums.set(index, sum);
    };
    for (const id of this.ids()) add(idDigestOf(id, digest128), this.digest(id)!);
    for (const { idDigest, leaves } of this.#openGraves())
      add(idDigest, contributionOf(idDigest, leaves, digest128));
    const zero = new Sums(1);
    return indexes.map((index) => (sums.get(index) ?? zero).hex(0));
  }

  /** Joins revisions; they are visible, with the merges that follow from them, once they are durable. */
  join(revisions: readonly ToldRevision[], settled: (outcome: JoinOutcome) => void): void {
    const operations = revisions.map((told) => put(`doc ${told.id} ${told.revision}`, told));
    this.#options.disk.commit(operations, (outcome) => {
      if (outcome.kind === 'durable') {
        const judged = revisions.map((told) => [told, this.judge(told)] as const);
        for (const [told, verdict] of judged) {
          if (verdict === 'quarantine') this.#setAside(told);
          else if (verdict === 'known') this.#options.disk.commit([gone(told)], () => undefined);
        }
        this.#show(judged.flatMap(([told, verdict]) => (verdict === 'apply' ? [told] : [])));
        if (judged.some(([, verdict]) => verdict === 'quarantine')) return settled({ kind: 'rejected' });
      }
      settled(outcome);
    });
  }

  /** What no leaf that a repair brings is made of is thrown away: a planted bug. */
  overwrite(revisions: readonly ToldRevision[], settled: (outcome: JoinOutcome) => void): void {
    for (const id of new Set(revisions.map((told) => told.id))) {
      this.#options.disk.commit(this.#drop(id), () => undefined);
    }
    this.join(revisions, settled);
  }

  /** Documents that are tombstones alone, in the order of the feed. */
  tombstones({
    after,
    through,
  }: {
    readonly after: number;
    readonly through: number;
  }): readonly DeadDocument[] {
    const dead = [...this.#documents].flatMap(([id, { graph, sequence }]): DeadDocument[] => {
      if (sequence <= after || sequence > through || graph.leaves.some((leaf) => !leaf.deleted)) return [];
      const leaves = this.leaves(id).filter(({ revision }) => !hasDerivedForm(revision));
      const times = leaves.map(({ stamp }) => stamp?.ms);
      const isTimed = times.every((ms) => ms !== undefined);
      return [{ id, sequence, deletedAtMs: isTimed ? Math.max(...times) : undefined }];
    });
    return dead.sort((a, b) => a.sequence - b.sequence);
  }

  /** Forgets documents that are dead. Gives what of each was left. */
  forget(ids: readonly string[]): readonly { readonly id: string; readonly leaves: readonly Revision[] }[] {
    return ids.map((id) => {
      const grave = graveOf(idDigestOf(id, digest128), this.#graveGraph(this.graph(id)));
      this.#settleGrave(grave, id, []);
      return { id, leaves: grave.leaves };
    });
  }

  /** Takes over a grave, and judges what is here of the document. */
  bury({ graph: told, idDigest }: Grave): void {
    const graph = this.#graveGraph(told);
    const id = this.ids().find((one) => idDigestOf(one, digest128) === idDigest);
    if (id === undefined) {
      const known = this.#graves.get(idDigest)?.graph;
      return this.#settleGrave(graveOf(idDigest, known === undefined ? graph : mergedGrave(known, graph)));
    }
    const burial = burialOf(this.graph(id), graph);
    if (burial.kind === 'bury') {
      const live = burial.live.map(({ revision }) => revision);
      return this.#settleGrave(graveOf(idDigest, burial.grave), id, live);
    }
    const document = this.#documents.get(id)!;
    document.graph = burial.graph;
    document.shown = undefined;
    this.#recordTombstones(id, document);
    const here = this.#graves.get(idDigest)?.graph;
    this.#settleGrave(graveOf(idDigest, here === undefined ? graph : mergedGrave(here, graph)));
  }

  /** Notes a grave, of a document that goes with it if it is named; what is alive of that is set aside. */
  #settleGrave(grave: Grave, id?: string, live: readonly Revision[] = []): void {
    const { graph, idDigest } = grave;
    const operations: Operation[] = [put(`grave ${idDigest}`, graph.nodes)];
    if (id !== undefined) {
      for (const told of this.leaves(id)) if (live.includes(told.revision)) this.#setAside(told);
      operations.push(...this.#drop(id));
    }
    this.#graves.set(idDigest, grave);
    this.#options.disk.commit(operations, () => undefined);
  }

  #graveGraph(graph: RevisionGraph): RevisionGraph {
    const kept = graveGraph(graph);
    if (!this.#options.canary.gravesWithoutPaths) return kept;
    return graphOf(kept.leaves.map((leaf) => ({ ...leaf, parents: [] })).sort(byFallingRevision));
  }

  #shown(id: string, document: Document): NonNullable<Document['shown']> {
    if (document.shown === undefined) {
      const leaves = treeLeaves(document.graph, digest128).map(({ revision }) =>
        this.#told(id, document, revision),
      );
      const revisions = leaves.map(({ revision }) => revision);
      document.shown = { leaves, digest: digestOfLeaves(revisions, digest128) };
    }
    return document.shown;
  }

  #allEntries(): readonly BucketEntry[] {
    const documents = this.ids().map((id): BucketEntry => {
      return { kind: 'document', id, leaves: this.leaves(id).map(({ revision }) => revision) };
    });
    return [...documents, ...this.#openGraves().map((grave): BucketEntry => ({ kind: 'grave', ...grave }))];
  }

  /** Graves of documents that nobody wrote anew. */
  #openGraves(): readonly Grave[] {
    const alive = new Set(this.ids().map((id) => idDigestOf(id, digest128)));
    return this.graves().filter(({ idDigest }) => !alive.has(idDigest));
  }

  /** What becomes of a revision that arrives now. */
  judge(told: ToldRevision): 'apply' | 'known' | 'quarantine' {
    const grave = this.#documents.has(told.id) ? undefined : this.grave(told.id);
    if (grave === undefined || this.#options.canary.believesTheDead === true) return 'apply';
    const isKnown = missing(grave.graph, [told.revision], digest128).missing.length === 0;
    if (isKnown || hasDerivedForm(told.revision)) return 'known';
    return judgeArrival(told, grave.leaves);
  }

  #setAside(told: ToldRevision): void {
    this.#quarantine.set(told.revision, told);
    this.#options.disk.commit([put(`quarantine ${told.revision}`, told), gone(told)], () => undefined);
  }

  #show(revisions: readonly ToldRevision[]): void {
    for (const told of revisions) this.#add(told);
    this.settle(new Set(revisions.map((told) => told.id)));
  }

  /**
   * Derives the merges that follow from what is here, in the turn that made them follow, as the database does. One that does
   * not become durable is derived again from the same leaves.
   */
  settle(ids: Iterable<string>): void {
    for (const id of ids) {
      const merge = this.#options.settle(id, this.leaves(id), this.graph(id));
      if (merge === undefined) continue;
      this.#add(merge);
      this.#options.disk.commit([put(`doc ${id} ${merge.revision}`, merge)], () => undefined);
    }
  }

  #add(told: ToldRevision): void {
    const { id, revision, deleted, parents = [] } = told;
    const document = this.#documents.get(id) ?? this.#exhumed(id);
    this.#documents.set(id, document);
    document.records.set(revision, told);
    const isNews = missing(document.graph, [revision], digest128).missing.length > 0;
    let { graph } = addPath(document.graph, told.path, { deleted, stored: true }, digest128);
    if (parents.length > 1) graph = addRevision(graph, { revision, parents, deleted, stored: true }).graph;
    document.graph = graph;
    document.shown = undefined;
    if (!isNews) return;
    this.#sequence += 1;
    document.sequence = this.#sequence;
  }

  /** What something new joins: what the grave knows, or nothing. */
  #exhumed(id: string): Document {
    const graph = this.grave(id)?.graph ?? emptyGraph;
    const document = { graph, records: new Map<Revision, ToldRevision>(), sequence: 0, shown: undefined };
    this.#recordTombstones(id, document);
    return document;
  }

  /** Of what came with a grave nothing is left but that it is dead. */
  #recordTombstones(id: string, { graph, records }: Document): void {
    for (const { deleted, revision } of graph.leaves) {
      if (records.has(revision)) continue;
      const path = pathOf(graph, revision);
      const stamp = { ...beforeAllStamps, node: '' };
      records.set(revision, { id, revision, deleted, value: 0, stamp, path });
    }
  }

  #drop(id: string): readonly Operation[] {
    const records = this.#documents.get(id)?.records.keys() ?? [];
    const operations = [...records].map((revision): Operation => {
      return { kind: 'delete', key: encoder.encode(`doc ${id} ${revision}`) };
    });
    this.#documents.delete(id);
    return operations;
  }

  /** A leaf with its way back; a derived tombstone is made of its parent. */
  #told(id: string, { graph, records }: Document, revision: Revision): ToldRevision {
    const node = nodeOf(graph, revision);
    const known = records.get(revision);
    if (known !== undefined && node !== undefined) {
      const parents = node.parents.length > 1 ? { parents: node.parents } : {};
      return { ...known, ...parents, path: pathOf(graph, revision) };
    }
    const shown = treeLeaves(graph, digest128).find((leaf) => leaf.revision === revision)!;
    const parent = shown.derivedFrom!;
    return {
      id,
      revision,
      deleted: true,
      value: 0,
      stamp: undefined,
      path: pathOfDerived(graph, revision, parent),
    };
  }

  #load(key: string, text: string): void {
    const value: unknown = JSON.parse(text);
    if (key.startsWith('doc ')) this.#add(value as ToldRevision);
    else if (key.startsWith('grave ')) {
      const idDigest = key.slice(6);
      this.#graves.set(idDigest, graveOf(idDigest, graphOf(value as readonly RevisionNode[])));
    } else if (key.startsWith('quarantine ')) {
      const told = value as ToldRevision;
      this.#quarantine.set(told.revision, told);
    }
  }
}

export function put(key: string, value: unknown): Operation {
  return { kind: 'put', key: encoder.encode(key), value: encoder.encode(JSON.stringify(value)) };
}

function gone({ id, revision }: ToldRevision): Operation {
  return { kind: 'delete', key: encoder.encode(`doc ${id} ${revision}`) };
}

function idDigestFor(entry: BucketEntry): string {
  return entry.kind === 'grave' ? entry.idDigest : idDigestOf(entry.id, digest128);
}

function byFallingRevision(a: RevisionNode, b: RevisionNode): number {
  return compareRevisions(b.revision, a.revision);
}
