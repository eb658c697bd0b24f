/**
 * Frames: what one stream between two nodes is made of.
 *
 *   u32 length of the body │ u8 kind │ u32 id │ body
 *
 *   00 00 00 05  10  00 00 00 00  h e l l o     kind 16, no id: a message, nobody answers
 *   00 00 00 02  11  00 00 00 07  h i           kind 17, id 7: a request
 *   00 00 00 02  f0  00 00 00 07  o k           kind 240: the answer to 7
 *
 * Kinds up to 239 belong to those who use the transport, the others to the transport itself. Bodies are bytes, never
 * looked at here. Numbers are big-endian. No checksum: TCP has one, and what is kept on disks has its own.
 */

import { assert } from '../errors.ts';

const frameHeaderBytes = 9;
export const callerKindMax = 239;

/** What the transport itself says. */
export const answerKind = 240;
/** The request was not begun, so it certainly did not happen; the body says why, in UTF-8. */
export const refusedKind = 241;
/** The request was begun and broke off. */
export const failedKind = 242;
/** I am here. Both ends say it regularly. */
export const beatKind = 243;

/** Longer bodies are written from where they are; shorter ones are cheaper to copy into one piece. */
const copiedBytesMax = 32_768;

export interface Frame {
  /** 1 … 255. */
  readonly kind: number;
  /** 0 for what is neither a request nor an answer. */
  readonly id: number;
  readonly body: Uint8Array;
}

/** A peer sent what cannot be understood. Its stream is closed; nothing else happens. */
export class GarbageError extends Error {
  override readonly name = 'GarbageError';
}

/** Frames as few pieces to write, in order. */
export function packFrames(frames: readonly Frame[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let run: Frame[] = [];
  for (const frame of frames) {
    run.push(frame);
    if (frame.body.length <= copiedBytesMax) continue;
    pieces.push(joinRun(run), frame.body);
    run = [];
  }
  if (run.length > 0) pieces.push(joinRun(run));
  return pieces;
}

/** One piece of headers and bodies; a body that is too long to copy can only be the last, and is left to the caller. */
function joinRun(run: readonly Frame[]): Buffer {
  const copied = (frame: Frame) => (frame.body.length <= copiedBytesMax ? frame.body.length : 0);
  const piece = Buffer.allocUnsafe(run.reduce((sum, frame) => sum + frameHeaderBytes + copied(frame), 0));
  let at = 0;
  for (const frame of run) {
    assert(frame.kind > 0 && frame.kind <= 255, 'a kind is one byte, and not 0');
    at = piece.writeUInt32BE(frame.body.length, at);
    at = piece.writeUInt8(frame.kind, at);
    at = piece.writeUInt32BE(frame.id, at);
    if (copied(frame) === 0) continue;
    piece.set(frame.body, at);
    at += frame.body.length;
  }
  return piece;
}

/**
 * Takes a stream's chunks apart. Holds at most one unfinished frame, and only as much of it as has arrived: a length in a
 * header makes nobody allocate.
 */
export class FrameReader {
  readonly #bodyBytesMax: number;
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** So many bytes must be there before it is worth looking again. */
  #wanted = frameHeaderBytes;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /**
   * The frames that are whole now. Their bodies are views of what arrived: whoever keeps a small one for long copies it.
   * @throws GarbageError when the rest of the stream cannot be understood
   */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#wanted) return;
    const bytes = asBuffer(this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#held));
    let at = 0;
    for (;;) {
      this.#wanted = frameHeaderBytes;
      if (bytes.length - at < this.#wanted) break;
      const length = bytes.readUInt32BE(at);
      if (length > this.#bodyBytesMax)
        throw new GarbageError(`a frame of ${length} bytes, where ${this.#bodyBytesMax} are allowed`);
      this.#wanted += length;
      if (bytes.length - at < this.#wanted) break;
      const start = at + frameHeaderBytes;
      at += this.#wanted;
      yield {
        kind: bytes.readUInt8(start - 5),
        id: bytes.readUInt32BE(start - 4),
        body: bytes.subarray(start, at),
      };
    }
    this.#pieces = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#held = bytes.length - at;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
