import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asIndex, asTerm, type Entry } from '../single-leader/entry.ts';
import type { Raft } from '../single-leader/state.ts';
import { LogMeter, truncatableThrough } from './group-truncation.ts';

const limits = { logEntriesKept: 10, logEntriesMax: 50, logBytesKept: 1_000, logBytesMax: 5_000 };

/** A leader with this many entries of so many bytes, and members that have this much. */
function leader(entryBytes: number, count: number, matches: readonly number[], start = 0): Raft {
  const entries = Array.from({ length: count }, (_, offset): Entry => {
    const data = new Uint8Array(entryBytes);
    return { index: asIndex(start + offset + 1), term: asTerm(1), body: { kind: 'data', data } };
  });
  const progress = new Map(matches.map((match, member) => [`n${member}`, { match }]));
  return { role: { kind: 'leader', progress }, log: { start: { index: start }, entries } } as unknown as Raft;
}

describe('The log loses its beginning', () => {
  it.each([
    ['of small entries by their number', leader(1, 100, [100, 100]), 90],
    ['of large entries by their bytes', leader(100, 100, [100, 100]), 90],
    ['of larger ones by fewer entries', leader(500, 100, [100, 100]), 98],
    ['of an entry that is more than is kept', leader(10_000, 100, [100, 100]), 100],
    ['less what a member lacks', leader(1, 100, [100, 70]), 60],
    ['up to a number of entries where a member is away', leader(1, 100, [100, 5]), 50],
    ['up to so many bytes where a member is away', leader(200, 100, [100, 5]), 75],
    ['from where it begins now', leader(1, 100, [1_100, 1_100], 1_000), 1_090],
  ])('%s', (_, raft, through) => {
    expect(truncatableThrough(raft, raft.log.start.index + 100, limits, new LogMeter())).toBe(through);
  });

  it('once that is worth it', () => {
    expect(truncatableThrough(leader(1, 15, [15]), 15, limits, new LogMeter())).toBeUndefined();
    expect(truncatableThrough(leader(1, 20, [20]), 20, limits, new LogMeter())).toBe(10);
    expect(truncatableThrough(leader(150, 15, [15]), 15, limits, new LogMeter())).toBe(9);
  });

  it('where it leads, and where there is anything to lose', () => {
    const follower = { ...leader(1, 100, []), role: { kind: 'follower' } } as unknown as Raft;
    expect(truncatableThrough(follower, 100, limits, new LogMeter())).toBeUndefined();
    expect(truncatableThrough(leader(1, 0, [0]), 0, limits, new LogMeter())).toBeUndefined();
    expect(truncatableThrough(leader(1, 100, [0]), 20, limits, new LogMeter())).toBeUndefined();
  });

  it('at the same place, however the log came to be as long as it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ grows: fc.nat(40), cuts: fc.nat(30), leads: fc.boolean() }), { maxLength: 12 }),
        fc.nat(400),
        (steps, entryBytes) => {
          const meter = new LogMeter();
          let [start, last] = [0, 0];
          let role: Raft['role'] | undefined;
          for (const { cuts, grows, leads } of steps) {
            last += grows;
            start = Math.min(start + cuts, last);
            const raft = leader(entryBytes, last - start, [last], start);
            // The same leadership goes on, or another one begins.
            role = leads || role === undefined ? raft.role : role;
            (role as { progress: unknown }).progress = new Map([['n0', { match: last }]]);
            const now = { ...raft, role } as Raft;
            expect(truncatableThrough(now, last, limits, meter)).toBe(
              truncatableThrough(now, last, limits, new LogMeter()),
            );
          }
        },
      ),
    );
  });
});
