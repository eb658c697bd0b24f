/**
 * What a hash tree over the documents of a database is made of.
 *
 * Every document belongs to one of 65,536 buckets, by the digest of its id, and contributes 128 bits to it: a digest of
 * its id and its leaves. A bucket's value is the sum of its contributions modulo 2^128, so a document that changes is
 * one subtraction and one addition, whatever else the bucket holds, and the order of changes leaves no trace:
 *
 *     value' = value - contribution(before) + contribution(now)
 *
 * The value of a node above, up to the root, is the sum of the sixteen below it:
 *
 *     level 0   1 root · level 1   16 · level 2   256 · level 3   4,096 · level 4   65,536 buckets
 *
 * Replicas whose sums are equal have equal leaves, but for an accident of 1 in 2^128. A sum is no defence against a
 * writer who looks for contents with equal sums (Wagner, A Generalized Birthday Problem, 2002): such a writer may make
 * one exchange overlook what it wrote itself.
 */

import type { Digest, Revision } from '../document/revision.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';

export const bucketCount = 65_536;
/** Children of an inner node. */
export const fanOut = 16;
/** Bytes of a sum as {@link Sums.write} lays it out. */
export const sumBytes = 16;

const encoder = new TextEncoder();
const scratch = new Uint8Array(4_096);
const zero = 0x30;
const nine = 0x39;
/** The letter a stands for ten. */
const letters = 0x61 - 10;

/** 32 hex digits that stand for a document's id: what a replica remembers of an id that it has forgotten. */
export function idDigestOf(id: string, digest: Digest): string {
  return digest(bytesOf(id));
}

/** 0 to 65,535. */
export function bucketOf(idDigest: string): number {
  return wordOf(idDigest, 0) >>> 16;
}

/**
 * What a document with these leaves adds to its bucket, as 32 hex digits. The order of the leaves does not matter, and
 * derived tombstones count nothing: one replica keeps what another one only derives (document/tree-projection.ts).
 */
export function contributionOf(idDigest: string, leaves: readonly Revision[], digest: Digest): string {
  return digest(bytesOf(`${idDigest}\n${textOf(leaves)}`));
}

/**
 * What one replica holds of one document, as 32 hex digits: what digest reads compare. It says the same of the leaves as a
 * contribution, but nothing of the document, which whoever asks has named.
 */
export function digestOfLeaves(leaves: readonly Revision[], digest: Digest): string {
  return digest(bytesOf(textOf(leaves)));
}

function textOf(leaves: readonly Revision[]): string {
  if (leaves.length === 1) return leaves[0]!;
  return leaves
    .filter((leaf) => !hasDerivedForm(leaf))
    .sort()
    .join(',');
}

/** Sums of 128 bits, four words each, the highest first. */
export class Sums {
  readonly #words: Uint32Array;

  constructor(count: number) {
    this.#words = new Uint32Array(count * 4);
  }

  /** Adds 32 hex digits to the sum at `index`. */
  add(index: number, hex: string): void {
    this.#addWords(index, wordOf(hex, 0), wordOf(hex, 8), wordOf(hex, 16), wordOf(hex, 24));
  }

  subtract(index: number, hex: string): void {
    const words = this.#words;
    const at = index * 4;
    let borrow = 0;
    for (let word = 3; word >= 0; word--) {
      const difference = words[at + word]! - wordOf(hex, word * 8) - borrow;
      borrow = difference < 0 ? 1 : 0;
      words[at + word] = difference;
    }
  }

  /** Adds a sum of `other` to the sum at `index`. */
  addSum(index: number, other: Sums, otherIndex: number): void {
    const from = other.#words;
    const at = otherIndex * 4;
    this.#addWords(index, from[at]!, from[at + 1]!, from[at + 2]!, from[at + 3]!);
  }

  hex(index: number): string {
    let text = '';
    for (let word = index * 4; word < index * 4 + 4; word++) {
      text += this.#words[word]!.toString(16).padStart(8, '0');
    }
    return text;
  }

  /** Makes the sum at `index` that of `other`. */
  copy(index: number, other: Sums, otherIndex: number): void {
    const [from, to] = [otherIndex * 4, index * 4];
    for (let word = 0; word < 4; word++) this.#words[to + word] = other.#words[from + word]!;
  }

  /** Takes the sum at `index` from 16 bytes of `bytes`, as {@link Sums.write} wrote them. */
  read(index: number, bytes: Uint8Array, at: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, sumBytes);
    for (let word = 0; word < 4; word++) this.#words[index * 4 + word] = view.getUint32(word * 4);
  }

  /** Writes the sum at `index` as 16 bytes, big endian. */
  write(index: number, bytes: Uint8Array, at: number): void {
    let place = at;
    for (let word = index * 4; word < index * 4 + 4; word++) {
      const value = this.#words[word]!;
      bytes[place++] = value >>> 24;
      bytes[place++] = value >>> 16;
      bytes[place++] = value >>> 8;
      bytes[place++] = value;
    }
  }

  #addWords(index: number, first: number, second: number, third: number, fourth: number): void {
    const words = this.#words;
    const at = index * 4;
    let sum = words[at + 3]! + fourth;
    words[at + 3] = sum;
    sum = words[at + 2]! + third + (sum > 0xffff_ffff ? 1 : 0);
    words[at + 2] = sum;
    sum = words[at + 1]! + second + (sum > 0xffff_ffff ? 1 : 0);
    words[at + 1] = sum;
    words[at] = words[at]! + first + (sum > 0xffff_ffff ? 1 : 0);
  }
}

/** The sums of one level from those of the level below it. */
export function sumsAbove(below: Sums, countBelow: number): Sums {
  const above = new Sums(countBelow / fanOut);
  for (let index = 0; index < countBelow; index++) above.addSum(Math.floor(index / fanOut), below, index);
  return above;
}

/** Eight lowercase hex digits as a number. A loop: many times faster than to cut and parse. */
function wordOf(hex: string, at: number): number {
  let word = 0;
  for (let index = at; index < at + 8; index++) {
    const code = hex.charCodeAt(index);
    word = (word << 4) | (code > nine ? code - letters : code - zero);
  }
  return word >>> 0;
}

/** The text's bytes, to be used before the next call. */
function bytesOf(text: string): Uint8Array {
  if (text.length * 3 > scratch.length) return encoder.encode(text);
  // Most ids are ASCII, and short: faster than the encoder.
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
    scratch[index] = unit;
  }
  return scratch.subarray(0, text.length);
}
