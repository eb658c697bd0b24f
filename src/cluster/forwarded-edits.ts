/**
 * How a follower has the edits of a client checked and logged: it understands the request, the leader decides.
 *
 *   client ──► follower: who asks, what does it say? ──► leader: may they, is it a leaf? ──► the log
 *                  └────────────── status, headers ◄── revision or conflict, receipt ◄──────────┘
 *
 * Edits go over the stream between the nodes, those of one moment and one author in one frame, and their bodies are parsed
 * once. Each is an edit of its own all the same: the leader checks and judges it by itself, and one that would wait for another
 * write of its document is sent again alone, so that the others do not wait with it. Only edits without contents of attachments
 * go this way; HTTP takes everything else to the leader as a whole (http/forwarder.ts).
 *
 * 1. `not_leader` says that the leader did not begin: the request may be taken to it, or to the next one, as a whole.
 * 2. What was sent and is not answered is unknown; also when another has led, or nobody, for a moment.
 */

import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import type { AckSettings, DocumentEdit, EditOutcome } from '../database/model.ts';
import type { WriteOptions, WriteReceipt } from '../database/writes.ts';
import { assert, failure, TercetError } from '../errors.ts';
import { Moment } from '../runtime/moment.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { Clock } from '../runtime/ports.ts';
import type { DatabaseRef } from './commands.ts';
import {
  decodeAnswers,
  decodeEdits,
  type EditAnswer,
  type EditRequest,
  encodeAnswers,
  encodeEdits,
  encodeRefusal,
} from './edit-codec.ts';
import { DocumentBusy } from './gathered-edits.ts';

/** How long a leader that has been replaced may take to say itself what became of an edit. */
const GRACE_MS = 1_000;
/** Beyond its acknowledgement an edit may wait for the writes of its document before it. */
const ANSWER_SLACK_MS = 70_000;
/** With this many edits, or bytes of bodies, a frame leaves. */
const FRAME_EDITS = 256;
const FRAME_BYTES = 1_000_000;

