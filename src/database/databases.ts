/** All databases of a node: their catalog, creation, deletion, and who wants to hear of it. */

import { limits } from '../config.ts';
import type { Digest } from '../document/revision.ts';
import { failure } from '../errors.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import {
  catalogKey,
  catalogNameOf,
  catalogRange,
  DatabaseKeys,
  databaseRange,
  droppedKey,
  droppedNumberOf,
  droppedRange,
  nextNumberKey,
} from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import type { Database } from './database.ts';
import { openDatabase } from './database.ts';
import type { Replication } from './model.ts';
import type { Writes } from './writes.ts';

export interface DatabasesContext {
  readonly store: Store;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly random: Random;
  /** Name of this node: in the stamps of revisions that it makes. At most 255 ASCII characters. */
  readonly node: string;
  readonly routeWrites?: RouteWrites;
  /** Told what made background work fail: compaction, sweeping a dropped database. */
  readonly onBackgroundFailure: (work: string, cause: unknown) => void;
}

export interface DatabaseUpdate {
  readonly name: string;
  readonly kind: 'created' | 'updated' | 'deleted';
}

interface CatalogRecord {
  readonly number: number;
  readonly incarnation: string;
  /** Absent in records of databases that this node alone knows. */
  readonly replication?: Replication;
}

/** What a group has agreed on for a database that all its nodes create. */
export interface CreateOptions {
  readonly incarnation: string;
  readonly replication: Replication;
}

/** A database that {@link Databases.exchange} puts in its place. */
export interface PlacedDatabase extends CreateOptions {
  readonly name: string;
  /** Its own, or one that was reserved. */
  readonly number: number;
}

/** Gives a database's way of writes; `local` is the way straight into the store. */
export type RouteWrites = (database: Database, replication: Replication, local: Writes) => Writes;

const multiLeader: Replication = { strategy: 'multi-leader' };

const NAME = /^[a-z][a-z0-9_$()+/-]*$/;
const SYSTEM_NAMES: ReadonlySet<string> = new Set(['_users', '_replicator', '_global_changes']);
const ILLEGAL_NAME =
  'Only lowercase characters (a-z), digits (0-9), and any of the characters _, $, (, ), +, -, and / are allowed. Must begin with a letter.';
const SWEEP_KEYS_PER_BATCH = 2_000;

export class Databases {
  readonly #context: DatabasesContext;
  readonly #open = new Map<string, Database>();
  readonly #numbers = new Map<string, number>();
  readonly #replications = new Map<string, Replication>();
  readonly #listeners = new Set<(update: DatabaseUpdate) => void>();
  /** Creations and deletions happen one after the other. */
  #changes: Promise<unknown> = Promise.resolve();
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  /** Use {@link openDatabases}. */
  constructor(context: DatabasesContext) {
    this.#context = context;
  }

  /** @throws TercetError not_found */
  get(name: string): Database {
    const database = this.#open.get(name);
    if (database === undefined) throw failure('not_found', 'Database does not exist.');
    return database;
  }

  has(name: string): boolean {
    return this.#open.has(name);
  }

  /** In the order of their bytes. */
  names(): readonly string[] {
    return [...this.#open.keys()].sort();
  }

  replication(name: string): Replication {
    return this.#replications.get(name) ?? multiLeader;
  }

  /** @throws TercetError illegal_database_name, file_exists */
  create(name: string, options?: CreateOptions): Promise<Database> {
    return this.#oneByOne(async () => {
      checkName(name);
      if (this.#open.has(name)) throw failure('file_exists');
      const { random, store } = this.#context;
      const { number, taken } = this.#nextNumber();
      const record: CatalogRecord = { number, incarnation: random.hex(8), ...options };
      await store.commit([
        taken,
        { kind: 'put', key: catalogKey(name), value: Buffer.from(JSON.stringify(record)) },
      ]);
      const database = await this.load(name, record);
      this.#tell({ name, kind: 'created' });
      return database;
    });
  }

