import { describe, expect, it } from 'vitest';
import { absent, type ClientRecord } from '../history.ts';
import { SeededRandom } from '../random.ts';
import { checkLinearizability } from './linearizability.ts';
import { conflict, read, unanswered, write } from './test-records.ts';

const good: Record<string, readonly ClientRecord[]> = {
  'operations one after the other': [
    write(absent, 1, { from: 0 }),
    read(1, { from: 2 }),
    write(1, 2, { from: 4 }),
    read(2, { from: 6 }),
  ],
  'a read beside a write that sees either state': [
    write(absent, 1, { from: 0, to: 10 }),
    read(absent, { from: 1 }),
    read(1, { from: 3 }),
  ],
  'an unanswered write that took effect late': [
    unanswered(absent, 1, 0),
    read(absent, { from: 5 }),
    read(1, { from: 7 }),
  ],
  'an unanswered write that never took effect': [
    unanswered(absent, 1, 0),
    write(absent, 2, { from: 5 }),
    read(2, { from: 7 }),
  ],
  'a conflict with a write that came between': [
    write(absent, 1, { from: 0 }),
    conflict(absent, 2, { from: 2 }),
  ],
  'a conflict that only an unanswered write explains': [
    unanswered(absent, 1, 0),
    conflict(absent, 2, { from: 2 }),
  ],
  'an async write that died with its leader': [
    write(absent, 1, { from: 0 }, { ack: { kind: 'async', disksMin: 1 } }),
    read(absent, { from: 2 }),
  ],
  'a weaker read of an old state': [
    write(absent, 1, { from: 0 }),
    read(absent, { from: 2 }, { level: 'eventual' }),
  ],
};

const bad: Record<string, readonly ClientRecord[]> = {
  'a read of an old value after the write was acknowledged': [
    write(absent, 1, { from: 0 }),
    write(1, 2, { from: 2 }),
    read(1, { from: 4 }),
  ],
  'two reads that see a write come and go': [
    write(absent, 1, { from: 0, to: 10 }),
    read(1, { from: 1 }),
    read(absent, { from: 3 }),
  ],
  'two acknowledged writes over the same value': [
    write(absent, 1, { from: 0, to: 5 }),
    write(absent, 2, { from: 1, to: 6 }),
  ],
  'a conflict where nothing was in the way': [conflict(absent, 1, { from: 0 }), read(absent, { from: 2 })],
  'a write seen before it was called': [read(1, { from: 0 }), write(absent, 1, { from: 2 })],
  'a refused write that is read': [
    write(absent, 1, { from: 0 }, { result: { kind: 'refused', at: 1_000_000 } }),
    read(1, { from: 2 }),
  ],
  'an acknowledged write that was lost': [
    write(absent, 1, { from: 0 }),
    read(absent, { from: 2 }),
    read(absent, { from: 4 }),
  ],
};

describe('linearizability', () => {
  it.each(Object.entries(good))('accepts %s', (_name, records) => {
    expect(checkLinearizability(records)).toEqual([]);
  });

  it.each(Object.entries(bad))('flags %s', (_name, records) => {
    expect(checkLinearizability(records)).toMatchObject([{ checker: 'linearizability' }]);
  });

  it('judges each document for itself', () => {
    const other = read(absent, { from: 5 }, { document: 'd2' });
    expect(checkLinearizability([write(absent, 1, { from: 0 }), other])).toEqual([]);
    const lost = read(absent, { from: 5 });
    const [violation] = checkLinearizability([write(absent, 1, { from: 0 }), other, lost]);
    expect(violation?.message).toMatch(/^d1: .*after 1 of 2 operations the value is 1.*c2 read at n2 = 0/);
  });

  it('accepts what a variable answered to many concurrent clients, and flags one wrong answer in it', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const records = historyOfVariable(new SeededRandom(seed));
      expect(checkLinearizability(records)).toEqual([]);
      const wrong = records.map((record, index) =>
        index === records.length - 1 ? read(987_654, { from: 1_000 }) : record,
      );
      expect(checkLinearizability(wrong)).toHaveLength(1);
    }
  });
});

/** Clients whose calls last 8 s each, of which the variable is touched at one moment in between. */
function historyOfVariable(random: SeededRandom): ClientRecord[] {
  let value = absent;
  const records: ClientRecord[] = [];
  for (let step = 1; step <= 300; step += 1) {
    const times = { from: step - random.next() * 4, to: step + random.next() * 4 };
    const expected = random.chance(0.8) ? value : -1;
    if (random.chance(0.4)) records.push(read(value, times));
    else if (expected !== value) records.push(conflict(expected, step, times));
    else if (random.chance(0.2)) {
      records.push(unanswered(expected, step, times.from));
      if (random.chance(0.5)) value = step;
    } else {
      records.push(write(expected, step, times));
      value = step;
    }
  }
  return records;
}
