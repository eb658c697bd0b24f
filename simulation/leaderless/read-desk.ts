/** Reads that a simulated replica coordinates: the core decides, this asks, waits and repairs. */

import { unionOfHeld } from '../../src/leaderless/held-revisions.ts';
import {
  addReadReply,
  closeRead,
  type ReadAsk,
  type ReadState,
  type ReadStep,
  type Repair,
  readIsLate,
  readIsVoid,
  readOutcome,
  readRepairs,
  startRead,
} from '../../src/leaderless/read-coordinator.ts';
import { graveOf, tombstonesGraph } from '../../src/replication/graves.ts';
import { idDigestOf } from '../../src/replication/hash-buckets.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { PeerReply, PeerRequest, ReadAnswer, ReadRequest, ToldRevision } from './messages.ts';
import { lateAfterMs, type Process } from './process.ts';

/** What the own replica answers when it is asked like any other. */
type OwnReplica = (request: PeerRequest, reply: (reply: PeerReply) => void) => void;

export class ReadDesk {
  readonly #process: Process;
  readonly #own: OwnReplica;

  constructor(process: Process, own: OwnReplica) {
    this.#process = process;
    this.#own = own;
  }

  read({ id, settings }: ReadRequest, answer: (answer: ReadAnswer) => void): void {
    const { canary, clock, detector, owners, random, self, sets, standIns } = this.#process;
    const { r, pr, quorum, readTimeoutMs } = settings;
    const readRepair =
      canary.answersBeforeRepair && settings.readRepair === 'blocking' ? 'async' : settings.readRepair;
    const ranked = detector.preferred(
      owners.filter((node) => node !== self),
      clock.monotonic(),
    );
    const members = ranked.filter((node) => sets.isMember(node));
    const others = [...members, ...ranked.filter((node) => !members.includes(node))];
    const preferred = owners.includes(self) ? [self, ...others] : others;
    const plan = { owners: preferred, standIns, r, pr, quorum, readRepair, digests: random.chance(0.8) };
    new ReadRound(this.#process, this.#own, id, answer).begin(startRead(plan, digest128), readTimeoutMs);
  }
}

type State = ReadState<ToldRevision>;

class ReadRound {
  readonly #process: Process;
  readonly #own: OwnReplica;
  readonly #id: string;
  readonly #answer: (answer: ReadAnswer) => void;
  readonly #repairing = new Set<string>();
  #state!: State;
  #isAnswered = false;

  constructor(process: Process, own: OwnReplica, id: string, answer: (answer: ReadAnswer) => void) {
    this.#process = process;
    this.#own = own;
    this.#id = id;
    this.#answer = answer;
  }

  begin(step: ReadStep<ToldRevision>, timeoutMs: number): void {
    this.#take(step);
    this.#process.after(timeoutMs, () => {
      this.#answerWithFewer();
      this.#take({ state: closeRead(this.#state), asks: [] });
    });
  }

  #take(step: ReadStep<ToldRevision>): void {
    const { state, asks } = this.#isAnswered ? step : this.#withoutRemoved(step);
    this.#state = state;
    for (const ask of asks) this.#ask(ask);
    this.#repair();
    const outcome = readOutcome(this.#state);
    if (outcome.kind === 'open' || this.#isAnswered) return;
    this.#isAnswered = true;
    this.#answer(outcome.kind === 'answered' ? outcome : { kind: 'unreached' });
  }

  #withoutRemoved({ asks, state }: ReadStep<ToldRevision>): ReadStep<ToldRevision> {
    const { self, sets } = this.#process;
    let step: ReadStep<ToldRevision> = { asks, state };
    for (const node of state.asked.keys()) {
      if (node === self || sets.isMember(node)) continue;
      const next = readIsVoid(step.state, node);
      step = { state: next.state, asks: [...step.asks, ...next.asks] };
    }
    return step;
  }

  #ask({ to, want }: ReadAsk): void {
    const request: PeerRequest = { kind: want, id: this.#id };
    const heard = (reply: PeerReply) => this.#heard(to, reply);
    if (to === this.#process.self) this.#process.after(0, () => this.#own(request, heard));
    else this.#process.calls.ask(to, request, heard);
    this.#process.after(lateAfterMs(this.#process, to), () => this.#take(readIsLate(this.#state, to)));
  }

  #heard(from: string, reply: PeerReply): void {
    if (reply.kind === 'full') this.#take(addReadReply(this.#state, { ...reply, from }));
    else if (reply.kind === 'digest') {
      const [known] = this.#state.known.keys();
      const digest = this.#process.canary.ignoresDigests ? known : reply.digest;
      this.#take(addReadReply(this.#state, { kind: 'digest', from, digest }));
    } else this.#take(addReadReply(this.#state, { kind: 'refused', from }));
  }

  #repair(): void {
    for (const repair of readRepairs(this.#state)) {
      const { grave, revisions, to } = repair;
      const name = `${to} ${revisions.map(({ revision }) => revision).join()} ${grave.join()}`;
      if (this.#repairing.has(name)) continue;
      this.#repairing.add(name);
      if (revisions.length === 0) this.#bury(repair);
      else this.#send(to, { kind: 'repair', revisions }, () => this.#bury(repair));
    }
  }

  #bury({ grave, revisions, to }: Repair<ToldRevision>): void {
    const done = () =>
      this.#take(addReadReply(this.#state, { kind: 'repaired', from: to, revisions, grave }));
    const graves = [graveOf(idDigestOf(this.#id, digest128), tombstonesGraph(grave))];
    if (grave.length === 0) done();
    else this.#send(to, { kind: 'bury', graves }, done);
  }

  #send(to: string, request: PeerRequest, durable: () => void): void {
    const heard = (reply: PeerReply) => {
      if (reply.kind === 'durable') durable();
    };
    if (to === this.#process.self) this.#process.after(0, () => this.#own(request, heard));
    else this.#process.calls.ask(to, request, heard);
  }

  #answerWithFewer(): void {
    if (!this.#process.canary.answersWithFewer || this.#isAnswered) return;
    const answers = [...this.#state.asked.values()].flatMap(({ holding }) =>
      holding === undefined ? [] : [holding.held],
    );
    this.#isAnswered = true;
    this.#answer({ kind: 'answered', leaves: unionOfHeld(answers, digest128), from: [] });
  }
}