  /**
   * For a database of this node alone: the name is free again at once; the space comes back in the background. Looked at
   * in its turn, because the group may be creating one of that name right now.
   * @throws TercetError not_found, also for one of the group, which {@link drop} is for
   */
  delete(name: string): Promise<void> {
    return this.#oneByOne(() => {
      if (this.replication(name).reference !== undefined) throw noneOfItsOwn(name);
      return this.#remove(name, []);
    });
  }

  /**
   * What the group's log says: as {@link delete}, of a database of the group.
   * @param withIt what becomes durable at the same moment
   * @throws TercetError not_found
   */
  drop(name: string, withIt: readonly Operation[]): Promise<void> {
    return this.#oneByOne(() => this.#remove(name, withIt));
  }

  /**
   * Gives a database another name, under which it is this node's alone; its feeds end, as if it had been deleted.
   * @throws TercetError not_found
   */
  setAside(name: string, newName: string): Promise<void> {
    return this.#oneByOne(async () => {
      const database = this.get(name);
      checkName(newName);
      const { incarnation } = database;
      const record: CatalogRecord = { number: this.#numbers.get(name)!, incarnation };
      await this.#context.store.commit([
        { kind: 'delete', key: catalogKey(name) },
        putOf(catalogKey(newName), Buffer.from(JSON.stringify(record))),
      ]);
      this.#forget(name);
      await database.retire();
      await this.load(newName, record);
      this.#tell({ name: newName, kind: 'created' });
    });
  }

  /** Notes how a database is replicated from now on. @throws TercetError not_found */
  configure(name: string, replication: Replication): Promise<void> {
    return this.#oneByOne(async () => {
      const { incarnation } = this.get(name);
      const record: CatalogRecord = { number: this.#numbers.get(name)!, incarnation, replication };
      await this.#context.store.commit([
        { kind: 'put', key: catalogKey(name), value: Buffer.from(JSON.stringify(record)) },
      ]);
      this.#replications.set(name, replication);
    });
  }

  /** @throws TercetError not_found */
  numberOf(name: string): number {
    this.get(name);
    return this.#numbers.get(name)!;
  }

  /** A number for keys that belong to no database yet: unless {@link exchange} uses it, they are swept after a crash. */
  reserve(): Promise<number> {
    return this.#oneByOne(async () => {
      const { number, taken } = this.#nextNumber();
      const doomed: Operation = { kind: 'put', key: droppedKey(number), value: Buffer.from('reserved') };
      await this.#context.store.commit([taken, doomed]);
      return number;
    });
  }

  /**
   * Puts databases in the place of others, all at once. `commit` is called when nothing touches those others any more,
   * with what it must make durable, in one batch, or not at all; it says which. Meanwhile they cannot be used.
   */
  exchange(
    { placed, dropped }: { readonly placed: readonly PlacedDatabase[]; readonly dropped: readonly string[] },
    commit: (operations: readonly Operation[]) => Promise<boolean>,
  ): Promise<boolean> {
    return this.#oneByOne(async () => {
      const names = new Set([...dropped, ...placed.map(({ name }) => name)]);
      const kept = new Set(placed.map(({ number }) => number));
      const before = [...names].filter((name) => this.#open.has(name));
      const gone = before.filter((name) => !kept.has(this.numberOf(name))).map((name) => this.numberOf(name));
      await Promise.all(before.map((name) => this.get(name).retire(beingReplaced())));
      let isDurable = false;
      try {
        isDurable = await commit([
          ...gone.map((number) => putOf(droppedKey(number), Buffer.from('replaced'))),
          ...dropped.map((name): Operation => ({ kind: 'delete', key: catalogKey(name) })),
          ...placed.flatMap(placeOperations),
        ]);
      } finally {
        for (const name of names) await this.#reload(name);
      }
      if (isDurable) for (const number of gone) this.sweepLater(number);
      return isDurable;
    });
  }

  /** Calls back for every created, changed or deleted database; the returned function stops that. */
  onUpdate(listener: (update: DatabaseUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends feeds and waits for what is on its way. The store stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes;
    await Promise.all([...this.#open.values()].map((database) => database.retire()));
    await this.#sweeping;
  }

  /** For {@link openDatabases} and creation only. */
  async load(name: string, { number, incarnation, replication }: CatalogRecord): Promise<Database> {
    const { node, onBackgroundFailure, routeWrites, ...ports } = this.#context;
    const route = replication && routeWrites;
    const database = await openDatabase({
      ...ports,
      name,
      incarnation,
      keys: new DatabaseKeys(number),
      range: databaseRange(number),
      ...(replication?.strategy === 'leaderless' && {
        leaderless: { node, resolver: () => this.#resolverOf(name) },
      }),
      isLogged: replication?.strategy === 'single-leader',
      ...(route && { routeWrites: (opened, local) => route(opened, replication, local) }),
      onChange: () => this.#tell({ name, kind: 'updated' }),
      onCompactionFailure: (cause) => onBackgroundFailure(`compaction of ${name}`, cause),
    });
    this.#open.set(name, database);
    if (replication !== undefined) this.#replications.set(name, replication);
    this.#numbers.set(name, number);
    return database;
  }

  async #remove(name: string, withIt: readonly Operation[]): Promise<void> {
    const database = this.get(name);
    const number = this.#numbers.get(name)!;
    await this.#context.store.commit([
      { kind: 'delete', key: catalogKey(name) },
      { kind: 'put', key: droppedKey(number), value: Buffer.from(name) },
      ...withIt,
    ]);
    this.#forget(name);
    await database.retire();
    this.sweepLater(number);
  }

  #resolverOf(name: string) {
    const replication = this.replication(name);
    return replication.strategy === 'leaderless' ? replication.settings.resolver : 'siblings';
  }

  /** For a number whose dropping is durable, or that was only reserved: removes its keys, a batch at a time. */
  sweepLater(number: number): void {
    this.#sweeping = this.#sweeping
      .then(() => this.#sweep(number))
      .catch((cause) => this.#context.onBackgroundFailure('removing a deleted database', cause));
  }

  async #sweep(number: number): Promise<void> {
    const { store } = this.#context;
    // A reserved number may have come to use after all, by a commit whose outcome nobody knew.
    if (store.get(droppedKey(number)) === undefined) return;
    let doomed: Operation[] = [];
    for await (const entries of store.scan(databaseRange(number), { keysOnly: true })) {
      for (const { key } of entries) doomed.push({ kind: 'delete', key });
      if (doomed.length < SWEEP_KEYS_PER_BATCH) continue;
      await store.commit(doomed);
      doomed = [];
      if (this.#closed) return; // The next start goes on: the marker is still there.
    }
    await store.commit([...doomed, { kind: 'delete', key: droppedKey(number) }]);
    await store.reclaim(databaseRange(number));
  }

  /** Brings what is open in line with what the store holds. */
  async #reload(name: string): Promise<void> {
    const record = this.#context.store.get(catalogKey(name));
    const isNew = !this.#open.has(name);
    if (record !== undefined) {
      await this.load(name, JSON.parse(Buffer.from(record).toString()) as CatalogRecord);
      this.#tell({ name, kind: isNew ? 'created' : 'updated' });
    } else if (!isNew) this.#forget(name);
  }

  #nextNumber(): { readonly number: number; readonly taken: Operation } {
    const counter = this.#context.store.get(nextNumberKey);
    const number = counter === undefined ? 1 : Buffer.from(counter).readUInt32BE();
    const next = Buffer.alloc(4);
    next.writeUInt32BE(number + 1);
    return { number, taken: putOf(nextNumberKey, next) };
  }

  #oneByOne<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#changes.then(work);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  #forget(name: string): void {
    this.#open.delete(name);
    this.#numbers.delete(name);
    this.#replications.delete(name);
    this.#tell({ name, kind: 'deleted' });
  }

  #tell(update: DatabaseUpdate): void {
    for (const listener of [...this.#listeners]) listener(update);
  }
}

