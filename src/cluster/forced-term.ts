/** The term of a membership that is forced, which must be beyond all that the lost side could ever reach or choose. */

import { asTerm, type Term } from '../single-leader/entry.ts';

/** More elections than anybody holds: of one every millisecond a year of them. */
const electionsMax = 366 * 86_400_000;

/**
 * @param nowMs by the wall clock: elections add one at a time, and so do not come near it
 * @param known the highest term and lineage that this node has heard of; a clock that was ahead when a membership was forced has
 * left one that is later than the present one
 */
export function forcedTerm(nowMs: number, known: number): Term {
  if (nowMs > known) return asTerm(nowMs);
  // Two sides that are forced from the same term differ by their clocks, as they would without this.
  return asTerm(known + electionsMax + (nowMs % electionsMax));
}
