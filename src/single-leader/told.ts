/** Tells the node around a core what it has become, once for each change. */

import { isFencedOut } from './log-changes.ts';
import { notify } from './outbox.ts';
import type { Raft, Told } from './state.ts';

export const nothingTold: Told = {
  role: 'follower',
  term: undefined,
  leader: undefined,
  membership: undefined,
  isFencedOut: false,
};

/** The last thing in a step before it is sealed. */
export function announce(raft: Raft): void {
  const before = raft.told;
  const now = whatToTell(raft);
  raft.told = now;
  const { role, term, leader, membership } = now;
  if (membership !== undefined && membership !== before.membership)
    notify(raft, { kind: 'membership', ...membership });
  if (now.isFencedOut && !before.isFencedOut) notify(raft, { kind: 'fenced_out', lineage: raft.lineage });
  if (role !== before.role || term !== before.term || leader !== before.leader)
    notify(raft, { kind: 'role', role, term: raft.term, leader, commit: raft.commit });
}

function whatToTell(raft: Raft): Told {
  const { role } = raft;
  return {
    role: role.kind,
    term: raft.term,
    leader: leaderKnownTo(raft),
    membership: raft.memberships.at(-1),
    isFencedOut: isFencedOut(raft),
  };
}

export function leaderKnownTo({ role, self }: Raft): Raft['vote'] {
  if (role.kind === 'leader') return self;
  return role.kind === 'follower' ? role.leader : undefined;
}
