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
import { mayCount } from '../../src/leaderless/rejoining.ts';
import { horizonOf, oldTombstones } from '../../src/leaderless/tombstones.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { SimulatedDisk } from '../disk.ts';
import type { PeerReply, PeerRequest } from './messages.ts';
import { type Process, replicaSetOf } from './process.ts';
import { put } from './replica-store.ts';

type SessionOutcome = Extract<SessionEffect, { kind: 'end' }>['outcome'];

interface Told {
  /** Something that was sent is not joined there. */
  readonly isRejected?: boolean;
}

const everyMsMin = 60;
const everyMsMax = 400;
const answerWithinMs = 800;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const wholeKey = 'whole';

/** Since when the replica on this disk is known to be whole; undefined: never. */
export function wholeSince(disk: SimulatedDisk): string | undefined {
  const note = disk.get(encoder.encode(wholeKey));
  return note && (JSON.parse(decoder.decode(note)) as string);
}

export class EntropyDesk {
  readonly #process: Process;
  /** By owner: the place in the own feed up to which it has everything. */
  readonly #compared = new Map<string, number>();
  /** Before this place there is nothing to forget any more. */
  #scanned = 0;
  /** Whom it has taken everything from, and whether that one knew its own state; for these owners. */
  #filling: { readonly owners: string; readonly taken: Map<string, boolean> } = {
    owners: '',
    taken: new Map(),
  };
  #isRunning = false;

  constructor(process: Process) {
    this.#process = process;
  }

  /** Whether this replica has what it once acknowledged: only then is it asked for R. */
  isWhole(): boolean {
    return replicaSetOf(this.#process)?.isWhole === true;
  }

  /** It counts once that is durable. */
  noteWhole(): void {
    const { disk, note, oracle, self, sets } = this.#process;
    const set = replicaSetOf(this.#process)!;
    disk.commit([put(wholeKey, set.since)], ({ kind }) => {
      if (kind !== 'durable') return;
      sets.notedWhole(set);
      if (!this.isWhole()) return;
      note('is whole', { since: set.since });
      oracle.whole(self, set.since);
    });
  }

  /** For an owner; it ends when the replica is none any more. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#next();
  }

  #next(): void {
    const { owners, random, settings } = this.#process;
    if (!owners.includes(this.#process.self)) {
      this.#isRunning = false;
      return;
    }
    const [next] = random.sample(this.#others(), 1);
    this.#process.after(random.between(everyMsMin, everyMsMax), () => {
      const isWhole = this.isWhole();
      if (next === undefined || (!settings.antiEntropy && isWhole)) return this.#next();
      const done = () => {
        this.#forget();
        this.#next();
      };
      if (isWhole) this.#round(next, done);
      else this.#fill(next, done);
    });
  }

  /** One that lost its disk, or took another's place, is filled: replicas/rejoining.ts. */
  #fill(peer: string, done: () => void): void {
    const owners = this.#process.owners.join();
    if (this.#filling.owners !== owners) this.#filling = { owners, taken: new Map() };
    const { taken } = this.#filling;
    this.#ask(peer, { kind: 'standing' }, (standing) => {
      if (standing?.kind !== 'standing') return done();
      this.#process.note('takes everything', { from: peer, isWhole: standing.isWhole });
      this.#round(peer, (outcome) => {
        if (outcome !== 'failed') taken.set(peer, standing.isWhole);
        const counts = { whole: [...taken.values()].filter(Boolean).length, all: taken.size };
        const isSame = this.#process.owners.join() === owners;
        if (isSame && mayCount(this.#process.settings, counts)) this.noteWhole();
        done();
      });
    });
  }

  #others(): readonly string[] {
    return this.#process.owners.filter((node) => node !== this.#process.self);
  }

  #round(peer: string, done: (outcome: SessionOutcome) => void): void {
    const { note, store } = this.#process;
    const sequence = store.sequence();
    let isRejected = false;
    const take = ({ effect, session }: SessionStep): void => {
      if (effect.kind === 'end') {
        note('round', { peer, outcome: effect.outcome });
        if (effect.outcome !== 'failed' && !isRejected) this.#compared.set(peer, sequence);
        return done(effect.outcome);
      }
      this.#do(peer, effect, (event, told = {}) => {
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
          then({ kind: 'answered', answer: reply.answer, own });
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

  #forget(): void {
    const { canary, clock, oracle, self, settings, store } = this.#process;
    const sequence = store.sequence();
    const times = { nowMs: clock.now(), horizonMs: settings.tombstoneHorizonMs };
    const owners = this.#others().map((owner) => this.#compared.get(owner));
    const horizon = horizonOf({ sequence, owners, checkpoints: [], ...times });
    const through = canary.forgetsEarly ? sequence : horizon;
    if (!this.isWhole() || through <= this.#scanned) return;
    const found = { dead: store.tombstones({ after: this.#scanned, through }), through };
    const old = canary.forgetsYoung ? { due: found.dead, through } : oldTombstones(found, times);
    for (const { id, leaves } of store.forget(old.due.map((dead) => dead.id))) {
      oracle.forgotten(id, leaves, self);
    }
    this.#scanned = old.through;
  }
}
