/**
 * A replication group's log as keys and values: what a Raft core wants written becomes operations of the store, and what
 * the store holds becomes the state from which a core goes on.
 *
 *   R group …            everything of one group
 *     h                    hard state: term, vote, lineage (JSON)
 *     s                    the point after which the log begins (JSON)
 *     e index              entry: kind, term, payload
 *     r term index         entry that left the log and waits to be handed to the leader
 *
 * Numbers have 48 bits, since a forced term is milliseconds since 1970, and are big endian, so that entries are in order. A
 * write is one batch: its parts are on the disk together or not at all. Entries that leave the log are moved to `r` in the
 * batch that removes them, so there is no moment at which a power cut would lose them.
 *
 * Left out: the applied state. Whoever applies keeps it under keys of its own, with the index it reaches.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import {
  asIndex,
  asTerm,
  type Entry,
  type EntryBody,
  type LogIndex,
  type StatePoint,
} from '../single-leader/entry.ts';
import type { DurableState, HardState, LogWrite } from '../single-leader/events.ts';
import { readU48, writeU48 } from '../store/keys.ts';
import type { KeyRange, Operation, Entry as StoredPair } from '../store/store.ts';
import type { Settled } from './driver.ts';

const LOG = 0x52;
const HARD_STATE = 0x68;
const START = 0x73;
const ENTRY = 0x65;
const RECOVERED = 0x72;

const NUMBER_BYTES = 6;
const PREFIX_BYTES = 6;
const HEADER_BYTES = 1 + NUMBER_BYTES;

const bodyKinds: readonly EntryBody['kind'][] = ['data', 'epoch', 'membership', 'withheld'];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Commits one batch of operations; calls back in a later event. */
export type CommitOperations = (operations: readonly Operation[], settled: Settled) => void;

export interface DriverLogOptions {
  readonly group: number;
  readonly commit: CommitOperations;
  /** What {@link readLog} found. */
  readonly found: FoundLog;
}

export interface FoundLog {
  readonly start: LogIndex;
  readonly last: LogIndex;
}

/** What the node itself writes in its place among the core's writes: a state that was fetched. */
export interface StateWrite {
  readonly kind: 'state';
  readonly operations: readonly Operation[];
  readonly durable: () => void;
}

export type GroupWrite = LogWrite | StateWrite;

/** Writes one group's log. */
export class DriverLog {
  readonly #group: number;
  readonly #commit: CommitOperations;
  #start: number;
  #last: number;
  /** Go into the next batch, beside what removes them from the log. */
  #staged: Entry[] = [];

  constructor({ group, commit, found }: DriverLogOptions) {
    this.#group = group;
    this.#commit = commit;
    this.#start = found.start;
    this.#last = found.last;
  }

  /** Keeps entries that the next `persist` removes from the log, until {@link forgetRecovered}. */
  keepRecovered(entries: readonly Entry[]): void {
    this.#staged.push(...entries.filter(({ body }) => body.kind === 'data'));
  }

