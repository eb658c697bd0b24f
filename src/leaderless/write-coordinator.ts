/**
 * One leaderless write, as an accumulator: it is told who answered, and says whom else to ask, what the client may be
 * told, and for whom a hint must be kept.
 *
 *     N = 3, W = 2, sloppy           n1 durable   n2 late         n3 durable
 *     sends at once                  n1  n2  n3
 *     n2 is late                                  ask n4 to stand in for n2
 *     n1 and n3 are durable          met: 2 of 3; n4's answer or, failing that, a hint here keeps n2's copy
 *
 * What is sent is a revision, joined into the receiver's graph by a union: asking twice, or an answer that was lost,
 * does no harm. The coordinator may be an owner, any other node, or a client; where it is an owner, its own disk answers
 * like everyone's.
 *
 * Invariants:
 * 1. An owner and those who stand in for it are one of the N: together they count once.
 * 2. Only a `durable` answer counts. A stand-in's counts where the quorum is sloppy, and never for PW.
 * 3. `failed` is said only when everyone who was asked said that the write is not there.
 * 4. What counted is void once its node was taken out of the cluster, until the client was told.
 * 5. A hint is owed only for a write that is stored somewhere: what failed is not brought about later.
 *
 * Left out: revisions and bodies, deadlines (the driver says `late` and `closeWrite`), where hints are kept (hints.ts).
 */

import type { QuorumKind } from '../replication/leaderless-settings.ts';

export interface WritePlan {
  /** All N, see placement.ts. */
  readonly owners: readonly string[];
  /** In the order in which to ask them. */
  readonly standIns: readonly string[];
  readonly w: number;
  readonly pw: number;
  readonly quorum: QuorumKind;
  /** Owners that probably do not answer: they are asked all the same, and replaced at once. */
  readonly suspected: readonly string[];
}

/** `refused`: it definitely does not have the write. `unknown`: it may have; the answer was lost, or never came. */
export interface WriteReply {
  readonly from: string;
  readonly kind: 'durable' | 'refused' | 'unknown';
}

export interface WriteSend {
  readonly to: string;
  /** Set where `to` stands in: it keeps the write as a hint for this owner. */
  readonly standsInFor: string | undefined;
}

const nobody: readonly string[] = [];

type AskStatus = 'waiting' | 'late' | WriteReply['kind'];

interface Asked {
  readonly node: string;
  /** Itself, or the owner it stands in for. */
  readonly owner: string;
  readonly status: AskStatus;
}

export interface WriteState {
  readonly plan: WritePlan;
  /** Each node once, in the order in which they were asked; few enough to look through. */
  readonly asked: readonly Asked[];
  /** No more time: who has not answered by now does not count. */
  readonly closed: boolean;
}

export interface WriteStep {
  readonly state: WriteState;
  readonly sends: readonly WriteSend[];
}

/** Who had the write durable when this was told. */
export interface WriteReceipt {
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  /** How many of the N count towards W. */
  readonly reached: number;
}

/**
 * - `open`: not decided yet.
 * - `met`: W and PW hold.
 * - `partial`: stored, but they do not hold and will not in time; hints and repair go on.
 * - `unknown`: nobody said that it is stored, and somebody may have stored it.
 * - `failed`: definitely stored nowhere.
 */
export type WriteOutcome =
  | { readonly kind: 'open' }
  | { readonly kind: 'met' | 'partial' | 'unknown' | 'failed'; readonly receipt: WriteReceipt };

/** Sends to all owners; the coordinator's own disk among them where it is one. */
export function startWrite(plan: WritePlan): WriteStep {
  const asked: Asked[] = [];
  const sends: WriteSend[] = [];
  for (const owner of plan.owners) {
    asked.push({ node: owner, owner, status: 'waiting' });
    sends.push({ to: owner, standsInFor: undefined });
  }
  let step: WriteStep = { state: { plan, asked, closed: false }, sends };
  for (const owner of plan.owners) {
    if (plan.suspected.includes(owner)) step = joined(step, replaced(step.state, owner));
  }
  return step;
}

export function addWriteReply(state: WriteState, reply: WriteReply): WriteStep {
  const before = askOf(state, reply.from);
  // What is durable stays so, whatever a repeated or overtaken answer says.
  if (before === undefined || before.status === 'durable') return { state, sends: [] };
  const next = withStatus(state, reply.from, reply.kind);
  return reply.kind === 'durable' ? { state: next, sends: [] } : replaced(next, before.owner);
}

/** The answer of a node takes longer than its answers do: it may still come, but somebody else is asked too. */
export function writeIsLate(state: WriteState, node: string): WriteStep {
  const before = askOf(state, node);
  if (before?.status !== 'waiting') return { state, sends: [] };
  return replaced(withStatus(state, node, 'late'), before.owner);
}

