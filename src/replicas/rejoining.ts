/**
 * Fills replicas whose disk was lost: they are compared with the others until they may count for reads again
 * (leaderless/rejoining.ts), also where anti-entropy is switched off. What was taken before a restart is taken again.
 */

import { TercetError } from '../errors.ts';
import { mayCount } from '../leaderless/rejoining.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import type { AntiEntropy } from './anti-entropy.ts';
import type { Liveness } from './liveness.ts';
import { decodeAnswer, encodeQuestion } from './questions.ts';
import { questionKind } from './replica-kinds.ts';
import type { ReplicaSet, ReplicaSets } from './replica-sets.ts';

export interface RejoiningOptions {
  readonly sets: ReplicaSets;
  readonly antiEntropy: Pick<AntiEntropy, 'compare'>;
  readonly liveness: Pick<Liveness, 'isSuspected'>;
  readonly transport: Pick<PeerTransport, 'request'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDefect: (error: unknown) => void;
  /** Between two tries. */
  readonly retryMs: number;
}

const answerMsMax = 5_000;

export class Rejoining {
  readonly #options: RejoiningOptions;
  /** By identity: from whom everything was taken, and whether that one knew its own state. */
  readonly #taken = new Map<string, Map<string, boolean>>();
  #cancelNext: () => void = () => {};

  constructor(options: RejoiningOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, onDefect, retryMs } = this.#options;
    this.#cancelNext = clock.after(retryMs, () => {
      void this.#fillAll()
        .catch(onDefect)
        .then(() => this.start());
    });
  }

  stop(): void {
    this.#cancelNext();
  }

  async #fillAll(): Promise<void> {
    const { log, sets } = this.#options;
    for (const set of sets.all().filter(({ isOwner, isWhole }) => isOwner && !isWhole)) {
      try {
        await this.#fill(set);
      } catch (error) {
        // The database went, the disk refuses, or a peer went: later again.
        if (!(error instanceof TercetError || error instanceof PeerRequestError)) throw error;
        log.warn({ err: error, database: set.database.name }, 'a replica cannot be filled yet');
      }
    }
  }

  async #fill(set: ReplicaSet): Promise<void> {
    const { antiEntropy, liveness, log, sets } = this.#options;
    const taken = this.#taken.get(set.identity) ?? new Map<string, boolean>();
    this.#taken.set(set.identity, taken);
    const counts = () => ({ whole: [...taken.values()].filter(Boolean).length, all: taken.size });
    for (const peer of set.owners) {
      if (peer === sets.self || taken.get(peer) === true || liveness.isSuspected(peer)) continue;
      const isPeerWhole = await this.#isWhole(set, peer);
      const { outcome } = await antiEntropy.compare(set, peer);
      if (outcome !== 'failed') taken.set(peer, isPeerWhole);
      if (mayCount(set.settings, counts())) break;
    }
    if (!mayCount(set.settings, counts())) return;
    await sets.becomeWhole(set);
    this.#taken.delete(set.identity);
    log.info({ database: set.database.name, from: [...taken.keys()] }, 'a replica is whole again');
  }

  /** Asked before it is compared: what it has is all it ever had, or is what it has by now. */
  async #isWhole({ identity }: ReplicaSet, peer: string): Promise<boolean> {
    const question = encodeQuestion({ op: 'standing', identity });
    const { transport } = this.#options;
    const answer = decodeAnswer(
      await transport.request(peer, questionKind, question, { timeoutMs: answerMsMax }),
    );
    return answer.kind === 'standing' && answer.isWhole;
  }
}
