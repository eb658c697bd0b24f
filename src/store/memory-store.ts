/**
 * The store in memory: for the simulator, the browser and tests. It keeps the port's promises, and can break like a disk.
 *
 * A group of commits is durable, and visible, once the injected `sync` resolves. Everything durable lives in a `MemoryDisk`
 * that survives the store:
 *
 *   commit(a) → sync… → durable, visible          crash() here keeps a
 *   commit(b) → sync…                             crash() here loses b, which nobody was told of
 *
 * A `sync` that rejects with a TercetError fails its group with that error and leaves no trace of it: a full disk is
 * `failure('insufficient_storage')`. Left out: space on disk (`approximateBytes` counts bytes of entries).
 */

import { assert, TercetError } from '../errors.ts';
import { GroupCommit } from './group-commit.ts';
import { SortedEntries } from './sorted-entries.ts';
import type { CommitOptions, Entry, KeyRange, Operation, ScanOptions, Store, StoreHealth } from './store.ts';

export interface MemoryStoreOptions {
  /** Called once for each group of commits: the fsync. Resolves at once if left out. */
  readonly sync?: () => Promise<void>;
}

export interface MemoryStore extends Store {
  /** Ends this store as a power cut does; the store returned holds what was durable. Commits on their way never settle. */
  crash(): MemoryStore;
  /** How many groups were made durable. */
  syncCount(): number;
}

const groupBytesMax = 4_194_304;
const chunkBytesDefault = 65_536;
const noBytes = new Uint8Array(0);

/** A new, empty store. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new MemoryStoreOn(new SortedEntries(), options);
}

class MemoryStoreOn implements MemoryStore {
  readonly #entries: SortedEntries;
  readonly #sync: () => Promise<void>;
  readonly #options: MemoryStoreOptions;
  readonly #group: GroupCommit;
  #state: 'open' | 'closed' | 'crashed' = 'open';
  #health: StoreHealth = { kind: 'writable' };
  #syncs = 0;

  constructor(entries: SortedEntries, options: MemoryStoreOptions) {
    this.#entries = entries;
    this.#options = options;
    this.#sync = options.sync ?? (async () => {});
    this.#group = new GroupCommit({ groupBytesMax, write: (operations) => this.#write(operations) });
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#assertOpen();
    return this.#entries.get(key);
  }

  scan(range: KeyRange, options: ScanOptions = {}): AsyncIterable<readonly Entry[]> {
    this.#assertOpen();
    const snapshot = this.#entries.snapshot();
    return this.#chunks(snapshot, range, options);
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
    this.#assertOpen();
    let bytes = 0;
    for (const { key, value } of this.#entries.range(range.from, range.to, false)) {
      bytes += key.byteLength + value.byteLength;
    }
    return bytes;
  }

  async reclaim(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed';
    await this.#group.idle();
  }

  crash(): MemoryStore {
    this.#state = 'crashed';
    return new MemoryStoreOn(this.#entries.snapshot(), this.#options);
  }

  syncCount(): number {
    return this.#syncs;
  }

  async #write(operations: readonly Operation[]): Promise<void> {
    try {
      await this.#sync();
    } catch (error) {
      if (error instanceof TercetError) this.#health = readOnlyBecause(error);
      throw error;
    }
    // A crashed store must stay silent: its callers died with it.
    if (this.#state === 'crashed') await new Promise<never>(() => {});
    this.#health = { kind: 'writable' };
    this.#syncs += 1;
    for (const operation of operations) {
      if (operation.kind === 'put') this.#entries.put(ownEntry(operation));
      else this.#entries.delete(operation.key);
    }
  }

  async *#chunks(
    snapshot: SortedEntries,
    range: KeyRange,
    options: ScanOptions,
  ): AsyncGenerator<readonly Entry[]> {
    const { limit = Number.POSITIVE_INFINITY, chunkBytes = chunkBytesDefault, keysOnly = false } = options;
    let chunk: Entry[] = [];
    let bytes = 0;
    let count = 0;
    for (const { key, value } of snapshot.range(range.from, range.to, options.reverse ?? false)) {
      if (count >= limit) break;
      count += 1;
      const entry = { key, value: keysOnly ? noBytes : value };
      chunk.push(entry);
      bytes += entry.key.byteLength + entry.value.byteLength;
      if (bytes < chunkBytes) continue;
      yield chunk;
      this.#assertOpen();
      chunk = [];
      bytes = 0;
    }
    if (chunk.length > 0) yield chunk;
  }

  #assertOpen(): void {
    assert(this.#state === 'open', `the store is ${this.#state}`);
  }
}

function readOnlyBecause(error: TercetError): StoreHealth {
  const cause = error.code === 'insufficient_storage' ? 'disk_full' : 'disk_failure';
  return { kind: 'read_only', cause, detail: error.reason };
}

/** Callers may reuse their buffers once a commit has resolved, so the store keeps copies. */
function ownEntry({ key, value }: Entry): Entry {
  return { key: key.slice(), value: value.slice() };
}
