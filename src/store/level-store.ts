/**
 * The store on disk: LevelDB through `classic-level`.
 *
 * A commit is one LevelDB batch written with an fsync; LevelDB shows a batch only after that fsync (`DBImpl::Write` inserts
 * into the memtable after `Sync` returned, and moves the sequence number that readers use last of all), which keeps
 * invariants 1 to 3 of store.ts. GroupCommit keeps 4 and 6, and a LevelDB iterator, made when `scan` is called, keeps 5.
 *
 * Every batch also puts the number of the commit under the empty key. It tells level-inspection.ts if LevelDB's log is
 * whole, and where to cut it after a failed write.
 *
 * When a write fails, LevelDB's log ends in an unknown way: a part of the record may be there, or all of it, and what were
 * appended behind a torn record would be lost at the next start. So:
 *
 *   write fails → refuse all writes → cut the log behind the last acknowledged commit, and fsync that
 *                  cut worked: the write did not happen, nor will it after a restart   (insufficient_storage, disk_failure)
 *                  cut failed: nobody can know                                         (write_outcome_unknown)
 *   reads go on → wait until the disk takes as much as a reopening may need → close, cut again, reopen → writable
 *
 * Only for the moment of the reopening do reads fail, with `service_unavailable`; scans get a while to end before it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { assert, failure, type TercetError } from '../errors.ts';
import {
  asDataDirectoryError,
  claimDirectory,
  codeOf,
  inUseError,
  openDataDirectory,
  syncDirectory,
} from './data-directory.ts';
import { probeRoom, removeProbe } from './disk-room.ts';
import { GroupCommit } from './group-commit.ts';
import { cutLog, inspectLevel } from './level-inspection.ts';
import {
  commitNumberKey,
  isDiskFull,
  isInUse,
  type Level,
  type LevelIterator,
  levelTuning,
  openLevel,
} from './level-open.ts';
import type { CommitOptions, Entry, KeyRange, Operation, ScanOptions, Store, StoreHealth } from './store.ts';

export interface LevelStoreOptions {
  /** Written into a new directory's FORMAT file: the version of Tercet that made it. */
  readonly createdBy: string;
  /** Bytes of LevelDB's memtable and log; for tests with little disks. */
  readonly writeBufferBytes?: number;
  /** The longest wait between two tries to become writable again. */
  readonly retryMsMax?: number;
}

export interface LevelStore extends Store {
  /** The uuid of the data directory. */
  readonly identity: string;
  /** How many groups of commits were made durable since the opening, each with one fsync. */
  syncCount(): number;
}

const groupBytesMax = 4_194_304;
const chunkBytesDefault = 65_536;
const chunkEntriesMax = 1_000;
const retryMsFirst = 250;
const retryMsMaxDefault = 10_000;
const scanEndMsMax = 5_000;
const noBytes = new Uint8Array(0);

/**
 * Opens the store of a data directory, creating both where nothing is there.
 * @throws DataDirectoryError
 */
export async function openLevelStore(directory: string, options: LevelStoreOptions): Promise<LevelStore> {
  const { path, storePath, identity } = await openDataDirectory(directory, { createdBy: options.createdBy });
  const release = await claimDirectory(path);
  const settings: Settings = {
    storePath,
    writeBufferBytes: options.writeBufferBytes ?? levelTuning.writeBufferBytes,
    retryMsMax: options.retryMsMax ?? retryMsMaxDefault,
    release,
  };
  try {
    const level = await openInspected(path, settings);
    return new LevelStoreOn(level, identity, settings);
  } catch (error) {
    release();
    throw error;
  }
}

async function openInspected(path: string, { storePath, writeBufferBytes }: Settings): Promise<Level> {
  try {
    await inspectLevel(storePath);
  } catch (error) {
    // The files of a running node change while they are looked at.
    throw (await isInUse(storePath)) ? inUseError(path) : asDataDirectoryError(error, path);
  }
  const level = await openLevel(storePath, { writeBufferBytes });
  try {
    await syncDirectory(storePath);
    await removeProbe(storePath);
  } catch (error) {
    await level.close();
    throw asDataDirectoryError(error, path);
  }
  return level;
}

