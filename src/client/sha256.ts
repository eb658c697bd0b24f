/**
 * SHA-256 (FIPS 180-4) for where there is no other one that answers at once: a browser's own makes its callers wait, and
 * the cores of replication do not wait. On short inputs, which is all that they digest, it is quick enough.
 */

import type { Digest } from '../document/revision.ts';

/** The first 32 bits of the fractional parts of the roots of the first primes (§4.2.2 and §5.3.3). */
const roundConstants = primes(64).map((prime) => fractionalBits(Math.cbrt(prime)));
const initialState = primes(8).map((prime) => fractionalBits(Math.sqrt(prime)));

const blockBytes = 64;
const lengthBytes = 8;

/** SHA-256 cut to 128 bits, as 32 lowercase hex digits: what nodes use too. */
export const digest128: Digest = (bytes) =>
  sha256Words(bytes)
    .slice(0, 4)
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join('');

function sha256Words(bytes: Uint8Array): number[] {
  const padded = withPadding(bytes);
  const schedule = new Int32Array(64);
  let state = initialState;
  for (let start = 0; start < padded.byteLength; start += blockBytes) {
    for (let t = 0; t < 16; t++) schedule[t] = padded.getInt32(start + 4 * t);
    state = afterBlock(state, schedule);
  }
  return state;
}

/** A one bit, zeros, and the length in bits, up to whole blocks (§5.1.1). */
function withPadding(bytes: Uint8Array): DataView {
  const blocks = Math.ceil((bytes.length + 1 + lengthBytes) / blockBytes);
  const padded = new Uint8Array(blocks * blockBytes);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - lengthBytes, BigInt(bytes.length) * 8n);
  return view;
}

/** One round of the compression function (§6.2.2); the first 16 words of the schedule are the block. */
function afterBlock(state: readonly number[], w: Int32Array): number[] {
  for (let t = 16; t < 64; t++) {
    const [early, late] = [w[t - 15]!, w[t - 2]!];
    const sigma0 = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    const sigma1 = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    w[t] = (w[t - 16]! + sigma0 + w[t - 7]! + sigma1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number];
  for (let t = 0; t < 64; t++) {
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const sum1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const sum0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const first = (h + sum1 + choice + roundConstants[t]! + w[t]!) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + sum0 + majority) | 0];
  }
  return [a, b, c, d, e, f, g, h].map((word, index) => (word + state[index]!) | 0);
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function fractionalBits(value: number): number {
  return Math.floor((value - Math.floor(value)) * 2 ** 32) | 0;
}

function primes(count: number): number[] {
  const found: number[] = [];
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate);
  }
  return found;
}
