/**
 * How a node learns that it was removed from the group while it did not listen.
 *
 * The last thing that a removed member hears may be from before its removal: nobody sends it the entry, and nobody links to
 * it any more. To itself it looks cut off. So a node that has heard no leader for a while asks those whom it knows, over
 * plain HTTP, which members the group has had since:
 *
 *     n4  members at 50: n1 n2 n3 n4    no leader ─► n1: at 120: n1 n2 n3    removed, says n1
 *                                                  ─► n2: at 50: n1 n2 n3 n4  (behind: the newer answer counts)
 *
 * 1. Only committed memberships are told, and only by members.
 * 2. An answer counts if it is newer than the last membership that this node has itself and belongs to: one that is only
 *    cut off hears nothing, and one that is behind hears that it belongs.
 * 3. It is forgotten with the process, and as soon as a leader is heard: whoever is taken in again under its old identity
 *    gets the entry that says so.
 *
 * Left out: a node that waits to be taken in, and one that a forced membership went on without and that knows so: both
 * ask for it by themselves (group-upkeep.ts).
 */

import type { NodeId } from '../replication/strategy.ts';
import type { PlacedMembership } from '../single-leader/membership.ts';
import { memberOf } from '../single-leader/membership.ts';
import type { Raft } from '../single-leader/state.ts';
import { isNodeId, nameOf } from './group-node-id.ts';

/** What a member says of its group. */
export interface CommittedMembership {
  /** Which group it is. */
  readonly founders: readonly NodeId[];
  /** The membership was in force at this index, committed; of two, the one of the higher lineage, then index, is newer. */
  readonly index: number;
  readonly lineage: number;
  /** Name and disk of each member. */
  readonly members: readonly NodeId[];
}

export interface ToldMembership extends CommittedMembership {
  /** Name of the node that says so. */
  readonly by: string;
}

/** Who says that this node is no member any more, and as of which index of the group's log. */
export interface Removal {
  readonly by: string;
  readonly index: number;
}

/** Undefined where this node is no member, as far as it knows. */
export function committedMembership(
  { self, commit, memberships }: Pick<Raft, 'self' | 'commit' | 'memberships'>,
  founders: readonly NodeId[],
): CommittedMembership | undefined {
  const placed = memberships.findLast(({ index }) => index <= commit);
  if (placed === undefined || memberOf(placed.membership, self) === undefined) return undefined;
  const { index, membership } = placed;
  return { founders, index, lineage: membership.lineage, members: membership.members.map(({ id }) => id) };
}

/** Undefined: this node belongs, or nobody has shown that it does not. */
export function removalOf(
  { self, memberships }: Pick<Raft, 'self' | 'memberships'>,
  told: readonly ToldMembership[],
): Removal | undefined {
  const own = memberships.findLast(({ membership }) => memberOf(membership, self) !== undefined);
  if (own === undefined) return undefined;
  const newest = told.reduce<ToldMembership | undefined>(newer, undefined);
  if (newest === undefined || newest.members.includes(self) || !isNewer(newest, own)) return undefined;
  return { by: newest.by, index: newest.index };
}

function newer(best: ToldMembership | undefined, next: ToldMembership): ToldMembership {
  if (best === undefined || next.lineage > best.lineage) return next;
  return next.lineage === best.lineage && next.index > best.index ? next : best;
}

function isNewer({ index, lineage }: ToldMembership, own: PlacedMembership): boolean {
  const { lineage: ownLineage } = own.membership;
  return lineage > ownLineage || (lineage === ownLineage && index > own.index);
}

/** What came over the network; undefined: no membership. */
export function readMembership(value: unknown): CommittedMembership | undefined {
  const { founders, index, lineage, members } = (value ?? {}) as Partial<Record<string, unknown>>;
  const isPlaced = Number.isSafeInteger(index) && Number.isSafeInteger(lineage);
  if (!isPlaced || !areNodes(founders) || !areNodes(members)) return undefined;
  return { founders, index: index as number, lineage: lineage as number, members };
}

function areNodes(value: unknown): value is readonly NodeId[] {
  return Array.isArray(value) && value.every(isNodeId);
}

export interface RemovalContext {
  readonly now: () => number;
  /** Whom to ask. */
  readonly peers: () => readonly string[];
  /** Undefined: no answer. */
  readonly ask: (peer: string) => Promise<CommittedMembership | undefined>;
  /** Between two rounds of questions, and before the first. */
  readonly pauseMs: number;
}

/** Asks while no leader is heard, and keeps what was answered. */
export class RemovalWatch {
  readonly #context: RemovalContext;
  #told: readonly ToldMembership[] = [];
  #askAt: number | undefined;

  constructor(context: RemovalContext) {
    this.#context = context;
  }

  removal(raft: Raft): Removal | undefined {
    return this.#told.length === 0 ? undefined : removalOf(raft, this.#told);
  }

  /** A leader is heard, or there is nothing to ask for. */
  forget(): void {
    this.#told = [];
    this.#askAt = undefined;
  }

  /** No leader is heard: asks, unless it has done so or has had one lately. */
  async evaluate(founders: readonly NodeId[]): Promise<void> {
    const { ask, now, pauseMs, peers } = this.#context;
    this.#askAt ??= now() + pauseMs;
    if (now() < this.#askAt) return;
    const answers = await Promise.all(
      peers().map(async (by): Promise<ToldMembership | undefined> => {
        const membership = await ask(by);
        return membership && { ...membership, by };
      }),
    );
    // A leader was heard meanwhile.
    if (this.#askAt === undefined) return;
    this.#askAt = now() + pauseMs;
    const heard = answers
      .filter((told) => told !== undefined)
      .filter((told) => told.founders.join() === founders.join());
    // Those who said it before and are silent now have not taken it back.
    const silent = this.#told.filter(({ by }) => heard.every((told) => told.by !== by));
    this.#told = [...silent, ...heard];
  }
}

/** What a node that was removed says, and what to do about it. */
export function removedText(self: string, { by, index }: Removal): string {
  return `${nameOf(self as NodeId)} was removed from the cluster (${by} says so, as of index ${index} of the group's log): ask another node. To take it in again, "tercet node add" it at ${by}; else stop it.`;
}
