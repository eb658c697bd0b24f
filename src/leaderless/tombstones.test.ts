import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { horizonOf, type Witness } from './tombstones.ts';

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
