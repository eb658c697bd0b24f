/**
 * A turn: what several waiting writes of one database change together, as one atomic batch.
 *
 * Writes are checked one after the other against what is committed plus what the turn already holds, so two edits of
 * one document in one turn see each other. Only at the end do the touched documents get their sequences and become
 * operations; a document edited twice in a turn is stored once, at its latest state. Nothing here is visible to
 * readers before the batch is durable.
 */

import type { Digest, Revision } from '../document/revision.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { keyKinds, keyName } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import type { LeaderlessCounters, LeaderlessResult, LeaderlessTurn } from './leaderless-turn.ts';
import type { BodyRecord, Head } from './records.ts';
import { decodeBody, decodeHead, encodeBody, encodeChange, encodeHead } from './records.ts';

/** How many sequences share one entry of the pending index. */
export const BUCKET_SPAN = 256;

/** What a database counts; one record, written with every batch. */
export interface Counters {
  readonly lastSequence: number;
  readonly documents: number;
  readonly tombstones: number;
  readonly purgeSequence: number;
  /** Bytes of the winners' bodies. */
  readonly bodyBytes: number;
  /** Bytes of bodies that moved aside for a newer revision since the last compaction. */
  readonly supersededBytes: number;
  /** Absent in databases that are not leaderless. */
  readonly leaderless?: LeaderlessCounters | undefined;
}

export const NO_COUNTS: Counters = {
  lastSequence: 0,
  documents: 0,
  tombstones: 0,
  purgeSequence: 0,
  bodyBytes: 0,
  supersededBytes: 0,
};

export interface TurnResult {
  readonly operations: readonly Operation[];
  readonly counters: Counters;
  /** Entries per bucket after the turn, for the buckets it touched. */
  readonly buckets: ReadonlyMap<number, number>;
  /** The settings record, when the turn writes it. */
  readonly settings: Uint8Array | undefined;
  /** The sums of the hash tree that the turn changes, of a leaderless database. */
  readonly sums?: LeaderlessResult['sums'] | undefined;
}

export interface TurnContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly digest: Digest;
  readonly counters: Counters;
  readonly bucketCount: (bucket: number) => number;
  /** See Blobs.willBeNamed. */
  readonly willNameBlob: (blob: string) => boolean;
  /** Present in turns of leaderless databases. */
  readonly leaderless?: LeaderlessTurn | undefined;
}

export class Turn {
  /** What a leaderless database keeps beside its documents; undefined in others. */
  readonly leaderless: LeaderlessTurn | undefined;
  readonly #context: TurnContext;
  /** Touched documents in the order of their latest change; undefined: purged. */
  readonly #heads = new Map<string, Head | undefined>();
  /** What is committed of the touched documents. */
  readonly #committed = new Map<string, Head | undefined>();
  readonly #rewritten = new Set<string>();
  readonly #bodies = new Map<string, { key: Uint8Array; record: BodyRecord | undefined }>();
  readonly #operations: Operation[] = [];
  readonly #added = new Map<string, Operation>();
  #lastSequence: number;
  #purgeSequence: number;
  #supersededBytes: number;
  #bytes = 0;
  #mutations = 0;

  constructor(context: TurnContext) {
    this.#context = context;
    this.leaderless = context.leaderless;
    this.#lastSequence = context.counters.lastSequence;
    this.#purgeSequence = context.counters.purgeSequence;
    this.#supersededBytes = context.counters.supersededBytes;
  }

  /** Roughly how many bytes the batch holds; a writer ends the turn when it grows too big. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How often anything was changed; a writer sees by it whether work that failed left something behind. */
  get mutations(): number {
    return this.#mutations + (this.leaderless?.mutations ?? 0);
  }

