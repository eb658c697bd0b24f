/**
 * When the place of an owner that is gone may be given to another node: once every other owner has heard that it was removed
 * (docs/decisions/0029).
 *
 *     owners n1 n2 n3, n2 was removed        n1: members n1 n3 n4        n3: members n1 n2 n3 n4
 *                                            n3 may still count what n2 confirms: wait for it
 *
 * From then on nobody counts n2 by the old list, so every quorum of either list is one among those of the new one.
 *
 * The node that is to take the place must know that it is no owner. One that was replaced itself, and was taken into the
 * cluster again, may not have heard of either: it would answer with what it has from before, and be an owner to all others.
 */

/** Who did not answer, or has not heard of what has to be known first. */
export interface Hindrance {
  readonly kind: 'silent' | 'uninformed';
  readonly node: string;
}

/** What a node said of itself. */
interface ToldOwnership {
  /** Whom it counts as members of the cluster. */
  readonly members?: readonly string[] | undefined;
  /** Whether it takes itself for an owner. */
  readonly isOwner?: boolean | undefined;
}

/** Undefined: nothing is in the way. Of owners that were removed as well nobody hears, and they are not among the others. */
export function hindranceOf({
  by,
  gone,
  others,
  standings,
}: {
  readonly gone: string;
  /** Who is to take its place. */
  readonly by: string;
  /** All other owners that are members. */
  readonly others: readonly string[];
  readonly standings: ReadonlyMap<string, ToldOwnership>;
}): Hindrance | undefined {
  for (const node of [...others, by]) {
    const { isOwner = false, members } = standings.get(node) ?? {};
    if (members === undefined) return { kind: 'silent', node };
    // One whose disk was lost may have heard of nobody yet, itself included.
    const isInformed = members.includes(node) && !members.includes(gone);
    if (!isInformed || (node === by && isOwner)) return { kind: 'uninformed', node };
  }
  return undefined;
}
