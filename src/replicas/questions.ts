/** What replicas ask each other rarely, as JSON. */

import { DamagedGraphError } from '../document/graph-bytes.ts';
import { decodeGraph, encodeGraph } from '../document/graph-codec.ts';
import type { ReplicaStanding } from '../http/leaderless-services.ts';
import { type Grave, graveOf } from '../replication/graves.ts';
import { GarbageError } from '../runtime/peer-frames.ts';

/** What earlier versions do not tell is left out. */
export interface ToldStanding extends ReplicaStanding {
  /** How many live ones it has. */
  readonly documents?: number;
  /** Whom it counts as members of the cluster. */
  readonly members?: readonly string[];
  /** Whether it takes itself for an owner. */
  readonly isOwner?: boolean;
}

export interface ToldGrave {
  readonly idDigest: string;
  /** In base64, as document/graph-codec.ts writes it. */
  readonly graph: string;
}

export type Question =
  /** Bring me the contents of these attachments: their chunks come as frames of their own, before the answer. */
  | { readonly op: 'contents'; readonly identity: string; readonly blobs: readonly string[] }
  /** These documents are dead and forgotten here; what is left of them there is judged. */
  | { readonly op: 'bury'; readonly identity: string; readonly graves: readonly ToldGrave[] }
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
  | ({ readonly kind: 'standing' } & ToldStanding)
  | {
      readonly kind: 'purged';
      readonly purged: readonly (readonly [id: string, revisions: readonly string[]])[];
    };

export function toldGrave({ graph, idDigest }: Grave): ToldGrave {
  return { idDigest, graph: Buffer.from(encodeGraph(graph)).toString('base64') };
}

/** @throws GarbageError */
export function heardGrave({ graph, idDigest }: ToldGrave): Grave {
  return graveFromBytes(idDigest, Buffer.from(graph, 'base64'));
}

/** @throws GarbageError */
export function graveFromBytes(idDigest: string, bytes: Uint8Array): Grave {
  try {
    return graveOf(idDigest, decodeGraph(bytes));
  } catch (cause) {
    if (cause instanceof DamagedGraphError) throw new GarbageError('a grave that is none', { cause });
    throw cause;
  }
}

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
