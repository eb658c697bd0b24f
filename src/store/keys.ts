/**
 * The key layout of a node's store. One ordered key space holds everything, so what must change together is one batch.
 *
 *   C name                     catalog: one record per database (JSON)
 *   N                          next database number (u32)
 *   X number                   keys that are to be swept: of a dropped database, or of one that never came to be
 *   F                          the group's founders, and whether this node waits to be taken in: see cluster/group-founding.ts
 *   G                          how far a group's log is applied (JSON)
 *   R group …                  a group's log: see runtime/driver-log.ts
 *   H owner* number            what a replica that did not answer has to be told: see replicas/hint-store.ts
 *   D number kind …            everything of one database, so that dropping it is one range:
 *     c                          counters, written with every batch
 *     s                          settings: security, limits (JSON)
 *     h id                       head: revision graph, winner's body            (order of _all_docs)
 *     b id* revision             bodies of stored revisions other than the winner
 *     q sequence                 by-sequence index: one entry per document, at its latest change
 *     k bucket                   how many entries the index has in a stretch of sequences (for `pending`)
 *     l id                       local document
 *     a sha256                   blob record: digest, length, where its chunks are
 *     A chunk-set number         blob chunks
 *     p purge-sequence           purge record
 *     of leaderless databases only:
 *     t part                     sums of 256 buckets of the hash tree: see database/hash-tree.ts
 *     j number                   sums that one batch changed since, and the ids it brought
 *     d number                   the same without ids, of earlier builds
 *     i hash-bucket …            which documents are in 32 buckets: see database/bucket-ids.ts
 *     g id-digest                grave of a forgotten document; the digest begins with the bucket
 *     f id* revision             revision in quarantine
 *     w                          this replica has again what it had on a disk that was lost
 *
 * Numbers are big endian, so that bytes sort as numbers do. `id*` is an id with 0x00 escaped and terminated, because a
 * revision follows it; everywhere else the id ends the key and stands as it is.
 */

import type { KeyRange } from './store.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const CATALOG = 0x43;
const NEXT_NUMBER = 0x4e;
const DROPPED = 0x58;
const DATABASE = 0x44;
const APPLIED = 0x47;
const HINT = 0x48;

/** Bytes before the kind's own part: 'D', u32 database number, kind. */
const PREFIX_BYTES = 6;
const NO_UTF8 = 0xff;

export const keyKinds = {
  counters: 0x63,
  settings: 0x73,
  head: 0x68,
  body: 0x62,
  sequence: 0x71,
  bucket: 0x6b,
  local: 0x6c,
  blob: 0x61,
  chunk: 0x41,
  purge: 0x70,
  hashPart: 0x74,
  hashDelta: 0x6a,
  earlierHashDelta: 0x64,
  bucketIds: 0x69,
  grave: 0x67,
  quarantine: 0x66,
  whole: 0x77,
} as const;

type KeyKind = (typeof keyKinds)[keyof typeof keyKinds];

export const nextNumberKey: Uint8Array = Uint8Array.of(NEXT_NUMBER);

export const appliedKey: Uint8Array = Uint8Array.of(APPLIED);

export function catalogKey(name: string): Uint8Array {
  return prefixed(CATALOG, encoder.encode(name));
}

export const catalogRange: KeyRange = { from: Uint8Array.of(CATALOG), to: Uint8Array.of(CATALOG + 1) };

export function catalogNameOf(key: Uint8Array): string {
  return decoder.decode(key.subarray(1));
}

export function droppedKey(number: number): Uint8Array {
  return prefixed(DROPPED, u32(number));
}

export const droppedRange: KeyRange = { from: Uint8Array.of(DROPPED), to: Uint8Array.of(DROPPED + 1) };

export function droppedNumberOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(1);
}

export function hintKey(owner: string, number: number): Uint8Array {
  const owned = prefixed(HINT, escaped(encoder.encode(owner)));
  const key = new Uint8Array(owned.length + 6);
  key.set(owned);
  writeU48(key, owned.length, number);
  return key;
}

export const hintsRange: KeyRange = { from: Uint8Array.of(HINT), to: Uint8Array.of(HINT + 1) };

/** All hints for one owner, from `number` on. */
export function hintsOf(owner: string): KeyRange {
  const end = prefixed(HINT, escaped(encoder.encode(owner)));
  end[end.length - 1] = 1;
  return { from: hintKey(owner, 0), to: end };
}

