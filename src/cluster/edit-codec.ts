/**
 * Edits that a follower takes to the leader, and what the leader says of them, as bytes.
 *
 *   request   u48 database │ name │ on whose behalf │ u8 ack │ u8 followers (0: none, 255: majority) │
 *             u8 on timeout │ f64 milliseconds (-1: none) │ u16 count │
 *             edits: id │ base (empty: none) │ idempotency key (empty: none) │ u8 deleted │ u32 length │ body
 *   answer    u8 1 │ u16 receipts │ receipts: u8 met │ policy │ u48 term │ u48 index │ f64 elapsed ms │ u8 names │ names │
 *             u16 count │ answers: u8 0, code, reason (failed) or u8 1, revision (written), u16 place of its receipt │
 *                         u8 2, code, reason (refused: it has no outcome) or u8 3 (busy: not begun)
 *             u8 0 │ code │ reason                          the whole was refused
 *
 * Texts are UTF-8 behind their length.
 */

import type { DocumentEdit, EditOutcome } from '../database/model.ts';
import type { AckWish, WriteReceipt } from '../database/writes.ts';
import type { Revision } from '../document/revision.ts';
import { parseRevision } from '../document/revision.ts';
import { type ErrorCode, failure, isErrorCode, type TercetError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import type { DatabaseRef } from './commands.ts';

export interface EditRequest {
  readonly reference: DatabaseRef;
  readonly name: string;
  readonly onBehalfOf: string;
  readonly ack: AckWish | undefined;
  /** Without contents of attachments. */
  readonly edits: readonly DocumentEdit[];
}

/**
 * What became of one edit. `refused`: what the leader threw instead of an outcome. `busy`: it would have had to wait for another
 * write of its document, and others of its frame for it, so it was not begun.
 */
export type EditAnswer =
  | {
      readonly kind: 'done';
      readonly outcome: EditOutcome;
      /** Edits that were logged together share one. */
      readonly receipt: WriteReceipt | undefined;
    }
  | { readonly kind: 'refused'; readonly error: TercetError }
  | { readonly kind: 'busy' };

const policies: readonly AckWish['policy'][] = [undefined, 'async', 'semi-sync', 'sync'];
const timeouts: readonly AckWish['onTimeout'][] = [undefined, 'block', 'degrade', 'fail'];
const nothingWished: AckWish = {
  ...{ policy: undefined, followers: undefined, onTimeout: undefined, timeoutMs: undefined },
};
/** In the place of a number of followers, which is 1 to 100. */
const noFollowers = 0;
const majorityOfFollowers = 255;
const bytesPerUnit = 3;
const fixedBytes = 128;
const answerKinds = { failed: 0, written: 1, refused: 2, busy: 3 } as const;
/** In the place of a receipt. */
const noReceipt = 0xffff;

export function encodeEdits({ reference, name, onBehalfOf, ack, edits }: EditRequest): Uint8Array {
  const { followers = noFollowers, onTimeout, policy, timeoutMs = -1 } = ack ?? nothingWished;
  let bytesMax = fixedBytes + bytesPerUnit * (name.length + onBehalfOf.length);
  for (const { id, body } of edits) bytesMax += fixedBytes + bytesPerUnit * id.length + body.length;
  const writer = new ByteWriter(bytesMax).u48(reference).utf8(name).utf8(onBehalfOf);
  writer.u8(policies.indexOf(policy)).u8(followers === 'majority' ? majorityOfFollowers : followers);
  writer.u8(timeouts.indexOf(onTimeout)).f64(timeoutMs).u16(edits.length);
  for (const { id, base, idempotencyKey, deleted, body } of edits) {
    writer
      .utf8(id)
      .utf8(base ?? '')
      .utf8(idempotencyKey ?? '')
      .u8(deleted ? 1 : 0)
      .u32(body.length)
      .bytes(body);
  }
  return writer.written();
}

/** @throws GarbageError */
export function decodeEdits(bytes: Uint8Array): EditRequest {
  const reader = new ByteReader(bytes);
  const [reference, name, onBehalfOf] = [reader.u48(), reader.utf8(), reader.utf8()];
  const [policy, followers] = [policies[reader.u8()], followersIn(reader.u8())];
  const [onTimeout, timeoutMs] = [timeouts[reader.u8()], reader.f64()];
  const isWish = policy !== undefined || followers !== undefined || onTimeout !== undefined || timeoutMs >= 0;
  const ack = { policy, followers, onTimeout, timeoutMs: timeoutMs < 0 ? undefined : timeoutMs };
  const edits: DocumentEdit[] = [];
  for (let left = reader.u16(); left > 0; left -= 1) edits.push(readEdit(reader));
  reader.end();
  return { reference, name, onBehalfOf, ack: isWish ? ack : undefined, edits };
}

function readEdit(reader: ByteReader): DocumentEdit {
  const [id, base, key, deleted] = [reader.utf8(), reader.utf8(), reader.utf8(), reader.u8() === 1];
  const body = reader.bytes(reader.u32());
  const idempotencyKey = key === '' ? undefined : key;
  return {
    id,
    base: base === '' ? undefined : revisionIn(base),
    deleted,
    body,
    attachments: [],
    idempotencyKey,
  };
}

export function encodeAnswers(answers: readonly EditAnswer[]): Uint8Array {
  const receipts: WriteReceipt[] = [];
  let bytesMax = fixedBytes;
  for (const answer of answers) {
    bytesMax += fixedBytes + bytesPerUnit * textOf(answer).length;
    const receipt = answer.kind === 'done' ? answer.receipt : undefined;
    if (receipt === undefined || receipts.includes(receipt)) continue;
    receipts.push(receipt);
    const units = receipt.durableOn.reduce((sum, { length }) => sum + length, receipt.policy.length);
    bytesMax += fixedBytes + bytesPerUnit * (units + receipt.durableOn.length);
  }
  const writer = new ByteWriter(bytesMax).u8(1).u16(receipts.length);
  for (const receipt of receipts) writeReceipt(writer, receipt);
  writer.u16(answers.length);
  for (const answer of answers) writeAnswer(writer, answer, receipts);
  return writer.written();
}

function textOf(answer: EditAnswer): string {
  if (answer.kind === 'busy') return '';
  if (answer.kind === 'refused') return answer.error.reason;
  return answer.outcome.kind === 'written' ? answer.outcome.revision : answer.outcome.error.reason;
}

function writeReceipt(writer: ByteWriter, receipt: WriteReceipt): void {
  const { met, policy, term, index, elapsedMs, durableOn } = receipt;
  writer
    .u8(met ? 1 : 0)
    .utf8(policy)
    .u48(term)
    .u48(index)
    .f64(elapsedMs)
    .u8(durableOn.length);
  for (const name of durableOn) writer.utf8(name);
}

function writeAnswer(writer: ByteWriter, answer: EditAnswer, receipts: readonly WriteReceipt[]): void {
  if (answer.kind === 'busy') writer.u8(answerKinds.busy);
  else if (answer.kind === 'refused') writeError(writer.u8(answerKinds.refused), answer.error);
  else if (answer.outcome.kind === 'failed') writeError(writer.u8(answerKinds.failed), answer.outcome.error);
  else {
    const place = answer.receipt === undefined ? noReceipt : receipts.indexOf(answer.receipt);
    writer.u8(answerKinds.written).utf8(answer.outcome.revision).u16(place);
  }
}

export function encodeRefusal(error: TercetError): Uint8Array {
  return writeError(
    new ByteWriter(2 * fixedBytes + bytesPerUnit * error.reason.length).u8(0),
    error,
  ).written();
}

/**
 * @param edits what was asked for
 * @throws TercetError why all of it was refused; GarbageError
 */
export function decodeAnswers(bytes: Uint8Array, edits: readonly DocumentEdit[]): EditAnswer[] {
  const reader = new ByteReader(bytes);
  if (reader.u8() === 0) throw readError(reader);
  const receipts: WriteReceipt[] = [];
  for (let left = reader.u16(); left > 0; left -= 1) receipts.push(readReceipt(reader));
  if (reader.u16() !== edits.length) throw new GarbageError('an answer to other edits');
  const answers = edits.map(({ id }) => readAnswer(reader, id, receipts));
  reader.end();
  return answers;
}

function readAnswer(reader: ByteReader, id: string, receipts: readonly WriteReceipt[]): EditAnswer {
  const kind = reader.u8();
  if (kind === answerKinds.written) {
    const outcome = { kind: 'written', id, revision: revisionIn(reader.utf8()) } as const;
    const place = reader.u16();
    const receipt = receipts[place];
    if (receipt === undefined && place !== noReceipt) throw new GarbageError('a receipt that is missing');
    return { kind: 'done', outcome, receipt };
  }
  if (kind === answerKinds.busy) return { kind: 'busy' };
  const error = readError(reader);
  if (kind === answerKinds.refused) return { kind: 'refused', error };
  return { kind: 'done', outcome: { kind: 'failed', id, error }, receipt: undefined };
}

function readReceipt(reader: ByteReader): WriteReceipt {
  const [met, policy, term] = [reader.u8() === 1, reader.utf8(), reader.u48()];
  const [index, elapsedMs] = [reader.u48(), reader.f64()];
  const durableOn = reader.utf8s(reader.u8());
  return { met, policy, term, index, elapsedMs, durableOn };
}

function writeError(writer: ByteWriter, { code, reason }: TercetError): ByteWriter {
  return writer.utf8(code).utf8(reason);
}

/** A later version may know codes that this one does not: then only what it means for the write is certain. */
function readError(reader: ByteReader): TercetError {
  const [code, reason] = [reader.utf8(), reader.utf8()];
  return failure(isErrorCode(code) ? code : unknownCode, reason);
}

const unknownCode: ErrorCode = 'write_outcome_unknown';

function followersIn(byte: number): AckWish['followers'] {
  if (byte === noFollowers) return undefined;
  return byte === majorityOfFollowers ? 'majority' : byte;
}

function revisionIn(text: string): Revision {
  const revision = parseRevision(text);
  if (revision === undefined) throw new GarbageError('what should be a revision is none');
  return revision;
}