export interface ForwardedEditsContext {
  readonly clock: Clock;
  readonly databases: () => Databases;
  readonly request: (peer: string, bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
  /** Name of the leader, if known. */
  readonly leader: () => string | undefined;
  /** @throws TercetError `not_leader` */
  readonly requireLeading: () => void;
  readonly onLeaderChange: (listener: () => void) => () => void;
  readonly onDefect: (error: unknown) => void;
  /** @throws TercetError `unauthorized`, `forbidden` */
  readonly requireWriter: (onBehalfOf: string, database: Database) => void;
}

export interface EditsToForward {
  readonly name: string;
  readonly reference: DatabaseRef;
  readonly settings: AckSettings;
  readonly edits: readonly DocumentEdit[];
}

/** An edit that waits for the frame of its moment. */
interface Gathered {
  readonly edit: DocumentEdit;
  readonly onReceipt: WriteOptions['onReceipt'];
  readonly resolve: (outcomes: EditOutcome[]) => void;
  readonly reject: (cause: unknown) => void;
}

/** What edits of one frame have in common. */
interface Frame extends Omit<EditRequest, 'edits'> {
  readonly leader: string;
  readonly timeoutMs: number;
}

export class ForwardedEdits {
  readonly #context: ForwardedEditsContext;
  /** What gives up an edit, by the leader that has it. */
  readonly #waiting = new Map<(error: TercetError) => void, string>();
  readonly #moment = new Moment<Frame, Gathered>({
    ...{ itemsMax: FRAME_EDITS, bytesMax: FRAME_BYTES },
    send: (frame, gathered) => void this.#send(frame, gathered),
  });
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
    const [edit] = edits;
    const isPlain = edit !== undefined && edits.length === 1 && isPlainEdit(edit);
    const isBounded = (ack?.onTimeout ?? settings.onTimeout) !== 'block';
    if (leader === undefined || onBehalfOf === undefined || !isPlain || !isBounded)
      throw failure('not_leader', 'Only the leader takes this write, as a whole; it did not happen.');
    const timeoutMs = (ack?.timeoutMs ?? settings.timeoutMs) + ANSWER_SLACK_MS;
    const wish = ack === undefined ? '' : JSON.stringify(ack);
    const alike = `${reference} ${timeoutMs} ${leader} ${onBehalfOf} ${wish}`;
    const frame = { leader, reference, name, onBehalfOf, ack, timeoutMs };
    return new Promise((resolve, reject) => {
      this.#moment.add(alike, frame, { edit, onReceipt, resolve, reject }, edit.body.length);
    });
  }

  async #send(frame: Frame, gathered: readonly Gathered[]): Promise<void> {
    const { ack, leader, name, onBehalfOf, reference, timeoutMs } = frame;
    const edits = gathered.map(({ edit }) => edit);
    try {
      // Replaced since the edits were gathered: nobody would give up what is sent to it now.
      if (this.#context.leader() !== leader) throw notSent(leader);
      const bytes = await this.#ask(
        leader,
        encodeEdits({ reference, name, onBehalfOf, ack, edits }),
        timeoutMs,
      );
      const answers = answersIn(bytes, edits, leader);
      for (const [place, one] of gathered.entries()) {
        const answer = answers[place]!;
        if (answer.kind === 'busy') void this.#send(frame, [one]);
        else if (answer.kind === 'refused') one.reject(answer.error);
        else {
          if (answer.receipt !== undefined) one.onReceipt?.(answer.receipt);
          one.resolve([answer.outcome]);
        }
      }
    } catch (cause) {
      for (const { reject } of gathered) reject(cause);
    }
  }

  /** On the leader. */
  async serve(bytes: Uint8Array): Promise<Uint8Array> {
    const { requireLeading, requireWriter } = this.#context;
    const { ack, edits, name, onBehalfOf, reference } = requestIn(bytes);
    try {
      requireLeading();
      const database = this.#databaseOf(name, reference);
      requireWriter(onBehalfOf, database);
      // Nobody is to wait because another one's document is being written: who comes alone may wait.
      const options: WriteOptions = { ack, mayNotWait: edits.length > 1 ? true : undefined };
      const answers = await Promise.all(edits.map((edit) => this.#answerOf(database, edit, options)));
      const notBegun = answers.find(isNotBegun);
      // Where none was begun, the whole may be tried elsewhere.
      if (notBegun !== undefined && answers.every(isNotBegun)) throw notBegun.error;
      return encodeAnswers(answers);
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      if (error.code === 'not_leader') throw new PeerRefusal(error.reason, { cause: error });
      return encodeRefusal(error);
    }
  }

  async #answerOf(
    database: Database,
    edit: DocumentEdit,
    { ack, mayNotWait }: WriteOptions,
  ): Promise<EditAnswer> {
    let receipt: WriteReceipt | undefined;
    const onReceipt = (told: WriteReceipt): void => {
      receipt = told;
    };
    try {
      const [outcome] = await database.edit([edit], { ack, mayNotWait, onReceipt });
      assert(outcome !== undefined, 'an edit has an outcome');
      return { kind: 'done', outcome, receipt };
    } catch (error) {
      if (error instanceof DocumentBusy) return { kind: 'busy' };
      if (error instanceof TercetError) return { kind: 'refused', error };
      // A defect that one edit meets is its own.
      this.#context.onDefect(error);
      return { kind: 'refused', error: failure('write_outcome_unknown', 'The leader met a defect.') };
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

function isNotBegun(answer: EditAnswer): answer is Extract<EditAnswer, { kind: 'refused' }> {
  return answer.kind === 'refused' && answer.error.code === 'not_leader';
}

function answersIn(bytes: Uint8Array, edits: readonly DocumentEdit[], leader: string): readonly EditAnswer[] {
  try {
    return decodeAnswers(bytes, edits);
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

function notSent(leader: string): TercetError {
  return failure('not_leader', `${leader} does not lead any more; the write did not happen.`);
}

function unanswered(leader: string): TercetError {
  return failure(
    'write_outcome_unknown',
    `${leader} did not answer; the write may or may not have happened.`,
  );
}
