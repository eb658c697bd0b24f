/**
 * When a revision was made, by a hybrid logical clock: wall-clock time where clocks behave, a counter where they do not.
 *
 *     seen {1000, 0}   clock says  990  →  {1000, 1}      the clock went back: never below what was seen
 *     seen {1000, 1}   clock says 1005  →  {1005, 0}
 *
 * A stamp is told with a revision and is no part of its digest: the same edit made in two places stays one revision,
 * whose stamp is the lower of the two. Only `last-write-wins` asks for it.
 * Reference: Kulkarni et al., Logical Physical Clocks and Consistent Snapshots (2014), figure 5.
 */

/** Orders by time, then counter, then node, so that no two different stamps are equal. */
export interface Stamp {
  /** Wall-clock milliseconds since 1970, at most {@link stampMsMax}. */
  readonly ms: number;
  /** Counts stamps of one millisecond; at most {@link stampCounterMax}. */
  readonly counter: number;
  /** Name of the node that made the revision. */
  readonly node: string;
}

/** The time of the highest stamp made or seen. */
export type StampTime = Pick<Stamp, 'ms' | 'counter'>;

/** Six bytes: the year 10889. */
export const stampMsMax = 0xffff_ffff_ffff;
export const stampCounterMax = 0xffff;
const stampNodeLengthMax = 255;

export const beforeAllStamps: StampTime = { ms: 0, counter: 0 };

/** Negative when `a` is the earlier one. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return compareStampTimes(a, b) || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0);
}

export function compareStampTimes(a: StampTime, b: StampTime): number {
  return a.ms - b.ms || a.counter - b.counter;
}

/** What two replicas know of one revision's stamp; a revision that nobody stamped has none. */
export function mergedStamp(a: Stamp | undefined, b: Stamp | undefined): Stamp | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareStamps(a, b) <= 0 ? a : b;
}

/** The next time after the highest one seen, when the wall clock says `nowMs`. */
export function nextStampTime(seen: StampTime, nowMs: number): StampTime {
  const ms = Math.min(Math.max(Math.floor(nowMs), 0), stampMsMax);
  if (ms > seen.ms) return { ms, counter: 0 };
  if (seen.counter < stampCounterMax) return { ms: seen.ms, counter: seen.counter + 1 };
  return { ms: seen.ms + 1, counter: 0 };
}

/** The higher of two times: what a clock has seen once it has seen both. */
export function laterStampTime(a: StampTime, b: StampTime): StampTime {
  return compareStampTimes(a, b) >= 0 ? a : b;
}

/** Whether a stamp that came from elsewhere is one that can be kept. */
export function isStamp({ ms, counter, node }: Stamp): boolean {
  return (
    isWhole(ms, stampMsMax) &&
    isWhole(counter, stampCounterMax) &&
    node.length <= stampNodeLengthMax &&
    isAscii(node)
  );
}

function isWhole(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}
