import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { digest128 } from '../runtime/digest.ts';
import {
  bucketCount,
  bucketOf,
  contributionOf,
  fanOut,
  idDigestOf,
  Sums,
  sumsAbove,
} from './hash-buckets.ts';

const modulus = 1n << 128n;
const values = fc.bigInt({ min: 0n, max: modulus - 1n });
const hexOf = (value: bigint): string => value.toString(16).padStart(32, '0');

describe('sums of 128 bits', () => {
  it('are what whole numbers modulo 2^128 are', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), values), { maxLength: 20 });
    fc.assert(
      fc.property(steps, (changes) => {
        const sums = new Sums(2);
        let expected = 0n;
        for (const [adds, value] of changes) {
          if (adds) sums.add(1, hexOf(value));
          else sums.subtract(1, hexOf(value));
          expected = (expected + (adds ? value : modulus - value)) % modulus;
        }
        expect(sums.hex(1)).toBe(hexOf(expected));
        expect(sums.hex(0)).toBe(hexOf(0n));
      }),
      { numRuns: 500 },
    );
  });

  it('carry through all four words', () => {
    const sums = new Sums(1);
    sums.subtract(0, hexOf(1n));
    expect(sums.hex(0)).toBe('f'.repeat(32));
    sums.add(0, hexOf(1n));
    expect(sums.hex(0)).toBe(hexOf(0n));
  });

  it('come back from their bytes', () => {
    fc.assert(
      fc.property(values, (value) => {
        const sums = new Sums(2);
        sums.add(0, hexOf(value));
        const bytes = new Uint8Array(20);
        sums.write(0, bytes, 3);
        expect(Buffer.from(bytes).toString('hex')).toBe(`000000${hexOf(value)}00`);
        sums.read(1, bytes, 3);
        expect(sums.hex(1)).toBe(hexOf(value));
      }),
    );
  });

  it('of a level are those of sixteen below', () => {
    const below = new Sums(2 * fanOut);
    for (let index = 0; index < 2 * fanOut; index++) below.add(index, hexOf(BigInt(index)));
    const above = sumsAbove(below, 2 * fanOut);
    expect([above.hex(0), above.hex(1)]).toEqual([hexOf(120n), hexOf(376n)]);
  });
});

describe('what a document contributes', () => {
  const leaves = ['2-b', '1-a', '2-a'] as Revision[];

  it('does not depend on the order of its leaves, but on each of them and on its id', () => {
    const id = idDigestOf('x', digest128);
    const contribution = contributionOf(id, leaves, digest128);
    expect(contributionOf(id, leaves.toReversed(), digest128)).toBe(contribution);
    expect(contributionOf(id, leaves.slice(1), digest128)).not.toBe(contribution);
    expect(contributionOf(idDigestOf('y', digest128), leaves, digest128)).not.toBe(contribution);
  });

  it('goes to one of all buckets, alike for ids that look alike', () => {
    const counts = new Map<number, number>();
    for (let n = 0; n < 20_000; n++) {
      const bucket = bucketOf(idDigestOf(`document-${n}`, digest128));
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    expect(Math.max(...counts.keys())).toBeLessThan(bucketCount);
    expect(Math.max(...counts.values())).toBeLessThan(8);
    expect(counts.size).toBeGreaterThan(16_000);
  });
});
