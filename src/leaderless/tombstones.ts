/**
 * When a deletion may be forgotten.
 *
 * A tombstone that is gone protects nobody: whoever was away during the deletion still has the document, brings it
 * along, and it is new to everyone. So a tombstone is forgotten only below the horizon, once every replica and every
 * registered checkpoint is known to be past it, and only when it is old.
 *
 *     own sequence      40 ─────── 57 ───────── 73 ──────── 80
 *     n2 has all of it  ───────────────────────── 73
 *     n3                ─────────── 57                          horizon 57: what was deleted up to here may go
 *     checkpoint phone  ───────────────────────── 73
 *
 * A replica has all of the own state up to the sequence at which a round of anti-entropy with it began, once that round
 * ended well. Sequences are places in the own changes feed: no clock decides. A clock has a say only about checkpoints
 * that have not moved for so long that nobody waits any more (`horizonMs`), and about readers of the feed that have none: for
 * them a tombstone is kept for so long. Who comes back after that is asked, not believed.
 *
 * What is forgotten leaves a grave, which judges what arrives afterwards: replication/graves.ts.
 */

/** How far a reader of this replica's changes feed is known to be. */
export interface Checkpoint {
  /** Place in the feed: everything up to it, the reader has too. */
  readonly through: number;
  /** Wall-clock milliseconds when it moved last. */
  readonly movedAtMs: number;
}

/** Wall-clock milliseconds, and how long a tombstone is kept for readers that nobody knows. */
export interface HorizonTimes {
  readonly nowMs: number;
  readonly horizonMs: number;
}

export interface HorizonQuestion extends HorizonTimes {
  /** The last place in the own changes feed. */
  readonly sequence: number;
  /**
   * Of every other owner the place up to which it has everything; undefined as long as it was not compared. Owners are few,
   * and known, so they are waited for however long that takes.
   */
  readonly owners: readonly (number | undefined)[];
  readonly checkpoints: readonly Checkpoint[];
}

/** Tombstones of the own sequences up to this may be forgotten. */
export function horizonOf({ checkpoints, horizonMs, nowMs, owners, sequence }: HorizonQuestion): number {
  const awaited = checkpoints.filter(({ movedAtMs }) => nowMs - movedAtMs <= horizonMs);
  const places = [...owners.map((through = 0) => through), ...awaited.map(({ through }) => through)];
  return Math.min(sequence, ...places);
}

export interface Tombstone {
  /** Its place in the own changes feed. */
  readonly sequence: number;
  /** Wall-clock milliseconds of the last deletion, where it was made; undefined: nobody knows, so it is never old. */
  readonly deletedAtMs: number | undefined;
}

/**
 * Which tombstones of a stretch of the feed are old enough, and up to where there is nothing left to look at again. `found`
 * are those below the horizon, in the order of the feed.
 */
export function oldTombstones<Found extends Tombstone>(
  found: { readonly dead: readonly Found[]; readonly through: number },
  { horizonMs, nowMs }: HorizonTimes,
): { readonly due: readonly Found[]; readonly through: number } {
  const timed = found.dead.filter(({ deletedAtMs }) => deletedAtMs !== undefined);
  const young = timed.findIndex(({ deletedAtMs = nowMs }) => nowMs - deletedAtMs <= horizonMs);
  // What stands behind it is mostly younger still; the next round looks from there on.
  if (young >= 0) return { due: timed.slice(0, young), through: timed[young]!.sequence - 1 };
  return { due: timed, through: found.through };
}
