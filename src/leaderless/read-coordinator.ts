/**
 * One leaderless read, as an accumulator: it is told what replicas answer, and says whom else to ask, what the document
 * is, and who must be repaired.
 *
 *     R = 2 of n1 n2 n3
 *     asks                 n1: all it has         n2: a digest of its leaves
 *     answers              v6, digest 4a…         digest e1…          they differ
 *     asks                                        n2: all it has
 *     answers                                     v7, made from v6
 *     outcome              v7, from n1 and n2; n1 is stale and is sent v7
 *
 * What replicas hold is joined by the union of their revision graphs, so "newer" is never a matter of clocks: v6 is an
 * ancestor of v7, or they are siblings and both are the answer.
 *
 * Invariants:
 * 1. A replica counts towards R once it said what it holds: with all of it, or with the digest of what another sent; and
 *    as long as it is in the cluster.
 * 2. The answer is the union of everything that counted, never weaker than R and PR: fewer is `unreached`.
 * 3. A repair sends leaves that its receiver did not tell of; it takes nothing away, so siblings survive it.
 * 4. What is alive in one replica and in the grave of another is not part of the answer (replication/graves.ts). Who holds
 *    it is told of the grave: until then other replicas would answer otherwise.
 * 5. With blocking repair the answer waits until R replicas hold all of it. A later read then cannot see less.
 *
 * Left out: bodies (they ride in `Held`), deadlines (the driver says `late` and `closeRead`), how repairs travel.
 */

import type { Digest, Revision } from '../document/revision.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';
import { believedLeaves } from '../replication/graves.ts';
import type { LeaderlessSettings, QuorumKind } from '../replication/leaderless-settings.ts';
import { type HeldRevision, lackingOf, unionOfHeld } from './held-revisions.ts';

export interface ReadPlan {
  /** All N in the order in which to ask them: the coordinator's own replica first, then the fastest. */
  readonly owners: readonly string[];
  /** Asked where the quorum is sloppy and owners do not answer. */
  readonly standIns: readonly string[];
  readonly r: number;
  readonly pr: number;
  readonly quorum: QuorumKind;
  readonly readRepair: LeaderlessSettings['readRepair'];
  /** Whether to ask all but the first for digests. Where replicas usually differ, asking for all at once is quicker. */
  readonly digests: boolean;
}

export type ReadReply<Held extends HeldRevision> =
  /**
   * All leaves, tombstones too, and their digest as below; none when nothing is known of the document. With the tombstones
   * of its grave where only that is left, whose digest is still that of the tombstones.
   */
  | {
      readonly kind: 'full';
      readonly from: string;
      readonly digest: string | undefined;
      readonly held: readonly Held[];
      readonly grave?: readonly Revision[] | undefined;
    }
  /** See digestOfLeaves; undefined when nothing is known of the document. */
  | { readonly kind: 'digest'; readonly from: string; readonly digest: string | undefined }
  /** It cannot answer: it is gone, or does not know its own state yet. */
  | { readonly kind: 'refused'; readonly from: string }
  /** It has a repair durable: these leaves, and these tombstones as a grave. */
  | ({ readonly kind: 'repaired'; readonly from: string } & Omit<Repair<Held>, 'to'>);

export interface ReadAsk {
  readonly to: string;
  readonly want: 'full' | 'digest';
}

/** What a replica has of the document. */
interface Holding<Held> {
  readonly held: readonly Held[];
  readonly grave: readonly Revision[];
}

interface Asked<Held> {
  readonly want: ReadAsk['want'];
  readonly status: 'waiting' | 'late' | 'answered' | 'refused';
  /** What it answered: the digest, and what it has when it sent that. */
  readonly digest: string | undefined;
  readonly holding: Holding<Held> | undefined;
}

export interface ReadState<Held extends HeldRevision> {
  readonly plan: ReadPlan;
  readonly digest: Digest;
  readonly asked: ReadonlyMap<string, Asked<Held>>;
  /** What was sent, by its digest: it tells also what those hold who sent the digest alone. */
  readonly known: ReadonlyMap<string, Holding<Held>>;
  readonly closed: boolean;
}

export interface ReadStep<Held extends HeldRevision> {
  readonly state: ReadState<Held>;
  readonly asks: readonly ReadAsk[];
}

export type ReadOutcome<Held> =
  | { readonly kind: 'open' }
  /**
   * Leaves best first, none when no replica knows the document; the tombstones of all graves of it; who counted, owners and
   * stand-ins.
   */
  | {
      readonly kind: 'answered';
      readonly leaves: readonly Held[];
      readonly grave: readonly Revision[];
      readonly from: readonly string[];
    }
  /** Too few said what they hold; or, with blocking repair, too few took the answer. */
  | { readonly kind: 'unreached'; readonly from: readonly string[]; readonly during: 'read' | 'repair' };

export interface Repair<Held> {
  readonly to: string;
  readonly revisions: readonly Held[];
  /** The tombstones of the graves of which it is told, because what it holds is dead; none otherwise. */
  readonly grave: readonly Revision[];
}

