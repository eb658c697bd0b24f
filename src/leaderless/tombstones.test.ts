import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, horizonOf, oldTombstones } from './tombstones.ts';

const nowMs = 1_000_000;
const horizonMs = 1_000;
const times = { nowMs, horizonMs };

function checkpoint(through: number, quietMs = 0): Checkpoint {
  return { through, movedAtMs: nowMs - quietMs };
}

function horizon(sequence: number, owners: readonly (number | undefined)[], ...checkpoints: Checkpoint[]) {
  return horizonOf({ sequence, owners, checkpoints, ...times });
}

describe('the horizon below which tombstones are forgotten', () => {
  it('is what the last of all owners and checkpoints has', () => {
    expect(horizon(80, [73, 57], checkpoint(73))).toBe(57);
    expect(horizon(80, [73, 80], checkpoint(72))).toBe(72);
  });

  it('is everything where all have it, or nobody else is there', () => {
    expect([horizon(80, [80]), horizon(80, [])]).toEqual([80, 80]);
  });

  it('never passes an owner that was not compared with yet, however long it is away', () => {
    expect(horizon(80, [80, undefined])).toBe(0);
  });

  it('waits no longer for checkpoints that have not moved for longer than the horizon', () => {
    expect(horizon(80, [60], checkpoint(3, horizonMs + 1))).toBe(60);
    expect(horizon(80, [60], checkpoint(3, horizonMs))).toBe(3);
  });

  it('is never past anybody who is waited for', () => {
    const owners = fc.array(fc.option(fc.nat(100), { nil: undefined }), { maxLength: 4 });
    const checkpoints = fc.array(fc.record({ through: fc.nat(100), quietMs: fc.nat(3_000) }));
    fc.assert(
      fc.property(fc.nat(100), owners, checkpoints, (sequence, places, list) => {
        const through = horizon(sequence, places, ...list.map((one) => checkpoint(one.through, one.quietMs)));
        const awaited = list.filter(({ quietMs }) => quietMs <= horizonMs).map((one) => one.through);
        for (const place of [sequence, ...places, ...awaited])
          expect(through).toBeLessThanOrEqual(place ?? 0);
      }),
    );
  });
});

describe('tombstones below the horizon', () => {
  const dead = (sequence: number, ageMs?: number) => {
    return { sequence, deletedAtMs: ageMs === undefined ? undefined : nowMs - ageMs };
  };

  it('are due once they are older than the time for which unknown readers are waited for', () => {
    const found = { dead: [dead(3, 1_001), dead(5, 5_000)], through: 9 };
    expect(oldTombstones(found, times)).toEqual({ due: found.dead, through: 9 });
  });

  it('are looked at again from the first young one on', () => {
    const found = { dead: [dead(3, 1_001), dead(5, 1_000), dead(7, 5_000)], through: 9 };
    expect(oldTombstones(found, times)).toEqual({ due: [found.dead[0]], through: 4 });
  });

  it('are never due when nobody knows how old they are, nor looked at again', () => {
    const found = { dead: [dead(3), dead(5, 2_000), dead(7)], through: 9 };
    expect(oldTombstones(found, times)).toEqual({ due: [found.dead[1]], through: 9 });
  });
});
