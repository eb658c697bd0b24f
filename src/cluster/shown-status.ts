/** The group's status in the words that HTTP shows. */

import type { ClusterStatus } from '../http/services.ts';
import { majorityOf } from '../replication/quorum.ts';
import type { GroupStatus, MemberStatus } from './group.ts';
import { removedText } from './group-removal.ts';

export function shownStatus(status: GroupStatus): ClusterStatus {
  const { applied, awaitsAdmission, commit, epochs, id, leader, members, removal, role, term } = status;
  return {
    ...{ role, term, leader, awaitsAdmission, commit, applied, members },
    kind: removal ? undefined : members.find((member) => member.id === id)?.kind,
    removal: removal && { ...removal, advice: removedText(id, removal) },
    hasQuorum: hasQuorum(status),
    quorum: quorumOf(members),
    epochs: epochs.map(({ firstIndex, leader: led, term: began }) => ({
      term: began,
      leader: led,
      firstIndex,
    })),
  };
}

/** Only a leader hears the others; a follower cannot tell more than that somebody leads. */
function hasQuorum({ leader, leaderReady }: GroupStatus): boolean | undefined {
  if (leaderReady) return true;
  return leader === undefined ? false : undefined;
}

function quorumOf(members: readonly MemberStatus[]): ClusterStatus['quorum'] {
  const electors = members.filter(({ kind }) => kind !== 'learner');
  if (electors.length === 0) return undefined;
  const heard = electors.map(({ isInTouch }) => isInTouch);
  const inTouch = heard.includes(undefined) ? undefined : heard.filter(Boolean).length;
  return { voters: electors.length, needed: majorityOf(electors.length), inTouch };
}
