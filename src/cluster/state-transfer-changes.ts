/**
 * What changed in one database since a sequence, gathered while writes go on.
 *
 *     by-sequence index   … 40 │ 41 a   42 b   43 c   44 a'         since 40: a (as it is now), b, c
 *
 * Documents are read as they are now, which may be later than where the index was read; then they stand further on in
 * the index too, and are read again. So one gathering after the other comes closer to the end, and the last one, while
 * nothing is applied, is short and gives exactly what is applied then.
 *
 * Left out: what was removed without a trace in the index. After a purge the whole database has to be sent.
 */

import { decodeChange, decodeHead } from '../database/records.ts';
import { type Counters, NO_COUNTS } from '../database/turn.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { after, keyKinds, numberOf, suffixOf } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { DatabaseRef } from './commands.ts';
import { type DatabasePosition, recordBytes, type StateRecord } from './state-transfer-codec.ts';

/** A compaction may take a body away between two reads of one document, but not again and again. */
const readsMax = 5;

export interface DatabaseOnDisk {
  readonly reference: DatabaseRef;
  readonly keys: DatabaseKeys;
}

export function countersOf(store: Store, keys: DatabaseKeys): Counters {
  const bytes = store.get(keys.single(keyKinds.counters));
  return bytes === undefined ? NO_COUNTS : (JSON.parse(Buffer.from(bytes).toString()) as Counters);
}

export class ChangesSince {
  readonly #store: Store;
  readonly #database: DatabaseOnDisk;
  readonly #purgeSequence: number;
  readonly #documents = new Map<string, readonly StateRecord[]>();
  #sequence: number;
  #bytes = 0;

  constructor(store: Store, database: DatabaseOnDisk, { sequence, purgeSequence }: DatabasePosition) {
    this.#store = store;
    this.#database = database;
    this.#sequence = sequence;
    this.#purgeSequence = purgeSequence;
  }

  /** Of everything that was gathered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many sequences there are beyond what was gathered. */
  get remaining(): number {
    return countersOf(this.#store, this.#database.keys).lastSequence - this.#sequence;
  }

  /** Changes do not tell the difference: documents were purged, or the asker has what was never here. */
  get isWholeNeeded(): boolean {
    const { purgeSequence } = countersOf(this.#store, this.#database.keys);
    return this.remaining < 0 || purgeSequence !== this.#purgeSequence;
  }

  /** All records of the documents that changed. */
  *records(): Iterable<StateRecord> {
    for (const records of this.#documents.values()) yield* records;
  }

  /** Through the end of the index as it is at the call, or until `bytesMax` is passed. */
  async gather(bytesMax: number): Promise<void> {
    const { keys } = this.#database;
    const { lastSequence } = countersOf(this.#store, keys);
    const from = after(keys.ofNumber(keyKinds.sequence, this.#sequence));
    for await (const entries of this.#store.scan(keys.range(keyKinds.sequence, from))) {
      for (const { key, value } of entries) {
        this.#read(decodeChange(value).id);
        this.#sequence = numberOf(key);
      }
      if (this.#bytes > bytesMax) return;
    }
    // The last sequences may be those of documents that changed again, or were purged.
    this.#sequence = Math.max(this.#sequence, lastSequence);
  }

  #read(id: string): void {
    const records = this.#recordsOf(id);
    for (const record of this.#documents.get(id) ?? []) this.#bytes -= recordBytes(record);
    for (const record of records) this.#bytes += recordBytes(record);
    this.#documents.set(id, records);
  }

  /** Nothing for a document that was purged. */
  #recordsOf(id: string): readonly StateRecord[] {
    const { keys, reference } = this.#database;
    const headKey = keys.ofText(keyKinds.head, id);
    for (let reads = 0; reads < readsMax; reads += 1) {
      const bytes = this.#store.get(headKey);
      if (bytes === undefined) return [];
      const head = decodeHead(id, bytes);
      const others = head.graph.nodes.filter(({ stored, revision }) => stored && revision !== head.winner);
      const records = [
        keys.ofNumber(keyKinds.sequence, head.sequence),
        ...others.map(({ revision }) => keys.body(id, revision)),
      ].map((key) => ({ reference, suffix: suffixOf(key), value: this.#store.get(key) }));
      if (records.every(isThere)) return [{ reference, suffix: suffixOf(headKey), value: bytes }, ...records];
    }
    throw new Error(`the bodies of a document of database ${reference} are missing`);
  }
}

function isThere(
  record: Omit<StateRecord, 'value'> & { readonly value: Uint8Array | undefined },
): record is StateRecord {
  return record.value !== undefined;
}
