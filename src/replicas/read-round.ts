/**
 * One leaderless read on its way: the core (leaderless/read-coordinator.ts) says whom to ask and what the answer is; here its
 * questions leave, answers come back, time passes, and what is stale is repaired.
 *
 * Replicas nearly always agree. So what the own replica holds is told to the core only when somebody disagrees, is late
 * or refuses; as long as R say the same by digest, the answer is what a plain read here gives.
 */

import { committedOf } from '../database/leaderless.ts';
import type { WholeRevision } from '../database/whole-documents.ts';
import type { Revision } from '../document/revision.ts';
import {
  addReadReply,
  closeRead,
  type ReadAsk,
  type ReadOutcome,
  type ReadReply,
  type ReadState,
  type ReadStep,
  type Repair,
  readIsLate,
  readIsVoid,
  readOutcome,
  readRepairs,
  startRead,
} from '../leaderless/read-coordinator.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { Clock } from '../runtime/ports.ts';
import type { ToldDigest } from './answer-codec.ts';
import type { Reply } from './call-batches.ts';
import type { Delivery } from './delivery.ts';
import { digestHere, digestOfHeld, documentHere } from './holding.ts';
import type { JoinOutcome } from './joining.ts';
import type { Liveness } from './liveness.ts';
import type { ReplicaCaller } from './replica-caller.ts';
import type { ReplicaSet } from './replica-sets.ts';
import type { HeldDocument, ToldDocument } from './revision-codec.ts';

export interface ReadRoundContext {
  readonly self: string;
  readonly clock: Clock;
  readonly caller: ReplicaCaller;
  readonly delivery: Delivery;
  readonly liveness: Liveness;
  readonly isMember: (node: string) => boolean;
  /** Joins revisions into the own replica. */
  readonly joinHere: (set: ReplicaSet, revisions: readonly WholeRevision[]) => Promise<JoinOutcome>;
  /** Brings the contents that revisions name and that are not here from the replica that told of them. */
  readonly fetchContents: (
    from: string,
    set: ReplicaSet,
    revisions: readonly WholeRevision[],
  ) => Promise<void>;
  /** Tells the own replica, or another one, that a document is forgotten elsewhere; gives whether it knows that now. */
  readonly bury: (
    to: string,
    set: ReplicaSet,
    id: string,
    tombstones: readonly Revision[],
  ) => Promise<boolean>;
  readonly onRepair: () => void;
}

export type DecidedRead =
  /** The own replica has what the others have. */
  | { readonly kind: 'agreed'; readonly from: readonly string[] }
  | Exclude<ReadOutcome<WholeRevision>, { kind: 'open' }>;

type State = ReadState<WholeRevision>;

export class ReadRound {
  readonly #context: ReadRoundContext;
  readonly #set: ReplicaSet;
  readonly #settings: LeaderlessSettings;
  readonly #id: string;
  readonly #onDecided: (decided: DecidedRead) => void;
  readonly #ownDigest: string | undefined;
  /** Who said the same as the own replica, while nobody said anything else. */
  readonly #agreeing: string[];
  readonly #repairing = new Set<string>();
  readonly #beganMs: number;
  readonly #firstAsks: readonly ReadAsk[];
  #isAgreed: boolean;
  #isDecided = false;
  #state: State;
  #cancelTimer: () => void = () => {};

  /** For an owner. */
  constructor(
    context: ReadRoundContext,
    {
      set,
      settings,
      id,
    }: { readonly set: ReplicaSet; readonly settings: LeaderlessSettings; readonly id: string },
    onDecided: (decided: DecidedRead) => void,
  ) {
    this.#context = context;
    this.#set = set;
    this.#settings = settings;
    this.#id = id;
    this.#onDecided = onDecided;
    const { self, clock, liveness } = context;
    const committed = committedOf(set.database);
    this.#ownDigest = digestHere(set.database, id);
    this.#isAgreed = set.isWhole;
    this.#agreeing = set.isWhole ? [self] : [];
    const others = liveness.preferred(set.owners.filter((node) => node !== self));
    const { r, pr, quorum, readRepair } = settings;
    const owners = [self, ...others];
    const plan = { owners, standIns: set.standIns, r, pr, quorum, readRepair, digests: true };
    const { asks, state } = startRead<WholeRevision>(plan, committed.digest);
    this.#state = state;
    this.#firstAsks = asks;
    this.#beganMs = clock.monotonic();
  }

