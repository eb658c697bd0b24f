/**
 * One read that the client coordinates: the core (leaderless/read-coordinator.ts) says whom to ask, what the document is
 * and who is stale; here its questions leave, answers come back, and repairs are sent.
 *
 *     n1  v7 ─┐
 *     n2  v7 ─┼─► v7, made from v6, is newer: the answer        and n3 is sent it
 *     n3  v6 ─┘
 */

import {
  addReadReply,
  closeRead,
  type ReadAsk,
  type ReadOutcome,
  type ReadPlan,
  type ReadState,
  type ReadStep,
  type Repair,
  readIsLate,
  readOutcome,
  readRepairs,
  startRead,
} from '../leaderless/read-coordinator.ts';
import { QuorumError } from './quorum-error.ts';
import type { HeldDocument } from './replica-calls.ts';
import type { ReplicaGroup } from './replica-group.ts';
import { digest128 } from './sha256.ts';

export interface ReplicasRead {
  /** Best first: the winner, the other live leaves, tombstones. */
  readonly leaves: readonly HeldDocument[];
  readonly from: readonly string[];
  /** Who lacked some of it: they are being sent it, or have it already where repair is blocking. */
  readonly repaired: readonly string[];
}

export type ReadWishes = Pick<ReadPlan, 'r' | 'readRepair'>;

/** @throws QuorumError `unreached` */
export function readFromReplicas(group: ReplicaGroup, id: string, wishes: ReadWishes): Promise<ReplicasRead> {
  return new Promise((resolve, reject) =>
    new ReadRound(group, { ...wishes, id }, { resolve, reject }).start(),
  );
}

interface Caller {
  readonly resolve: (read: ReplicasRead) => void;
  readonly reject: (error: QuorumError) => void;
}

class ReadRound {
  readonly #group: ReplicaGroup;
  readonly #id: string;
  readonly #r: number;
  readonly #caller: Caller;
  readonly #first: readonly ReadAsk[];
  readonly #errors = new Map<string, unknown>();
  readonly #repaired = new Set<string>();
  /** Of whom what was sent: a repair is tried once. */
  readonly #sent = new Set<string>();
  #state: ReadState<HeldDocument>;
  #isTold = false;
  /** Questions and repairs on their way. */
  #open = 0;

  constructor(group: ReplicaGroup, { id, ...wishes }: ReadWishes & { readonly id: string }, caller: Caller) {
    this.#group = group;
    this.#id = id;
    this.#r = wishes.r;
    this.#caller = caller;
    const owners = group.inOrder().map(({ name }) => name);
    const plan: ReadPlan = { owners, standIns: [], pr: 0, quorum: 'strict', digests: false, ...wishes };
    const { asks, state } = startRead<HeldDocument>(plan, digest128);
    this.#state = state;
    this.#first = asks;
  }

  start(): void {
    for (const { to } of this.#first) this.#begin(this.#ask(to));
  }

  /** When nothing is on its way any more, what is not decided never will be: a repair that was waited for has failed. */
  #begin(work: Promise<void>): void {
    this.#open++;
    const over = work.then(() => {
      this.#open--;
      if (this.#open === 0) this.#take({ state: closeRead(this.#state), asks: [] });
    });
    this.#group.begin(over);
  }

  async #ask(to: string): Promise<void> {
    const late = setTimeout(() => this.#take(readIsLate(this.#state, to)), this.#group.patienceMs(to));
    try {
      const holding = await this.#group.timed(to, this.#group.replica(to).holding(this.#id));
      // Only answers in full are asked for, so nobody compares digests of them.
      this.#take(addReadReply(this.#state, { kind: 'full', from: to, digest: undefined, ...holding }));
    } catch (error) {
      this.#errors.set(to, error);
      this.#group.tellFault({ replica: to, during: 'read', error });
      this.#take(addReadReply(this.#state, { kind: 'refused', from: to }));
    } finally {
      clearTimeout(late);
    }
  }

  #take({ asks, state }: ReadStep<HeldDocument>): void {
    this.#state = state;
    for (const { to } of asks) this.#begin(this.#ask(to));
    for (const repair of readRepairs(state)) this.#repair(repair);
    this.#tellWhenDecided();
  }

  #tellWhenDecided(): void {
    const outcome = readOutcome(this.#state);
    if (outcome.kind === 'open' || this.#isTold) return;
    this.#isTold = true;
    if (outcome.kind === 'unreached') return this.#caller.reject(this.#unreached(outcome));
    this.#caller.resolve({ leaves: outcome.leaves, from: outcome.from, repaired: [...this.#repaired] });
  }

  #unreached({ from }: Extract<ReadOutcome<HeldDocument>, { kind: 'unreached' }>): QuorumError {
    return new QuorumError({
      ...{ outcome: 'unreached', needed: this.#r, reached: from },
      ...{ rev: undefined, errors: this.#errors },
    });
  }

  #repair({ grave, revisions, to }: Repair<HeldDocument>): void {
    const fresh = revisions.filter(({ revision }) => !this.#sent.has(`${to} ${revision}`));
    const dead = grave.filter((tombstone) => !this.#sent.has(`${to} grave ${tombstone}`));
    if (fresh.length === 0 && dead.length === 0) return;
    for (const { revision } of fresh) this.#sent.add(`${to} ${revision}`);
    for (const tombstone of dead) this.#sent.add(`${to} grave ${tombstone}`);
    this.#repaired.add(to);
    this.#begin(this.#send({ to, revisions: fresh, grave: dead }));
  }

  async #send({ grave, revisions, to }: Repair<HeldDocument>): Promise<void> {
    try {
      const replica = this.#group.replica(to);
      for (const held of revisions) await replica.insert(await this.#group.whole(held));
      if (grave.length > 0) await replica.hearGraves(this.#id);
      this.#take(addReadReply(this.#state, { kind: 'repaired', from: to, revisions, grave }));
    } catch (error) {
      this.#errors.set(to, error);
      this.#group.tellFault({ replica: to, during: 'repair', error });
    }
  }
}
