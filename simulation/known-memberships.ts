/**
 * Which of the memberships that nodes know may be in force, seen from outside.
 *
 *     n1  latest at 40, committed        n2 (down)  latest at 52       n3, on a new disk  latest at 12
 *     in force is the one at 40 or the one at 52, whoever is elected; the one at 12 is over
 *
 * A node on a new disk goes through all that the log says, also through memberships that name disks which are no more: of
 * such a one nobody may be left, and nobody has to be.
 */

import { majorityOf } from '../src/replication/quorum.ts';
import type { LogIndex, Membership } from '../src/single-leader/entry.ts';
import { asIndex, greater } from '../src/single-leader/entry.ts';
import { electors, type PlacedMembership } from '../src/single-leader/membership.ts';
import type { Raft } from '../src/single-leader/state.ts';

export interface KnownMembership {
  readonly latest: PlacedMembership;
  /** Where the last one stands that the node knows to be committed. */
  readonly committedAt: LogIndex;
}

/** Undefined: the node waits to be taken in. */
export function knownMembership({
  commit,
  memberships,
}: Pick<Raft, 'commit' | 'memberships'>): KnownMembership | undefined {
  const latest = memberships.at(-1);
  if (latest === undefined) return undefined;
  const committed = memberships.findLast(({ index }) => index <= commit);
  return { latest, committedAt: committed?.index ?? asIndex(0) };
}

/** Of the latest lineage those that are not followed by one that is committed. */
export function mayBeInForce(known: readonly KnownMembership[]): readonly Membership[] {
  const lineage = Math.max(0, ...known.map(({ latest }) => latest.membership.lineage));
  const ofLineage = known.filter(({ latest }) => latest.membership.lineage === lineage);
  const committedAt = ofLineage.reduce((last, each) => greater(last, each.committedAt), asIndex(0));
  return ofLineage.flatMap(({ latest }) => (latest.index >= committedAt ? [latest.membership] : []));
}

/** Whether these members can elect somebody, whichever of the memberships is in force. */
export function areMajority(ids: readonly string[], memberships: readonly Membership[]): boolean {
  return memberships.every((membership) => {
    const voters = electors(membership);
    return voters.filter(({ id }) => ids.includes(id)).length >= majorityOf(voters.length);
  });
}
