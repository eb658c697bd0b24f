/**
 * Every change of the log goes through here, so that what is derived from it (epochs, memberships) and what has to
 * reach the disk never part from it.
 */

import { assert } from '../errors.ts';
import type { Entry, EntryBody, LogIndex, Membership, StatePoint } from './entry.ts';
import { plus } from './entry.ts';
import { epochsIn, epochsThrough } from './epochs.ts';
import {
  appendEntries,
  entriesBetween,
  lastIndex,
  resetLog,
  termAt,
  truncatePrefix,
  truncateTail,
} from './log.ts';
import { hasSay, type PlacedMembership } from './membership.ts';
import { truncateUnderway } from './outbox.ts';
import { handOver } from './recovered-writes.ts';
import type { Raft } from './state.ts';

export function membershipsIn(entries: readonly Entry[]): PlacedMembership[] {
  const memberships: PlacedMembership[] = [];
  for (const { index, body } of entries) {
    if (body.kind === 'membership') memberships.push({ index, membership: body.membership });
  }
  return memberships;
}

/** The membership in force: the latest in the log, committed or not (thesis §4.1). */
export function membershipOf(raft: Raft): Membership | undefined {
  return raft.memberships.at(-1)?.membership;
}

/** A membership was forced without this replica: what it has is not what the group goes on with, until it is taken in again. */
export function isFencedOut(raft: Raft): boolean {
  const membership = membershipOf(raft);
  return membership !== undefined && !hasSay(membership, raft.lineage);
}

export function append(raft: Raft, entries: readonly Entry[]): void {
  appendEntries(raft.log, entries);
  raft.epochs.push(...epochsIn(entries));
  raft.memberships.push(...membershipsIn(entries));
  raft.outbox.unsaved.entries.push(...entries);
}

/** Appends one entry of the current term and returns its index. */
export function appendOwn(raft: Raft, body: EntryBody): LogIndex {
  const index = plus(lastIndex(raft.log), 1);
  append(raft, [{ index, term: raft.term, body }]);
  return index;
}

/** Forgets the entries from `from` on, after handing over what they say. */
export function truncate(raft: Raft, from: LogIndex): void {
  assert(from > raft.commit, 'raft invariant 1: what is committed is never truncated');
  const { outbox } = raft;
  const forgotten = truncateTail(raft.log, from);
  outbox.unsaved.recovered.push(...handOver(forgotten, raft.epochs));
  outbox.unsaved.truncateFrom = from;
  truncateUnderway(outbox, from);
  raft.epochs = epochsThrough(raft.epochs, plus(from, -1));
  raft.memberships = raft.memberships.filter((placed) => placed.index < from);
}

/** Begins the log anew after a fetched state; hands over what is in it from `recoverFrom` on. */
export function resetTo(raft: Raft, point: StatePoint, recoverFrom: LogIndex): void {
  const { log, outbox } = raft;
  const forgotten = recoverFrom > log.start.index ? recoverFrom : plus(log.start.index, 1);
  const entries = entriesBetween(log, forgotten, lastIndex(log));
  outbox.unsaved.recovered.push(...handOver(entries, raft.epochs));
  outbox.unsaved.reset = true;
  outbox.unsaved.start = point;
  resetLog(log, point);
  truncateUnderway(outbox, plus(point.index, 1));
  raft.epochs = [...point.epochs];
  raft.memberships = placedAt(point);
  raft.commit = point.index;
}

export function placedAt({ index, membership }: StatePoint): PlacedMembership[] {
  return membership === undefined ? [] : [{ index, membership }];
}

/** Forgets the entries through `through`, which live on in the applied state. */
export function forgetPrefix(raft: Raft, through: LogIndex): void {
  if (through <= raft.log.start.index) return;
  assert(through <= raft.commit, 'only what is applied can be forgotten');
  const point = pointAt(raft, through);
  truncatePrefix(raft.log, through);
  raft.outbox.unsaved.start = point;
  raft.memberships = [...placedAt(point), ...raft.memberships.filter((placed) => placed.index > through)];
}

/** The facts that hold at `index`, which is committed and not before the start of the log. */
export function pointAt(raft: Raft, index: LogIndex): StatePoint {
  const term = termAt(raft.log, index);
  assert(term !== undefined && index <= raft.commit, 'the log knows what was committed there');
  const placed = raft.memberships.findLast((candidate) => candidate.index <= index);
  return { index, term, membership: placed?.membership, epochs: epochsThrough(raft.epochs, index) };
}
