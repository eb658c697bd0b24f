/**
 * The changes feed: the by-sequence index read in order, then, for a live feed, whatever is committed next.
 *
 * A row tells a document's latest change. Between reading the index and reading a document the document may change
 * again; its row is then left out, because it comes again further on, at its new place.
 */

import { setImmediate } from 'node:timers/promises';
import type { Revision } from '../document/revision.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import type { Position } from '../replication/position.ts';
import { formatPosition } from '../replication/position.ts';
import { keyKinds, numberOf } from '../store/keys.ts';
import type { Entry, KeyRange } from '../store/store.ts';
import type { ChangeRow, ChangesBatch, ChangesQuery, DocumentRevision } from './model.ts';
import type { ReadContext } from './reads.ts';
import { readLeaf, withConflicts } from './reads.ts';
import type { ChangeRecord } from './records.ts';
import { decodeChange, decodeHead } from './records.ts';
import { BUCKET_SPAN } from './turn.ts';

/** Bytes of documents that a batch may hold before it is passed on. */
const batchBytesMax = 500_000;
/** A filter may look at a document for long; after so many the node serves others. */
const matchedPerTurn = 32;

export interface ChangesContext extends ReadContext {
  /** The newest committed change. */
  readonly position: () => Position;
  readonly buckets: ReadonlyMap<number, number>;
  /** Resolves at the next commit, or at the abort; rejects when the database is deleted. */
  readonly nextCommit: (signal: AbortSignal | undefined) => Promise<void>;
}

/** Reads on from `place`; see {@link ChangesQuery}. */
export async function* changes(
  context: ChangesContext,
  query: ChangesQuery,
  place: number,
): AsyncIterable<ChangesBatch> {
  const reader = new FeedReader(context, query, place);
  while (query.signal?.aborted !== true) {
    yield* reader.catchUp();
    if (reader.finished || query.live !== true || query.descending === true) return;
    if (context.position().place === reader.place) await context.nextCommit(query.signal);
  }
}

class FeedReader {
  /** The last sequence examined. */
  place: number;
  finished = false;
  readonly #context: ChangesContext;
  readonly #query: ChangesQuery;
  readonly #incarnation: string;
  #left: number;

  constructor(context: ChangesContext, query: ChangesQuery, place: number) {
    this.#context = context;
    this.#query = query;
    this.#incarnation = context.position().incarnation;
    this.#left = query.limit ?? Number.POSITIVE_INFINITY;
    this.place = place;
  }

