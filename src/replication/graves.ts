/**
 * What a replica believes of the dead. A document that was deleted everywhere is forgotten, and leaves a grave: a digest
 * of its id, and the tombstones it ended with. The grave keeps the document's place in the hash tree (hash-buckets.ts),
 * so that replicas which forget at different times stay equal there, and it judges what arrives later:
 *
 *     grave: 4-d      arrives 3-c     alive, and not made from 4-d                       quarantine
 *                     arrives 5-e     made from 4-d: somebody wrote the document anew    apply
 *                     arrives 3-f     another tombstone: it is dead either way           apply
 *
 * A replica forgets only what all others know to be deleted. So who brings something alive that was not made from the
 * tombstone was away for longer than anybody waited, and is asked, not believed.
 */

import type { RevisionPath } from '../document/document.ts';
import { compareRevisions, digestOf, generationOf, type Revision } from '../document/revision.ts';

/** What judging needs to know of a revision. */
export interface JudgedRevision {
  readonly deleted: boolean;
  readonly path: RevisionPath;
  readonly parents?: readonly Revision[] | undefined;
}

/** What becomes of a revision that arrives for a document of which only a grave is left. */
export function judgeArrival(arrival: JudgedRevision, grave: readonly Revision[]): 'apply' | 'quarantine' {
  return arrival.deleted || isMadeFrom(arrival, grave) ? 'apply' : 'quarantine';
}

/**
 * What becomes of a document here, with these leaves, that another replica has buried: `keep` when something alive was
 * made from a tombstone of the grave, `bury` when nothing is alive, else what is alive goes to quarantine.
 */
export function judgeBuried(
  leaves: readonly JudgedRevision[],
  grave: readonly Revision[],
): 'keep' | 'bury' | 'quarantine' {
  const live = leaves.filter((leaf) => !leaf.deleted);
  if (live.length === 0) return 'bury';
  return live.some((leaf) => isMadeFrom(leaf, grave)) ? 'keep' : 'quarantine';
}

/** What two graves of one document say together, the highest revision first. */
export function mergedGrave(a: readonly Revision[], b: readonly Revision[]): readonly Revision[] {
  return [...new Set([...a, ...b])].sort((left, right) => compareRevisions(right, left));
}

function isMadeFrom({ path, parents = [] }: JudgedRevision, grave: readonly Revision[]): boolean {
  return grave.some((tombstone) => {
    const back = path.start - generationOf(tombstone);
    return path.ids[back] === digestOf(tombstone) || parents.includes(tombstone);
  });
}
