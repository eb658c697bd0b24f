/**
 * An operator wants this node to lead: what that does, what it may cost, and when forcing is refused.
 *
 *     promote            an election, or the present leader hands over: nothing committed is lost
 *     promote, forced    this node goes on alone; only for a majority that is gone, because what only the others hold is
 *                        given up until they come back, and they are fenced
 *
 * Before anything is forced every member is asked. Where a majority answers, an ordinary promotion does, and does better.
 */

import type { LeaderChoice } from '../config.ts';
import { failure, type TercetError } from '../errors.ts';
import { majorityOf } from '../replication/quorum.ts';
import type { Group, GroupStatus } from './group.ts';
import type { SurveyedMember } from './group-administration.ts';
import { removedText } from './group-removal.ts';

export interface PromotionWish {
  readonly dryRun: boolean;
  readonly force: boolean;
}

const alone =
  'nothing committed; async writes that only the old leader has come back as branches when it does';

/**
 * Either it is done, or it is said what came of it; what cannot be is refused.
 * @throws TercetError `precondition_failed`, `not_found`, `removed_from_cluster`, `service_unavailable`
 */
export async function promoteHere(
  group: Group,
  { dryRun, force }: PromotionWish,
  leaderChoice: LeaderChoice,
): Promise<object> {
  const status = group.status();
  const { id, removal, self } = status;
  // Nobody listens to it, so nobody would answer that forcing is not needed.
  if (removal !== undefined) throw failure('removed_from_cluster', removedText(id, removal));
  const members = force ? await group.survey() : [];
  const plan = force ? forcedPlan(status, members) : ordinaryPlan(status, leaderChoice);
  const obstacle = whyNoCandidate(status) ?? (force ? whyNotForced(self, members) : undefined);
  if (dryRun) {
    const refused = obstacle === undefined ? {} : { refused: obstacle.reason };
    return { ok: obstacle === undefined, dry_run: true, ...refused, ...plan };
  }
  if (obstacle !== undefined) throw obstacle;
  const outcome = force ? await group.forcePromotion([]) : await group.promote();
  if (outcome === 'no_voter') throw failure('precondition_failed', noVoterNow(self));
  const ok = outcome === 'elected' || outcome === 'already_leader';
  return { ok, outcome, ...plan, leader: group.status().leader };
}

/** A leader that lives hands over when its successor has everything; an appointment does not wait for that. */
function ordinaryPlan({ leader, self, ...status }: GroupStatus, leaderChoice: LeaderChoice): object {
  const isHandedOver = leader === self || (leader !== undefined && leaderChoice === 'elected');
  return {
    ...{ node: self, leader, may_lose: isHandedOver ? 'nothing' : alone },
    uncommitted_entries_here: uncommitted(status),
    fenced: leader === undefined || leader === self ? [] : [leader],
  };
}

function forcedPlan(status: GroupStatus, members: readonly SurveyedMember[]): object {
  const others = members.filter(({ name }) => name !== status.self);
  const unreachable = others.filter(({ answers }) => !answers).map(({ name }) => name);
  const ahead = others.flatMap(({ name, last }) => {
    if (last === undefined || !isLater(last, status)) return [];
    const more = Math.max(0, last.index - status.lastIndex);
    return [`${name}: ${more === 0 ? 'entries of a later term' : `${more} entries more`}`];
  });
  return {
    ...{ node: status.self, leader: status.leader },
    may_lose: lossText(unreachable),
    known_only_to: ahead,
    uncommitted_entries_here: uncommitted(status),
    fenced: others.map(({ name }) => name),
  };
}

function lossText(unreachable: readonly string[]): string {
  const whose = unreachable.length === 0 ? 'other nodes' : unreachable.join(', ');
  return `what only ${whose} hold, acknowledged writes among it; it comes back as branches when they do`;
}

/** §5.4.1: the later last term wins; with equal terms the longer log does. */
function isLater(
  last: { readonly index: number; readonly term: number },
  { lastIndex, lastTerm }: GroupStatus,
) {
  return last.term > lastTerm || (last.term === lastTerm && last.index > lastIndex);
}

function uncommitted({ commit, lastIndex }: Pick<GroupStatus, 'commit' | 'lastIndex'>): number {
  return Math.max(0, lastIndex - commit);
}

/** Undefined: it may lead. */
function whyNoCandidate(status: GroupStatus): TercetError | undefined {
  const { fencedOut, id, members, role, self, stopped } = status;
  const refused = (reason: string) => failure('precondition_failed', reason);
  if (stopped) {
    return failure(
      'service_unavailable',
      `${self} takes no part in the cluster at the moment, and its log says why: name another node.`,
    );
  }
  if (fencedOut) return refused(`A majority went on without ${self}: it is taken in again by itself.`);
  // By its disk: who lost that has the name of a voter, and is none.
  const kind = members.find((member) => member.id === id)?.kind;
  switch (kind) {
    case 'voter':
      return undefined;
    case 'learner':
      return refused(
        `${self} is a learner, which cannot lead: make it a voter first, with "tercet node promote ${self}", or name one.`,
      );
    case 'witness':
      return refused(`${self} is a witness, which cannot lead: name a voter.`);
    case undefined:
      return role === 'leader'
        ? refused(`${self} leads only until its own removal is committed: name a voter.`)
        : failure('not_found', `${self} is no member of the cluster: name a voter.`);
  }
}

/** It has not heard of that yet. */
function noVoterNow(self: string): string {
  return `${self} is no voter as the cluster has it now: see who the members are, and name one.`;
}

/** Undefined: nothing less will do. */
function whyNotForced(self: string, members: readonly SurveyedMember[]): TercetError | undefined {
  const electors = members.filter(({ kind }) => kind !== 'learner');
  const reached = electors.filter(({ answers }) => answers);
  if (reached.length < majorityOf(electors.length)) return undefined;
  const names = reached.map(({ name }) => name).join(', ');
  return failure(
    'precondition_failed',
    `${reached.length} of ${electors.length} voters can be reached (${names}), which is a majority: use "tercet promote ${self}" without --force.`,
  );
}
