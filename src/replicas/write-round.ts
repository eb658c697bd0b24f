/**
 * One leaderless write on its way: the core (leaderless/write-coordinator.ts) says whom to send to and when it is
 * enough; here its sends leave, answers come back, time passes, and what is owed becomes hints.
 *
 *     turn of the own database ──► revisions ──┬─► own disk ──────────┐
 *                                              ├─► n2 ── kept ────────┼─► core: met ──► whoever waits is told
 *                                              └─► n3 ── (no answer) ─┘          └──► deadline: a hint for n3
 *
 * A round lives until everybody has answered or its time is up, however early the client was told.
 */

import type { WholeRevision } from '../database/whole-documents.ts';
import {
  addWriteReply,
  closeWrite,
  owedHints,
  startWrite,
  type WriteOutcome,
  type WriteReply,
  type WriteSend,
  type WriteState,
  type WriteStep,
  writeIsLate,
  writeIsVoid,
  writeOutcome,
} from '../leaderless/write-coordinator.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { Clock } from '../runtime/ports.ts';
import type { Delivery } from './delivery.ts';
import type { Liveness } from './liveness.ts';
import type { ReplicaSet } from './replica-sets.ts';

export interface WriteRoundContext {
  readonly self: string;
  readonly clock: Clock;
  readonly delivery: Delivery;
  readonly liveness: Liveness;
  readonly isMember: (node: string) => boolean;
  /** Keeps the revisions to be told to that owner once it is back. */
  readonly keepHints: (owner: string, set: ReplicaSet, revisions: readonly WholeRevision[]) => void;
}

export type DecidedOutcome = Exclude<WriteOutcome, { kind: 'open' }>;

export class WriteRound {
  readonly #context: WriteRoundContext;
  readonly #set: ReplicaSet;
  readonly #settings: LeaderlessSettings;
  #hinted: Set<string> | undefined;
  #state: WriteState;
  #revisions: readonly WholeRevision[] = [];
  /** Called once, when the client may be told. */
  readonly #onDecided: (outcome: DecidedOutcome) => void;
  #isDecided = false;
  /** Somebody did not take it, or probably will not: most writes owe nobody anything. */
  #mayOwe: boolean;
  #cancelDeadline: () => void = () => {};
  readonly #firstSends: readonly WriteSend[];

  constructor(
    context: WriteRoundContext,
    { set, settings }: { readonly set: ReplicaSet; readonly settings: LeaderlessSettings },
    onDecided: (outcome: DecidedOutcome) => void,
  ) {
    this.#context = context;
    this.#set = set;
    this.#settings = settings;
    this.#onDecided = onDecided;
    const { owners, standIns } = set;
    const { quorum, w, pw } = settings;
    const suspected = owners.filter((node) => node !== context.self && context.liveness.isSuspected(node));
    const { sends, state } = startWrite({ owners, standIns, w, pw, quorum, suspected });
    this.#mayOwe = settings.hints && suspected.length > 0;
    this.#state = state;
    this.#firstSends = sends;
  }

  /** Sends what a turn of the own database has made; what became of it there is told to {@link settledHere}. */
  begin(revisions: readonly WholeRevision[]): void {
    this.#revisions = revisions;
    this.#cancelDeadline = this.#context.clock.after(this.#settings.writeTimeoutMs, () => this.#close());
    for (const send of this.#firstSends) this.#send(send);
  }

  settledHere(kind: WriteReply['kind']): void {
    this.#onReply({ from: this.#context.self, kind });
  }

  #send({ to, standsInFor }: WriteSend): void {
    if (to === this.#context.self) return;
    const { clock, delivery, liveness } = this.#context;
    const parcel = { to, set: this.#set, revisions: this.#revisions, owner: standsInFor };
    delivery.send(parcel, (outcome) => {
      // One that rejects some may have the others.
      const isSome = outcome === 'rejected' && this.#revisions.length > 1;
      const kind = outcome !== 'rejected' ? outcome : isSome ? 'unknown' : 'refused';
      this.#onReply({ from: to, kind });
    });
    // Being late matters only where somebody else could be asked.
    if (standsInFor !== undefined || this.#set.standIns.length === 0) return;
    clock.after(liveness.patienceMs(to), () => this.#take(writeIsLate(this.#state, to)));
  }

  #onReply(reply: WriteReply): void {
    if (reply.kind !== 'durable') this.#mayOwe = this.#settings.hints;
    this.#take(addWriteReply(this.#state, reply));
  }

  #close(): void {
    this.#mayOwe = this.#settings.hints;
    this.#take({ state: closeWrite(this.#state), sends: [] });
  }

  #take({ state, sends }: WriteStep): void {
    this.#state = state;
    for (const send of sends) this.#send(send);
    const outcome = this.#isDecided ? undefined : this.#outcome();
    if (outcome !== undefined && outcome.kind !== 'open') {
      this.#isDecided = true;
      this.#onDecided(outcome);
    }
    if (this.#mayOwe) this.#keepOwed();
    if (this.#isComplete()) this.#cancelDeadline();
  }

  /** One that this node does not count as a member any more may have confirmed it before. */
  #outcome(): WriteOutcome {
    const { isMember, self } = this.#context;
    for (const { node, status } of this.#state.asked) {
      if (status === 'durable' && node !== self && !isMember(node)) {
        this.#state = writeIsVoid(this.#state, node);
        this.#mayOwe = this.#settings.hints;
      }
    }
    return writeOutcome(this.#state);
  }

  #keepOwed(): void {
    this.#hinted ??= new Set();
    for (const owner of owedHints(this.#state)) {
      if (owner === this.#context.self || this.#hinted.has(owner)) continue;
      this.#hinted.add(owner);
      this.#context.keepHints(owner, this.#set, this.#revisions);
    }
  }

  #isComplete(): boolean {
    for (const { status } of this.#state.asked) {
      if (status === 'waiting' || status === 'late') return false;
    }
    return true;
  }
}