  begin(): void {
    for (const ask of this.#firstAsks) this.#ask(ask);
    this.#setTimer();
  }

  #ask({ to, want }: ReadAsk): void {
    const { caller, self } = this.#context;
    const name = { identity: this.#set.identity, id: this.#id };
    if (to === self) {
      if (!this.#isAgreed) this.#tellOwn();
      // As an owner only an owner answers, so that one which has not heard that it is one says no.
    } else if (!this.#set.owners.includes(to)) {
      caller.documents(to, [name], (reply) => this.#onDocument(to, reply));
    } else if (want === 'digest') caller.digest(to, name, (reply) => this.#onDigest(to, reply));
    else caller.read(to, name, (reply) => this.#onDocument(to, reply));
  }

  #onDigest(from: string, reply: Reply<ToldDigest>): void {
    const told = reply.kind === 'answered' ? reply.answers[0] : undefined;
    if (told === undefined || told.kind === 'no_database') return this.#disagree({ kind: 'refused', from });
    const digest = told.kind === 'digest' ? told.digest : undefined;
    const isRemoved = (node: string) => node !== this.#context.self && !this.#context.isMember(node);
    const isAnyRemoved = isRemoved(from) || this.#agreeing.some(isRemoved);
    if (!this.#isAgreed || digest !== this.#ownDigest || isAnyRemoved)
      return this.#disagree({ kind: 'digest', from, digest });
    this.#agreeing.push(from);
    if (this.#agreeing.length >= this.#settings.r && this.#agreeing.length >= this.#settings.pr) {
      this.#decide({ kind: 'agreed', from: this.#agreeing });
      this.#cancelTimer();
    }
  }

  #onDocument(from: string, reply: Reply<ToldDocument>): void {
    const told = reply.kind === 'answered' ? reply.answers[0] : undefined;
    if (told === 'not_now') return this.#ask({ to: from, want: 'full' });
    if (told === undefined || told === 'no_database') return this.#disagree({ kind: 'refused', from });
    const tell = () => this.#disagree(this.#fullReply(from, told));
    const { revisions } = told;
    const hasContents = revisions.some(({ attachments }) => attachments.length > 0);
    if (hasContents) void this.#context.fetchContents(from, this.#set, revisions).then(tell);
    else tell();
  }

  /** From here on the core decides: it is told all that was heard so far. */
  #disagree(reply?: ReadReply<WholeRevision>): void {
    if (this.#isDecided && this.#isAgreed) return;
    if (this.#isAgreed) {
      this.#isAgreed = false;
      this.#tellOwn();
      const [, ...others] = this.#agreeing;
      for (const from of others)
        this.#take(addReadReply(this.#state, { kind: 'digest', from, digest: this.#ownDigest }));
    }
    if (reply !== undefined) this.#take(addReadReply(this.#state, reply));
  }

  #tellOwn(): void {
    const { self } = this.#context;
    if (!this.#set.isWhole) return this.#take(addReadReply(this.#state, { kind: 'refused', from: self }));
    const held = documentHere(this.#set.database, this.#id);
    this.#take(addReadReply(this.#state, this.#fullReply(self, held)));
  }

  #take(step: ReadStep<WholeRevision>): void {
    const { asks, state } = this.#isDecided ? step : this.#withoutRemoved(step);
    this.#state = state;
    for (const ask of asks) this.#ask(ask);
    this.#repair();
    const outcome = readOutcome(this.#state);
    if (outcome.kind === 'open') return;
    this.#decide(outcome);
  }

  /** Without what one said that this node does not count as a member any more. */
  #withoutRemoved({ asks, state }: ReadStep<WholeRevision>): ReadStep<WholeRevision> {
    const { isMember, self } = this.#context;
    let step: ReadStep<WholeRevision> = { asks, state };
    for (const node of state.asked.keys()) {
      if (node === self || isMember(node)) continue;
      const next = readIsVoid(step.state, node);
      step = { state: next.state, asks: [...step.asks, ...next.asks] };
    }
    return step;
  }

  #repair(): void {
    for (const repair of readRepairs(this.#state)) {
      const { grave, revisions, to } = repair;
      const name = `${to} ${revisions.map(({ revision }) => revision).join()} ${grave.join()}`;
      if (this.#repairing.has(name)) continue;
      this.#repairing.add(name);
      this.#context.onRepair();
      this.#join(repair, () => void this.#bury(repair));
    }
  }

  #join({ revisions, to }: Repair<WholeRevision>, done: () => void): void {
    const { delivery, joinHere, self } = this.#context;
    const set = this.#set;
    if (revisions.length === 0) done();
    else if (to === self) void joinHere(set, revisions).then((outcome) => outcome === 'durable' && done());
    else delivery.send({ to, set, revisions }, (kind) => kind === 'durable' && done());
  }

  async #bury({ grave, revisions, to }: Repair<WholeRevision>): Promise<void> {
    if (grave.length > 0 && !(await this.#context.bury(to, this.#set, this.#id, grave))) return;
    this.#take(addReadReply(this.#state, { kind: 'repaired', from: to, revisions, grave }));
  }

  #decide(decided: DecidedRead): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    this.#cancelTimer();
    this.#onDecided(decided);
  }

  #fullReply(from: string, told: HeldDocument): ReadReply<WholeRevision> {
    const digest = digestOfHeld(this.#set.database, told);
    return { kind: 'full', from, digest, held: told.revisions, grave: told.grave };
  }

  /** One timer for all who are asked: the one that is waited for longest. */
  #setTimer(): void {
    const { clock, liveness, self } = this.#context;
    const waiting = [...this.#state.asked].filter(([node, ask]) => node !== self && ask.status === 'waiting');
    const leftMs = this.#settings.readTimeoutMs - (clock.monotonic() - this.#beganMs);
    const patienceMs = waiting.reduce((most, [node]) => Math.max(most, liveness.patienceMs(node)), 0);
    const isLast = waiting.length === 0 || patienceMs >= leftMs;
    this.#cancelTimer = clock.after(isLast ? leftMs : patienceMs, () => {
      if (isLast) this.#close();
      else this.#missed(waiting.map(([node]) => node));
    });
  }

  #missed(nodes: readonly string[]): void {
    const answered = new Set(this.#agreeing);
    this.#disagree();
    for (const node of nodes) if (!answered.has(node)) this.#take(readIsLate(this.#state, node));
    if (!this.#isDecided) this.#setTimer();
  }

  #close(): void {
    this.#disagree();
    this.#take({ state: closeRead(this.#state), asks: [] });
  }
}
