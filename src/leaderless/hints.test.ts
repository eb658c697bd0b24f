import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HintBook, type HintLimits, hintLimitsDefault, isHintOld } from './hints.ts';

const limits: HintLimits = {
  ...hintLimitsDefault,
  ...{ bytesMax: 1_000, batch: { itemsMax: 3, bytesMax: 300 } },
  ...{ backOffMsMin: 100, backOffMsMax: 1_000 },
};
const start = { nowMs: 0, random: 0 };

function hint(owner = 'n2', bytes = 10) {
  return { owner, bytes };
}

function bookWith(...hints: readonly ReturnType<typeof hint>[]): HintBook {
  const book = new HintBook(limits);
  for (const one of hints) book.found(one);
  return book;
}

describe('a book of hints', () => {
  it('lets one batch for an owner leave at a time, until nothing is left', () => {
    const book = bookWith(hint(), hint(), hint('n3'));
    expect([book.begin('n2', 0), book.begin('n2', 0), book.begin('n3', 0)]).toEqual([true, false, true]);
    book.removed([hint()]);
    book.delivered('n2');
    expect([book.dueAt('n2'), book.begin('n2', 0)]).toEqual([0, true]);
    book.removed([hint()]);
    book.delivered('n2');
    expect([book.dueAt('n2'), book.begin('n2', 0)]).toEqual([undefined, false]);
    expect([...book.backlogs()]).toEqual([['n3', { hints: 1, bytes: 10, failures: 0 }]]);
  });

  it('refuses all of what there is no room for, and has room again once something went', () => {
    const book = bookWith(hint('n2', 990));
    expect(book.keep([hint('n2', 5), hint('n3', 6)], start)).toBe('full');
    expect(book.keep([hint('n2', 5), hint('n3', 5)], start)).toBe('kept');
    book.removed([hint('n2', 990)]);
    expect(book.keep([hint('n3', 990)], start)).toBe('kept');
  });

  it('tries at first a little after the owner failed, however many hints come meanwhile', () => {
    const book = new HintBook(limits);
    book.keep([hint()], { nowMs: 1_000, random: 0 });
    book.keep([hint()], { nowMs: 1_040, random: 0.9 });
    expect(book.dueAt('n2')).toBe(1_050);
    expect([book.begin('n2', 1_049), book.begin('n2', 1_050)]).toEqual([false, true]);
  });

  it('waits longer after every failure, up to the maximum, and not at all once the owner is back', () => {
    const book = bookWith(hint());
    const waits = Array.from({ length: 6 }, () => {
      book.begin('n2', Number.MAX_SAFE_INTEGER);
      book.failed('n2', start);
      return book.dueAt('n2');
    });
    expect(waits).toEqual([50, 100, 200, 400, 500, 500]);
    expect(book.backlogs().get('n2')?.failures).toBe(6);
    expect(book.begin('n2', 499)).toBe(false);
    book.ownerIsBack('n2');
    expect(book.begin('n2', 0)).toBe(true);
    book.failed('n2', start);
    expect(book.dueAt('n2')).toBe(50);
  });

  it('tells the old from the young; a clock that went back makes nothing old', () => {
    expect([isHintOld(0, 100, 101), isHintOld(0, 100, 100), isHintOld(0, 100, -5_000)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('goes on after everything under way went, and something else came', () => {
    const book = bookWith(hint());
    book.begin('n2', 0);
    book.removed([hint()]);
    book.keep([hint()], start);
    expect([book.begin('n2', 1_000), book.dueAt('n2')]).toEqual([false, undefined]);
    book.failed('n2', start);
    expect(book.begin('n2', 1_000)).toBe(true);
  });

  it('counts what is there, keeps within its bytes, and forgets no owner, whatever happens', () => {
    const owner = fc.constantFrom('n1', 'n2');
    const happening = fc.oneof(
      fc.record({ kind: fc.constant('keep' as const), owner, bytes: fc.nat(400) }),
      fc.record({ kind: fc.constantFrom('begin', 'deliver', 'fail', 'drop', 'back'), owner }),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (list) => {
        const book = new HintBook(limits);
        const kept = new Map<string, number[]>([
          ['n1', []],
          ['n2', []],
        ]);
        const underWay = new Set<string>();
        for (const [nowMs, event] of list.entries()) {
          const its = kept.get(event.owner)!;
          const moment = { nowMs, random: 0.5 };
          if ('bytes' in event) {
            if (book.keep([event], moment) === 'kept') its.push(event.bytes);
          } else if (event.kind === 'begin') {
            if (book.begin(event.owner, nowMs)) underWay.add(event.owner);
          } else if (event.kind === 'back') book.ownerIsBack(event.owner);
          else if (event.kind === 'drop') {
            const bytes = its.shift();
            if (bytes !== undefined) book.removed([{ owner: event.owner, bytes }]);
          } else if (underWay.delete(event.owner)) {
            if (event.kind === 'deliver') book.delivered(event.owner);
            else book.failed(event.owner, moment);
          }
          const all = [...kept.values()].flat();
          expect(all.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(limits.bytesMax);
          for (const [name, sizes] of kept) {
            expect(book.backlogs().get(name)?.hints ?? 0).toBe(sizes.length);
            expect(book.backlogs().get(name)?.bytes ?? 0).toBe(sizes.reduce((sum, bytes) => sum + bytes, 0));
            if (sizes.length > 0) expect(book.dueAt(name) !== undefined || underWay.has(name)).toBe(true);
          }
        }
      }),
    );
  });
});
