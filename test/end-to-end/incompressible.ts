/** Text that does not shrink, neither in the store nor on the way: base64 of digests, the same in every run. */

import { createHash } from 'node:crypto';

const poolLetters = 2_000_000;
let pool: string | undefined;

/** Different for different numbers; the same for the same. `count` at most half a million. */
export function letters(number: number, count: number): string {
  pool ??= makePool();
  const from = (number * 7_919) % (poolLetters - count);
  return pool.slice(from, from + count);
}

function makePool(): string {
  const parts: string[] = [];
  for (let length = 0; length < poolLetters; length += 64) {
    // 48 bytes are 64 letters without padding.
    parts.push(createHash('sha384').update(String(length)).digest('base64'));
  }
  return parts.join('');
}