const notAnswered = { digest: undefined, holding: undefined };
const nothing = { held: [], grave: [] };

/** Asks R replicas, the first for all it has. */
export function startRead<Held extends HeldRevision>(plan: ReadPlan, digest: Digest): ReadStep<Held> {
  return askedEnough({
    state: { plan, digest, asked: new Map(), known: new Map(), closed: false },
    asks: [],
  });
}

export function addReadReply<Held extends HeldRevision>(
  state: ReadState<Held>,
  reply: ReadReply<Held>,
): ReadStep<Held> {
  const before = state.asked.get(reply.from);
  if (before === undefined) return { state, asks: [] };
  switch (reply.kind) {
    case 'repaired':
      return { state: withAsked(state, reply.from, repaired(state, before, reply)), asks: [] };
    case 'refused':
      if (before.holding !== undefined) return { state, asks: [] };
      return decided(withAsked(state, reply.from, { ...before, status: 'refused' }));
    case 'digest':
      // An answer that was overtaken by the full one says nothing new.
      if (before.want === 'full') return { state, asks: [] };
      return decided(
        withAsked(state, reply.from, {
          ...before,
          status: 'answered',
          digest: reply.digest,
          holding: undefined,
        }),
      );
    case 'full': {
      const { digest, held, grave = [] } = reply;
      const same = digest === undefined ? undefined : state.known.get(digest);
      // A grave has the digest of its tombstones, but not them.
      const holding = same?.held.length === held.length ? same : { held, grave };
      const known = digest === undefined ? state.known : new Map(state.known).set(digest, holding);
      return decided(
        withAsked({ ...state, known }, reply.from, { want: 'full', status: 'answered', digest, holding }),
      );
    }
  }
}

/** The answer of a replica takes longer than its answers do: another one is asked as well (speculative retry). */
export function readIsLate<Held extends HeldRevision>(state: ReadState<Held>, node: string): ReadStep<Held> {
  const before = state.asked.get(node);
  if (before?.status !== 'waiting') return { state, asks: [] };
  return decided(withAsked(state, node, { ...before, status: 'late' }));
}

/**
 * The node was taken out of the cluster: what it said does not count any more, because who gets its place need not know
 * it. Somebody else is asked.
 */
export function readIsVoid<Held extends HeldRevision>(state: ReadState<Held>, node: string): ReadStep<Held> {
  const before = state.asked.get(node);
  if (before?.status !== 'answered') return { state, asks: [] };
  return decided(withAsked(state, node, { ...before, status: 'refused' }));
}

/** Time is up. Later answers are still taken, and lead to repairs. */
export function closeRead<Held extends HeldRevision>(state: ReadState<Held>): ReadState<Held> {
  return { ...state, closed: true };
}

function isReadEnough<Held extends HeldRevision>(state: ReadState<Held>): boolean {
  const { plan } = state;
  const from = countedOf(state);
  return from.length >= plan.r && from.filter((node) => plan.owners.includes(node)).length >= plan.pr;
}

export function readOutcome<Held extends HeldRevision>(state: ReadState<Held>): ReadOutcome<Held> {
  const { plan, asked, closed } = state;
  const from = countedOf(state);
  if (!isReadEnough(state)) {
    const isOver = closed || ![...asked.values()].some(isStillOpen);
    return isOver ? { kind: 'unreached', from, during: 'read' } : { kind: 'open' };
  }
  if (plan.readRepair === 'blocking') {
    const stale = new Set(readRepairs(state).map(({ to }) => to));
    const fresh = from.filter((node) => !stale.has(node));
    if (fresh.length < plan.r) {
      return closed ? { kind: 'unreached', from: fresh, during: 'repair' } : { kind: 'open' }; // Invariant 5.
    }
  }
  return { kind: 'answered', leaves: unionOf(state), grave: graveIn(state), from };
}

/**
 * What stale replicas lack, of those that answered so far, late ones too: nothing until R have. One that sent a digest
 * only, after the others were heard, is sent all leaves.
 */
export function readRepairs<Held extends HeldRevision>(state: ReadState<Held>): readonly Repair<Held>[] {
  const { plan, asked, digest } = state;
  if (plan.readRepair === 'off' || !isReadEnough(state)) return [];
  const answers = [...asked].filter(([, { status }]) => status === 'answered');
  const holdings = new Set(answers.map(([, ask]) => holdingOf(state, ask)));
  // What replicas that agree on a grave hold is as it should be, too.
  if (holdings.size === 1) return [];
  const leaves = unionOf(state);
  const dead = graveIn(state);
  const repairs: Repair<Held>[] = [];
  for (const [to, ask] of answers) {
    const holding = holdingOf(state, ask);
    const lacking = holding === undefined ? leaves : lackingOf(leaves, holding.held, digest);
    const revisions = lacking.filter(({ revision }) => !isKnownDead(revision, holding));
    const isDead = leaves.every(isDeleted);
    // A tombstone that it is sent may be made from what it holds.
    const isAlive = !unionOfHeld([holding?.held ?? [], revisions], digest).every(isDeleted);
    const grave = isDead && isAlive ? dead : [];
    if (revisions.length > 0 || grave.length > 0) repairs.push({ to, revisions, grave });
  }
  return repairs;
}

