/** What replicas ask each other rarely, as JSON. */

import type { Grave } from '../leaderless/bucket-entries.ts';
import { GarbageError } from '../runtime/peer-frames.ts';

export type Question =
  /** Bring me the contents of these attachments: their chunks come as frames of their own, before the answer. */
  | { readonly op: 'contents'; readonly identity: string; readonly blobs: readonly string[] }
  /** These documents are dead and forgotten here; what is left of them there is judged. */
  | { readonly op: 'bury'; readonly identity: string; readonly graves: readonly Grave[] }
  /** Do you know all that you once acknowledged? */
  | { readonly op: 'standing'; readonly identity: string }
  /** Remove these revisions as if they had never been. */
  | {
      readonly op: 'purge';
      readonly identity: string;
      readonly request: readonly (readonly [id: string, revisions: readonly string[]])[];
    };

export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'standing'; readonly isWhole: boolean }
  | {
      readonly kind: 'purged';
      readonly purged: readonly (readonly [id: string, revisions: readonly string[]])[];
    };

export function encodeQuestion(question: Question): Uint8Array {
  return Buffer.from(JSON.stringify(question));
}

/** From a node of the same cluster, which is believed. @throws GarbageError */
export function decodeQuestion(bytes: Uint8Array): Question {
  return decodeJson(bytes) as Question;
}

export function encodeAnswer(answer: Answer): Uint8Array {
  return Buffer.from(JSON.stringify(answer));
}

/** @throws GarbageError */
export function decodeAnswer(bytes: Uint8Array): Answer {
  return decodeJson(bytes) as Answer;
}

function decodeJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (error) {
    throw new GarbageError('a question that is no JSON', { cause: error });
  }
}
