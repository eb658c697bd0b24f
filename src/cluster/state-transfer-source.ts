/**
 * Gives the state of the group's databases, as it is on this node, to a peer that is too far behind for the log.
 *
 *     gather what changed, while writes go on      ─┐
 *     nothing is applied for a moment:              │  open
 *        the last changes, scans begin, the point  ─┘
 *     writes go on; memory and scans are sent      ── next, next, …
 *
 * Scans see the store as it was when they began, so all that is sent is what was applied at one index of the log. A database
 * goes whole where the asker has none of it, where documents were purged since, and where its changes are more than memory
 * should hold.
 */

import type { Databases } from '../database/databases.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import type { Clock } from '../runtime/ports.ts';
import { DatabaseKeys, databaseRange, keyKinds, suffixOf } from '../store/keys.ts';
import type { KeyRange, Store, Entry as StoredPair } from '../store/store.ts';
import type { Catalog } from './catalog.ts';
import type { Group } from './group.ts';
import { choiceOf, identityOf } from './replication-choice.ts';
import { ChangesSince, type DatabaseOnDisk } from './state-transfer-changes.ts';
import {
  type DatabasePosition,
  decodeRequest,
  encodeJson,
  encodePiece,
  type OfferedDatabase,
  recordBytes,
  type StateRecord,
  type StateRequest,
} from './state-transfer-codec.ts';

export interface StateSourceSettings {
  /** Changes of all databases that are held in memory for one peer. */
  readonly changesBytesMax: number;
  /** A piece is sent when it has so many bytes. */
  readonly pieceBytes: number;
  /** A session that is not asked for so long ends. */
  readonly idleMsMax: number;
}

export const stateSourceDefaults: StateSourceSettings = {
  changesBytesMax: 64_000_000,
  pieceBytes: 500_000,
  idleMsMax: 60_000,
};

/** Gathering goes on until so few changes remain, or for so many rounds; then nothing is applied for a moment. */
const remainingMax = 500;
const roundsMax = 8;

/** What is sent in full of a database whose documents are sent as changes. */
const alwaysSent = [
  keyKinds.blob,
  keyKinds.counters,
  keyKinds.bucket,
  keyKinds.local,
  keyKinds.purge,
  keyKinds.settings,
] as const;

export interface StateSourceContext {
  readonly store: Store;
  readonly databases: Databases;
  readonly catalog: Catalog;
  readonly group: () => Pick<Group, 'statePoint'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: StateSourceSettings;
}

type Scan = AsyncIterator<readonly StoredPair[]>;

interface Part {
  readonly reference: number;
  readonly scan: Scan;
}

interface Session {
  readonly number: number;
  readonly parts: readonly Part[];
  readonly pieces: AsyncIterator<readonly StateRecord[]>;
  next: number;
  cancelTimer: () => void;
}

export class StateSource {
  readonly #context: StateSourceContext;
  /** By peer: one that asks anew has given up what it asked for before. */
  readonly #sessions = new Map<string, Session>();
  #lastSession = 0;

  constructor(context: StateSourceContext) {
    this.#context = context;
  }

  /** @throws PeerRefusal */
  async serve(from: string, bytes: Uint8Array): Promise<Uint8Array> {
    const request = decodeRequest(bytes);
    switch (request.op) {
      case 'open':
        return this.#open(from, request);
      case 'next':
        return this.#next(from, request);
      case 'contents':
        return this.#contents(request);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.keys()].map((peer) => this.#end(peer)));
  }

  async #open(from: string, { atLeast, have }: Extract<StateRequest, { op: 'open' }>): Promise<Uint8Array> {
    await this.#end(from);
    const { catalog } = this.#context;
    const changes = await this.#gather(have);
    // Nothing is applied from here until the scans have begun.
    return catalog.alone(async () => {
      const index = catalog.appliedIndex();
      const point = index < atLeast ? undefined : this.#context.group().statePoint(index);
      if (point === undefined) throw new PeerRefusal(`it has applied through ${index} only`);
      await this.#gatherAll(changes);
      const databases = [...catalog.names()].map(([reference, name]) =>
        this.#offer(reference, name, changes),
      );
      await this.#end(from);
      const session = this.#begin(databases, changes);
      this.#sessions.set(from, session);
      this.#expect(from, session);
      return encodeJson({ session: session.number, point, databases });
    });
  }

  async #gather(have: readonly DatabasePosition[]): Promise<Map<number, ChangesSince>> {
    const { catalog, store } = this.#context;
    const names = catalog.names();
    const changes = new Map<number, ChangesSince>();
    for (const position of have) {
      const name = names.get(position.reference);
      if (name === undefined) continue;
      const since = new ChangesSince(store, this.#onDisk(position.reference, name), position);
      changes.set(position.reference, since);
    }
    for (let round = 0; round < roundsMax; round += 1) {
      await this.#gatherAll(changes);
      const remaining = [...changes.values()].reduce((sum, since) => sum + since.remaining, 0);
      if (remaining <= remainingMax) break;
    }
    return changes;
  }

