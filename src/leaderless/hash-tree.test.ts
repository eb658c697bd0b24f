import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import { bucketCount, bucketOf, differingChildren, HashTree } from './hash-tree.ts';

const encoder = new TextEncoder();
const contribution = (text: string) => digest128(encoder.encode(text));

function treeOf(texts: readonly string[]): HashTree {
  const tree = new HashTree();
  for (const text of texts) tree.change(bucketOf(text), undefined, contribution(text));
  return tree;
}

describe('the hash tree', () => {
  it('has a root that depends on what is in it, and not on how it came there', () => {
    const texts = fc.uniqueArray(fc.string(), { maxLength: 30 });
    fc.assert(
      fc.property(texts, fc.string(), (list, other) => {
        const tree = treeOf(list);
        const same = treeOf(list.toReversed());
        same.change(bucketOf(other), undefined, contribution(other));
        expect(same.root()).not.toBe(tree.root());
        same.change(bucketOf(other), contribution(other), undefined);
        expect(same.root()).toBe(tree.root());
      }),
      { numRuns: 20 },
    );
  });

  it('is the same again when it is made of the stored bucket values', () => {
    const tree = treeOf(['a', 'b', 'c']);
    const reopened = new HashTree();
    for (let bucket = 0; bucket < bucketCount; bucket += 1) reopened.load(bucket, tree.value(bucket));
    expect(reopened.root()).toBe(tree.root());
    expect(reopened.children(3, 17)).toEqual(tree.children(3, 17));
  });

  it('leads from the root to the bucket that differs, and nowhere else', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 30 }), fc.string(), (list, other) => {
        fc.pre(!list.includes(other));
        const [ours, theirs] = [treeOf(list), treeOf([...list, other])];
        let differing: readonly number[] = [0];
        for (let level = 0; level < 4; level += 1) {
          differing = differing.flatMap((index) =>
            differingChildren(index, ours.children(level, index), theirs.children(level, index)),
          );
        }
        expect(differing).toEqual([bucketOf(other)]);
      }),
      { numRuns: 20 },
    );
  });

  it('gives the value to be stored with the change that made it', () => {
    const tree = treeOf(['a']);
    const stored = tree.change(bucketOf('a'), contribution('a'), contribution('b'));
    expect(stored).toEqual(tree.value(bucketOf('a')));
    expect(Buffer.from(stored).toString('hex')).toBe(contribution('b'));
  });

  it('spreads ids over all buckets, also ids that are numbered', () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 100_000; index += 1) {
      const bucket = bucketOf(`doc-${index}`);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    // Of a fair spread 78 % of the buckets are met, and the fullest has about nine.
    expect(counts.size).toBeGreaterThan(bucketCount * 0.75);
    expect(Math.max(...counts.values())).toBeLessThan(15);
  });
});
