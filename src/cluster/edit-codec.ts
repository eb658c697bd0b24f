/**
 * Edits that a follower takes to the leader, and what the leader says of them, as bytes.
 *
 *   request   u48 database │ name │ on whose behalf │ u8 ack │ u8 followers (0: none, 255: majority) │
 *             u8 on timeout │ f64 milliseconds (-1: none) │ u16 count │
 *             edits: id │ base (empty: none) │ idempotency key (empty: none) │ u8 deleted │ u32 length │ body
 *   answer    u8 1 │ u8 receipts │ receipts: u8 met │ policy │ u48 term │ u48 index │ f64 elapsed ms │ u8 names │ names │
 *             u16 count │ outcomes: u8 written │ revision, or code and reason of a failure
 *             u8 0 │ code │ reason                          the whole failed
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

export interface EditAnswer {
  readonly receipts: readonly WriteReceipt[];
  /** In the order of the edits. */
  readonly outcomes: readonly EditOutcome[];
}

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
  const ack = { policy, followers, onTimeout, timeoutMs: timeoutMs < 0 ? undefined : timeoutMs };
  const edits = Array.from({ length: reader.u16() }, (): DocumentEdit => {
    const [id, base, key, deleted] = [reader.utf8(), reader.utf8(), reader.utf8(), reader.u8() === 1];
    return {
      ...{ id, base: base === '' ? undefined : revisionIn(base), deleted },
      ...{ body: reader.bytes(reader.u32()), attachments: [] },
      ...(key !== '' && { idempotencyKey: key }),
    };
  });
  reader.end();
  return { reference, name, onBehalfOf, ack, edits };
}

export function encodeAnswer({ receipts, outcomes }: EditAnswer): Uint8Array {
  const texts = [
    ...receipts.flatMap(({ policy, durableOn }) => [policy, ...durableOn]),
    ...outcomes.map((outcome) => (outcome.kind === 'written' ? outcome.revision : outcome.error.reason)),
  ];
  const items = 1 + receipts.length + outcomes.length + texts.length;
  const units = texts.reduce((sum, text) => sum + text.length, 0);
  const writer = new ByteWriter(fixedBytes * items + bytesPerUnit * units);
  writer.u8(1).u8(receipts.length);
  for (const { met, policy, term, index, elapsedMs, durableOn } of receipts) {
    writer
      .u8(met ? 1 : 0)
      .utf8(policy)
      .u48(term)
      .u48(index)
      .f64(elapsedMs)
      .u8(durableOn.length);
    for (const name of durableOn) writer.utf8(name);
  }
  writer.u16(outcomes.length);
  for (const outcome of outcomes) {
    if (outcome.kind === 'written') writer.u8(1).utf8(outcome.revision);
    else writeError(writer.u8(0), outcome.error);
  }
  return writer.written();
}

export function encodeRefusal(error: TercetError): Uint8Array {
  return writeError(
    new ByteWriter(2 * fixedBytes + bytesPerUnit * error.reason.length).u8(0),
    error,
  ).written();
}

/**
 * @param edits what was asked for
 * @throws TercetError what the leader threw; GarbageError
 */
export function decodeAnswer(bytes: Uint8Array, edits: readonly DocumentEdit[]): EditAnswer {
  const reader = new ByteReader(bytes);
  if (reader.u8() === 0) throw readError(reader);
  const receipts = Array.from({ length: reader.u8() }, () => readReceipt(reader));
  if (reader.u16() !== edits.length) throw new GarbageError('an answer to other edits');
  const outcomes = edits.map(({ id }): EditOutcome => {
    if (reader.u8() === 1) return { kind: 'written', id, revision: revisionIn(reader.utf8()) };
    return { kind: 'failed', id, error: readError(reader) };
  });
  reader.end();
  return { receipts, outcomes };
}

function readReceipt(reader: ByteReader): WriteReceipt {
  const [met, policy, term] = [reader.u8() === 1, reader.utf8(), reader.u48()];
  const [index, elapsedMs] = [reader.u48(), reader.f64()];
  const durableOn = Array.from({ length: reader.u8() }, () => reader.utf8());
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