  /** The leader has them: they need no longer be kept. */
  forgetRecovered(entries: readonly Entry[], settled: Settled): void {
    // What no batch has taken along yet stays out: put after this delete, it would be there until the next life.
    const forgotten = new Set(entries.map(({ index, term }) => `${index}:${term}`));
    this.#staged = this.#staged.filter(({ index, term }) => !forgotten.has(`${index}:${term}`));
    this.#commit(
      entries.map((entry) => ({ kind: 'delete', key: recoveredKey(this.#group, entry) })),
      settled,
    );
  }

  /** Makes writes durable, in order, as one batch. */
  persist(writes: readonly GroupWrite[], settled: Settled): void {
    const operations = this.#staged.map((entry) =>
      putOf(recoveredKey(this.#group, entry), encodeEntry(entry)),
    );
    this.#staged = [];
    for (const write of writes) {
      if ('kind' in write) operations.push(...write.operations);
      else this.#add(write, operations);
    }
    this.#commit(operations, (error) => {
      if (error === undefined) for (const write of writes) if ('kind' in write) write.durable();
      settled(error);
    });
  }

  #add({ hardState, reset, truncateFrom, entries, start }: LogWrite, operations: Operation[]): void {
    if (hardState !== undefined)
      operations.push(putOf(keyOf(this.#group, HARD_STATE), encodeJson(hardState)));
    if (reset) {
      this.#deleteEntries(this.#start + 1, this.#last, operations);
      assert(start !== undefined, 'a log that is reset begins somewhere');
      this.#last = start.index;
    }
    if (truncateFrom !== undefined) {
      this.#deleteEntries(truncateFrom, this.#last, operations);
      this.#last = Math.min(this.#last, truncateFrom - 1);
    }
    for (const entry of entries) {
      operations.push(putOf(entryKey(this.#group, entry.index), encodeEntry(entry)));
      this.#last = entry.index;
    }
    if (start === undefined) return;
    if (!reset) this.#deleteEntries(this.#start + 1, start.index, operations);
    this.#start = start.index;
    this.#last = Math.max(this.#last, start.index);
    operations.push(putOf(keyOf(this.#group, START), encodeJson(start)));
  }

  #deleteEntries(from: number, through: number, operations: Operation[]): void {
    for (let index = from; index <= through; index += 1) {
      operations.push({ kind: 'delete', key: entryKey(this.#group, index) });
    }
  }
}

/** All keys of a group. */
export function logRange(group: number): KeyRange {
  return { from: keyOf(group, 0), to: keyOf(group + 1, 0) };
}

export interface ReadLog {
  /** Undefined: nothing was ever written. */
  readonly durable: Omit<DurableState, 'applied'> | undefined;
  readonly found: FoundLog;
  /** Entries that wait to be handed to the leader. */
  readonly recovered: readonly Entry[];
}

/** Reads what {@link logRange} of the store holds, in order of keys. */
export function readLog(pairs: Iterable<StoredPair>): ReadLog {
  let hardState: HardState = { term: asTerm(0), vote: undefined, lineage: asTerm(0) };
  let start: StatePoint | undefined;
  let isEmpty = true;
  const entries: Entry[] = [];
  const recovered: Entry[] = [];
  for (const { key, value } of pairs) {
    isEmpty = false;
    const kind = key[PREFIX_BYTES - 1];
    if (kind === HARD_STATE) hardState = decodeHardState(value);
    else if (kind === START) start = decodeJson(value) as StatePoint;
    else if (kind === ENTRY) entries.push(decodeEntry(readU48(key, PREFIX_BYTES), value));
    else if (kind === RECOVERED)
      recovered.push(decodeEntry(readU48(key, PREFIX_BYTES + NUMBER_BYTES), value));
  }
  const begin = start ?? { index: asIndex(0), term: asTerm(0), membership: undefined, epochs: [] };
  entries.forEach((entry, offset) => {
    assert(entry.index === begin.index + 1 + offset, 'the log on the disk has no gaps');
  });
  return {
    durable: isEmpty ? undefined : { hardState, start: begin, entries },
    found: { start: begin.index, last: asIndex(begin.index + entries.length) },
    recovered,
  };
}

/** The term of the entry at an index of a group's log, as its key's value has it. */
export function storedTerm(value: Uint8Array): number {
  return readU48(value, 1);
}

export function entryKey(group: number, index: number): Uint8Array {
  const key = keyOf(group, ENTRY, NUMBER_BYTES);
  writeU48(key, PREFIX_BYTES, index);
  return key;
}

function recoveredKey(group: number, { term, index }: Entry): Uint8Array {
  const key = keyOf(group, RECOVERED, 2 * NUMBER_BYTES);
  writeU48(key, PREFIX_BYTES, term);
  writeU48(key, PREFIX_BYTES + NUMBER_BYTES, index);
  return key;
}

function keyOf(group: number, kind: number, tailBytes = 0): Uint8Array {
  const key = new Uint8Array(PREFIX_BYTES + tailBytes);
  key[0] = LOG;
  new DataView(key.buffer).setUint32(1, group);
  key[PREFIX_BYTES - 1] = kind;
  return key;
}

function putOf(key: Uint8Array, value: Uint8Array): Operation {
  return { kind: 'put', key, value };
}

function encodeEntry({ term, body }: Entry): Uint8Array {
  const payload = payloadOf(body);
  const value = new Uint8Array(HEADER_BYTES + payload.length);
  value[0] = bodyKinds.indexOf(body.kind);
  writeU48(value, 1, term);
  value.set(payload, HEADER_BYTES);
  return value;
}

function payloadOf(body: EntryBody): Uint8Array {
  switch (body.kind) {
    case 'data':
      return body.data;
    case 'epoch':
      return encoder.encode(body.leader);
    case 'membership':
      return encodeJson(body.membership);
    case 'withheld':
      return new Uint8Array(0);
  }
}

function decodeEntry(index: number, value: Uint8Array): Entry {
  return {
    index: asIndex(index),
    term: asTerm(storedTerm(value)),
    body: bodyOf(bodyKinds[value[0] ?? bodyKinds.length], value.subarray(HEADER_BYTES)),
  };
}

function bodyOf(kind: EntryBody['kind'] | undefined, payload: Uint8Array): EntryBody {
  switch (kind) {
    case 'data':
      return { kind, data: payload };
    case 'epoch':
      return { kind, leader: decoder.decode(payload) as NodeId };
    case 'membership':
      return {
        kind,
        membership: decodeJson(payload) as Extract<EntryBody, { kind: 'membership' }>['membership'],
      };
    case 'withheld':
      return { kind };
    case undefined:
      throw new Error('invariant broken: a stored entry is of a known kind');
  }
}

function decodeHardState(value: Uint8Array): HardState {
  const { term, vote, lineage } = decodeJson(value) as HardState;
  return { term, vote, lineage };
}

function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

function decodeJson(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes));
}
