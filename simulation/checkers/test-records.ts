/** Hand-written histories for the checkers' tests. Times are seconds. */

import { absent, type ReadRecord, type WriteRecord } from '../history.ts';

interface Times {
  readonly from: number;
  readonly to?: number;
}

const microseconds = (seconds: number): number => Math.round(seconds * 1_000_000);

export function write(
  expected: number,
  value: number,
  { from, to = from + 1 }: Times,
  changes: Partial<WriteRecord> = {},
): WriteRecord {
  return {
    kind: 'write',
    client: 'c1',
    document: 'd1',
    expected,
    value,
    ack: { kind: 'semi-sync', disksMin: 2 },
    invokedAt: microseconds(from),
    result: {
      kind: 'acknowledged',
      at: microseconds(to),
      index: value,
      term: 1,
      leader: 'n1',
      durableOn: ['n1', 'n2'],
      lineage: 0,
    },
    ...changes,
  };
}

export function conflict(expected: number, value: number, { from, to = from + 1 }: Times): WriteRecord {
  return write(
    expected,
    value,
    { from },
    { result: { kind: 'conflict', at: microseconds(to), index: 0, lineage: 0 } },
  );
}

export function unanswered(expected: number, value: number, from: number): WriteRecord {
  return write(expected, value, { from }, { result: { kind: 'unknown' } });
}

export function read(
  value: number,
  { from, to = from + 1 }: Times,
  changes: Partial<ReadRecord> & { readonly index?: number } = {},
): ReadRecord {
  const { index = value, ...rest } = changes;
  return {
    kind: 'read',
    client: 'c2',
    document: 'd1',
    level: 'linearizable',
    node: 'n2',
    after: absent,
    staleMicrosecondsMax: 0,
    invokedAt: microseconds(from),
    result: { kind: 'answered', at: microseconds(to), value, index, lineage: 0 },
    ...rest,
  };
}
