/** What can be said about a group at a moment: facts of the core, with names and milliseconds. */

import type { NodeId } from '../replication/strategy.ts';
import type { Member } from '../single-leader/entry.ts';
import { lastIndex, lastPosition } from '../single-leader/log.ts';
import { isFencedOut, membershipOf } from '../single-leader/log-changes.ts';
import type { Raft } from '../single-leader/state.ts';
import { leaderKnownTo } from '../single-leader/told.ts';
import type { GroupStatus, MemberStatus } from './group.ts';
import { nameOf } from './group-node-id.ts';
import type { Removal } from './group-removal.ts';

export interface GroupStanding {
  /** Name of the leader, if known. */
  readonly leader: string | undefined;
  /** See {@link GroupStatus.leaderReady}. */
  readonly leaderReady: boolean;
  /** The last entry that is applied here. */
  readonly applied: { readonly index: number; readonly term: number };
  /** See {@link GroupStatus.lineage}. */
  readonly lineage: number;
  /** See {@link GroupStatus.removal}. */
  readonly removal: Removal | undefined;
}

export interface StatusSource {
  readonly raft: Raft;
  readonly appliedIndex: number;
}

type Removed = () => Removal | undefined;

export interface StatusContext {
  readonly id: NodeId;
  readonly founded: boolean;
  readonly mayFound: boolean;
  readonly tickMs: number;
  readonly lagMsOf: (match: number) => number;
  readonly removal: Removed;
}

/** Without a replica: founded and stopped, or not founded yet. */
export function statusOf(source: StatusSource | undefined, context: StatusContext): GroupStatus {
  const { id, founded, mayFound } = context;
  const who = { self: nameOf(id), id, founded, stopped: founded && source === undefined };
  if (source === undefined) {
    return {
      awaitsAdmission: !founded && !mayFound,
      ...{ ...who, role: 'follower', term: 0, leader: undefined, commit: 0, applied: 0 },
      ...{ lastIndex: 0, lastTerm: 0, epochs: [], members: [], leaderReady: false, fencedOut: false },
    };
  }
  const { raft, appliedIndex } = source;
  const leader = leaderKnownTo(raft);
  const membership = membershipOf(raft);
  return {
    ...who,
    awaitsAdmission: membership === undefined,
    role: raft.role.kind,
    term: raft.term,
    leader: leader === undefined ? undefined : nameOf(leader),
    commit: raft.commit,
    applied: appliedIndex,
    lastIndex: lastIndex(raft.log),
    lastTerm: lastPosition(raft.log).term,
    epochs: [...raft.epochs],
    // Made when it is asked for: every write asks who leads, and few ask how far the members are.
    get members() {
      return (membership?.members ?? []).map((member) => memberStatus(member, raft, context));
    },
    leaderReady: isLeaderReady(source),
    lineage: raft.lineage,
    fencedOut: isFencedOut(raft),
    removal: leader === undefined ? context.removal() : undefined,
  };
}

const nowhere: GroupStanding = {
  leader: undefined,
  leaderReady: false,
  applied: { index: 0, term: 0 },
  lineage: 0,
  removal: undefined,
};

export function standingOf(source: StatusSource | undefined, removal: Removed): GroupStanding {
  if (source === undefined) return nowhere;
  const { raft, appliedIndex } = source;
  const leader = leaderKnownTo(raft);
  return {
    leader: leader === undefined ? undefined : nameOf(leader),
    leaderReady: isLeaderReady(source),
    applied: { index: appliedIndex, term: termOf(raft, appliedIndex) },
    lineage: raft.lineage,
    removal: leader === undefined ? removal() : undefined,
  };
}

export function isLeaderReady({ raft: { role }, appliedIndex }: StatusSource): boolean {
  return role.kind === 'leader' && appliedIndex >= role.epochIndex;
}

/** Of a committed index: epochs say whose it is, also where the log no longer reaches back to it. */
function termOf({ epochs }: Raft, index: number): number {
  for (let at = epochs.length - 1; at >= 0; at -= 1) {
    const { firstIndex, term } = epochs[at]!;
    if (firstIndex <= index) return term;
  }
  return 0;
}

function memberStatus(
  { id, kind, url }: Member,
  raft: Raft,
  { tickMs, lagMsOf }: StatusContext,
): MemberStatus {
  const { role } = raft;
  const known = { id, name: nameOf(id), kind, url };
  if (role.kind !== 'leader') return known;
  const progress = role.progress.get(id);
  const match = progress?.match ?? raft.log.persisted;
  const silentTicks = progress === undefined ? 0 : raft.now - progress.heardAt;
  return {
    ...known,
    match,
    lagEntries: lastIndex(raft.log) - match,
    lagMs: lagMsOf(match),
    lastHeardMs: silentTicks * tickMs,
    isInTouch: silentTicks < raft.options.electionTicksMin,
  };
}
