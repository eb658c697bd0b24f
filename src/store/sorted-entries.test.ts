import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareKeys, SortedEntries } from './sorted-entries.ts';

const end = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
const start = new Uint8Array(0);

function numbersIn(entries: SortedEntries, reverse = false): number[] {
  return [...entries.range(start, end, reverse)].map(({ key }) => Buffer.from(key).readUInt32BE());
}

function keyOf(number: number): Uint8Array {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(number);
  return key;
}

test('keys are ordered by their bytes, and a prefix comes first', () => {
  const ordered = [[0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]].map((bytes) =>
    Uint8Array.from(bytes),
  );
  expect([...ordered].reverse().sort(compareKeys)).toEqual(ordered);
});

test('thousands of entries, put and deleted in any order, stay in order; snapshots stay as they were', () => {
  const step = fc.record({
    first: fc.nat(3_000),
    count: fc.nat(800),
    stride: fc.integer({ min: 1, max: 5 }),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const entries = new SortedEntries();
      const oracle = new Set<number>();
      const snapshots: { readonly seen: SortedEntries; readonly expected: readonly number[] }[] = [];
      for (const { first, count, stride, remove } of steps) {
        for (let index = 0; index < count; index += 1) {
          const number = first + ((index * 7_919) % count) * stride;
          if (remove) {
            entries.delete(keyOf(number));
            oracle.delete(number);
          } else {
            entries.put({ key: keyOf(number), value: start });
            oracle.add(number);
          }
        }
        snapshots.push({ seen: entries.snapshot(), expected: [...oracle].sort((a, b) => a - b) });
      }
      for (const { seen, expected } of snapshots) {
        expect(numbersIn(seen)).toEqual(expected);
        expect(numbersIn(seen, true)).toEqual([...expected].reverse());
      }
      for (const number of oracle) expect(entries.get(keyOf(number))).toBeDefined();
    }),
    { numRuns: 50 },
  );
});
