/**
 * A state that is on its way here, beside the one that is in use.
 *
 *     whole database     its records go to the disk at once, under a number that no database has yet
 *     changes            kept in memory, and laid over the database's own records in the batch that installs the state
 *     settings           kept in memory too: of a database whose content does not travel by the log
 *     attachments        chunks that are not here yet go to the disk at once: nothing names them before that batch
 *
 * So the state in use stays whole until one batch exchanges it. A crash before leaves a number that the next start sweeps,
 * and chunks that the next compaction does.
 */

import type { Databases } from '../database/databases.ts';
import { decodeHead } from '../database/records.ts';
import { chunkIndexOf, chunkSetOf, DatabaseKeys, keyKinds, kindOf, textOf } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import type { Catalog } from './catalog.ts';
import type { DatabaseRef } from './commands.ts';
import type { OfferedDatabase, StateRecord } from './state-transfer-codec.ts';

/** Chunks that are asked for at once, of a quarter of a megabyte each. */
const chunksPerRequest = 3;

/** Sent in full, so what is not sent has to go. */
const replacedKinds = [keyKinds.bucket, keyKinds.local, keyKinds.purge] as const;

export interface DraftContext {
  readonly store: Store;
  readonly databases: Databases;
  readonly catalog: Pick<Catalog, 'names' | 'replicaOf'>;
}

/** Records of these chunks, by their suffixes; those that are gone are left out. */
export type FetchContents = (
  reference: DatabaseRef,
  suffixes: readonly Uint8Array[],
) => Promise<readonly StateRecord[]>;

interface DraftDatabase {
  readonly offered: OfferedDatabase;
  readonly number: number;
  /** The database here whose content stays. */
  readonly kept: string | undefined;
  readonly keys: DatabaseKeys;
  /** Of a database that comes whole they are on the disk already. */
  readonly records: StateRecord[];
  /** Chunks that are not here, by their suffixes. */
  readonly missing: Uint8Array[];
}

export class StateDraft {
  readonly #context: DraftContext;
  readonly #databases = new Map<DatabaseRef, DraftDatabase>();

  constructor(context: DraftContext) {
    this.#context = context;
  }

  /** Where each database's records are, or will be. */
  get placed(): readonly Pick<DraftDatabase, 'offered' | 'number' | 'kept'>[] {
    return [...this.#databases.values()];
  }

  async begin(offers: readonly OfferedDatabase[]): Promise<void> {
    const { databases } = this.#context;
    for (const offered of offers) {
      const kept = this.#keptFor(offered);
      const number = kept === undefined ? await databases.reserve() : databases.numberOf(kept);
      const keys = new DatabaseKeys(number);
      this.#databases.set(offered.reference, { offered, number, kept, keys, records: [], missing: [] });
    }
  }

  #keptFor(offered: OfferedDatabase): string | undefined {
    const { catalog } = this.#context;
    if (offered.scope === 'whole') return undefined;
    if (offered.scope === 'settings') return catalog.replicaOf(offered);
    const name = catalog.names().get(offered.reference);
    if (name === undefined) throw new Error('changes of a database that is not here');
    return name;
  }

  async take(records: readonly StateRecord[]): Promise<void> {
    const operations: Operation[] = [];
    for (const record of records) {
      const database = this.#databases.get(record.reference);
      if (database === undefined)
        throw new Error(`records of database ${record.reference} that was not offered`);
      const key = database.keys.ofSuffix(record.suffix);
      if (database.offered.scope === 'whole') operations.push({ kind: 'put', key, value: record.value });
      else if (kindOf(key) !== keyKinds.chunk) database.records.push(record);
      else if (this.#context.store.get(key) === undefined) database.missing.push(record.suffix);
    }
    if (operations.length > 0) await this.#context.store.commit(operations);
  }

  /** Gets the contents of attachments that are not here. */
  async complete(fetch: FetchContents): Promise<void> {
    for (const { offered, missing, keys } of this.#databases.values()) {
      for (let at = 0; at < missing.length; at += chunksPerRequest) {
        const wanted = missing.slice(at, at + chunksPerRequest);
        const records = await fetch(offered.reference, wanted);
        if (records.length < wanted.length) throw new Error('an attachment that was offered is gone');
        await this.#installChunks(offered.reference, keys, records);
      }
    }
  }

  /** What lays changes over what is here; for when nothing else changes that. */
  async operations(): Promise<readonly Operation[]> {
    const operations: Operation[] = [];
    for (const database of this.#databases.values()) {
      if (database.offered.scope === 'whole') continue;
      const puts: Operation[] = [];
      if (database.offered.scope === 'changes') operations.push(...(await this.#replaced(database)));
      for (const { suffix, value } of database.records) {
        const key = database.keys.ofSuffix(suffix);
        if (kindOf(key) === keyKinds.head) operations.push(...this.#forgotten(database, key));
        puts.push({ kind: 'put', key, value });
      }
      operations.push(...puts);
    }
    return operations;
  }

  /** It will not be installed: what is on the disk of it goes. */
  abandon(): void {
    for (const { kept, number } of this.#databases.values()) {
      if (kept === undefined) this.#context.databases.sweepLater(number);
    }
  }

  async #installChunks(
    reference: DatabaseRef,
    keys: DatabaseKeys,
    records: readonly StateRecord[],
  ): Promise<void> {
    const { catalog, databases } = this.#context;
    const name = catalog.names().get(reference);
    if (name === undefined) throw new Error('the database was dropped meanwhile');
    const { blobs } = databases.get(name);
    for (const { suffix, value } of records) {
      const key = keys.ofSuffix(suffix);
      await blobs.installChunk(chunkSetOf(key), chunkIndexOf(key), value);
    }
  }

  async #replaced({ keys }: DraftDatabase): Promise<Operation[]> {
    const operations: Operation[] = [];
    for (const kind of replacedKinds) {
      for await (const entries of this.#context.store.scan(keys.range(kind), { keysOnly: true })) {
        for (const { key } of entries) operations.push({ kind: 'delete', key });
      }
    }
    return operations;
  }

  /** What a document's present head leads to. */
  #forgotten({ keys }: DraftDatabase, headKey: Uint8Array): Operation[] {
    const bytes = this.#context.store.get(headKey);
    if (bytes === undefined) return [];
    const { graph, id, sequence, winner } = decodeHead(textOf(headKey), bytes);
    const bodies = graph.nodes.filter(({ stored, revision }) => stored && revision !== winner);
    return [
      keys.ofNumber(keyKinds.sequence, sequence),
      ...bodies.map(({ revision }) => keys.body(id, revision)),
    ].map((key) => ({ kind: 'delete', key }));
  }
}
