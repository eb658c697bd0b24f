/**
 * Fills replicas whose disk was lost: they are compared with the others until they may count for reads again
 * (leaderless/rejoining.ts), also where anti-entropy is switched off. What was taken before a restart is taken again.
 */

import { TercetError } from '../errors.ts';
import type { FillProgress } from '../http/leaderless-services.ts';
import { mayCount, peersToRejoin } from '../leaderless/rejoining.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import type { AntiEntropy } from './anti-entropy.ts';
import type { Liveness } from './liveness.ts';
import { decodeAnswer, encodeQuestion, type ToldStanding } from './questions.ts';
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

/** See FillProgress. */
interface Fill {
  readonly startedAtMs: number;
  readonly owners: readonly string[];
  /** From whom everything was taken, and whether that one knew its own state. */
  readonly taken: Map<string, boolean>;
  present: string | null;
  expected: number | null;
  error: string | null;
}

export class Rejoining {
  readonly #options: RejoiningOptions;
  /** By identity. */
  readonly #fills = new Map<string, Fill>();
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

  /** Undefined: it knows all that it once acknowledged, or is no owner. */
  progress(set: ReplicaSet): FillProgress | undefined {
    if (!set.isOwner || set.isWhole) return undefined;
    const { error, expected, present, startedAtMs, taken } = this.#fillOf(set);
    const from = [...taken].map(([node, isWhole]) => ({ node, isWhole }));
    const needed = Math.max(0, peersToRejoin(set.settings) - from.filter(({ isWhole }) => isWhole).length);
    const documents = set.database.documentCount();
    return { ...{ startedAtMs, present, taken: from, needed, documents, expected, error } };
  }

  async #fillAll(): Promise<void> {
    const { log, sets } = this.#options;
    for (const set of sets.all().filter(({ isOwner, isWhole }) => isOwner && !isWhole)) {
      const fill = this.#fillOf(set);
      try {
        await this.#fill(set, fill);
      } catch (error) {
        // The database went, the disk refuses, or a peer went: later again.
        if (!(error instanceof TercetError || error instanceof PeerRequestError)) throw error;
        fill.error = error.message;
        log.warn({ err: error, database: set.database.name }, 'a replica cannot be filled yet');
      } finally {
        fill.present = null;
      }
    }
  }

  /** Another one for other owners: what was taken from one that is none any more says nothing of who is in its place. */
  #fillOf({ identity, owners }: ReplicaSet): Fill {
    const known = this.#fills.get(identity);
    if (known !== undefined && known.owners.join() === owners.join()) return known;
    const startedAtMs = this.#options.clock.now();
    const fill: Fill = { startedAtMs, owners, taken: new Map(), present: null, expected: null, error: null };
    this.#fills.set(identity, fill);
    return fill;
  }

  async #fill(set: ReplicaSet, fill: Fill): Promise<void> {
    const { antiEntropy, liveness, log, sets } = this.#options;
    const { taken } = fill;
    const counts = () => ({ whole: [...taken.values()].filter(Boolean).length, all: taken.size });
    for (const peer of set.owners) {
      if (peer === sets.self || taken.get(peer) === true || liveness.isSuspected(peer)) continue;
      fill.present = peer;
      const { documents = 0, isWhole } = await this.#standing(set, peer);
      fill.expected = Math.max(fill.expected ?? 0, documents);
      const { error = null, outcome } = await antiEntropy.compare(set, peer);
      fill.error = error;
      if (outcome !== 'failed') taken.set(peer, isWhole);
      if (mayCount(set.settings, counts())) break;
    }
    if (!mayCount(set.settings, counts())) return;
    await set.database.leaderless?.noteWhole(set.since);
    sets.notedWhole(set);
    this.#fills.delete(set.identity);
    log.info({ database: set.database.name, from: [...taken.keys()] }, 'a replica is whole again');
  }

  /** Asked before it is compared: what it has is all it ever had, or is what it has by now. */
  async #standing({ identity }: ReplicaSet, peer: string): Promise<ToldStanding> {
    const { transport } = this.#options;
    return (await askStanding(transport, { peer, identity, timeoutMs: answerMsMax })) ?? { isWhole: false };
  }
}

/** Undefined: it answered something else. @throws PeerRequestError */
export async function askStanding(
  transport: Pick<PeerTransport, 'request'>,
  {
    identity,
    peer,
    timeoutMs,
  }: Readonly<Record<'identity' | 'peer', string>> & { readonly timeoutMs: number },
): Promise<ToldStanding | undefined> {
  const question = encodeQuestion({ op: 'standing', identity });
  const answer = decodeAnswer(await transport.request(peer, questionKind, question, { timeoutMs }));
  return answer.kind === 'standing' ? answer : undefined;
}
