/** A leader changes who belongs to its group, one member at a time; why one is told in membership.ts. */

import { majorityOf } from '../replication/quorum.ts';
import type { Membership } from './entry.ts';
import type { MembershipOutcome } from './events.ts';
import { lastIndex } from './log.ts';
import { appendOwn, membershipOf } from './log-changes.ts';
import type { MembershipChange } from './membership.ts';
import { changed, electors } from './membership.ts';
import { notify } from './outbox.ts';
import { syncProgress } from './replicate.ts';
import type { LeaderRole, Raft } from './state.ts';

export function changeMembership(raft: Raft, id: number, change: MembershipChange): void {
  const end = (outcome: MembershipOutcome) => notify(raft, { kind: 'membership_change_ended', id, outcome });
  const { role } = raft;
  const membership = membershipOf(raft);
  if (role.kind !== 'leader' || membership === undefined) {
    end('not_leader');
    return;
  }
  const obstacle = obstacleTo(raft, role, change);
  if (obstacle !== undefined) {
    end(obstacle);
    return;
  }
  const result = changed(membership, change);
  if (result.kind !== 'changed') {
    end(result.kind);
    return;
  }
  if (isBeyondReach(raft, role, result.membership)) {
    end('no_majority');
    return;
  }
  const index = appendOwn(raft, { kind: 'membership', membership: result.membership });
  role.change = { id, index };
  syncProgress(raft, role);
}

function obstacleTo(raft: Raft, role: LeaderRole, change: MembershipChange): MembershipOutcome | undefined {
  // The erratum to thesis §4.1: without an entry of its own term committed, an earlier change may still be alive.
  if (raft.commit < role.epochIndex) return 'not_ready';
  if (role.transfer !== undefined) return 'transferring';
  const latest = raft.memberships.at(-1);
  if (latest !== undefined && latest.index > raft.commit) return 'change_in_progress';
  if (change.kind !== 'promote_learner') return undefined;
  const progress = role.progress.get(change.node);
  if (progress === undefined || latest === undefined) return undefined;
  // Until it holds a membership it gives no vote, however short the log is: as a voter it would only be one more to miss.
  const hasJoined = progress.match >= latest.index;
  const isNear = lastIndex(raft.log) - progress.match <= raft.options.promotionLagEntriesMax;
  return hasJoined && isNear ? undefined : 'lagging';
}

/**
 * The new membership counts at once, so one whose majority is not there now would end this leadership, with nobody able
 * to take the change back. Who is new has just been spoken to.
 */
function isBeyondReach(raft: Raft, role: LeaderRole, next: Membership): boolean {
  const isHeard = (heardAt: number) => raft.now - heardAt < raft.options.electionTicksMin;
  const counted = electors(next);
  const inTouch = counted.filter(({ id }) => isHeard(role.progress.get(id)?.heardAt ?? raft.now));
  return inTouch.length < majorityOf(counted.length);
}

/** Tells the asker once the change is committed. */
export function settleChange(raft: Raft, role: LeaderRole): void {
  const { change } = role;
  if (change === undefined || change.index > raft.commit) return;
  role.change = undefined;
  notify(raft, { kind: 'membership_change_ended', id: change.id, outcome: 'committed' });
}
