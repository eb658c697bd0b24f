/**
 * Does what was acknowledged and is current stay so, when an older write comes back from a deposed leader's disk?
 *
 *     d1    4 (index 10)   5 (index 12)   late 6, made from 5: current again
 *     d1    4 (index 10)   5 (index 12)   late 7, made from 4: somebody wrote since, so it may only be kept aside
 */

import { type AppliedWrite, absent, type Violation } from '../history.ts';

/** @param applied the one order of writes, by index; late ones only where they became current */
export function checkLateWrites(applied: readonly AppliedWrite[]): Violation[] {
  const current = new Map<string, AppliedWrite>();
  return applied.flatMap((write) => {
    const before = current.get(write.document);
    current.set(write.document, write);
    if (!write.isLate || (before?.value ?? absent) === write.expected) return [];
    const message =
      `${write.value} of ${write.document}, made from ${write.expected}, came back at index ${write.index} ` +
      `and displaced ${before?.value ?? 'nothing'} of index ${before?.index ?? 0}`;
    return [{ checker: 'late-writes', message }];
  });
}