  /** Leaves out what has to go whole. */
  async #gatherAll(changes: Map<number, ChangesSince>): Promise<void> {
    const { catalog, settings } = this.#context;
    for (const [reference, since] of [...changes]) {
      changes.delete(reference);
      if (!catalog.names().has(reference) || since.isWholeNeeded) continue;
      const others = [...changes.values()].reduce((sum, other) => sum + other.bytes, 0);
      await since.gather(settings.changesBytesMax - others);
      if (since.bytes <= settings.changesBytesMax - others) changes.set(reference, since);
    }
  }

  #offer(reference: number, name: string, changes: ReadonlyMap<number, unknown>): OfferedDatabase {
    const { databases } = this.#context;
    const choice = choiceOf(databases.replication(name));
    const contentScope = changes.has(reference) ? 'changes' : 'whole';
    const scope = choice.strategy === 'single-leader' ? contentScope : 'settings';
    return { reference, name, identity: identityOf(databases, name), choice, scope };
  }

  /** All scans begin here, in one turn of the event loop. */
  #begin(databases: readonly OfferedDatabase[], changes: ReadonlyMap<number, ChangesSince>): Session {
    const { settings } = this.#context;
    const parts = databases.flatMap((database) => this.#scansOf(database));
    this.#lastSession += 1;
    return {
      number: this.#lastSession,
      parts,
      pieces: inPieces(recordsOf([...changes.values()], parts), settings.pieceBytes),
      next: 0,
      cancelTimer: () => {},
    };
  }

  #scansOf({ reference, name, scope }: OfferedDatabase): Part[] {
    const { store, databases } = this.#context;
    const number = databases.numberOf(name);
    const begin = (range: KeyRange, keysOnly: boolean): Part => ({
      reference,
      scan: store.scan(range, { keysOnly })[Symbol.asyncIterator](),
    });
    if (scope === 'whole') return [begin(databaseRange(number), false)];
    const keys = new DatabaseKeys(number);
    if (scope === 'settings') return [begin(keys.range(keyKinds.settings), false)];
    return [
      begin(keys.range(keyKinds.chunk), true),
      ...alwaysSent.map((kind) => begin(keys.range(kind), false)),
    ];
  }

  async #next(
    from: string,
    { session: number, piece }: Extract<StateRequest, { op: 'next' }>,
  ): Promise<Uint8Array> {
    const session = this.#sessions.get(from);
    if (session?.number !== number || session.next !== piece)
      throw new PeerRefusal('that state is not on its way any more');
    session.next += 1;
    session.cancelTimer();
    const result = await session.pieces.next();
    if (result.done !== true) {
      this.#expect(from, session);
      return encodePiece({ isLast: false, records: result.value });
    }
    await this.#end(from);
    return encodePiece({ isLast: true, records: [] });
  }

  #contents({ reference, keys }: Extract<StateRequest, { op: 'contents' }>): Uint8Array {
    const { catalog, store } = this.#context;
    const name = catalog.names().get(reference);
    if (name === undefined) throw new PeerRefusal('the database is gone');
    const database = this.#onDisk(reference, name);
    const records = keys.flatMap((hex) => {
      const suffix = Buffer.from(hex, 'hex');
      const value = suffix[0] === keyKinds.chunk ? store.get(database.keys.ofSuffix(suffix)) : undefined;
      return value === undefined ? [] : [{ reference, suffix, value }];
    });
    return encodePiece({ isLast: true, records });
  }

  #onDisk(reference: number, name: string): DatabaseOnDisk {
    return { reference, keys: new DatabaseKeys(this.#context.databases.numberOf(name)) };
  }

  #expect(peer: string, session: Session): void {
    const { clock, log, settings } = this.#context;
    session.cancelTimer = clock.after(settings.idleMsMax, () => {
      if (this.#sessions.get(peer) !== session) return;
      this.#end(peer).catch((cause: unknown) => log.warn({ err: cause }, 'a state that nobody fetches on'));
    });
  }

  async #end(peer: string): Promise<void> {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    this.#sessions.delete(peer);
    session.cancelTimer();
    await session.pieces.return?.();
    for (const { scan } of session.parts) {
      // Only a scan that has begun to give notices that nobody wants more of it.
      await scan.next();
      await scan.return?.();
    }
  }
}

async function* recordsOf(
  changes: readonly ChangesSince[],
  parts: readonly Part[],
): AsyncGenerator<StateRecord> {
  for (const since of changes) yield* since.records();
  for (const { reference, scan } of parts) {
    for (let chunk = await scan.next(); chunk.done !== true; chunk = await scan.next()) {
      for (const { key, value } of chunk.value) yield { reference, suffix: suffixOf(key), value };
    }
  }
}

async function* inPieces(
  records: AsyncIterable<StateRecord>,
  pieceBytes: number,
): AsyncGenerator<readonly StateRecord[]> {
  let piece: StateRecord[] = [];
  let bytes = 0;
  for await (const record of records) {
    piece.push(record);
    bytes += recordBytes(record);
    if (bytes < pieceBytes) continue;
    yield piece;
    piece = [];
    bytes = 0;
  }
  if (piece.length > 0) yield piece;
}
