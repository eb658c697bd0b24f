import { expect, it } from 'vitest';
import type { NodeId } from '../replication/strategy.ts';
import { asIndex, asTerm, type Entry, type EntryBody, type StatePoint } from '../single-leader/entry.ts';
import type { LogWrite } from '../single-leader/events.ts';
import { SortedEntries } from '../store/sorted-entries.ts';
import type { Operation } from '../store/store.ts';
import { DriverLog, type GroupWrite, logRange, readLog } from './driver-log.ts';

const nothing: LogWrite = {
  hardState: undefined,
  reset: false,
  truncateFrom: undefined,
  entries: [],
  start: undefined,
};
const membership = { members: [{ id: 'n1' as NodeId, kind: 'voter' as const }], lineage: asTerm(0) };

function entry(index: number, term: number, body?: EntryBody): Entry {
  const data = new TextEncoder().encode(`${index}:${term}`);
  return { index: asIndex(index), term: asTerm(term), body: body ?? { kind: 'data', data } };
}

function pointAt(index: number, term: number): StatePoint {
  return { index: asIndex(index), term: asTerm(term), membership, epochs: [] };
}

/** A log over a store in memory; `read` is what a restart finds. */
function logOn(group = 1, store = new SortedEntries()) {
  const commit = (operations: readonly Operation[], settled: (error: undefined) => void) => {
    for (const operation of operations) {
      if (operation.kind === 'put') store.put(operation);
      else store.delete(operation.key);
    }
    settled(undefined);
  };
  const read = () => {
    const { from, to } = logRange(group);
    return readLog(store.range(from, to, false));
  };
  const log = new DriverLog({ group, commit, found: read().found });
  const write = (...writes: readonly GroupWrite[]) => log.persist(writes, () => {});
  const places = () => read().durable?.entries.map(({ index, term }) => `${index}:${term}`);
  return { log, write, read, places, store };
}

it('finds nothing on an empty disk', () => {
  const { read } = logOn();
  expect(read()).toEqual({ durable: undefined, found: { start: 0, last: 0 }, recovered: [] });
});

it('reads back what was written, of every kind', () => {
  const { write, read } = logOn();
  const bodies: readonly EntryBody[] = [
    { kind: 'epoch', leader: 'n1' as NodeId },
    { kind: 'data', data: Uint8Array.of(0, 255, 7) },
    { kind: 'membership', membership },
    { kind: 'withheld' },
  ];
  const entries = bodies.map((body, offset) => entry(offset + 1, 1_700_000_000_000, body));
  const hardState = { term: asTerm(1_700_000_000_000), vote: 'n2' as NodeId, lineage: asTerm(3) };
  write({ ...nothing, hardState, entries, start: pointAt(0, 0) });
  expect(read().durable).toEqual({ hardState, start: pointAt(0, 0), entries });
  expect(read().found).toEqual({ start: 0, last: 4 });
});

it('forgets a tail, and everything that was in it', () => {
  const { write, places } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)] });
  write({ ...nothing, truncateFrom: asIndex(2), entries: [entry(2, 2)] });
  expect(places()).toEqual(['1:1', '2:2']);
});

it('forgets a prefix, and begins after its point', () => {
  const { write, places, read } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(2, 1), entry(3, 1)] });
  write({ ...nothing, start: pointAt(2, 1) });
  expect(places()).toEqual(['3:1']);
  expect(read().found).toEqual({ start: 2, last: 3 });
});

it('begins anew after a fetched state, and goes on from there, also after a restart', () => {
  const { write, places, store } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(2, 1)] });
  write({ ...nothing, reset: true, start: pointAt(9, 3) }, { ...nothing, entries: [entry(10, 3)] });
  expect(places()).toEqual(['10:3']);
  const later = logOn(1, store);
  later.write({ ...nothing, truncateFrom: asIndex(10), entries: [entry(10, 4), entry(11, 4)] });
  expect(later.places()).toEqual(['10:4', '11:4']);
});

it('keeps what leaves the log, until the leader has it', () => {
  const { log, write, read } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(2, 1)] });
  log.keepRecovered([entry(2, 1), entry(3, 1, { kind: 'withheld' })]);
  expect(read().recovered).toEqual([]);
  write({ ...nothing, truncateFrom: asIndex(2) });
  expect(read().recovered).toEqual([entry(2, 1)]);
  log.forgetRecovered([entry(2, 1)], () => {});
  expect(read().recovered).toEqual([]);
});

it('does not keep what the leader has before the log has forgotten it', () => {
  const { log, write, read } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(2, 1)] });
  log.keepRecovered([entry(1, 1), entry(2, 1)]);
  log.forgetRecovered([entry(1, 1)], () => {});
  write({ ...nothing, truncateFrom: asIndex(1) });
  expect(read().recovered).toEqual([entry(2, 1)]);
});

it('writes a fetched state in its place, and says when it is durable', () => {
  const { write, store } = logOn();
  const key = Uint8Array.of(0x41);
  let isDurable = false;
  const durable = () => {
    isDurable = store.get(key) !== undefined;
  };
  write({ kind: 'state', operations: [{ kind: 'put', key, value: key }], durable }, nothing);
  expect(isDurable).toBe(true);
});

it('leaves other groups alone', () => {
  const { write, store } = logOn(1);
  write({ ...nothing, entries: [entry(1, 1)] });
  const other = logOn(2, store);
  other.write({ ...nothing, entries: [entry(1, 7)] });
  expect([logOn(1, store).places(), other.places()]).toEqual([['1:1'], ['1:7']]);
});

it('refuses a log with a gap', () => {
  const { write, read } = logOn();
  write({ ...nothing, entries: [entry(1, 1), entry(3, 1)] });
  expect(read).toThrow('no gaps');
});