  head(id: string): Head | undefined {
    if (this.#heads.has(id)) return this.#heads.get(id);
    if (!this.#committed.has(id)) {
      const record = this.#context.store.get(this.#context.keys.ofText(keyKinds.head, id));
      this.#committed.set(id, record === undefined ? undefined : decodeHead(id, record));
    }
    return this.#committed.get(id);
  }

  /** Whether the content of an attachment is here, and stays. */
  willNameBlob(blob: string): boolean {
    return this.#context.willNameBlob(blob);
  }

  /** Whether this turn changes the document. */
  touches(id: string): boolean {
    return this.#heads.has(id);
  }

  /** The body of a stored revision other than the winner. */
  body(id: string, revision: Revision): BodyRecord | undefined {
    const key = this.#context.keys.body(id, revision);
    const pending = this.#bodies.get(bodyName(id, revision));
    if (pending !== undefined) return pending.record;
    const record = this.#context.store.get(key);
    return record === undefined ? undefined : decodeBody(record);
  }

  setBody(id: string, revision: Revision, record: BodyRecord | undefined): void {
    this.#mutations += 1;
    this.#bodies.set(bodyName(id, revision), { key: this.#context.keys.body(id, revision), record });
    this.#supersededBytes += record?.body.length ?? 0;
    this.#bytes += 64 + (record?.body.length ?? 0);
  }

  /**
   * Replaces a document's head, or removes the document (`undefined`). Takes a sequence of its own, also when the same
   * document changes again later in the turn: replicas that apply one log in different batches then count alike.
   */
  setHead(id: string, head: Head | undefined): void {
    this.#mutations += 1;
    this.head(id); // Remembers what is committed, for the counters and the old index entry.
    this.#lastSequence += 1;
    this.#heads.delete(id);
    const sequence = this.#lastSequence;
    if (head === undefined) this.#heads.set(id, undefined);
    else {
      const { attachments, body, deleted, graph, stamp, winner } = head;
      this.#heads.set(id, { id, sequence, graph, winner, deleted, attachments, body, stamp });
    }
    this.#bytes += 128 + (head?.body.length ?? 0);
  }

  /** Rewrites a head whose document does not change: no new sequence, no row in the changes feed. */
  keepSequence(id: string, head: Head): void {
    this.#mutations += 1;
    if (this.#heads.has(id)) this.#heads.set(id, head);
    else {
      this.#committed.set(id, head);
      this.#rewritten.add(id);
    }
    this.#bytes += 128 + head.body.length;
  }

  /** Adds an operation outside the document space: local documents, settings, purge records. */
  add(operation: Operation): void {
    this.#mutations += 1;
    this.#operations.push(operation);
    this.#added.set(keyName(operation.key), operation);
    this.#bytes += operation.key.length + (operation.kind === 'put' ? operation.value.length : 0);
  }

  /** What this turn already does to a key given to `add`. */
  added(key: Uint8Array): Operation | undefined {
    return this.#added.get(keyName(key));
  }

  /** What was superseded so far is being compacted away. */
  countSupersededAnew(): void {
    this.#mutations += 1;
    this.#supersededBytes = 0;
  }

  nextPurgeSequence(): number {
    this.#mutations += 1;
    this.#purgeSequence += 1;
    return this.#purgeSequence;
  }

  finish(): TurnResult {
    const { keys } = this.#context;
    const operations = [...this.#operations];
    const tally = new Tally(this.#context.counters, this.#context.bucketCount);
    for (const { key, record } of this.#bodies.values()) {
      if (record === undefined) operations.push({ kind: 'delete', key });
      else operations.push({ kind: 'put', key, value: encodeBody(record) });
    }
    for (const [id, head] of this.#heads) this.#finishHead(id, head, tally, operations);
    for (const id of this.#rewritten) this.#finishRewritten(id, operations);
    const leaderless = this.leaderless?.finish(operations);
    const { bodyBytes, documents, tombstones } = tally.counters();
    const [lastSequence, purgeSequence] = [this.#lastSequence, this.#purgeSequence];
    const supersededBytes = this.#supersededBytes;
    const counters: Counters = {
      lastSequence,
      documents,
      tombstones,
      purgeSequence,
      bodyBytes,
      supersededBytes,
      leaderless: leaderless?.counters,
    };
    const settings = this.#settingsWritten();
    const nothing =
      operations.length === 0 &&
      counters.supersededBytes === this.#context.counters.supersededBytes &&
      leaderless?.isNews !== true;
    const { buckets } = tally;
    if (nothing) return { operations, counters, buckets, settings };
    for (const [bucket, count] of buckets) {
      const key = keys.ofNumber(keyKinds.bucket, bucket);
      operations.push(count === 0 ? { kind: 'delete', key } : { kind: 'put', key, value: u16(count) });
    }
    const counterBytes = Buffer.from(JSON.stringify(counters));
    operations.push({ kind: 'put', key: keys.single(keyKinds.counters), value: counterBytes });
    return { operations, counters, buckets, settings, sums: leaderless?.sums };
  }

  #settingsWritten(): Uint8Array | undefined {
    const operation = this.added(this.#context.keys.single(keyKinds.settings));
    return operation?.kind === 'put' ? operation.value : undefined;
  }

  #finishRewritten(id: string, operations: Operation[]): void {
    const head = this.#committed.get(id);
    if (head === undefined || this.#heads.has(id)) return;
    const key = this.#context.keys.ofText(keyKinds.head, id);
    operations.push({ kind: 'put', key, value: encodeHead(head) });
  }

  #finishHead(id: string, head: Head | undefined, tally: Tally, operations: Operation[]): void {
    const { keys, digest } = this.#context;
    const before = this.#committed.get(id);
    const headKey = keys.ofText(keyKinds.head, id);
    tally.replace(before, head);
    this.leaderless?.replaced(id, before, head);
    if (before !== undefined) {
      operations.push({ kind: 'delete', key: keys.ofNumber(keyKinds.sequence, before.sequence) });
    }
    if (head === undefined) {
      if (before !== undefined) operations.push({ kind: 'delete', key: headKey });
      return;
    }
    const single = head.graph.nodes.length === 1;
    const leaves = single ? [head.winner] : treeLeaves(head.graph, digest).map((leaf) => leaf.revision);
    const change = encodeChange(id, head.deleted, leaves);
    operations.push({ kind: 'put', key: headKey, value: encodeHead(head) });
    operations.push({ kind: 'put', key: keys.ofNumber(keyKinds.sequence, head.sequence), value: change });
  }
}

/** Keeps the counters and the pending index right while documents change places in the by-sequence index. */
class Tally {
  readonly buckets = new Map<number, number>();
  readonly #bucketCount: (bucket: number) => number;
  #counters: { -readonly [name in keyof Counters]: Counters[name] };

  constructor(counters: Counters, bucketCount: (bucket: number) => number) {
    this.#counters = { ...counters };
    this.#bucketCount = bucketCount;
  }

  counters(): Counters {
    return this.#counters;
  }

  /** Accounts for a document's change. */
  replace(before: Head | undefined, now: Head | undefined): void {
    if (before !== undefined) this.#count(before, -1);
    if (now !== undefined) this.#count(now, 1);
  }

  #count(head: Head, step: 1 | -1): void {
    const counters = this.#counters;
    if (head.deleted) counters.tombstones += step;
    else counters.documents += step;
    counters.bodyBytes += step * head.body.length;
    const bucket = Math.floor(head.sequence / BUCKET_SPAN);
    this.buckets.set(bucket, (this.buckets.get(bucket) ?? this.#bucketCount(bucket)) + step);
  }
}

function bodyName(id: string, revision: Revision): string {
  return `${revision} ${id}`;
}

function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setUint16(0, value);
  return bytes;
}
