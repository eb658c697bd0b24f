/**
 * The tail of the log that a replica still has, held in memory.
 *
 *     start = (3, term 1)   entries = 4:1  5:2  6:2  7:2      persisted = 6
 *     everything through 3 lives on in the applied state       7 is on its way to the disk
 *
 * Left out: entries on the disk that memory no longer has. The driver keeps the tail short by truncating its prefix;
 * who needs more than the tail fetches a state.
 *
 * Invariants:
 * 1. Indexes have no gaps, terms never fall.
 * 2. `start.index <= persisted <= last index`.
 */

import { assert } from '../errors.ts';
import type { Entry, LogIndex, LogPosition, Term } from './entry.ts';
import { lesser, plus } from './entry.ts';

export interface Log {
  start: LogPosition;
  entries: Entry[];
  /** Durable here through this index. */
  persisted: LogIndex;
}

export function createLog(start: LogPosition, entries: readonly Entry[]): Log {
  return {
    start: { index: start.index, term: start.term },
    entries: [...entries],
    persisted: plus(start.index, entries.length),
  };
}

export function lastIndex(log: Log): LogIndex {
  return plus(log.start.index, log.entries.length);
}

export function lastPosition(log: Log): LogPosition {
  const entry = log.entries.at(-1) ?? log.start;
  return { index: entry.index, term: entry.term };
}

/** Undefined where the log does not reach: before its start or after its end. */
export function termAt(log: Log, index: LogIndex): Term | undefined {
  return index === log.start.index ? log.start.term : entryAt(log, index)?.term;
}

export function entryAt(log: Log, index: LogIndex): Entry | undefined {
  return log.entries[index - log.start.index - 1];
}

/** The log holds this very position. */
export function holds(log: Log, position: LogPosition): boolean {
  return termAt(log, position.index) === position.term;
}

/** Entries from `from` through `through`, both included. */
export function entriesBetween(log: Log, from: LogIndex, through: LogIndex): Entry[] {
  assert(from > log.start.index, 'entries before the start are gone');
  return log.entries.slice(from - log.start.index - 1, Math.max(0, through - log.start.index));
}

export function appendEntries(log: Log, entries: readonly Entry[]): void {
  for (const entry of entries) {
    assert(entry.index === lastIndex(log) + 1, 'log invariant 1: indexes have no gaps');
    assert(entry.term >= lastPosition(log).term, 'log invariant 1: terms never fall');
    log.entries.push(entry);
  }
}

/** Forgets the entries from `from` on and returns them. */
export function truncateTail(log: Log, from: LogIndex): Entry[] {
  assert(from > log.start.index, 'entries before the start cannot be truncated');
  log.persisted = lesser(log.persisted, plus(from, -1));
  return log.entries.splice(from - log.start.index - 1);
}

/** Forgets the entries through `through`. */
export function truncatePrefix(log: Log, through: LogIndex): void {
  const term = termAt(log, through);
  assert(
    term !== undefined && through <= log.persisted,
    'only what is durable in the log can be its new start',
  );
  log.entries.splice(0, through - log.start.index);
  log.start = { index: through, term };
}

/** Forgets everything: the log now begins after `start`, which a fetched state includes. */
export function resetLog(log: Log, start: LogPosition): void {
  log.start = { index: start.index, term: start.term };
  log.entries = [];
  log.persisted = start.index;
}

/**
 * The last position at or before `index` whose term is at most `term`: nothing after it can agree with a log that has
 * `term` at `index`, because terms never fall (§5.3, the last paragraphs).
 */
export function lastPossibleAgreement(log: Log, index: LogIndex, term: Term): LogPosition {
  let at = lesser(index, lastIndex(log));
  while (at > log.start.index && (termAt(log, at) as Term) > term) at = plus(at, -1);
  return { index: at, term: termAt(log, at) ?? log.start.term };
}

/** §5.4.1: the later last term wins; with equal terms the longer log does. */
export function isUpToDate(candidate: LogPosition, own: LogPosition): boolean {
  return candidate.term > own.term || (candidate.term === own.term && candidate.index >= own.index);
}

export function checkLog(log: Log): void {
  let previous: LogPosition = log.start;
  for (const entry of log.entries) {
    assert(entry.index === previous.index + 1, 'log invariant 1: indexes have no gaps');
    assert(entry.term >= previous.term, 'log invariant 1: terms never fall');
    previous = entry;
  }
  const isWithin = log.persisted >= log.start.index && log.persisted <= lastIndex(log);
  assert(isWithin, 'log invariant 2: persisted lies within the log');
}
