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
import { failure } from '../errors.ts';
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

/** @throws TercetError precondition_failed when it would be forced although it need not be, removed_from_cluster */
export async function promoteHere(
  group: Group,
  { dryRun, force }: PromotionWish,
  leaderChoice: LeaderChoice,
): Promise<object> {
  const status = group.status();
  const { id, removal } = status;
  // Nobody listens to it, so nobody would answer that forcing is not needed.
  if (removal !== undefined) throw failure('removed_from_cluster', removedText(id, removal));
  if (!force) {
    const plan = ordinaryPlan(status, leaderChoice);
    const obstacle = whyNoCandidate(status, status.members);
    if (dryRun) return { ok: obstacle === undefined, ...dryRunOf(obstacle), ...plan };
    const outcome = await group.promote();
    const ok = outcome === 'elected' || outcome === 'already_leader';
    return { ok, outcome, ...plan, leader: group.status().leader };
  }
  const members = await group.survey();
  const plan = forcedPlan(status, members);
  const obstacle = whyNotForced(status, members);
  if (dryRun) return { ok: obstacle === undefined, ...dryRunOf(obstacle), ...plan };
  if (obstacle !== undefined) throw failure('precondition_failed', obstacle);
  const outcome = await group.forcePromotion([]);
  return { ok: outcome === 'elected', outcome, ...plan, leader: group.status().leader };
}

function dryRunOf(obstacle: string | undefined): object {
  return { dry_run: true, ...(obstacle && { refused: obstacle }) };
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
function whyNoCandidate(
  { self }: Pick<GroupStatus, 'self'>,
  members: readonly Pick<SurveyedMember, 'name' | 'kind'>[],
): string | undefined {
  const own = members.find(({ name }) => name === self);
  if (own?.kind === 'voter') return undefined;
  return `${self} is no voter${own === undefined ? '' : `, but a ${own.kind}`}: promote one that is.`;
}

/** Undefined: it may be forced. */
function whyNotForced(
  { self, fencedOut }: GroupStatus,
  members: readonly SurveyedMember[],
): string | undefined {
  if (fencedOut) return `A majority went on without ${self}: it is taken in again by itself.`;
  const noCandidate = whyNoCandidate({ self }, members);
  if (noCandidate !== undefined) return noCandidate;
  const electors = members.filter(({ kind }) => kind !== 'learner');
  const reached = electors.filter(({ answers }) => answers);
  if (reached.length < majorityOf(electors.length)) return undefined;
  const names = reached.map(({ name }) => name).join(', ');
  return `${reached.length} of ${electors.length} voters can be reached (${names}), which is a majority: use "tercet promote ${self}" without --force.`;
}