export function hintKeyParts(key: Uint8Array): { readonly owner: string; readonly number: number } {
  const { text, end } = unescaped(key, 1);
  return { owner: text, number: readU48(key, end) };
}

/** All keys of a database. */
export function databaseRange(number: number): KeyRange {
  return { from: prefixed(DATABASE, u32(number)), to: prefixed(DATABASE, u32(number + 1)) };
}

/** Builds and reads the keys of one database. */
export class DatabaseKeys {
  readonly #prefix: Uint8Array;

  constructor(number: number) {
    this.#prefix = prefixed(DATABASE, u32(number));
  }

  /** A key of the kinds whose own part is text: head, local. */
  ofText(kind: KeyKind, text: string): Uint8Array {
    // Most ids are ASCII, where code units are bytes: three times faster than the encoder on short ids.
    const key = this.#blank(kind, text.length);
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return this.#withTail(kind, encoder.encode(text));
      key[PREFIX_BYTES + index] = unit;
    }
    return key;
  }

  /** A key of the kinds whose own part is a number below 2^48: sequence, bucket, purge, the hash tree's. */
  ofNumber(kind: KeyKind, value: number): Uint8Array {
    const key = this.#blank(kind, 6);
    writeU48(key, PREFIX_BYTES, value);
    return key;
  }

  /** The single key of the kinds that have one: counters, settings. */
  single(kind: KeyKind): Uint8Array {
    return this.#blank(kind, 0);
  }

  body(id: string, revision: string): Uint8Array {
    return this.#withTail(keyKinds.body, concat(escaped(encoder.encode(id)), encoder.encode(revision)));
  }

  quarantined(id: string, revision: string): Uint8Array {
    return this.#withTail(keyKinds.quarantine, concat(escaped(encoder.encode(id)), encoder.encode(revision)));
  }

  /** No id's UTF-8 has the byte behind the bucket: earlier builds had a key for each id, which stood there. */
  bucketIds(firstBucket: number, number: number): Uint8Array {
    const key = this.#blank(keyKinds.bucketIds, 9);
    key[PREFIX_BYTES] = firstBucket >>> 8;
    key[PREFIX_BYTES + 1] = firstBucket;
    key[PREFIX_BYTES + 2] = NO_UTF8;
    writeU48(key, PREFIX_BYTES + 3, number);
    return key;
  }

  /** Everything that names ids of these buckets. */
  bucketIdsOf(firstBucket: number, buckets: number): KeyRange {
    return this.#bucketRange(keyKinds.bucketIds, firstBucket, buckets);
  }

  /** @param idDigest 32 hex digits */
  grave(idDigest: string): Uint8Array {
    return this.#withTail(keyKinds.grave, fromHex(idDigest));
  }

  gravesOf(bucket: number): KeyRange {
    return this.#bucketRange(keyKinds.grave, bucket, 1);
  }

  /** All bodies of one document. */
  bodiesOf(id: string): KeyRange {
    const stem = escaped(encoder.encode(id));
    const end = stem.slice();
    end[end.length - 1] = 1;
    return { from: this.#withTail(keyKinds.body, stem), to: this.#withTail(keyKinds.body, end) };
  }

  blob(sha256Hex: string): Uint8Array {
    return this.#withTail(keyKinds.blob, fromHex(sha256Hex));
  }

  chunk(chunkSetHex: string, index: number): Uint8Array {
    return this.#withTail(keyKinds.chunk, concat(fromHex(chunkSetHex), u32(index)));
  }

  /** The key of what {@link suffixOf} gave for it in another database. */
  ofSuffix(suffix: Uint8Array): Uint8Array {
    const key = Buffer.allocUnsafe(PREFIX_BYTES - 1 + suffix.length);
    key.set(this.#prefix);
    key.set(suffix, PREFIX_BYTES - 1);
    return key;
  }

  /** All keys of a kind, or those from `from` on. */
  range(kind: KeyKind, from?: Uint8Array, to?: Uint8Array): KeyRange {
    return { from: from ?? this.#blank(kind, 0), to: to ?? this.#blank((kind + 1) as KeyKind, 0) };
  }

  #bucketRange(kind: KeyKind, bucket: number, buckets: number): KeyRange {
    const next = bucket + buckets;
    const to = next > 0xffff ? this.#blank(kind + 1, 0) : this.#withTail(kind, u16(next));
    return { from: this.#withTail(kind, u16(bucket)), to };
  }

  #blank(kind: number, tailBytes: number): Uint8Array {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + tailBytes);
    key.set(this.#prefix);
    key[PREFIX_BYTES - 1] = kind;
    return key;
  }

  #withTail(kind: number, tail: Uint8Array): Uint8Array {
    const key = this.#blank(kind, tail.length);
    key.set(tail, PREFIX_BYTES);
    return key;
  }
}

/** A key without what says whose it is: its kind and the kind's own part. */
export function suffixOf(key: Uint8Array): Uint8Array {
  return key.subarray(PREFIX_BYTES - 1);
}

/** What a database's key is about. */
export function kindOf(key: Uint8Array): number | undefined {
  return key[PREFIX_BYTES - 1];
}

/** The text that ends a key of kind head or local. */
export function textOf(key: Uint8Array): string {
  return decoder.decode(key.subarray(PREFIX_BYTES));
}

/** The number that ends a key of kind sequence, bucket or purge. */
export function numberOf(key: Uint8Array): number {
  return readU48(key, PREFIX_BYTES);
}

/** Bucket and id of a key of kind bucketIds as earlier builds wrote it; undefined for one of now. */
export function earlierBucketId(
  key: Uint8Array,
): { readonly bucket: number; readonly id: string } | undefined {
  if (key[PREFIX_BYTES + 2] === NO_UTF8) return undefined;
  const bucket = (key[PREFIX_BYTES]! << 8) | key[PREFIX_BYTES + 1]!;
  return { bucket, id: decoder.decode(key.subarray(PREFIX_BYTES + 2)) };
}

export function graveIdDigestOf(key: Uint8Array): string {
  return toHex(key.subarray(PREFIX_BYTES));
}

/** Id and revision of the key of a body, or of a revision in quarantine. */
export function bodyKeyParts(key: Uint8Array): { readonly id: string; readonly revision: string } {
  const { text, end } = unescaped(key, PREFIX_BYTES);
  return { id: text, revision: decoder.decode(key.subarray(end)) };
}

export function blobOf(key: Uint8Array): string {
  return toHex(key.subarray(PREFIX_BYTES));
}

export function chunkSetOf(key: Uint8Array): string {
  return toHex(key.subarray(PREFIX_BYTES, key.length - 4));
}

/** The place of a chunk in its chunk set. */
export function chunkIndexOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(key.length - 4);
}

