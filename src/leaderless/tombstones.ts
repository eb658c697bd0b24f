/**
 * When a deletion may be forgotten, and what is believed of the dead afterwards.
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
 * What is forgotten leaves a grave: a digest of the id and the tombstone's revision. The grave keeps the document's
 * place in the hash tree, so replicas that forget at different times stay equal there, and it tells the dead:
 *
 *     grave of memo: 4-d…      arrives memo 3-c…                        → quarantine
 *                              arrives memo 5-e… made from 4-d…         → applied: somebody wrote it anew
 *                              arrives memo 4-d… itself                 → known
 */

import type { RevisionPath } from '../document/document.ts';
import { type Digest, type Revision, revisionOf } from '../document/revision.ts';

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

/** What is left of a document whose tombstone was forgotten. */
export interface Grave {
  /** See {@link buriedId}. */
  readonly idDigest: string;
  readonly tombstone: Revision;
  /** What the document adds to the hash tree, unchanged; see contribution.ts. */
  readonly contribution: string;
}

const encoder = new TextEncoder();

/** The name of a grave: 32 hex digits, so that graves of long ids are as small as all others. */
export function buriedId(id: string, digest: Digest): string {
  return digest(encoder.encode(`grave\n${id}`));
}

export type ArrivalVerdict = 'apply' | 'known' | 'quarantine';

/** What becomes of a revision that arrives for a document of which nothing but a grave is known here. */
export function judgeArrival(path: RevisionPath, grave: Grave | undefined): ArrivalVerdict {
  if (grave === undefined) return 'apply';
  const back = path.ids.findIndex((id, index) => revisionOf(path.start - index, id) === grave.tombstone);
  return back === 0 ? 'known' : back > 0 ? 'apply' : 'quarantine';
}

/**
 * What becomes of a document here that another replica has buried: `keep` when one of its leaves was made from the
 * tombstone, `bury` when the tombstone itself is all there is, else `quarantine` what is alive and take the grave.
 */
export function judgeBuried(
  leaves: readonly { readonly deleted: boolean; readonly path: RevisionPath }[],
  grave: Grave,
): 'keep' | 'bury' | 'quarantine' {
  const verdicts = leaves.map(({ path }) => judgeArrival(path, grave));
  if (verdicts.includes('apply')) return 'keep';
  return leaves.every(({ deleted }) => deleted) ? 'bury' : 'quarantine';
}
