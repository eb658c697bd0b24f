/**
 * Hints: what a replica that did not answer has to be told once it is back (hinted handoff; DeCandia et al., Dynamo:
 * Amazon's Highly Available Key-value Store, 2007, section 4.6).
 *
 *     write, owner is away   add()      durable here, beside the document or instead of it
 *     owner is back          ofOwner()  oldest first, told one after the other
 *     owner has it durable   remove()
 *
 * A hint names a revision; its content is read from the database when it is told.
 *
 * Hints are bounded in bytes and age, and dropping one loses no write that enough replicas hold: anti-entropy brings it
 * to the owner later. A hint that no longer fits is refused, and whoever wanted to count it must not.
 *
 * Left out: how much fits, whom to tell and when, with what back-off: the core (leaderless/hints.ts) counts what is here.
 */

import { TercetError } from '../errors.ts';
import { type Backlog, type HintBook, type HintSize, isHintOld } from '../leaderless/hints.ts';
import type { Clock, Random } from '../runtime/ports.ts';
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
}

export interface StoredHint extends Hint {
  /** Hints of an owner come in the order of their numbers, which is that of their storing. */
  readonly number: number;
  /** Wall-clock milliseconds. */
  readonly storedAtMs: number;
}

/** What became of a hint. */
export type HintEnd = 'delivered' | 'expired' | 'discarded' | 'handed_on';

/** Since the node started. */
export interface HintCounters {
  readonly stored: number;
  readonly refused: number;
  readonly delivered: number;
  readonly expired: number;
  readonly discarded: number;
  /** To who took the owner's place. */
  readonly handed_on: number;
}

export interface HintStoreOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  /** Counts what is here. */
  readonly book: HintBook;
}

/** Which hints are too old. */
export interface HintWindows {
  /** How long a database keeps hints, by its identity; undefined: the hint means nothing any more. */
  readonly windowMsOf: (identity: string) => number | undefined;
  /** The shortest of them: what is younger is kept by every database that there is. */
  readonly windowMsMin: number;
}

export class HintStore {
  readonly #options: HintStoreOptions;
  /** Keys on their way out: removing a hint twice counts once. */
  readonly #leaving = new Set<string>();
  readonly #counters = { stored: 0, refused: 0, delivered: 0, expired: 0, discarded: 0, handed_on: 0 };
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
    const { book, clock, random, store } = this.#options;
    const sizes = operations.map(sizeOf);
    if (book.keep(sizes, { nowMs: clock.monotonic(), random: random.next() }) === 'full') {
      this.#counters.refused += hints.length;
      return 'refused';
    }
    try {
      await store.commit(operations);
    } catch (cause) {
      // A hint of which nobody knows whether it is there keeps its room until the next start.
      const isThere = cause instanceof TercetError && cause.error === 'write_outcome_unknown';
      if (!isThere) book.removed(sizes);
      throw cause;
    }
    this.#counters.stored += hints.length;
    return 'stored';
  }

  /** The hints of an owner, oldest first, as they were at the call. */
  async *ofOwner(owner: string): AsyncIterable<readonly StoredHint[]> {
    for await (const entries of this.#options.store.scan(hintsOf(owner))) yield entries.map(decodeHint);
  }

  /**
   * Removes hints that were delivered, that are too old, or that mean nothing any more. Those that are gone already are
   * left out.
   */
  remove(hints: readonly StoredHint[], why: HintEnd): Promise<void> {
    return this.#remove(
      hints.map(({ owner, number }) => hintKey(owner, number)),
      why,
    );
  }

  /** Why a hint has to go without having been told; undefined when it is to be told. */
  endOf({ identity, storedAtMs }: StoredHint, { windowMsOf }: HintWindows): HintEnd | undefined {
    const windowMs = windowMsOf(identity);
    if (windowMs === undefined) return 'discarded';
    return isHintOld(storedAtMs, windowMs, this.#options.clock.now()) ? 'expired' : undefined;
  }

  /** Removes those of the hints that are not to be told any more. */
  async removeEnded(hints: readonly StoredHint[], windows: HintWindows): Promise<void> {
    for (const why of ['expired', 'discarded'] as const) {
      const ended = hints.filter((hint) => this.endOf(hint, windows) === why);
      await this.remove(ended, why);
    }
  }

  /** Removes what is not to be told any more. */
  async expire(windows: HintWindows): Promise<void> {
    for (const owner of this.#options.book.backlogs().keys()) await this.#expireOwner(owner, windows);
  }

  /** How much is kept for whom. */
  backlogs(): ReadonlyMap<string, Backlog> {
    return this.#options.book.backlogs();
  }

  counters(): HintCounters {
    return { ...this.#counters };
  }

  /** For {@link openHintStore} only. */
  found(entry: Entry): void {
    this.#lastNumber = Math.max(this.#lastNumber, hintKeyParts(entry.key).number);
    this.#options.book.found(sizeOf(entry));
  }

  /** An owner's hints are in the order of their age, so the first one that every database keeps ends the search. */
  async #expireOwner(owner: string, windows: HintWindows): Promise<void> {
    for await (const hints of this.ofOwner(owner)) {
      const nowMs = this.#options.clock.now();
      const young = hints.findIndex(({ storedAtMs }) => !isHintOld(storedAtMs, windows.windowMsMin, nowMs));
      const looked = young < 0 ? hints : hints.slice(0, young);
      await this.removeEnded(looked, windows);
      if (young >= 0) return;
    }
  }

  async #remove(keys: readonly Uint8Array[], why: HintEnd): Promise<void> {
    for (let at = 0; at < keys.length; at += REMOVED_PER_BATCH) {
      await this.#removeBatch(keys.slice(at, at + REMOVED_PER_BATCH), why);
    }
  }

  async #removeBatch(keys: readonly Uint8Array[], why: HintEnd): Promise<void> {
    const { book, store } = this.#options;
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
      book.removed(leaving.map(sizeOf));
      this.#counters[why] += leaving.length;
    } finally {
      for (const { key } of leaving) this.#leaving.delete(keyName(key));
    }
  }
}

/** Reads how many hints there are, once: it looks at each. */
export async function openHintStore(options: HintStoreOptions): Promise<HintStore> {
  const hints = new HintStore(options);
  for await (const entries of options.store.scan(hintsRange)) for (const entry of entries) hints.found(entry);
  return hints;
}

type HintHeader = Pick<StoredHint, 'database' | 'identity' | 'id' | 'revision' | 'storedAtMs'>;

/** u32 length of the header · header (JSON) */
function encodeHint(hint: Hint, storedAtMs: number): Uint8Array {
  const { database, identity, id, revision } = hint;
  const header: HintHeader = { database, identity, id, revision, storedAtMs };
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.allocUnsafe(4 + text.length);
  bytes.writeUInt32BE(text.length);
  bytes.set(text, 4);
  return bytes;
}

function decodeHint({ key, value }: Entry): StoredHint {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const header = JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32BE())) as HintHeader;
  return { ...hintKeyParts(key), ...header };
}

/** What a hint takes in the store, roughly. */
function sizeOf({ key, value }: Entry): HintSize {
  return { owner: hintKeyParts(key).owner, bytes: key.length + value.length + ENTRY_BYTES };
}
