/** Writes that a simulated replica coordinates: the core decides, this sends, waits and keeps hints. */

import { deriveRevision, digestOf, generationOf, type Revision } from '../../src/document/revision.ts';
import { isLeaf, nodeOf, winnerOf } from '../../src/document/revision-graph.ts';
import { pathOf } from '../../src/document/revision-path.ts';
import { nextStampTime, type StampTime } from '../../src/document/stamp.ts';
import { hasDerivedForm } from '../../src/document/tree-projection.ts';
import {
  addWriteReply,
  closeWrite,
  owedHints,
  startWrite,
  type WriteState,
  type WriteStep,
  writeIsLate,
  writeIsVoid,
  writeOutcome,
} from '../../src/leaderless/write-coordinator.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { HintDesk } from './hint-desk.ts';
import type { PeerReply, ToldRevision, WriteAnswer, WriteRequest } from './messages.ts';
import { isSuspected, lateAfterMs, type Process, replicaSetOf } from './process.ts';

const encoder = new TextEncoder();
const joinFirstMs = 200;

export class WriteDesk {
  readonly #process: Process;
  readonly #hints: HintDesk;
  /** Ids whose edit is on its way to the disk, and what waits for it. */
  readonly #busy = new Map<string, (() => void)[]>();
  #seen: StampTime = { ms: 0, counter: 0 };

  constructor(process: Process, hints: HintDesk) {
    this.#process = process;
    this.#hints = hints;
  }

  write(request: WriteRequest, answer: (answer: WriteAnswer) => void): void {
    const waiting = this.#busy.get(request.id);
    if (waiting !== undefined) {
      waiting.push(() => this.write(request, answer));
      return;
    }
    const { base, id } = request;
    const isKnown =
      base === undefined
        ? replicaSetOf(this.#process)?.isWhole === true
        : nodeOf(this.#process.store.graph(id), base) !== undefined;
    if (isKnown) return this.#check(request, answer);
    // The others may know it: a client that read elsewhere is no conflict, and what a lost disk forgot is not new.
    let open = this.#process.owners.length - 1;
    let isChecked = false;
    const check = () => {
      if (isChecked) return;
      isChecked = true;
      this.#check(request, answer);
    };
    for (const owner of this.#process.owners) {
      if (owner === this.#process.self) continue;
      this.#process.calls.askWithin(joinFirstMs, owner, { kind: 'full', id }, (reply) => {
        open -= 1;
        const held = reply?.kind === 'full' ? reply.held : [];
        if (held.length > 0) this.#process.store.join(held, () => (open === 0 ? check() : undefined));
        else if (open === 0) check();
      });
    }
    if (open === 0) check();
  }

  /** A revision that a client made of what it once read, without asking whether that is still the latest. */
  insert(told: ToldRevision, settings: LeaderlessSettings, answer: (answer: WriteAnswer) => void): void {
    const { oracle, self, store } = this.#process;
    oracle.made(told, self);
    if (store.judge(told) === 'apply') return this.#coordinate(told, settings, () => undefined, answer);
    store.join([told], () => answer({ kind: 'conflict' }));
  }

  #check(request: WriteRequest, answer: (answer: WriteAnswer) => void): void {
    const { id, base, deleted } = request;
    const { store } = this.#process;
    if (this.#busy.has(id)) return this.write(request, answer);
    const graph = store.graph(id);
    const winner = winnerOf(graph);
    const parent = base ?? (winner?.deleted === true ? winner.revision : store.grave(id)?.leaves[0]);
    const isAllowed = base === undefined ? winner === undefined || winner.deleted : isLeaf(graph, base);
    if (!isAllowed || (deleted && base === undefined)) return answer({ kind: 'conflict' });
    this.#busy.set(id, []);
    const told = this.#revisionOf(request, parent);
    this.#process.oracle.made(told, this.#process.self);
    this.#coordinate(told, request.settings, () => this.#free(id), answer);
  }

  #revisionOf({ id, deleted, value }: WriteRequest, parent: Revision | undefined): ToldRevision {
    const { clock, self } = this.#process;
    const body = encoder.encode(JSON.stringify({ value }));
    const parents = parent === undefined ? [] : [parent];
    const revision = deriveRevision({ parents, deleted, body, attachmentDigests: [] }, digest128);
    const above = parent === undefined ? [] : this.#wayBack(id, parent);
    this.#seen = nextStampTime(this.#seen, clock.now());
    const stamp = { ...this.#seen, node: self };
    const path = { start: generationOf(revision), ids: [digestOf(revision), ...above] };
    return { id, revision, deleted, value, stamp, path };
  }

  #wayBack(id: string, parent: Revision): readonly string[] {
    const { store } = this.#process;
    const graph = store.graph(id);
    return pathOf(graph.nodes.length > 0 ? graph : store.grave(id)!.graph, parent).ids;
  }

