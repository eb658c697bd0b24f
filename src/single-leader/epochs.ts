/**
 * Who led when: the epochs of a log, read from the entries that began them.
 *
 *     1:epoch n1 (term 1)   2   3   4:epoch n3 (term 4)   5   →   [{1, n1, 1}, {4, n3, 4}]
 *
 * As with every other fact of the log, an epoch whose entry is truncated has not been.
 */

import { assert } from '../errors.ts';
import type { Entry, Epoch, LogIndex } from './entry.ts';

export function epochsIn(entries: readonly Entry[]): Epoch[] {
  const epochs: Epoch[] = [];
  for (const { index, term, body } of entries) {
    if (body.kind === 'epoch') epochs.push({ term, leader: body.leader, firstIndex: index });
  }
  return epochs;
}

/** The epochs that began at or before `index`. */
export function epochsThrough(epochs: readonly Epoch[], index: LogIndex): Epoch[] {
  return epochs.filter((epoch) => epoch.firstIndex <= index);
}

/** The epoch that an index belongs to; undefined before the first. */
export function epochAt(epochs: readonly Epoch[], index: LogIndex): Epoch | undefined {
  return epochs.findLast((epoch) => epoch.firstIndex <= index);
}

/** The latest that two logs both have: one term began once only, so they are equal up to there. */
export function lastCommonEpoch(left: readonly Epoch[], right: readonly Epoch[]): Epoch | undefined {
  return left.findLast((epoch) =>
    right.some(({ term, firstIndex }) => term === epoch.term && firstIndex === epoch.firstIndex),
  );
}

export function checkEpochs(epochs: readonly Epoch[]): void {
  epochs.forEach((epoch, at) => {
    const before = epochs[at - 1];
    const follows =
      before === undefined || (before.term < epoch.term && before.firstIndex < epoch.firstIndex);
    assert(follows, 'epochs follow each other in term and index');
  });
}
