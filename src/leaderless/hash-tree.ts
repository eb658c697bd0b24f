/**
 * What a replica holds, summed up so that two replicas find where they differ by comparing a few numbers (Merkle, 1987,
 * as Dynamo uses it for anti-entropy, §4.7).
 *
 *     level 0        1 root              every document falls into one of 65,536 buckets by its id
 *     level 1       16 nodes             a bucket's value is the sum of its documents' contributions
 *     level 2      256 nodes             a node's value is the sum of its sixteen children
 *     level 3    4,096 nodes
 *     level 4   65,536 buckets
 *
 * Sums instead of hashes of hashes: a write takes one contribution out and puts another one in, in five places, and nothing
 * has to be read again. The sum is of four 32-bit words, each modulo 2^32. Contributions are 128-bit digests, so two
 * states that differ have equal sums by an accident of 1 in 2^128. This is no defence against a replica that lies; replicas of
 * a database trust each other.
 *
 * The bucket values are what is stored, each with the commit that changes it; the levels above are made of them on opening.
 * Where replicas compare children, 64 bits of each are enough: a difference that is missed is found in the next round
 * that follows any other change there.
 */

import { assert } from '../errors.ts';

export const bucketCount = 65_536;
/** Level of the buckets. */
export const bucketLevel = 4;
const fanOut = 16;
const wordsPerValue = 4;
/** 64 bits of each of a node's children. */
const childBytes = 8;

export class HashTree {
  readonly #levels: readonly Uint32Array[];

  constructor() {
    this.#levels = Array.from(
      { length: bucketLevel + 1 },
      (_, level) => new Uint32Array(nodesAt(level) * wordsPerValue),
    );
  }

  /** Puts a stored bucket value into a new tree; 16 bytes. */
  load(bucket: number, value: Uint8Array): void {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    this.#add(bucket, (word) => view.getUint32(word * 4));
  }

  /**
   * A document of the bucket changed: its contribution before and after (see contribution.ts), undefined where there
   * is none. Gives the bucket's new value to be stored, 16 bytes.
   */
  change(bucket: number, before: string | undefined, after: string | undefined): Uint8Array {
    if (before !== after) {
      const taken = before === undefined ? undefined : wordsOf(before);
      const given = after === undefined ? undefined : wordsOf(after);
      this.#add(bucket, (word) => (given?.[word] ?? 0) - (taken?.[word] ?? 0));
    }
    return this.value(bucket);
  }

  /** A bucket's value, 16 bytes. */
  value(bucket: number): Uint8Array {
    return bytesOf(this.#levels[bucketLevel]!, bucket, wordsPerValue);
  }

  /** 32 hex digits. Equal roots: equal contents. */
  root(): string {
    return [...this.#levels[0]!].map((word) => word.toString(16).padStart(8, '0')).join('');
  }

  /** 64 bits of each of the sixteen children of a node, one after the other. */
  children(level: number, index: number): Uint8Array {
    assert(
      level >= 0 && level < bucketLevel && index >= 0 && index < nodesAt(level),
      'the node has children',
    );
    const bytes = new Uint8Array(fanOut * childBytes);
    for (let child = 0; child < fanOut; child += 1) {
      bytes.set(bytesOf(this.#levels[level + 1]!, index * fanOut + child, 2), child * childBytes);
    }
    return bytes;
  }

  #add(bucket: number, wordAt: (word: number) => number): void {
    assert(Number.isInteger(bucket) && bucket >= 0 && bucket < bucketCount, 'the bucket exists');
    const added = Array.from({ length: wordsPerValue }, (_, word) => wordAt(word));
    let index = bucket;
    for (let level = bucketLevel; level >= 0; level -= 1) {
      const words = this.#levels[level]!;
      for (let word = 0; word < wordsPerValue; word += 1) {
        // A typed array keeps the sum modulo 2^32.
        words[index * wordsPerValue + word] = words[index * wordsPerValue + word]! + added[word]!;
      }
      index = Math.floor(index / fanOut);
    }
  }
}

/** Indexes, one level down, of the children of a node in which two replicas differ. */
export function differingChildren(index: number, ours: Uint8Array, theirs: Uint8Array): readonly number[] {
  const differing: number[] = [];
  for (let child = 0; child < fanOut; child += 1) {
    const from = child * childBytes;
    for (let byte = from; byte < from + childBytes; byte += 1) {
      if (ours[byte] === theirs[byte]) continue;
      differing.push(index * fanOut + child);
      break;
    }
  }
  return differing;
}

/** The bucket of a document: FNV-1a over the id, its bits mixed by the finalizer of MurmurHash3 (both public domain). */
export function bucketOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) & (bucketCount - 1);
}

/** Nodes at a level: of a question that came from elsewhere, nothing else is answered. */
export function nodesAt(level: number): number {
  return fanOut ** level;
}

function wordsOf(contribution: string): readonly number[] {
  assert(contribution.length === 32, 'a contribution has 32 hex digits');
  return [0, 8, 16, 24].map((from) => Number.parseInt(contribution.slice(from, from + 8), 16));
}

function bytesOf(words: Uint32Array, index: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let word = 0; word < count; word += 1) view.setUint32(word * 4, words[index * wordsPerValue + word]!);
  return bytes;
}
