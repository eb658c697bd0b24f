/**
 * How a follower has the edits of a client checked and logged: it understands the request, the leader decides.
 *
 *   client ──► follower: who asks, what does it say? ──► leader: may they, is it a leaf? ──► the log
 *                  └────────────── status, headers ◄── revision or conflict, receipt ◄──────────┘
 *
 * Edits go over the stream between the nodes, all of a turn in one piece, and their bodies are parsed once. Only edits
 * without contents of attachments go this way; HTTP takes everything else to the leader as a whole (http/forwarder.ts).
 *
 * 1. `not_leader` says that the leader did not begin: the request may be taken to it, or to the next one, as a whole.
 * 2. What was sent and is not answered is unknown; also when another has led, or nobody, for a moment.
 */

import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import type { AckSettings, DocumentEdit, EditOutcome } from '../database/model.ts';
import type { WriteOptions, WriteReceipt } from '../database/writes.ts';
import { failure, TercetError } from '../errors.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { Clock } from '../runtime/ports.ts';
import type { DatabaseRef } from './commands.ts';
import {
  decodeAnswer,
  decodeEdits,
  type EditAnswer,
  type EditRequest,
  encodeAnswer,
  encodeEdits,
  encodeRefusal,
} from './edit-codec.ts';

/** How long a leader that has been replaced may take to say itself what became of an edit. */
const GRACE_MS = 1_000;
/** Beyond its acknowledgement an edit may wait for the writes of its document before it. */
const ANSWER_SLACK_MS = 70_000;

export interface ForwardedEditsContext {
  readonly clock: Clock;
  readonly databases: () => Databases;
  readonly request: (peer: string, bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
  /** Name of the leader, if known. */
  readonly leader: () => string | undefined;
  /** @throws TercetError `not_leader` */
  readonly requireLeading: () => void;
  readonly onLeaderChange: (listener: () => void) => () => void;
  /** @throws TercetError `unauthorized`, `forbidden` */
  readonly requireWriter: (onBehalfOf: string, database: Database) => void;
}

export interface EditsToForward {
  readonly name: string;
  readonly reference: DatabaseRef;
  readonly settings: AckSettings;
  readonly edits: readonly DocumentEdit[];
}

export class ForwardedEdits {
  readonly #context: ForwardedEditsContext;
  /** What gives up an edit, by the leader that has it. */
  readonly #waiting = new Map<(error: TercetError) => void, string>();
  readonly #stop: () => void;
  #cancel: () => void = () => {};

  constructor(context: ForwardedEditsContext) {
    this.#context = context;
    this.#stop = context.onLeaderChange(() => this.#leaderChanged());
  }

  close(): void {
    this.#stop();
    this.#cancel();
  }

  /**
   * Has the leader do one edit.
   * @throws TercetError what the leader threw; `not_leader`, `write_outcome_unknown`
   */
  async forward(
    { edits, name, reference, settings }: EditsToForward,
    { ack, onBehalfOf, onReceipt }: WriteOptions,
  ): Promise<EditOutcome[]> {
    const leader = this.#context.leader();
    const isPlain = edits.length === 1 && edits.every(isPlainEdit);
    const isBounded = (ack?.onTimeout ?? settings.onTimeout) !== 'block';
    if (leader === undefined || onBehalfOf === undefined || !isPlain || !isBounded)
      throw failure('not_leader', 'Only the leader takes this write, as a whole; it did not happen.');
    const timeoutMs = (ack?.timeoutMs ?? settings.timeoutMs) + ANSWER_SLACK_MS;
    const bytes = encodeEdits({ reference, name, onBehalfOf, ack, edits });
    const { receipts, outcomes } = answerIn(await this.#ask(leader, bytes, timeoutMs), edits, leader);
    for (const receipt of receipts) onReceipt?.(receipt);
    return [...outcomes];
  }

  /** On the leader. */
  async serve(bytes: Uint8Array): Promise<Uint8Array> {
    const { requireLeading, requireWriter } = this.#context;
    const { ack, edits, name, onBehalfOf, reference } = requestIn(bytes);
    const receipts: WriteReceipt[] = [];
    try {
      requireLeading();
      const database = this.#databaseOf(name, reference);
      requireWriter(onBehalfOf, database);
      const onReceipt = (receipt: WriteReceipt) => receipts.push(receipt);
      const outcomes = await database.edit(edits, { ...(ack && { ack }), onReceipt });
      return encodeAnswer({ receipts, outcomes });
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      if (error.code === 'not_leader') throw new PeerRefusal(error.reason, { cause: error });
      return encodeRefusal(error);
    }
  }

  #databaseOf(name: string, reference: number): Database {
    const databases = this.#context.databases();
    if (!databases.has(name) || databases.replication(name).reference !== reference)
      throw new PeerRefusal('the database is another here');
    return databases.get(name);
  }

  #ask(leader: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(reject, leader);
      this.#context
        .request(leader, bytes, timeoutMs)
        .then(resolve, (error: unknown) => reject(requestFailure(leader, error)))
        .finally(() => this.#waiting.delete(reject));
    });
  }

  /** A leader that is paused or cut off closes nothing. */
  #leaderChanged(): void {
    if (this.#waiting.size === 0) return;
    this.#cancel();
    this.#cancel = this.#context.clock.after(GRACE_MS, () => {
      const leads = this.#context.leader();
      for (const [giveUp, leader] of this.#waiting) if (leader !== leads) giveUp(unanswered(leader));
    });
  }
}

/** Design documents need more than a writer, and contents of attachments are logged before what names them. */
function isPlainEdit({ attachments, id }: DocumentEdit): boolean {
  return attachments.length === 0 && !id.startsWith('_');
}

function requestIn(bytes: Uint8Array): EditRequest {
  try {
    return decodeEdits(bytes);
  } catch (error) {
    if (error instanceof GarbageError) throw new PeerRefusal(error.message, { cause: error });
    throw error;
  }
}

function answerIn(bytes: Uint8Array, edits: readonly DocumentEdit[], leader: string): EditAnswer {
  try {
    return decodeAnswer(bytes, edits);
  } catch (error) {
    throw error instanceof GarbageError ? unanswered(leader) : error;
  }
}

function requestFailure(leader: string, error: unknown): unknown {
  if (!(error instanceof PeerRequestError)) return error;
  return error.delivery === 'unknown'
    ? unanswered(leader)
    : failure('not_leader', `${leader} did not take it (${error.kind}); the write did not happen.`);
}

function unanswered(leader: string): TercetError {
  return failure(
    'write_outcome_unknown',
    `${leader} did not answer; the write may or may not have happened.`,
  );
}