/** Reads the catalog and goes on with what a crash interrupted. */
export async function openDatabases(context: DatabasesContext): Promise<Databases> {
  const databases = new Databases(context);
  const { store } = context;
  for await (const entries of store.scan(catalogRange)) {
    for (const { key, value } of entries) {
      await databases.load(catalogNameOf(key), JSON.parse(Buffer.from(value).toString()) as CatalogRecord);
    }
  }
  for await (const entries of store.scan(droppedRange, { keysOnly: true })) {
    for (const { key } of entries) databases.sweepLater(droppedNumberOf(key));
  }
  return databases;
}

/** `_users` and its like: their documents have rules of their own. */
export function isSystemDatabase(name: string): boolean {
  return SYSTEM_NAMES.has(name);
}

export function checkName(name: string): void {
  const legal = SYSTEM_NAMES.has(name) || (NAME.test(name) && name.length <= limits.databaseNameLengthMax);
  if (!legal) throw failure('illegal_database_name', `Name: '${name}'. ${ILLEGAL_NAME}`);
}

function placeOperations({ name, ...record }: PlacedDatabase): Operation[] {
  const { number } = record;
  return [
    putOf(catalogKey(name), Buffer.from(JSON.stringify(record))),
    { kind: 'delete', key: droppedKey(number) },
  ];
}

function putOf(key: Uint8Array, value: Uint8Array): Operation {
  return { kind: 'put', key, value };
}

function beingReplaced() {
  return failure('service_unavailable', 'A later state is taking the place of the database; try again.');
}

function noneOfItsOwn(name: string) {
  return failure(
    'not_found',
    `This node alone has no database ${JSON.stringify(name)}; the cluster has one.`,
  );
}