/** A grave knows its tombstones, and has no need of those that only end the branches of a merge. */
function isKnownDead<Held>(revision: Revision, holding: Holding<Held> | undefined): boolean {
  if (holding === undefined || holding.grave.length === 0) return false;
  return holding.grave.includes(revision) || hasDerivedForm(revision);
}

function isDeleted({ deleted }: HeldRevision): boolean {
  return deleted;
}

/** Who said what it holds in a way that the answer contains. */
function countedOf<Held extends HeldRevision>(state: ReadState<Held>): readonly string[] {
  return [...state.asked].flatMap(([node, ask]) =>
    ask.status === 'answered' && holdingOf(state, ask) !== undefined ? [node] : [],
  );
}

/** What is alive somewhere and dead for all others is left out: who brings it was away when the tombstone was forgotten. */
function unionOf<Held extends HeldRevision>(state: ReadState<Held>): readonly Held[] {
  const leaves = unionOfHeld(
    holdingsIn(state).map(({ held }) => held),
    state.digest,
  );
  return believedLeaves(leaves, graveIn(state));
}

function graveIn<Held extends HeldRevision>(state: ReadState<Held>): readonly Revision[] {
  return [...new Set(holdingsIn(state).flatMap(({ grave }) => grave))];
}

function holdingsIn<Held extends HeldRevision>({ asked }: ReadState<Held>): readonly Holding<Held>[] {
  return [...new Set([...asked.values()].flatMap(({ holding = [] }) => holding))];
}

/** What a replica that answered holds: what it sent, or what another one sent whose digest is the same. */
function holdingOf<Held extends HeldRevision>(
  { known }: ReadState<Held>,
  { holding, digest }: Asked<Held>,
): Holding<Held> | undefined {
  return holding ?? (digest === undefined ? nothing : known.get(digest));
}

/** A repaired replica holds what it told of and what it was sent, and nothing that it was told to be dead. */
function repaired<Held extends HeldRevision>(
  state: ReadState<Held>,
  ask: Asked<Held>,
  { grave, revisions }: Omit<Repair<Held>, 'to'>,
): Asked<Held> {
  const before = holdingOf(state, ask) ?? nothing;
  const held = unionOfHeld([before.held, revisions], state.digest);
  if (grave.length === 0) return { ...ask, want: 'full', holding: { held, grave: before.grave } };
  const dead = held.filter(isDeleted).map(({ revision }) => revision);
  return { ...ask, want: 'full', holding: { held: [], grave: [...before.grave, ...grave, ...dead] } };
}

/** Where digests disagree, one replica of each kind is asked for all it has. */
function decided<Held extends HeldRevision>(state: ReadState<Held>): ReadStep<Held> {
  const isFullUnderWay = [...state.asked.values()].some(
    (ask) => ask.want === 'full' && ask.status === 'waiting',
  );
  // It may be of the same kind: then there is nothing to ask.
  if (state.closed || isFullUnderWay) return askedEnough({ state, asks: [] });
  const asks: ReadAsk[] = [];
  const kinds = new Set<string | undefined>();
  let next = state;
  for (const [to, ask] of state.asked) {
    if (ask.status !== 'answered' || holdingOf(state, ask) !== undefined || kinds.has(ask.digest)) continue;
    kinds.add(ask.digest);
    next = withAsked(next, to, { ...ask, want: 'full', status: 'waiting' });
    asks.push({ to, want: 'full' });
  }
  return askedEnough({ state: next, asks });
}

/** Asks further replicas until as many as needed have answered or may do so in time. */
function askedEnough<Held extends HeldRevision>({ state, asks }: ReadStep<Held>): ReadStep<Held> {
  const { plan, closed } = state;
  if (closed) return { state, asks };
  const more = [...asks];
  let next = state;
  const candidates = plan.quorum === 'sloppy' ? [...plan.owners, ...plan.standIns] : plan.owners;
  for (const to of candidates) {
    if (next.asked.has(to)) continue;
    const hopeful = [...next.asked].filter(([, { status }]) => status === 'waiting' || status === 'answered');
    const owners = hopeful.filter(([node]) => plan.owners.includes(node)).length;
    if (hopeful.length >= plan.r && owners >= plan.pr) break;
    const want = plan.digests && hopeful.some(([, ask]) => ask.want === 'full') ? 'digest' : 'full';
    next = withAsked(next, to, { want, status: 'waiting', ...notAnswered });
    more.push({ to, want });
  }
  return { state: next, asks: more };
}

function isStillOpen<Held>({ status }: Asked<Held>): boolean {
  return status === 'waiting' || status === 'late';
}

function withAsked<Held extends HeldRevision>(
  state: ReadState<Held>,
  node: string,
  ask: Asked<Held>,
): ReadState<Held> {
  return { ...state, asked: new Map(state.asked).set(node, ask) };
}