interface Settings {
  readonly storePath: string;
  readonly writeBufferBytes: number;
  readonly retryMsMax: number;
  /** Lets another store of this process open the directory. */
  readonly release: () => void;
}

class LevelStoreOn implements LevelStore {
  readonly identity: string;
  readonly #settings: Settings;
  readonly #group: GroupCommit;
  readonly #stop = new AbortController();
  /** Undefined while it is being reopened. */
  #level: Level | undefined;
  /** The last acknowledged commit. */
  #commitNumber: bigint;
  #health: StoreHealth = { kind: 'writable' };
  #recovery: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #scansRunning = 0;
  #syncs = 0;

  constructor(level: Level, identity: string, settings: Settings) {
    this.identity = identity;
    this.#settings = settings;
    this.#level = level;
    this.#commitNumber = lastCommitNumber(level);
    this.#group = new GroupCommit({ groupBytesMax, write: (operations) => this.#write(operations) });
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const level = this.#openLevel();
    try {
      return level.getSync(key);
    } catch (error) {
      throw readFailure(error);
    }
  }

  scan(range: KeyRange, options: ScanOptions = {}): AsyncIterable<readonly Entry[]> {
    const { limit = Number.POSITIVE_INFINITY, keysOnly = false, chunkBytes = chunkBytesDefault } = options;
    const iterator = this.#openLevel().iterator({
      ...(range.from.byteLength === 0 ? { gt: commitNumberKey } : { gte: range.from }),
      lt: range.to,
      reverse: options.reverse ?? false,
      limit: Number.isFinite(limit) ? limit : -1,
      values: !keysOnly,
      highWaterMarkBytes: chunkBytes,
    });
    this.#scansRunning += 1;
    return this.#chunks(iterator, Math.min(limit, chunkEntriesMax));
  }

  commit(operations: readonly Operation[], options?: CommitOptions): Promise<void> {
    this.#assertOpen();
    for (const { key } of operations) assert(key.byteLength > 0, 'a key has at least one byte');
    return this.#group.commit(operations, options);
  }

  hurry(): void {
    this.#group.hurry();
  }

  health(): StoreHealth {
    this.#assertOpen();
    return this.#health;
  }

  async approximateBytes(range: KeyRange): Promise<number> {
    return this.#openLevel().approximateSize(range.from, range.to);
  }

  async reclaim(range: KeyRange): Promise<void> {
    const level = this.#openLevel();
    // LevelDB writes the kept entries anew before it drops the old tables: on a full disk that could only fail.
    if (this.#health.kind === 'read_only') throw didNotHappen(this.#health);
    await level.compactRange(range.from, range.to);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  syncCount(): number {
    return this.#syncs;
  }

  async #close(): Promise<void> {
    await this.#group.idle();
    this.#stop.abort();
    await this.#recovery;
    await this.#level?.close();
    this.#settings.release();
  }

  async #write(operations: readonly Operation[]): Promise<void> {
    if (this.#health.kind === 'read_only') throw didNotHappen(this.#health);
    const commitNumber = this.#commitNumber + 1n;
    assert(this.#level !== undefined, 'a writable store has its database open');
    // A chained batch: the array form clones every operation, ten times the time on the main thread.
    const batch = this.#level.batch();
    batch.put(commitNumberKey, encodeCommitNumber(commitNumber));
    for (const operation of operations) {
      if (operation.kind === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
    try {
      await batch.write({ sync: true });
    } catch (error) {
      throw await this.#refuseWritesAfter(error);
    }
    this.#commitNumber = commitNumber;
    this.#syncs += 1;
  }

  /** Returns what the callers of the failed write are to be told. */
  async #refuseWritesAfter(error: unknown): Promise<TercetError> {
    const health = readOnlyBecause(error);
    this.#health = health;
    try {
      await cutLog(this.#settings.storePath, this.#commitNumber);
      return didNotHappen(health);
    } catch (cutError) {
      const detail = `${health.detail}; the log could not be cut: ${messageOf(cutError)}`;
      this.#health = { ...health, detail };
      return failure('write_outcome_unknown', `The disk failed while the write was on its way: ${detail}`);
    } finally {
      this.#recovery = this.#recover();
    }
  }

  /** Tries, less and less often, until the store is writable again or closed. Never rejects. */
  async #recover(): Promise<void> {
    const { signal } = this.#stop;
    for (let delayMs = retryMsFirst; ; delayMs = Math.min(delayMs * 2, this.#settings.retryMsMax)) {
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#reopen();
        this.#health = { kind: 'writable' };
        return;
      } catch (error) {
        this.#health = readOnlyBecause(error);
      }
    }
  }

  async #reopen(): Promise<void> {
    const { storePath, writeBufferBytes } = this.#settings;
    // Opening writes up to two logs' contents into tables, and a MANIFEST. Closing before there is room for that would
    // end the reads too.
    await probeRoom(storePath, 2 * writeBufferBytes + 2_097_152);
    await this.#scansEnded();
    await this.#level?.close();
    this.#level = undefined;
    // Closing lets the C library write what it still held back of the failed write.
    await cutLog(storePath, this.#commitNumber);
    const level = await openLevel(storePath, { writeBufferBytes });
    const found = lastCommitNumber(level);
    if (found !== this.#commitNumber) {
      await level.close();
      throw new Error(`the store came back with commit ${found} instead of ${this.#commitNumber}`);
    }
    this.#level = level;
  }

  async #scansEnded(): Promise<void> {
    const deadline = performance.now() + scanEndMsMax;
    while (this.#scansRunning > 0 && performance.now() < deadline && !this.#stop.signal.aborted)
      await sleep(10);
  }

  async *#chunks(iterator: LevelIterator, chunkEntries: number): AsyncGenerator<readonly Entry[]> {
    try {
      for (;;) {
        const pairs = await iterator.nextv(chunkEntries);
        if (pairs.length === 0) return;
        yield pairs.map(([key, value]) => ({ key, value: value ?? noBytes }));
      }
    } catch (error) {
      throw readFailure(error);
    } finally {
      this.#scansRunning -= 1;
      await iterator.close();
    }
  }

  #openLevel(): Level {
    this.#assertOpen();
    if (this.#level === undefined) throw reopening();
    return this.#level;
  }

  #assertOpen(): void {
    assert(this.#closing === undefined, 'the store is open');
  }
}

type ReadOnly = Extract<StoreHealth, { kind: 'read_only' }>;

function readOnlyBecause(error: unknown): ReadOnly {
  const detail = messageOf(error);
  const isFull = codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT' || isDiskFull(detail);
  return { kind: 'read_only', cause: isFull ? 'disk_full' : 'disk_failure', detail };
}

function didNotHappen({ cause, detail }: ReadOnly): TercetError {
  return cause === 'disk_full'
    ? failure('insufficient_storage', `The disk is full; the write did not happen (${detail}).`)
    : failure('disk_failure', `The disk refused the write; it did not happen (${detail}).`);
}

function readFailure(error: unknown): TercetError {
  const code = codeOf(error);
  if (code === 'LEVEL_ITERATOR_NOT_OPEN' || code === 'LEVEL_DATABASE_NOT_OPEN') return reopening();
  return failure('disk_failure', `The disk failed while reading: ${messageOf(error)}`);
}

function reopening(): TercetError {
  return failure(
    'service_unavailable',
    'The store is being reopened after a disk failure; try again in a moment.',
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function lastCommitNumber(level: Level): bigint {
  const bytes = level.getSync(commitNumberKey);
  return bytes === undefined ? 0n : Buffer.from(bytes).readBigUInt64BE();
}

function encodeCommitNumber(commitNumber: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(commitNumber);
  return bytes;
}