/**
 * The node was taken out of the cluster: what it confirmed does not count any more. Who gets its place may have been filled
 * by then from the others, and what they are yet to take it does not hear of.
 */
export function writeIsVoid(state: WriteState, node: string): WriteState {
  return askOf(state, node)?.status === 'durable' ? withStatus(state, node, 'unknown') : state;
}

/** Time is up: what is not durable now is owed to its owners. Later answers are still taken, and settle hints. */
export function closeWrite(state: WriteState): WriteState {
  return { ...state, closed: true };
}

function isEnough({ pw, w }: WritePlan, { owners, reached }: WriteReceipt): boolean {
  return reached >= w && owners.length >= pw;
}

const open: WriteOutcome = { kind: 'open' };

export function writeOutcome(state: WriteState): WriteOutcome {
  const receipt = receiptOf(state);
  if (isEnough(state.plan, receipt)) return { kind: 'met', receipt };
  if (!state.closed && mayBecomeEnough(state)) return open;
  const statuses = state.asked.map(({ status }) => status);
  if (statuses.includes('durable')) return { kind: 'partial', receipt };
  // Too few are left, but one more answer tells stored from not stored.
  if (!state.closed && statuses.some(mayStillAnswer)) return open;
  return { kind: statuses.every((status) => status === 'refused') ? 'failed' : 'unknown', receipt };
}

/**
 * Owners for which the coordinator must keep a hint as things stand, in the order of the owners. One that answers
 * after all is not among them any more, and its hint may go.
 */
export function owedHints(state: WriteState): readonly string[] {
  const { asked, closed, plan } = state;
  if (!asked.some(({ status }) => status === 'durable')) return []; // Invariant 5.
  return plan.owners.filter((owner) => {
    const status = askOf(state, owner)?.status;
    if (status === 'durable' || holdsFor(state, owner).length > 0) return false;
    return closed || status !== 'waiting' || plan.suspected.includes(owner);
  });
}

function receiptOf(state: WriteState): WriteReceipt {
  const { asked, plan } = state;
  const owners = plan.owners.filter((owner) => askOf(state, owner)?.status === 'durable');
  // Most writes need no stand-in.
  if (asked.length === plan.owners.length) return { owners, standIns: nobody, reached: owners.length };
  const standIns = plan.owners.flatMap((owner) => holdsFor(state, owner));
  const stoodFor = plan.owners.filter(
    (owner) => !owners.includes(owner) && holdsFor(state, owner).length > 0,
  );
  // Invariants 1 and 2.
  const reached = owners.length + (plan.quorum === 'sloppy' ? stoodFor.length : 0);
  return { owners, standIns, reached };
}

/** Stand-ins that have the write durable for this owner. */
function holdsFor({ asked }: WriteState, owner: string): readonly string[] {
  return asked.flatMap(({ node, owner: of, status }) =>
    of === owner && node !== owner && status === 'durable' ? [node] : [],
  );
}

/** Whether answers that may still come could be enough. */
function mayBecomeEnough({ asked, plan }: WriteState): boolean {
  const mayCount = (status: AskStatus) => status === 'durable' || mayStillAnswer(status);
  const owners = asked.filter(({ node, owner, status }) => node === owner && mayCount(status)).length;
  if (asked.length === plan.owners.length) return owners >= plan.w && owners >= plan.pw;
  const slots = plan.owners.filter((owner) =>
    asked.some((ask) => ask.owner === owner && mayCount(ask.status)),
  ).length;
  return slots >= plan.w && owners >= plan.pw;
}

function mayStillAnswer(status: AskStatus): boolean {
  return status === 'waiting' || status === 'late';
}

/** Asks the next stand-in for an owner, unless one is being asked already or nobody is left. */
function replaced(state: WriteState, owner: string): WriteStep {
  const { asked, plan } = state;
  if (plan.quorum === 'strict' || state.closed) return { state, sends: [] };
  const isStoodFor = asked.some(
    ({ node, owner: of, status }) =>
      of === owner && node !== owner && (status === 'waiting' || status === 'durable'),
  );
  const next = plan.standIns.find((node) => askOf(state, node) === undefined);
  if (isStoodFor || next === undefined) return { state, sends: [] };
  const grown: readonly Asked[] = [...asked, { node: next, owner, status: 'waiting' }];
  return { state: { ...state, asked: grown }, sends: [{ to: next, standsInFor: owner }] };
}

function askOf({ asked }: WriteState, node: string): Asked | undefined {
  return asked.find((ask) => ask.node === node);
}

function withStatus({ asked, closed, plan }: WriteState, node: string, status: AskStatus): WriteState {
  const changed = asked.map((ask) => (ask.node === node ? { node, owner: ask.owner, status } : ask));
  return { plan, asked: changed, closed };
}

function joined(first: WriteStep, then: WriteStep): WriteStep {
  return { state: then.state, sends: [...first.sends, ...then.sends] };
}
