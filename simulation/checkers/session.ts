/**
 * Did weaker reads keep what they did promise?
 *
 * Every answer says from which state it was read (`index`). The one order of writes says what that state held, so:
 * 1. An answer shows the value that its state held: nobody reads what never was, or what was lost later.
 * 2. A session read is from a state at or after the one the client's token names: it reads its own writes, and never goes
 *    back (read-your-writes, monotonic reads), whichever node answers.
 * 3. A bounded read is from a state that was at most so old: no write acknowledged before that is missing.
 * Eventual reads are held to the first only.
 */

import { type AppliedWrite, absent, type ClientRecord, type ReadRecord, type Violation } from '../history.ts';

export interface SessionInput {
  readonly records: readonly ClientRecord[];
  /** The one order of writes, by index. */
  readonly applied: readonly AppliedWrite[];
}

export function checkSessions(input: SessionInput): Violation[] {
  const history = byDocument(input.applied);
  return input.records.flatMap((record) => {
    if (record.kind !== 'read' || record.result.kind !== 'answered') return [];
    const { value, index } = record.result;
    const writes = history.get(record.document) ?? [];
    const held = valueAt(writes, index);
    const violations: Violation[] = [];
    if (held !== value) {
      violations.push(
        violation(record, `answered ${value} as of index ${index}, where the value was ${held}`),
      );
    }
    if (record.level === 'session' && index < record.after) {
      violations.push(violation(record, `answered from index ${index}, before the token's ${record.after}`));
    }
    const missed = record.level === 'bounded' ? missedWrite(record, input.records) : undefined;
    if (missed !== undefined) violations.push(violation(record, missed));
    return violations;
  });
}

function byDocument(applied: readonly AppliedWrite[]): Map<string, AppliedWrite[]> {
  const history = new Map<string, AppliedWrite[]>();
  for (const write of applied) {
    const writes = history.get(write.document);
    if (writes === undefined) history.set(write.document, [write]);
    else writes.push(write);
  }
  return history;
}

function valueAt(writes: readonly AppliedWrite[], index: number): number {
  let value = absent;
  for (const write of writes) {
    if (write.index > index) break;
    value = write.value;
  }
  return value;
}

function missedWrite(read: ReadRecord, records: readonly ClientRecord[]): string | undefined {
  if (read.result.kind !== 'answered') return undefined;
  const seen = read.result.index;
  const oldest = read.invokedAt - read.staleMicrosecondsMax;
  for (const record of records) {
    if (record.kind !== 'write' || record.document !== read.document) continue;
    if (record.result.kind !== 'acknowledged' || record.ack.kind === 'async') continue;
    const { at, index } = record.result;
    if (at >= oldest || index <= seen) continue;
    return (
      `allowed ${read.staleMicrosecondsMax / 1_000} ms of age and answered from index ${seen}, ` +
      `but ${record.value} was acknowledged at index ${index} ${(read.invokedAt - at) / 1_000} ms before`
    );
  }
  return undefined;
}

function violation(read: ReadRecord, message: string): Violation {
  const seconds = (read.invokedAt / 1_000_000).toFixed(6);
  return {
    checker: 'session',
    at: read.invokedAt,
    message: `${read.client}'s ${read.level} read of ${read.document} at ${read.node} (${seconds} s) ${message}`,
  };
}
