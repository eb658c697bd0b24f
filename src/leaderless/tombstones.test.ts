import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { digest128 } from '../runtime/digest.ts';
import { held } from './test-revisions.ts';
import { buriedId, type Grave, horizonOf, judgeArrival, judgeBuried, type Witness } from './tombstones.ts';

const nowMs = 1_000_000;
const horizonMs = 1_000;

function witness(name: string, through: number, changes: Partial<Witness> = {}): Witness {
  return { name, through, heardAtMs: nowMs, ...changes };
}

function horizon(sequence: number, ...witnesses: readonly Witness[]) {
  return horizonOf({ sequence, witnesses, nowMs, horizonMs });
}

describe('the horizon below which tombstones are forgotten', () => {
  it('is what the last of all witnesses has', () => {
    expect(horizon(80, witness('n2', 73), witness('n3', 57), witness('phone', 73))).toEqual({
      through: 57,
      waitsFor: ['n3'],
      expired: [],
    });
  });

  it('is everything where all have it, or nobody else is there', () => {
    expect(horizon(80, witness('n2', 80))).toEqual({ through: 80, waitsFor: [], expired: [] });
    expect(horizon(80).through).toBe(80);
  });

  it('never passes a replica that was not compared with yet', () => {
    expect(horizon(80, witness('n2', 80), witness('n3', 0)).through).toBe(0);
  });

  it('waits no longer for those that were away for longer than the horizon, and names them', () => {
    const away = witness('phone', 3, { heardAtMs: nowMs - horizonMs - 1 });
    expect(horizon(80, witness('n2', 60), away)).toEqual({
      through: 60,
      waitsFor: ['n2'],
      expired: ['phone'],
    });
    expect(horizon(80, witness('n2', 60), { ...away, heardAtMs: nowMs - horizonMs }).through).toBe(3);
  });

  it('is never past anybody who is waited for', () => {
    const witnesses = fc.array(
      fc.record({ through: fc.nat(100), heardAtMs: fc.integer({ min: nowMs - 3_000, max: nowMs }) }),
    );
    fc.assert(
      fc.property(fc.nat(100), witnesses, (sequence, list) => {
        const named = list.map((one, index) => ({ ...one, name: `w${index}` }));
        const { through, expired } = horizon(sequence, ...named);
        expect(through).toBeLessThanOrEqual(sequence);
        for (const one of named)
          if (!expired.includes(one.name)) expect(through).toBeLessThanOrEqual(one.through);
      }),
    );
  });
});

describe('what arrives for the dead', () => {
  const grave: Grave = {
    idDigest: buriedId('memo', digest128),
    tombstone: '4-d' as Revision,
    contribution: '',
  };
  const arrives = (...path: readonly string[]) => judgeArrival(held(...path).path, grave);

  it('is not believed unless it was made from the tombstone', () => {
    expect(arrives('3-c', '2-b')).toBe('quarantine');
    expect(arrives('9-z', '8-y', '7-x')).toBe('quarantine');
    expect(arrives('5-e', '4-other')).toBe('quarantine');
  });

  it('is applied when somebody wrote the document anew, knowing that it was deleted', () => {
    expect(arrives('5-e', '4-d')).toBe('apply');
    expect(arrives('7-g', '6-f', '5-e', '4-d', '3-c')).toBe('apply');
  });

  it('is known when it is the tombstone, and applied where there is no grave', () => {
    expect(arrives('4-d', '3-c')).toBe('known');
    expect(judgeArrival(held('3-c').path, undefined)).toBe('apply');
  });

  it('settles what another replica has buried: kept, buried too, or asked about', () => {
    const dead = (...path: readonly string[]) => ({ ...held(...path), deleted: true });
    expect(judgeBuried([held('5-e', '4-d')], grave)).toBe('keep');
    expect(judgeBuried([dead('4-d', '3-c')], grave)).toBe('bury');
    expect(judgeBuried([], grave)).toBe('bury');
    expect(judgeBuried([held('3-c', '2-b')], grave)).toBe('quarantine');
    expect(judgeBuried([dead('4-d', '3-c'), held('4-x', '3-c')], grave)).toBe('quarantine');
  });
});
