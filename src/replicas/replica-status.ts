/** What a node shows of a leaderless database's replicas, as far as it knows. */

import { TercetError } from '../errors.ts';
import type { FillProgress, ReplicaStatus } from '../http/leaderless-services.ts';
import type { ActiveTask } from '../http/services.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PresentRound } from './anti-entropy.ts';
import type { ToldStanding } from './questions.ts';
import { askStanding, type Rejoining } from './rejoining.ts';
import type { ReplicaSet } from './replica-sets.ts';
import type { ReplicasParts } from './replicas.ts';

const standingMsMax = 1_000;
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

/**
 * What an owner says of itself, when all that it took before is durable: who compares with it next misses nothing of that.
 * One that has no such database knows nothing. @throws TercetError of the store
 */
export async function standingHere(
  set: ReplicaSet | undefined,
  {
    rejoining,
    members,
  }: { readonly rejoining: Pick<Rejoining, 'progress'>; readonly members: readonly string[] },
): Promise<ToldStanding> {
  if (set === undefined) return { isWhole: false, members };
  await set.database.ensureFullCommit();
  const fill = rejoining.progress(set);
  const { database, isOwner, isWhole } = set;
  return { isOwner, isWhole, documents: database.documentCount(), members, ...(fill && { fill }) };
}

interface StandingParts extends Pick<ReplicasParts, 'liveness' | 'rejoining' | 'self' | 'transport'> {
  readonly members: readonly string[];
}

/** What these nodes say of themselves; whoever does not answer in time is left out. */
export async function replicaStandings(
  set: ReplicaSet,
  nodes: readonly string[],
  { liveness, members, rejoining, self, transport }: StandingParts,
): Promise<ReadonlyMap<string, ToldStanding>> {
  const ask = async (peer: string): Promise<ToldStanding | undefined> => {
    if (peer !== self && liveness.isSuspected(peer)) return undefined;
    try {
      if (peer === self) return await standingHere(set, { rejoining, members });
      return await askStanding(transport, { peer, identity: set.identity, timeoutMs: standingMsMax });
    } catch (error) {
      if (error instanceof PeerRequestError || error instanceof TercetError) return undefined;
      throw error;
    }
  };
  const told = await Promise.all(nodes.map(async (node) => [node, await ask(node)] as const));
  return new Map(told.flatMap(([node, standing]) => (standing === undefined ? [] : [[node, standing]])));
}

/** What `/_active_tasks` says of every task here. */
interface TaskPlace {
  readonly node: string;
  readonly nowMs: number;
}

export function shownFill(database: string, fill: FillProgress, { node, nowMs }: TaskPlace): ActiveTask {
  const { documents, error, expected, needed, present, startedAtMs, taken } = fill;
  return {
    ...{ type: 'replica_fill', node, database, peer: present, error },
    ...{ filled_from: taken.map((from) => from.node), replicas_needed: needed },
    ...{ documents_done: documents, documents_total: expected },
    started_on: Math.floor(startedAtMs / 1_000),
    updated_on: Math.floor(nowMs / 1_000),
  };
}

/** As `/_active_tasks` lists it. */
export function shownTask(round: PresentRound, { node, nowMs }: TaskPlace): ActiveTask {
  const { buckets, database, fetched, peer, questions, sent, startedAtMs } = round;
  return {
    ...{ type: 'anti_entropy', node, database, peer, questions, buckets_compared: buckets },
    ...{ documents_fetched: fetched, documents_sent: sent },
    started_on: Math.floor(startedAtMs / 1_000),
    updated_on: Math.floor(nowMs / 1_000),
  };
}
