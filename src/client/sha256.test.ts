import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digest128 as nativeDigest } from '../runtime/digest.ts';
import { digest128 } from './sha256.ts';

test('digests what the node digests to the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(digest128(bytes)).toBe(nativeDigest(bytes));
    }),
  );
});

test.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_000])(
  'pads %i bytes as the standard says',
  (length) => {
    const bytes = new Uint8Array(length).fill(0x61);
    expect(digest128(bytes)).toBe(nativeDigest(bytes));
  },
);
