/** What a simulated replica answers to its peers: what replicas/peer-desk.ts and replicas/replica-server.ts do in production. */

import { answerOf, nodesOf } from '../../src/leaderless/anti-entropy.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { HintDesk } from './hint-desk.ts';
import type { PeerReply, PeerRequest, ToldRevision } from './messages.ts';
import { type Process, replicaSetOf } from './process.ts';
import type { JoinOutcome } from './replica-store.ts';

type Asked<Kind extends PeerRequest['kind']> = Extract<PeerRequest, { kind: Kind }>;
type Reply = (reply: PeerReply) => void;

export class AnswerDesk {
  readonly #process: Process;
  readonly #hints: HintDesk;

  constructor(process: Process, hints: HintDesk) {
    this.#process = process;
    this.#hints = hints;
  }

  /** Members only, and of a database that is here. */
  answer(from: string, request: PeerRequest, reply: Reply): void {
    const { disk, self, sets, store } = this.#process;
    if (from !== self && !sets.isMember(from)) return reply({ kind: 'refused' });
    if (request.kind === 'standing') return this.#tellStanding(reply);
    if (replicaSetOf(this.#process) === undefined) return reply({ kind: 'refused' });
    switch (request.kind) {
      case 'join':
        return this.#join(from, request, reply);
      case 'repair':
        return this.#repair(from, request, reply);
      case 'digest':
      case 'full':
        return this.#read(from, request, reply);
      case 'question':
        return this.#compare(request, reply);
      case 'fetch':
        return reply({ kind: 'fetched', revisions: store.named(request.wanted) });
      case 'bury':
        for (const grave of request.graves) store.bury(grave);
        return disk.commit([], ({ kind }) => reply({ kind }));
    }
  }

  /** When what it took before is durable. */
  #tellStanding(reply: Reply): void {
    const { disk, sets } = this.#process;
    const { isOwner = false, isWhole = false } = replicaSetOf(this.#process) ?? {};
    const members = sets.members();
    disk.commit([], ({ kind }) =>
      reply(kind === 'durable' ? { kind: 'standing', isOwner, isWhole, members } : { kind: 'refused' }),
    );
  }

  #join(from: string, { revisions, standsInFor }: Asked<'join'>, reply: Reply): void {
    const { canary, isReplacing, self, store } = this.#process;
    if (canary.acknowledgesEarly) reply({ kind: 'durable' });
    const settled = (outcome: JoinOutcome) => {
      // What is brought for an owner, this one too, anybody may bring.
      if (!canary.acknowledgesEarly)
        reply(standsInFor === undefined ? this.#counted(from, outcome) : outcome);
    };
    if (standsInFor === undefined || standsInFor === self) return store.join(revisions, settled);
    const keep = () => {
      for (const told of revisions) this.#hints.keep(standsInFor, told, settled);
    };
    if (!isReplacing) return keep();
    store.join(revisions, (outcome) => (outcome.kind === 'durable' ? keep() : settled(outcome)));
  }

  #repair(from: string, { revisions }: Asked<'repair'>, reply: Reply): void {
    const { canary, store } = this.#process;
    const settled = (outcome: JoinOutcome) => reply(this.#counted(from, outcome));
    if (canary.repairOverwrites) return store.overwrite(revisions, settled);
    store.join(
      revisions.map((told) => this.#arrived(told)),
      settled,
    );
  }

  /** Looked at when it is durable: by then another may have the place of whoever sent it. */
  #counted(from: string, { kind }: JoinOutcome): PeerReply {
    const { identity, self, sets } = this.#process;
    return from === self || sets.isOwner(identity, from) ? { kind } : { kind: 'unconfirmed' };
  }

  #read(from: string, { id, kind }: Asked<'digest' | 'full'>, reply: Reply): void {
    const { canary, store } = this.#process;
    if (!this.#mayRead(from)) return reply({ kind: 'refused' });
    const digest = store.digest(id);
    if (kind === 'digest') return reply({ kind: 'digest', digest });
    const held = store.leaves(id);
    const grave = held.length === 0 && !canary.believesTheDead ? store.grave(id)?.leaves : undefined;
    return reply({ kind: 'full', digest, held, grave });
  }

  #mayRead(from: string): boolean {
    const { canary, identity, isReplacing, self, sets } = this.#process;
    const { isOwner, isWhole, since } = replicaSetOf(this.#process)!;
    // What stand-ins took is not in their replicas here, unless they may become owners.
    if (!isOwner && !isReplacing) return false;
    if (canary.answersWhenEmpty || (canary.answersUnfilled && since !== '')) return true;
    return from === self ? isWhole : sets.mayRead(identity, from);
  }

  #compare({ question }: Asked<'question'>, reply: Reply): void {
    const { store } = this.#process;
    const { indexes, level } = nodesOf(question);
    const entries = question.kind === 'buckets' ? store.entries(question.buckets) : [];
    const told = { root: store.sums(0, [0])[0]!, sums: store.sums(level, indexes), entries };
    reply({ kind: 'answer', answer: answerOf(question, told, digest128) });
  }

  #arrived(told: ToldRevision): ToldRevision {
    if (!this.#process.canary.forgetsPaths) return told;
    return { ...told, path: { start: told.path.start, ids: told.path.ids.slice(0, 1) } };
  }
}
