/**
 * Who belongs to the group, and what may change about it.
 *
 * One member changes at a time: then every majority of the old membership has a member in common with every majority
 * of the new one, and no two leaders can be elected by halves of a group that disagree about who is in it (thesis
 * §4.1). A membership counts as soon as it is in the log, committed or not, and stops counting when it is truncated.
 *
 * The one-at-a-time rule alone was found unsafe: a leader deposed in the middle of a change can come back, and two
 * changes made in different terms then meet without a common majority. Hence a leader proposes no change before it has
 * committed an entry of its own term (Ongaro, "bug in single-server membership changes", raft-dev, 2015).
 *
 * Left out: joint consensus (thesis §4.3). Replacing a member takes two changes.
 */

import type { NodeId } from '../replication/strategy.ts';
import type { LogIndex, Member, MemberKind, Membership, Term } from './entry.ts';

export type MembershipChange =
  /** Takes a node in as a learner; it gets everything and counts for nothing. */
  | { readonly kind: 'add_learner'; readonly node: NodeId; readonly url?: string }
  /** Takes a node in as a witness. */
  | { readonly kind: 'add_witness'; readonly node: NodeId; readonly url?: string }
  /** A learner that has caught up becomes a voter. */
  | { readonly kind: 'promote_learner'; readonly node: NodeId }
  /** A member is reached elsewhere from now on; who counts does not change. */
  | { readonly kind: 'move'; readonly node: NodeId; readonly url: string }
  | { readonly kind: 'remove'; readonly node: NodeId };

/** What a change makes of a membership, or why it makes nothing of it. */
export type ChangeResult =
  | { readonly kind: 'changed'; readonly membership: Membership }
  | { readonly kind: 'already_so' }
  | { readonly kind: 'no_such_member' }
  | { readonly kind: 'last_voter' };

export function changed(membership: Membership, change: MembershipChange): ChangeResult {
  switch (change.kind) {
    case 'add_learner':
      return added(membership, change, 'learner');
    case 'add_witness':
      return added(membership, change, 'witness');
    case 'promote_learner':
      return promoted(membership, change.node);
    case 'move':
      return moved(membership, change);
    case 'remove':
      return removed(membership, change.node);
  }
}

function added(
  membership: Membership,
  { node, url }: { readonly node: NodeId; readonly url?: string },
  kind: MemberKind,
): ChangeResult {
  if (memberOf(membership, node) !== undefined) return { kind: 'already_so' };
  const member: Member = { id: node, kind, ...(url !== undefined && { url }) };
  return withMembers(membership, [...membership.members, member]);
}

function promoted(membership: Membership, node: NodeId): ChangeResult {
  const member = memberOf(membership, node);
  if (member === undefined) return { kind: 'no_such_member' };
  if (member.kind !== 'learner') return { kind: 'already_so' };
  return withMembers(membership, replaced(membership, { ...member, kind: 'voter' }));
}

function moved(
  membership: Membership,
  { node, url }: { readonly node: NodeId; readonly url: string },
): ChangeResult {
  const member = memberOf(membership, node);
  if (member === undefined) return { kind: 'no_such_member' };
  if (member.url === url) return { kind: 'already_so' };
  return withMembers(membership, replaced(membership, { ...member, url }));
}

function replaced({ members }: Membership, member: Member): readonly Member[] {
  return members.map((other) => (other.id === member.id ? member : other));
}

function removed(membership: Membership, node: NodeId): ChangeResult {
  if (memberOf(membership, node) === undefined) return { kind: 'no_such_member' };
  const rest = membership.members.filter((member) => member.id !== node);
  // Witnesses alone would elect nobody and hold no document.
  if (!rest.some((member) => member.kind === 'voter')) return { kind: 'last_voter' };
  return withMembers(membership, rest);
}

function withMembers(membership: Membership, members: readonly Member[]): ChangeResult {
  return { kind: 'changed', membership: { members, lineage: membership.lineage } };
}

export function memberOf(membership: Membership, node: NodeId): Member | undefined {
  return membership.members.find((member) => member.id === node);
}

/** Those whose votes and positions count: voters and witnesses. */
export function electors(membership: Membership): readonly Member[] {
  return membership.members.filter((member) => member.kind !== 'learner');
}

/**
 * A membership of an older lineage than the replica heard of is one that somebody else has gone on without: it elects
 * nobody any more.
 */
export function hasSay(membership: Membership | undefined, lineage: Term): membership is Membership {
  return membership !== undefined && membership.lineage === lineage;
}

/** A membership and where in the log it stands. */
export interface PlacedMembership {
  readonly index: LogIndex;
  readonly membership: Membership;
}
