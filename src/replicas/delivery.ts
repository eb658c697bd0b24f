/**
 * Brings revisions to another replica and finds out what became of them there: for writes, repairs and hints alike. A
 * receiver that lacks a path or contents is brought them, and asked again.
 */

import type { WholeRevision } from '../database/whole-documents.ts';
import type { WriteReply } from '../leaderless/write-coordinator.ts';
import type { Verdict } from './answer-codec.ts';
import type { Reply } from './call-batches.ts';
import type { ContentSender } from './contents.ts';
import type { ReplicaCaller } from './replica-caller.ts';
import type { ReplicaSet } from './replica-sets.ts';

export interface Parcel {
  readonly to: string;
  readonly set: Pick<ReplicaSet, 'identity' | 'database'>;
  readonly revisions: readonly WholeRevision[];
  /** Whom the receiver stands in for. */
  readonly owner?: string | undefined;
}

/**
 * - `durable`: all of it is there.
 * - `rejected`: what is not there will never be: its receiver does not join it.
 * - `refused`: it is not there, and may be tried again.
 * - `unknown`: it may be there.
 */
export type DeliveryOutcome = WriteReply['kind'] | 'rejected';

/** What a revision costs beside its body, its path and what it says of attachments. */
const revisionBytes = 200;
const idBytes = 17;

/** Of what is sent, roughly. */
export function bytesOf(revisions: readonly WholeRevision[]): number {
  return revisions.reduce((sum, { attachments, body, id, path }) => {
    const beside = revisionBytes * (1 + attachments.length) + id.length + idBytes * path.ids.length;
    return sum + beside + body.length;
  }, 0);
}

/** How often what a receiver lacks is brought to it. */
const suppliesMax = 2;

export class Delivery {
  readonly #caller: ReplicaCaller;
  readonly #contents: ContentSender;

  constructor(caller: ReplicaCaller, contents: ContentSender) {
    this.#caller = caller;
    this.#contents = contents;
  }

  /** Calls back once, never before this returns. */
  send(parcel: Parcel, done: (outcome: DeliveryOutcome) => void): void {
    this.#send(parcel, suppliesMax, done);
  }

  #send(parcel: Parcel, suppliesLeft: number, done: (outcome: DeliveryOutcome) => void): void {
    const { owner, revisions, set, to } = parcel;
    const isWhole = suppliesLeft < suppliesMax;
    const items = revisions.map((revision) => ({ identity: set.identity, revision, isWhole, owner }));
    this.#caller.insert(to, items, (reply) => {
      const outcome = outcomeOf(reply, suppliesLeft);
      if (outcome !== 'supply') return done(outcome);
      const answers = reply.kind === 'answered' ? reply.answers : [];
      const blobs = answers.flatMap((verdict) => (verdict.kind === 'lacks_contents' ? verdict.blobs : []));
      const lacking = revisions.filter((_, at) => answers[at]?.kind !== 'kept');
      this.#contents.bring(to, set, blobs, () => {
        this.#send({ ...parcel, revisions: lacking }, suppliesLeft - 1, (later) => {
          // What it took before is there, whatever became of the rest.
          done(later === 'refused' && lacking.length < revisions.length ? 'unknown' : later);
        });
      });
    });
  }
}

function outcomeOf(reply: Reply<Verdict>, suppliesLeft: number): DeliveryOutcome | 'supply' {
  if (reply.kind === 'unanswered') return reply.delivery === 'not_delivered' ? 'refused' : 'unknown';
  const { answers } = reply;
  if (answers.every(({ kind }) => kind === 'kept')) return 'durable';
  if (answers.some(({ kind }) => kind.startsWith('lacks_')) && suppliesLeft > 0) return 'supply';
  if (answers.every(({ kind }) => kind === 'kept' || kind === 'rejected')) return 'rejected';
  // What it took of the others is there all the same.
  const isNowhere = answers.every((verdict) => verdict.kind === 'refused' && !verdict.mayBeKept);
  return isNowhere ? 'refused' : 'unknown';
}
