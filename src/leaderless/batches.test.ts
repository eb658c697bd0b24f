import { expect, it } from 'vitest';
import { batchLength } from './batches.ts';

const limits = { itemsMax: 3, bytesMax: 300 };

it('bounds a batch in number and in bytes, but sends what is larger than a batch', () => {
  expect(batchLength([1, 1, 1, 1], limits)).toBe(3);
  expect(batchLength([400, 1], limits)).toBe(1);
  expect(batchLength([200, 100, 1], limits)).toBe(2);
  expect(batchLength([], limits)).toBe(0);
});

it('asks for no more sizes than it needs: whoever tells them reads documents', () => {
  let told = 0;
  const sizes = (function* () {
    for (;;) {
      told += 1;
      yield 200;
    }
  })();
  expect([batchLength(sizes, limits), told]).toEqual([1, 2]);
});
