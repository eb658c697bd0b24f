/**
 * The port to durable storage: ordered byte keys, synchronous point reads, snapshot scans and atomic, durable commits.
 *
 * Invariants every implementation keeps (the conformance suite in test/conformance/ holds them):
 * 1. `commit` is atomic: after any crash either all operations of a batch are there or none.
 * 2. `commit` resolves only once the batch is durable; a rejected commit says if it definitely did not happen.
 * 3. Nothing of a batch is visible to `get` or `scan` before it is durable.
 * 4. Commits become visible in the order in which they were called.
 * 5. A scan sees the state at the moment of its call, whatever is committed while it runs.
 * 6. Commits that arrive while one is on its way share the next fsync (group commit).
 * 7. A patient commit waits for others to share an fsync with, for as long as it said, but not behind `hurry`. It keeps its
 *    place in the order: what is called later is durable later, or together with it.
 */

export interface KeyRange {
  /** First key of the range, included. */
  readonly from: Uint8Array;
  /** End of the range, excluded. */
  readonly to: Uint8Array;
}

export interface ScanOptions {
  readonly reverse?: boolean;
  /** At most this many entries in total. */
  readonly limit?: number;
  /** Leave values out (`value` is an empty array): cheaper where only keys are wanted. */
  readonly keysOnly?: boolean;
  /** Bytes of entries in one chunk, roughly; the default suits sequential reading. */
  readonly chunkBytes?: number;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export type Operation =
  | { readonly kind: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: Uint8Array };

export interface CommitOptions {
  /** So many milliseconds it may wait for a commit that cannot, to share its fsync; 0, the default: none. */
  readonly patienceMs?: number;
}

export type StoreHealth =
  | { readonly kind: 'writable' }
  /** Writes are refused with `cause`; reads go on; the store tries by itself to become writable again. */
  | { readonly kind: 'read_only'; readonly cause: 'disk_full' | 'disk_failure'; readonly detail: string };

export interface Store {
  /** Keys have at least one byte, here and everywhere. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** Chunks of entries in key order, read from a snapshot taken at the call. Ends early when the consumer stops. */
  scan(range: KeyRange, options?: ScanOptions): AsyncIterable<readonly Entry[]>;
  /**
   * Makes a batch durable, then visible. Its bytes must not be changed before the promise settles.
   * @throws TercetError `insufficient_storage`, `disk_failure` (both: did not happen) or `write_outcome_unknown`
   */
  commit(operations: readonly Operation[], options?: CommitOptions): Promise<void>;
  /** Somebody waits for what waits patiently: it goes to the disk now. */
  hurry(): void;
  health(): StoreHealth;
  /** Bytes on disk that a range takes, roughly. */
  approximateBytes(range: KeyRange): Promise<number>;
  /** Asks the store to give the space of deleted entries in a range back to the disk. */
  reclaim(range: KeyRange): Promise<void>;
  /** Waits for commits on their way, then closes; later calls throw, but closing again is harmless. */
  close(): Promise<void>;
}
