/**
 * Hints: what a replica that did not answer has to be told once it is back (hinted handoff; DeCandia et al., Dynamo:
 * Amazon's Highly Available Key-value Store, 2007, section 4.6).
 *
 *     write, owner is away   add()      durable here, beside the document or instead of it
 *     owner is back          ofOwner()  oldest first, told one after the other
 *     owner has it durable   remove()
 *
 * A hint names a revision; its content is read from the database when it is told. Only a stand-in, which holds no
 * replica of the database, keeps the content in the hint.
 *
 * Hints are bounded in bytes and age, and dropping one loses no write that enough replicas hold: anti-entropy brings it
 * to the owner later. A hint that no longer fits is refused, and whoever wanted to count it must not.
 *
 * Left out: whom to tell and when, with what back-off.
 */

import { TercetError } from '../errors.ts';
import type { Clock } from '../runtime/ports.ts';
import { hintKey, hintKeyParts, hintsOf, hintsRange, keyName } from '../store/keys.ts';
import type { Entry, Operation, Store } from '../store/store.ts';

/** Hints of one batch when many are removed. */
const REMOVED_PER_BATCH = 1_000;
/** What an entry costs beside its key and value, roughly. */
const ENTRY_BYTES = 16;

export interface Hint {
  /** Name of the node that has to be told. */
  readonly owner: string;
  readonly database: string;
  /** Names the database on all nodes: one of the same name with another identity makes the hint mean nothing. */
  readonly identity: string;
  readonly id: string;
  readonly revision: string;
  /** What to tell, in the form in which nodes tell it; undefined where the database here holds the revision. */
  readonly content: Uint8Array | undefined;
}

export interface StoredHint extends Hint {
  /** Hints of an owner come in the order of their numbers, which is that of their storing. */
  readonly number: number;
  /** Wall-clock milliseconds. */
  readonly storedAtMs: number;
}

export interface HintTally {
  readonly hints: number;
  /** Roughly what they take in the store. */
  readonly bytes: number;
}

/** Since the node started. */
export interface HintCounters {
  readonly stored: number;
  readonly refused: number;
  readonly delivered: number;
  readonly expired: number;
  readonly discarded: number;
}

export interface HintStoreOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Of all owners together. */
  readonly bytesMax: number;
  /** Older hints are not told any more, and go with the next {@link HintStore.expire}. */
  readonly ageMsMax: number;
}

export class HintStore {
  readonly #options: HintStoreOptions;
  readonly #tallies = new Map<string, { hints: number; bytes: number }>();
  /** Keys on their way out: removing a hint twice counts once. */
  readonly #leaving = new Set<string>();
  readonly #counters = { stored: 0, refused: 0, delivered: 0, expired: 0, discarded: 0 };
  #bytes = 0;
  #lastNumber = 0;

