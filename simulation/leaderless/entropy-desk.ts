/**
 * Rounds of anti-entropy of a simulated replica, one at a time, and what rests on them: the horizon of tombstones, and when a
 * replica whose disk was replaced knows its own state again.
 */

import {
  nodesOf,
  type SessionEffect,
  type SessionEvent,
  type SessionStep,
  sessionDefaults,
  startSession,
  stepSession,
} from '../../src/leaderless/anti-entropy.ts';
import type { BucketDifferences } from '../../src/leaderless/bucket-entries.ts';
import { peersToRejoin } from '../../src/leaderless/rejoining.ts';
import { horizonOf, oldTombstones } from '../../src/leaderless/tombstones.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { PeerReply, PeerRequest } from './messages.ts';
import type { Process } from './process.ts';
import { put } from './replica-store.ts';

interface Told {
  /** The peer knows its own state. */
  readonly isWhole?: boolean;
  /** Something that was sent is not joined there. */
  readonly isRejected?: boolean;
}

const everyMsMin = 60;
const everyMsMax = 400;
const answerWithinMs = 800;
const encoder = new TextEncoder();
const wholeKey = 'whole';

export class EntropyDesk {
  readonly #process: Process;
  /** By owner: the place in the own feed up to which it has everything. */
  readonly #compared = new Map<string, number>();
  /** Before this place there is nothing to forget any more. */
  #scanned = 0;
  /** Whom this replica has taken everything from since its disk was replaced. */
  readonly #takenFrom = new Set<string>();
  #isWhole: boolean;

  constructor(process: Process) {
    this.#process = process;
    this.#isWhole = process.disk.get(encoder.encode(wholeKey)) !== undefined;
  }

  /** Whether this replica has what it once acknowledged: only then is it asked for R. */
  isWhole(): boolean {
    return this.#isWhole;
  }

  /** For a disk on which nothing was ever acknowledged. */
  becomeWhole(): void {
    this.#isWhole = true;
    this.#process.disk.commit([put(wholeKey, true)], () => undefined);
  }

  start(): void {
    const { random, settings } = this.#process;
    const [next] = random.sample(this.#others(), 1);
    this.#process.after(random.between(everyMsMin, everyMsMax), () => {
      if (next === undefined || (!settings.antiEntropy && this.#isWhole)) return this.start();
      this.#round(next, () => {
        this.#forget();
        this.start();
      });
    });
  }

  #others(): readonly string[] {
    return this.#process.owners.filter((node) => node !== this.#process.self);
  }

  #round(peer: string, done: () => void): void {
    const { note, store } = this.#process;
    const sequence = store.sequence();
    let isPeerWhole = false;
    let isRejected = false;
    const take = ({ effect, session }: SessionStep): void => {
      if (effect.kind === 'end') {
        note('round', { peer, outcome: effect.outcome });
        if (effect.outcome !== 'failed') {
          if (!isRejected) this.#compared.set(peer, sequence);
          if (isPeerWhole) this.#hasTakenFrom(peer);
        }
        return done();
      }
      this.#do(peer, effect, (event, told = {}) => {
        if (told.isWhole !== undefined) isPeerWhole = told.isWhole;
        if (told.isRejected === true) isRejected = true;
        take(stepSession(session, event));
      });
    };
    take(startSession(store.sums(0, [0])[0]!, sessionDefaults, digest128));
  }

  #do(
    peer: string,
    effect: Exclude<SessionEffect, { kind: 'end' }>,
    then: (event: SessionEvent, told?: Told) => void,
  ): void {
    const { after, store } = this.#process;
    switch (effect.kind) {
      case 'read': {
        const entries = store.entries(effect.buckets);
        after(0, () => then({ kind: 'read', entries }));
        return;
      }
      case 'ask': {
        const { question } = effect;
        this.#ask(peer, { kind: 'question', question }, (reply) => {
          if (reply?.kind !== 'answer') return then({ kind: 'failed' });
          const { level, indexes } = nodesOf(question);
          const own = store.sums(level, indexes);
          then({ kind: 'answered', answer: reply.answer, own }, { isWhole: reply.isWhole });
        });
        return;
      }
      case 'exchange':
        this.#exchange(peer, effect.differences, (isDone, isRejected) =>
          then({ kind: isDone ? 'exchanged' : 'failed' }, { isRejected }),
        );
    }
  }

  #exchange(
    peer: string,
    differences: BucketDifferences,
    done: (isDone: boolean, isRejected: boolean) => void,
  ): void {
    const { store } = this.#process;
    for (const grave of differences.dig) store.bury(grave);
    this.#ask(peer, { kind: 'fetch', wanted: differences.fetch }, (fetched) => {
      if (fetched?.kind !== 'fetched') return done(false, false);
      store.join(fetched.revisions, ({ kind }) => {
        if (kind === 'refused') return done(false, false);
        const revisions = store.named(differences.send);
        this.#ask(peer, { kind: 'join', revisions }, (sent) => {
          if (sent?.kind !== 'durable' && sent?.kind !== 'rejected') return done(false, false);
          this.#ask(peer, { kind: 'bury', graves: differences.bury }, (told) =>
            done(told?.kind === 'durable', sent.kind === 'rejected'),
          );
        });
      });
    });
  }

  #ask(peer: string, request: PeerRequest, then: (reply: PeerReply | undefined) => void): void {
    this.#process.calls.askWithin(answerWithinMs, peer, request, then);
  }

  #hasTakenFrom(peer: string): void {
    if (this.#isWhole) return;
    this.#takenFrom.add(peer);
    if (this.#takenFrom.size >= peersToRejoin(this.#process.settings)) this.becomeWhole();
  }

  #forget(): void {
    const { canary, clock, oracle, self, settings, store } = this.#process;
    const sequence = store.sequence();
    const times = { nowMs: clock.now(), horizonMs: settings.tombstoneHorizonMs };
    const owners = this.#others().map((owner) => this.#compared.get(owner));
    const horizon = horizonOf({ sequence, owners, checkpoints: [], ...times });
    const through = canary.forgetsEarly ? sequence : horizon;
    if (!this.#isWhole || through <= this.#scanned) return;
    const found = { dead: store.tombstones({ after: this.#scanned, through }), through };
    const old = canary.forgetsYoung ? { due: found.dead, through } : oldTombstones(found, times);
    for (const { id, leaves } of store.forget(old.due.map((dead) => dead.id))) {
      oracle.forgotten(id, leaves, self);
    }
    this.#scanned = old.through;
  }
}
