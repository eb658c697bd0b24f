/** What a node shows of a leaderless database's replicas, as far as it knows. */

import type { ActiveTask, ReplicaStatus } from '../http/services.ts';
import type { PresentRound } from './anti-entropy.ts';
import type { ReplicaSet } from './replica-sets.ts';
import type { ReplicasParts } from './replicas.ts';

/** The phi of a dead peer goes on growing, which says nothing more. */
export const phiShownMax = 1_000;

export function replicaStatuses(
  set: ReplicaSet,
  { antiEntropy, hints, liveness, self }: Pick<ReplicasParts, 'antiEntropy' | 'hints' | 'liveness' | 'self'>,
): readonly ReplicaStatus[] {
  const healths = new Map(liveness.health().map((health) => [health.peer, health]));
  const rounds = new Map(antiEntropy.past(set.identity).map((round) => [round.peer, round]));
  return [...set.owners, ...set.standIns].map((node): ReplicaStatus => {
    const health = healths.get(node);
    const tally = hints.backlogs().get(node);
    return {
      ...{ node, kind: set.owners.includes(node) ? 'owner' : 'stand-in' },
      health: node === self ? 'here' : (health?.verdict ?? 'no_link'),
      phi: Math.min(health?.phi ?? 0, phiShownMax),
      latencyMs: health?.latencyMs ?? 0,
      ...{ hints: tally?.hints ?? 0, hintBytes: tally?.bytes ?? 0 },
      compared: rounds.get(node),
    };
  });
}

/** As `/_active_tasks` lists it. */
export function shownTask(round: PresentRound, node: string, nowMs: number): ActiveTask {
  const { buckets, database, fetched, peer, questions, sent, startedAtMs } = round;
  return {
    ...{ type: 'anti_entropy', node, database, peer, questions, buckets_compared: buckets },
    ...{ documents_fetched: fetched, documents_sent: sent },
    started_on: Math.floor(startedAtMs / 1_000),
    updated_on: Math.floor(nowMs / 1_000),
  };
}