  /** Use {@link openHintStore}. */
  constructor(options: HintStoreOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the hints are durable, all of them, or with `refused` when they do not fit: none is stored then.
   * @throws TercetError of the store
   */
  async add(hints: readonly Hint[]): Promise<'stored' | 'refused'> {
    const storedAtMs = this.#options.clock.now();
    const operations = hints.map((hint): Operation & { readonly kind: 'put' } => {
      this.#lastNumber += 1;
      return { kind: 'put', key: hintKey(hint.owner, this.#lastNumber), value: encodeHint(hint, storedAtMs) };
    });
    const bytes = operations.reduce((sum, operation) => sum + bytesOf(operation), 0);
    if (this.#bytes + bytes > this.#options.bytesMax) {
      this.#counters.refused += hints.length;
      return 'refused';
    }
    for (const operation of operations) this.#count(operation, 1);
    try {
      await this.#options.store.commit(operations);
    } catch (cause) {
      // A hint of which nobody knows whether it is there keeps its room until the next start.
      const isThere = cause instanceof TercetError && cause.error === 'write_outcome_unknown';
      if (!isThere) for (const operation of operations) this.#count(operation, -1);
      throw cause;
    }
    this.#counters.stored += hints.length;
    return 'stored';
  }

  /** The hints of an owner that are not too old, oldest first, as they were at the call; from number `from` on. */
  async *ofOwner(owner: string, from = 0): AsyncIterable<readonly StoredHint[]> {
    for await (const entries of this.#options.store.scan(hintsOf(owner, from))) {
      const hints = entries.map(decodeHint).filter((hint) => !this.#isExpired(hint));
      if (hints.length > 0) yield hints;
    }
  }

  /** Removes hints that were delivered, or that mean nothing any more. Those that are gone already are left out. */
  remove(hints: readonly StoredHint[], why: 'delivered' | 'discarded'): Promise<void> {
    return this.#remove(
      hints.map(({ owner, number }) => hintKey(owner, number)),
      why,
    );
  }

  /** Removes all hints for a node that will not come back. */
  async forgetOwner(owner: string): Promise<void> {
    for await (const entries of this.#options.store.scan(hintsOf(owner), { keysOnly: true })) {
      await this.#remove(
        entries.map(({ key }) => key),
        'discarded',
      );
    }
  }

  /** Removes hints that are too old; gives how many. */
  async expire(): Promise<number> {
    const before = this.#counters.expired;
    for (const owner of [...this.#tallies.keys()]) await this.#expireOwner(owner);
    return this.#counters.expired - before;
  }

  /** Owners with hints. */
  tallies(): ReadonlyMap<string, HintTally> {
    return this.#tallies;
  }

  counters(): HintCounters {
    return { ...this.#counters };
  }

  /** For {@link openHintStore} only. */
  found(entry: Entry): void {
    this.#lastNumber = Math.max(this.#lastNumber, hintKeyParts(entry.key).number);
    this.#count(entry, 1);
  }

  /** An owner's hints are in the order of their age, so the first one that is young enough ends the search. */
  async #expireOwner(owner: string): Promise<void> {
    for await (const entries of this.#options.store.scan(hintsOf(owner))) {
      const fresh = entries.findIndex((entry) => !this.#isExpired(decodeHint(entry)));
      const expired = fresh < 0 ? entries : entries.slice(0, fresh);
      await this.#remove(
        expired.map(({ key }) => key),
        'expired',
      );
      if (fresh >= 0) return;
    }
  }

  async #remove(keys: readonly Uint8Array[], why: 'delivered' | 'discarded' | 'expired'): Promise<void> {
    for (let at = 0; at < keys.length; at += REMOVED_PER_BATCH) {
      await this.#removeBatch(keys.slice(at, at + REMOVED_PER_BATCH), why);
    }
  }

  async #removeBatch(keys: readonly Uint8Array[], why: 'delivered' | 'discarded' | 'expired'): Promise<void> {
    const { store } = this.#options;
    const leaving: Entry[] = [];
    for (const key of keys) {
      const value = store.get(key);
      if (value === undefined || this.#leaving.has(keyName(key))) continue;
      this.#leaving.add(keyName(key));
      leaving.push({ key, value });
    }
    if (leaving.length === 0) return;
    try {
      await store.commit(leaving.map(({ key }) => ({ kind: 'delete', key })));
      for (const entry of leaving) this.#count(entry, -1);
      this.#counters[why] += leaving.length;
    } finally {
      for (const { key } of leaving) this.#leaving.delete(keyName(key));
    }
  }

  #count(entry: Entry, step: 1 | -1): void {
    const { owner } = hintKeyParts(entry.key);
    const tally = this.#tallies.get(owner) ?? { hints: 0, bytes: 0 };
    const bytes = step * bytesOf(entry);
    tally.hints += step;
    tally.bytes += bytes;
    this.#bytes += bytes;
    if (tally.hints === 0) this.#tallies.delete(owner);
    else this.#tallies.set(owner, tally);
  }

  #isExpired({ storedAtMs }: StoredHint): boolean {
    return this.#options.clock.now() - storedAtMs > this.#options.ageMsMax;
  }
}

/** Reads how many hints there are, once: it looks at each. */
export async function openHintStore(options: HintStoreOptions): Promise<HintStore> {
  const hints = new HintStore(options);
  for await (const entries of options.store.scan(hintsRange)) for (const entry of entries) hints.found(entry);
  return hints;
}

type HintHeader = Pick<StoredHint, 'database' | 'identity' | 'id' | 'revision' | 'storedAtMs'>;

/** u32 length of the header · header (JSON) · u8 1 when content follows · content */
function encodeHint(hint: Hint, storedAtMs: number): Uint8Array {
  const { database, identity, id, revision, content } = hint;
  const header: HintHeader = { database, identity, id, revision, storedAtMs };
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.allocUnsafe(5 + text.length + (content?.length ?? 0));
  bytes.writeUInt32BE(text.length);
  bytes.set(text, 4);
  bytes[4 + text.length] = content === undefined ? 0 : 1;
  if (content !== undefined) bytes.set(content, 5 + text.length);
  return bytes;
}

function decodeHint({ key, value }: Entry): StoredHint {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const end = 4 + bytes.readUInt32BE();
  const header = JSON.parse(bytes.toString('utf8', 4, end)) as HintHeader;
  const content = bytes[end] === 1 ? bytes.subarray(end + 1) : undefined;
  return { ...hintKeyParts(key), ...header, content };
}

function bytesOf({ key, value }: Entry): number {
  return key.length + value.length + ENTRY_BYTES;
}