  #coordinate(
    told: ToldRevision,
    settings: LeaderlessSettings,
    settledHere: () => void,
    answer: (answer: WriteAnswer) => void,
  ): void {
    const { canary, owners, self, standIns } = this.#process;
    const { hints, w, pw, writeTimeoutMs } = settings;
    const quorum = canary.countsStandIns ? 'sloppy' : settings.quorum;
    const suspected = owners.filter((node) => node !== self && isSuspected(this.#process, node));
    // As wholeRevisionsInTurn does: who has not heard of a merge would show what it ended beside what is made from it.
    const ended = this.#process.store.leaves(told.id).filter(({ revision }) => hasDerivedForm(revision));
    new WriteRound(this.#process, this.#hints, [told, ...ended], answer).begin(
      startWrite({ owners, standIns, w, pw, quorum, suspected }),
      { timeoutMs: writeTimeoutMs, keepsHints: hints, settledHere },
    );
  }

  #free(id: string): void {
    const waiting = this.#busy.get(id) ?? [];
    this.#busy.delete(id);
    for (const next of waiting) next();
  }
}

interface RoundOptions {
  readonly timeoutMs: number;
  readonly keepsHints: boolean;
  readonly settledHere: () => void;
}

class WriteRound {
  readonly #process: Process;
  readonly #hints: HintDesk;
  readonly #told: ToldRevision;
  /** What was made, and what is to arrive with it. */
  readonly #revisions: readonly ToldRevision[];
  readonly #answer: (answer: WriteAnswer) => void;
  readonly #hinted = new Set<string>();
  #state!: WriteState;
  #options!: RoundOptions;
  #isAnswered = false;

  constructor(
    process: Process,
    hints: HintDesk,
    revisions: readonly [ToldRevision, ...ToldRevision[]],
    answer: (answer: WriteAnswer) => void,
  ) {
    this.#process = process;
    this.#hints = hints;
    this.#told = revisions[0];
    this.#revisions = revisions;
    this.#answer = answer;
  }

  begin(step: WriteStep, options: RoundOptions): void {
    this.#options = options;
    this.#take(step);
    this.#process.after(options.timeoutMs, () => this.#take({ state: closeWrite(this.#state), sends: [] }));
  }

  #take({ state, sends }: WriteStep): void {
    this.#state = state;
    for (const { to, standsInFor } of sends) this.#send(to, standsInFor);
    if (!this.#isAnswered) this.#forgetRemoved();
    const outcome = writeOutcome(this.#state);
    if (outcome.kind !== 'open' && !this.#isAnswered) {
      this.#isAnswered = true;
      const { revision } = this.#told;
      if (outcome.kind === 'met' || outcome.kind === 'partial') {
        const { owners, standIns } = outcome.receipt;
        this.#answer({ kind: outcome.kind, revision, durableOn: [...owners, ...standIns], standIns });
      } else this.#answer({ kind: outcome.kind, revision });
      // Somebody may have it and nobody said so: a hint is owed for what is known to be stored.
      if (outcome.kind === 'unknown') this.#process.oracle.unhinted.add(this.#told.id);
    }
    if (!this.#options.keepsHints) return;
    for (const owner of owedHints(this.#state)) {
      // Its own disk refused: others have it, and no hint is kept for oneself.
      if (owner === this.#process.self) this.#process.oracle.unhinted.add(this.#told.id);
      if (this.#hinted.has(owner) || owner === this.#process.self) continue;
      this.#hinted.add(owner);
      for (const told of this.#revisions) this.#hints.keep(owner, told, () => undefined);
    }
  }

  #forgetRemoved(): void {
    const { self, sets } = this.#process;
    for (const { node } of this.#state.asked) {
      if (node !== self && !sets.isMember(node)) this.#state = writeIsVoid(this.#state, node);
    }
  }

  #send(to: string, standsInFor: string | undefined): void {
    const { calls, canary, store, after, self } = this.#process;
    if (to === self) {
      const settled = (isDurable: boolean) => {
        this.#options.settledHere();
        this.#heard(to, isDurable ? { kind: 'durable' } : { kind: 'refused' });
      };
      store.join([this.#told], ({ kind }) => settled(kind === 'durable'));
      if (canary.acknowledgesEarly) after(0, () => this.#heard(to, { kind: 'durable' }));
      return;
    }
    const stands = standsInFor === undefined ? {} : { standsInFor };
    calls.ask(to, { kind: 'join', revisions: this.#revisions, ...stands }, (reply) => this.#heard(to, reply));
    after(lateAfterMs(this.#process, to), () => this.#take(writeIsLate(this.#state, to)));
  }

  #heard(from: string, reply: PeerReply): void {
    const kind = reply.kind === 'durable' ? 'durable' : reply.kind === 'unconfirmed' ? 'unknown' : 'refused';
    this.#take(addWriteReply(this.#state, { from, kind }));
  }
}
