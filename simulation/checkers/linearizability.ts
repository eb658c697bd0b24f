/**
 * Is there one order of the operations on a document, each at a moment between its call and its answer, in which a plain
 * variable would have given the same answers?
 *
 *   write 1 |-----|              an order exists: write 1, read 1, write 2
 *   read→1     |------|
 *   write 2        |-----        (never answered: anywhere after its call, or not at all)
 *
 * The search is Wing and Gong's with Lowe's memory of states already tried: take any operation that was called before
 * every operation still to be placed was answered, see if its answer fits, go on from there; go back when stuck. Two ways
 * that placed the same operations and hold the same value have the same future, so the second is not walked.
 *
 * What must be placed: answered linearizable reads, acknowledged writes, conflicts. What may be placed: writes of unknown
 * outcome, and those acknowledged `async`, because that policy does not promise that they outlive the leader.
 * Left out: reads of the weaker levels (session.ts has those), and refused writes: a value that was refused and is read all
 * the same has no place in any order.
 */

import { absent, type ClientRecord, never, type Violation, type WriteRecord } from '../history.ts';

interface Placeable {
  readonly record: ClientRecord;
  readonly calledAt: number;
  readonly answeredAt: number;
  /** The value after it, or undefined if its answer does not fit the value before. */
  readonly step: (value: number) => number | undefined;
}

interface Operations {
  /** By time of call. */
  readonly required: readonly Placeable[];
  readonly optional: readonly Placeable[];
}

interface Search {
  readonly operations: Operations;
  readonly placed: Set<Placeable>;
  readonly tried: Set<string>;
  steps: number;
  /** The most that any order could place, and what it held then; for the report. */
  best: { readonly placed: number; readonly value: number; readonly stuckAt: readonly Placeable[] };
}

const stepsMax = 3_000_000;

/** One violation for each document that has no such order. */
export function checkLinearizability(records: readonly ClientRecord[]): Violation[] {
  const documents = [...new Set(records.map((record) => record.document))].sort();
  return documents.flatMap((document) => {
    const own = records.filter((record) => record.document === document);
    return checkDocument(document, operationsOf(own));
  });
}

function checkDocument(document: string, operations: Operations): Violation[] {
  const search: Search = {
    operations,
    placed: new Set(),
    tried: new Set(),
    steps: 0,
    best: { placed: -1, value: absent, stuckAt: [] },
  };
  const found = place(search, 0, absent);
  if (found) return [];
  const { placed, value, stuckAt } = search.best;
  const why =
    search.steps > stepsMax
      ? `${stepsMax} steps did not suffice to find an order`
      : `no order explains the answers: after ${placed} of ${operations.required.length} operations ` +
        `the value is ${value}, and none of these fits: ${stuckAt.map(({ record }) => render(record)).join('; ')}`;
  return [{ checker: 'linearizability', message: `${document}: ${why}` }];
}

/** Places what is left, given that all of `required` before `start` is placed. */
function place(search: Search, start: number, value: number): boolean {
  const { required } = search.operations;
  let first = start;
  while (first < required.length && search.placed.has(required[first]!)) first += 1;
  if (first === required.length) return true;
  search.steps += 1;
  if (search.steps > stepsMax || !isNew(search, first, value)) return false;
  const candidates = candidatesFrom(search, first);
  if (search.placed.size > search.best.placed) {
    search.best = { placed: search.placed.size, value, stuckAt: candidates };
  }
  for (const candidate of candidates) {
    const after = candidate.step(value);
    if (after === undefined) continue;
    search.placed.add(candidate);
    if (place(search, first, after)) return true;
    search.placed.delete(candidate);
  }
  return false;
}

/** What was called before everything still required was answered. Earliest answer first: it usually came first. */
function candidatesFrom({ operations, placed }: Search, first: number): Placeable[] {
  const candidates: Placeable[] = [];
  let deadline = never;
  for (let index = first; index < operations.required.length; index += 1) {
    const operation = operations.required[index]!;
    if (operation.calledAt > deadline) break;
    if (placed.has(operation)) continue;
    candidates.push(operation);
    deadline = Math.min(deadline, operation.answeredAt);
  }
  const possible = candidates.filter((candidate) => candidate.calledAt <= deadline);
  possible.sort((left, right) => left.answeredAt - right.answeredAt);
  for (const operation of operations.optional) {
    if (operation.calledAt > deadline) break;
    if (!placed.has(operation)) possible.push(operation);
  }
  return possible;
}

function isNew({ operations, placed, tried }: Search, first: number, value: number): boolean {
  const { required, optional } = operations;
  const parts: number[] = [first, value];
  let left = placed.size - first;
  for (let index = 0; index < optional.length && left > 0; index += 1) {
    if (!placed.has(optional[index]!)) continue;
    parts.push(-1 - index);
    left -= 1;
  }
  for (let index = first; left > 0; index += 1) {
    if (!placed.has(required[index]!)) continue;
    parts.push(index);
    left -= 1;
  }
  const key = parts.join(' ');
  if (tried.has(key)) return false;
  tried.add(key);
  return true;
}

function operationsOf(records: readonly ClientRecord[]): Operations {
  const required: Placeable[] = [];
  const optional: Placeable[] = [];
  for (const record of records) {
    if (record.kind === 'read') {
      if (record.level !== 'linearizable' || record.result.kind !== 'answered') continue;
      const { value: seen, at } = record.result;
      const step = (value: number) => (value === seen ? value : undefined);
      required.push({ record, calledAt: record.invokedAt, answeredAt: at, step });
    } else {
      addWrite(record, required, optional);
    }
  }
  const byCall = (left: Placeable, right: Placeable) => left.calledAt - right.calledAt;
  return { required: required.sort(byCall), optional: optional.sort(byCall) };
}

function addWrite(record: WriteRecord, required: Placeable[], optional: Placeable[]): void {
  const { expected, value: written, invokedAt: calledAt, result } = record;
  const replaces = (value: number) => (value === expected ? written : undefined);
  const conflicts = (value: number) => (value === expected ? undefined : value);
  if (result.kind === 'conflict') {
    required.push({ record, calledAt, answeredAt: result.at, step: conflicts });
  } else if (result.kind === 'acknowledged' && record.ack.kind !== 'async') {
    required.push({ record, calledAt, answeredAt: result.at, step: replaces });
  } else if (result.kind !== 'refused') {
    optional.push({ record, calledAt, answeredAt: never, step: replaces });
  }
}

function render(record: ClientRecord): string {
  const seconds = (record.invokedAt / 1_000_000).toFixed(6);
  const call =
    record.kind === 'read'
      ? `read at ${record.node}`
      : `write ${record.expected}→${record.value} ${record.ack.kind}`;
  const answer = record.result.kind === 'answered' ? `= ${record.result.value}` : `: ${record.result.kind}`;
  const until = 'at' in record.result ? (record.result.at / 1_000_000).toFixed(6) : 'no answer';
  return `${record.client} ${call} ${answer} (${seconds}–${until} s)`;
}
