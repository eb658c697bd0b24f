import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Hint, HintBook, type HintLimits, hintLimitsDefault } from './hints.ts';

const limits: HintLimits = {
  ...hintLimitsDefault,
  bytesMax: 1_000,
  ageMsMax: 10_000,
  batchHintsMax: 3,
  batchBytesMax: 300,
  backOffMsMin: 100,
  backOffMsMax: 1_000,
};

function hint(key: string, changes: Partial<Hint> = {}): Hint {
  return { key, owner: 'n2', bytes: 10, keptAtMs: 0, ...changes };
}

function bookWith(...hints: readonly Hint[]): HintBook {
  const book = new HintBook(limits);
  for (const one of hints) book.keep(one);
  return book;
}

const keysOf = (hints: readonly Hint[]) => hints.map(({ key }) => key);

describe('a book of hints', () => {
  it('gives them oldest first, in batches, one batch at a time', () => {
    const book = bookWith(...['a', 'b', 'c', 'd'].map((key) => hint(key)));
    expect(keysOf(book.next('n2', 0))).toEqual(['a', 'b', 'c']);
    expect(book.next('n2', 0)).toEqual([]);
    expect(keysOf(book.delivered('n2', ['a', 'b', 'c']))).toEqual(['a', 'b', 'c']);
    expect(keysOf(book.next('n2', 0))).toEqual(['d']);
  });

  it('bounds a batch in bytes, but sends what is larger than a batch', () => {
    const book = bookWith(hint('a', { bytes: 400 }), hint('b', { bytes: 200 }), hint('c', { bytes: 200 }));
    expect(keysOf(book.next('n2', 0))).toEqual(['a']);
    book.delivered('n2', ['a']);
    expect(keysOf(book.next('n2', 0))).toEqual(['b']);
  });

  it('lets only its owner say that a hint arrived', () => {
    const book = bookWith(hint('a'), hint('b', { owner: 'n3' }));
    expect(book.delivered('n3', ['a'])).toEqual([]);
    expect(book.delivered('n4', ['a', 'b'])).toEqual([]);
    expect(book.bytes()).toBe(20);
  });

  it('refuses what there is no room for, and has room again after a delivery', () => {
    const book = bookWith(hint('a', { bytes: 990 }));
    expect(book.keep(hint('b', { bytes: 11 }))).toBe('full');
    book.next('n2', 0);
    book.delivered('n2', ['a']);
    expect(book.keep(hint('b', { bytes: 11 }))).toBe('kept');
  });

  it('waits longer after every failure, up to the maximum, and not at all once the owner is back', () => {
    const book = bookWith(hint('a'));
    const waits = Array.from({ length: 6 }, () => {
      book.next('n2', Number.MAX_SAFE_INTEGER);
      book.failed('n2', 0, 0);
      return book.dueAt('n2');
    });
    expect(waits).toEqual([50, 100, 200, 400, 500, 500]);
    expect(book.next('n2', 499)).toEqual([]);
    book.ownerIsBack('n2');
    expect(keysOf(book.next('n2', 0))).toEqual(['a']);
  });

  it('drops what is too old and says so; a clock that went back drops nothing', () => {
    const book = bookWith(hint('a'), hint('b', { keptAtMs: 5_000 }), hint('c', { owner: 'n3' }));
    expect(book.expire(-50_000)).toEqual([]);
    expect(keysOf(book.expire(10_001))).toEqual(['a', 'c']);
    expect(book.status()).toEqual([{ owner: 'n2', hints: 1, bytes: 10, oldestAtMs: 5_000, failures: 0 }]);
  });

  it('goes on after everything under way was withdrawn or expired', () => {
    const book = bookWith(hint('a'));
    book.next('n2', 0);
    expect(keysOf(book.withdraw('n2', ['a']))).toEqual(['a']);
    book.keep(hint('b'));
    expect(book.next('n2', 0)).toEqual([]);
    book.failed('n2', 0, 0);
    expect(keysOf(book.next('n2', 1_000))).toEqual(['b']);
  });

  it('loses no hint and keeps within its bytes, whatever happens', () => {
    const happening = fc.oneof(
      fc.record({
        kind: fc.constant('keep' as const),
        owner: fc.constantFrom('n1', 'n2'),
        bytes: fc.nat(400),
      }),
      fc.record({ kind: fc.constantFrom('next', 'deliver', 'fail'), owner: fc.constantFrom('n1', 'n2') }),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (list) => {
        const book = new HintBook(limits);
        const kept = new Map<string, Hint>();
        const sent = new Map<string, readonly Hint[]>();
        for (const [index, event] of list.entries()) {
          const { owner } = event;
          if ('bytes' in event) {
            const one = hint(`k${index}`, { owner, bytes: event.bytes });
            if (book.keep(one) === 'kept') kept.set(one.key, one);
          } else if (event.kind === 'next') {
            const batch = book.next(owner, Number.MAX_SAFE_INTEGER);
            if (batch.length > 0) sent.set(owner, batch);
          } else if (event.kind === 'fail') book.failed(owner, 0, 0.5);
          else for (const one of book.delivered(owner, keysOf(sent.get(owner) ?? []))) kept.delete(one.key);
          const bytes = [...kept.values()].reduce((sum, one) => sum + one.bytes, 0);
          expect(book.bytes()).toBe(bytes);
          expect(bytes).toBeLessThanOrEqual(limits.bytesMax);
          expect(book.status().reduce((sum, status) => sum + status.hints, 0)).toBe(kept.size);
        }
      }),
    );
  });
});