  /** Yields everything that is committed now; at least one batch, empty if need be, so that a feed can tell where it is. */
  async *catchUp(): AsyncIterable<ChangesBatch> {
    const { keys, store } = this.#context;
    const end = this.#context.position().place;
    const descending = this.#query.descending === true;
    const from = keys.ofNumber(keyKinds.sequence, this.place + 1);
    const range: KeyRange = keys.range(keyKinds.sequence, from, keys.ofNumber(keyKinds.sequence, end + 1));
    if (this.#left > 0 && this.place < end) {
      for await (const entries of store.scan(range, { reverse: descending, ...this.#scanLimit() })) {
        for await (const rows of this.#batchesOf(entries)) {
          if (this.#query.signal?.aborted === true) return;
          const cut = this.#left === 0;
          if (rows.length > 0 || cut) yield await this.#batch(rows);
          if (cut) {
            this.finished = true;
            return;
          }
        }
      }
      if (!descending) this.place = end;
    }
    this.finished = this.#left <= 0;
    yield await this.#batch([]);
  }

  /** Without a filter no more entries are needed than rows; a row left out costs one more look. */
  #scanLimit(): { readonly limit?: number } {
    const unfiltered = this.#query.filter === undefined && this.#query.includeDocuments !== true;
    return unfiltered && Number.isFinite(this.#left) ? { limit: this.#left } : {};
  }

  /** The rows of some entries, cut where their documents become heavy: a slow reader holds one batch in memory. */
  async *#batchesOf(entries: readonly Entry[]): AsyncIterable<ChangeRow[]> {
    const isMatched = this.#query.filter?.kind === 'matcher';
    let rows: ChangeRow[] = [];
    let bytes = 0;
    let examined = 0;
    for (const { key, value } of entries) {
      const place = numberOf(key);
      examined += 1;
      if (isMatched && examined % matchedPerTurn === 0) await setImmediate();
      const row = this.#row(place, decodeChange(value));
      this.place = place;
      if (row === undefined) continue;
      rows.push(row);
      bytes += row.document?.body.byteLength ?? 0;
      this.#left -= 1;
      if (this.#left === 0) break;
      if (bytes < batchBytesMax) continue;
      yield rows;
      rows = [];
      bytes = 0;
    }
    yield rows;
  }

  #row(place: number, record: ChangeRecord): ChangeRow | undefined {
    const { filter, includeDocuments, style } = this.#query;
    const { id, deleted, winner } = record;
    if (filter?.kind === 'ids' && !filter.ids.has(id)) return undefined;
    if (filter?.kind === 'design' && !id.startsWith('_design/')) return undefined;
    let document: DocumentRevision | undefined;
    if (includeDocuments === true || filter?.kind === 'matcher') {
      document = this.#document(id, winner);
      if (document === undefined) return undefined;
      if (filter?.kind === 'matcher' && !filter.matches(document)) return undefined;
    }
    const revisions = style === 'all_docs' ? this.#leaves(record) : [winner];
    const sequence = formatPosition({ place, incarnation: this.#incarnation });
    if (includeDocuments !== true || document === undefined) return { sequence, id, deleted, revisions };
    return { sequence, id, deleted, revisions, document };
  }

  #document(id: string, winner: Revision): DocumentRevision | undefined {
    if (this.#query.conflicts !== true) return readLeaf(this.#context, id, winner);
    const record = this.#context.store.get(this.#context.keys.ofText(keyKinds.head, id));
    const document = record === undefined ? undefined : withConflicts(this.#context, record, id);
    return document?.revision === winner ? document : undefined;
  }

  #leaves(record: ChangeRecord): readonly Revision[] {
    if (record.leaves !== undefined) return record.leaves;
    const head = this.#context.store.get(this.#context.keys.ofText(keyKinds.head, record.id));
    if (head === undefined) return [record.winner];
    const { graph } = decodeHead(record.id, head);
    return treeLeaves(graph, this.#context.digest).map((leaf) => leaf.revision);
  }

  async #batch(rows: readonly ChangeRow[]): Promise<ChangesBatch> {
    const { place } = this;
    const lastSequence = formatPosition({ place, incarnation: this.#incarnation });
    // Backwards there is nothing to go on to.
    const pending = this.#query.descending === true ? 0 : await pendingAfter(this.#context, place);
    return { rows, lastSequence, pending };
  }
}

/** How many documents have their latest change after `place`: whole buckets from memory, the rest counted. */
async function pendingAfter(context: ChangesContext, place: number): Promise<number> {
  const { keys, store } = context;
  if (place >= context.position().place) return 0;
  const bucket = Math.floor(place / BUCKET_SPAN);
  let pending = 0;
  const bucketEnd = Math.floor(context.position().place / BUCKET_SPAN);
  for (let later = bucket + 1; later <= bucketEnd; later++) pending += context.buckets.get(later) ?? 0;
  const range = keys.range(
    keyKinds.sequence,
    keys.ofNumber(keyKinds.sequence, place + 1),
    keys.ofNumber(keyKinds.sequence, (bucket + 1) * BUCKET_SPAN),
  );
  for await (const entries of store.scan(range, { keysOnly: true })) pending += entries.length;
  return pending;
}

/** The pending index: entries of the by-sequence index per {@link BUCKET_SPAN} sequences. */
export async function readBuckets({
  keys,
  store,
}: Pick<ReadContext, 'keys' | 'store'>): Promise<Map<number, number>> {
  const buckets = new Map<number, number>();
  for await (const entries of store.scan(keys.range(keyKinds.bucket))) {
    for (const { key, value } of entries) {
      buckets.set(numberOf(key), new DataView(value.buffer, value.byteOffset).getUint16(0));
    }
  }
  return buckets;
}
