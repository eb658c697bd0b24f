/**
 * When the client is told that its write is in: pure functions of who holds what.
 *
 *     five replicas, a write at index 9        leader  f1  f2  f3  f4
 *     durable through                               9   9   9   7   4
 *     async: the leader's disk                     ok
 *     semi-sync, majority: committed               ok  ok  ok
 *     semi-sync, 3 followers: not yet (f3 lacks 9)
 *     sync: not yet (f3, f4)
 *
 * Semi-sync and sync also wait until the entry is committed, so that what they acknowledge survives every failover;
 * only async may be told before. Witnesses count where positions are enough (commit, sync) and not where copies of
 * documents are asked for (k followers).
 */

import { reachedBy } from '../replication/quorum.ts';
import type { NodeId } from '../replication/strategy.ts';
import type { LogIndex, LogPosition, MemberKind } from './entry.ts';
import { asIndex, lesser } from './entry.ts';

export type AckPolicy =
  | { readonly kind: 'async' }
  | { readonly kind: 'semi_sync'; readonly followers: number | 'majority' }
  | { readonly kind: 'sync' };

export interface AckRule {
  readonly policy: AckPolicy;
  /** After `timeoutTicks`: wait on, acknowledge what there is and say so, or give an error of unknown outcome. */
  readonly onTimeout: 'block' | 'degrade' | 'fail';
  readonly timeoutTicks: number;
}

/**
 * - `met`: the policy holds.
 * - `degraded`: it did not in time; the write is on the leader's disk, and the rule allows to say so.
 * - `timed_out`: it did not in time; the write is logged and will likely come about.
 * - `unknown`: this replica leads no longer; the write may come about, or come back as a recovered branch.
 */
export type AckOutcome = 'met' | 'degraded' | 'timed_out' | 'unknown';

export interface Receipt extends LogPosition {
  readonly policy: AckPolicy;
  /** Who had it durable when the client was told. Witnesses have its position only. */
  readonly durableOn: readonly { readonly id: NodeId; readonly kind: MemberKind }[];
  readonly committed: boolean;
}

/** How far a member's log is durable. */
export interface Holding {
  readonly id: NodeId;
  readonly kind: MemberKind;
  readonly isLeader: boolean;
  readonly durableThrough: LogIndex;
}

export interface Durability {
  readonly commit: LogIndex;
  readonly holdings: readonly Holding[];
}

/** Everything through this index may be acknowledged under the policy. */
export function acknowledgeableThrough(policy: AckPolicy, { commit, holdings }: Durability): LogIndex {
  switch (policy.kind) {
    case 'async':
      return leaderHolds(holdings);
    case 'semi_sync':
      if (policy.followers === 'majority') return commit;
      return lesser(commit, lesser(leaderHolds(holdings), heldByFollowers(policy.followers, holdings)));
    case 'sync':
      return lesser(commit, heldByAllVoters(holdings));
  }
}

/** The leader may not be a member any more, while it removes itself; then nothing rests on its disk. */
function leaderHolds(holdings: readonly Holding[]): LogIndex {
  return holdings.find((holding) => holding.isLeader)?.durableThrough ?? asIndex(0);
}

function heldByFollowers(count: number, holdings: readonly Holding[]): LogIndex {
  const followers = holdings.filter((holding) => !holding.isLeader && holding.kind === 'voter');
  if (count === 0) return asIndex(Number.MAX_SAFE_INTEGER);
  const reached = reachedBy(
    count,
    followers.map((holding) => holding.durableThrough),
  );
  return asIndex(Math.max(0, reached));
}

function heldByAllVoters(holdings: readonly Holding[]): LogIndex {
  const voters = holdings.filter((holding) => holding.kind !== 'learner');
  return asIndex(Math.min(...voters.map((holding) => holding.durableThrough)));
}

/** What can be told about an entry now. */
export function receiptFor(position: LogPosition, policy: AckPolicy, durability: Durability): Receipt {
  const holders = durability.holdings.filter((holding) => holding.durableThrough >= position.index);
  return {
    index: position.index,
    term: position.term,
    policy,
    durableOn: holders.map(({ id, kind }) => ({ id, kind })),
    committed: durability.commit >= position.index,
  };
}