/** The smallest key greater than `key`. */
export function after(key: Uint8Array): Uint8Array {
  return concat(key, Uint8Array.of(0));
}

export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  bytes[at] = (high >>> 8) & 0xff;
  bytes[at + 1] = high & 0xff;
  bytes[at + 2] = (value >>> 24) & 0xff;
  bytes[at + 3] = (value >>> 16) & 0xff;
  bytes[at + 4] = (value >>> 8) & 0xff;
  bytes[at + 5] = value & 0xff;
}

export function readU48(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 8) | bytes[at + 1]!;
  const low =
    ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0;
  // A product with so high a number is a float to V8, and objects that hold floats are others to it than those with integers.
  return high === 0 ? low : high * 0x1_0000_0000 + low;
}

/** 0x00 becomes 0x00 0xff and the whole ends with 0x00 0x00, so ids keep their order and none is another's prefix. */
function escaped(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of bytes) {
    out.push(byte);
    if (byte === 0) out.push(0xff);
  }
  out.push(0, 0);
  return Uint8Array.from(out);
}

/** The text that {@link escaped} wrote at `start`, and where what follows it begins. */
function unescaped(key: Uint8Array, start: number): { readonly text: string; readonly end: number } {
  const bytes: number[] = [];
  let at = start;
  while (!(key[at] === 0 && key[at + 1] === 0)) {
    bytes.push(key[at]!);
    at += key[at] === 0 ? 2 : 1;
  }
  return { text: decoder.decode(Uint8Array.from(bytes)), end: at + 2 };
}

function prefixed(first: number, rest: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(first), rest);
}

/** One string for equal bytes, for maps and sets, which compare arrays by identity. */
export function keyName(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

function concat(left: Uint8Array, right: Uint8Array): Uint8Array {
  const joined = new Uint8Array(left.length + right.length);
  joined.set(left);
  joined.set(right, left.length);
  return joined;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
