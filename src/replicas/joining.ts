/** Joins into the own replica what others have, contents of attachments first. */

import { applyTogether } from '../database/apply.ts';
import { committedOf } from '../database/leaderless.ts';
import type { WholeRevision } from '../database/whole-documents.ts';
import type { Revision } from '../document/revision.ts';
import { TercetError } from '../errors.ts';
import { graveOf, tombstonesGraph } from '../replication/graves.ts';
import { idDigestOf } from '../replication/hash-buckets.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import { encodeQuestion, toldGrave } from './questions.ts';
import type { ReplicaCaller } from './replica-caller.ts';
import { questionKind } from './replica-kinds.ts';
import type { ReplicaSet } from './replica-sets.ts';
import type { ToldDocument } from './revision-codec.ts';

export interface JoiningOptions {
  readonly self: string;
  readonly transport: Pick<PeerTransport, 'request'>;
  readonly caller: ReplicaCaller;
  readonly clock: Clock;
  readonly log: Log;
}

export type JoinOutcome = 'durable' | 'rejected' | 'not_now';

type Joinable = Pick<ReplicaSet, 'database' | 'identity'>;

const contentsMsMax = 60_000;
const buryMsMax = 5_000;
/** How long a write waits for the others to say what they know of its base. */
const catchUpMsMax = 1_000;

export class Joining {
  readonly #options: JoiningOptions;

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  /** `rejected`: what is not durable here now never will be; `not_now`: it may be tried again. */
  async joinHere({ database }: Joinable, revisions: readonly WholeRevision[]): Promise<JoinOutcome> {
    try {
      const settings = database.applySettings();
      const outcomes = await database.submit((turn) => applyTogether(turn, revisions, settings));
      const failed = outcomes.filter((outcome) => outcome.kind === 'failed');
      if (failed.some(({ error }) => error.code === 'missing_stub')) return 'not_now';
      return failed.length === 0 ? 'durable' : 'rejected';
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      this.#options.log.warn({ err: error }, 'what another replica has cannot be joined');
      return 'not_now';
    }
  }

  /** Brings the contents that revisions name and that are not here. What could not be had is found missing afterwards. */
  async fetchContents(
    from: string,
    { database, identity }: Joinable,
    revisions: readonly WholeRevision[],
  ): Promise<void> {
    const named = revisions.flatMap(({ attachments }) => attachments.map(({ blob }) => blob.blob));
    const blobs = [...new Set(named)].filter((blob) => !database.blobs.willBeNamed(blob));
    if (blobs.length === 0) return;
    const question = encodeQuestion({ op: 'contents', identity, blobs });
    try {
      await this.#options.transport.request(from, questionKind, question, { timeoutMs: contentsMsMax });
    } catch (error) {
      if (!(error instanceof PeerRequestError)) throw error;
      this.#options.log.warn({ err: error, from }, 'contents of attachments cannot be had from a replica');
    }
  }

  /** Tells the own replica, or another one, that a document is forgotten elsewhere; gives whether it knows that now. */
  async bury(
    to: string,
    { database, identity }: Joinable,
    id: string,
    tombstones: readonly Revision[],
  ): Promise<boolean> {
    const { log, self, transport } = this.#options;
    const grave = graveOf(idDigestOf(id, committedOf(database).digest), tombstonesGraph(tombstones));
    try {
      if (to === self) return (await database.leaderless?.bury([grave])) === 0;
      const question = encodeQuestion({ op: 'bury', identity, graves: [toldGrave(grave)] });
      await transport.request(to, questionKind, question, { timeoutMs: buryMsMax });
      return true;
    } catch (error) {
      if (!(error instanceof TercetError || error instanceof PeerRequestError)) throw error;
      log.warn({ err: error, to }, 'a replica cannot be told that a document is forgotten');
      return false;
    }
  }

  /** Joins what the others have of these documents: all who answer in time. */
  catchUp(set: ReplicaSet, ids: readonly string[]): Promise<void> {
    return this.#ofOthers(set, ids, async (node, answers) => {
      const revisions = answers.flatMap((told) => (typeof told === 'string' ? [] : told.revisions));
      if (revisions.length === 0) return;
      await this.fetchContents(node, set, revisions);
      await this.joinHere(set, revisions);
    });
  }

  /** Takes over the graves that the others have of this document: all who answer in time. Gives whether there is one. */
  async hearGraves(set: ReplicaSet, id: string): Promise<boolean> {
    let isBuried = false;
    await this.#ofOthers(set, [id], async (_, [told]) => {
      if (told === undefined || typeof told === 'string' || told.grave.length === 0) return;
      if (await this.bury(this.#options.self, set, id, told.grave)) isBuried = true;
    });
    return isBuried;
  }

  async #ofOthers(
    set: ReplicaSet,
    ids: readonly string[],
    take: (node: string, answers: readonly ToldDocument[]) => Promise<void>,
  ): Promise<void> {
    const { caller, clock, self } = this.#options;
    const others = set.owners.filter((node) => node !== self);
    const names = ids.map((id) => ({ identity: set.identity, id }));
    const asking = others.map(async (node) => {
      const answers = await new Promise<readonly ToldDocument[]>((resolve) => {
        caller.documents(node, names, (reply) => resolve(reply.kind === 'answered' ? reply.answers : []));
      });
      await take(node, answers);
    });
    await new Promise<void>((resolve, reject) => {
      const cancel = clock.after(catchUpMsMax, resolve);
      Promise.all(asking)
        .then(() => resolve(), reject)
        .finally(cancel);
    });
  }
}
