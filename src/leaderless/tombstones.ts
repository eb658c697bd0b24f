/**
 * When a deletion may be forgotten.
 *
 * A tombstone that is gone protects nobody: whoever was away during the deletion still has the document, brings it
 * along, and it is new to everyone. So a tombstone is forgotten only below the horizon: once every replica and every
 * registered checkpoint is known to be past it.
 *
 *     own sequence      40 ─────── 57 ───────── 73 ──────── 80
 *     n2 has all of it  ───────────────────────── 73
 *     n3                ─────────── 57                          horizon 57: what was deleted up to here may go
 *     checkpoint phone  ───────────────────────── 73
 *
 * A replica has all of the own state up to the sequence at which a round of anti-entropy with it began, once that round
 * ended well. Sequences are places in the own changes feed: no clock decides. A clock has a say only about who was away
 * so long that nobody waits any more (`horizonMs`); who comes back after that is asked, not believed.
 *
 * What is forgotten leaves a grave, which judges what arrives afterwards: replication/graves.ts.
 */

/** How far somebody is known to have what this replica has. */
export interface Witness {
  /** A replica's name, or the id of a checkpoint. */
  readonly name: string;
  /** Place in this replica's changes feed: everything up to it, the other has too. */
  readonly through: number;
  /** Wall-clock milliseconds when it was last heard of. */
  readonly heardAtMs: number;
}

export interface Horizon {
  /** Tombstones of the own sequences up to this may be forgotten. */
  readonly through: number;
  /** Whom a later one waits for. */
  readonly waitsFor: readonly string[];
  /** Nobody waits for these any more. What they bring of the forgotten goes to quarantine. */
  readonly expired: readonly string[];
}

export interface HorizonQuestion {
  /** The last place in the own changes feed. */
  readonly sequence: number;
  /** Every other replica, heard of or not, and every registered checkpoint. */
  readonly witnesses: readonly Witness[];
  /** Wall-clock milliseconds. */
  readonly nowMs: number;
  readonly horizonMs: number;
}

export function horizonOf({ sequence, witnesses, nowMs, horizonMs }: HorizonQuestion): Horizon {
  const expired = witnesses.filter(({ heardAtMs }) => nowMs - heardAtMs > horizonMs);
  const awaited = witnesses.filter((witness) => !expired.includes(witness));
  const through = awaited.reduce((least, witness) => Math.min(least, witness.through), sequence);
  const waitsFor = awaited.filter((witness) => witness.through === through && through < sequence);
  return { through, waitsFor: waitsFor.map(({ name }) => name), expired: expired.map(({ name }) => name) };
}
