/** Asks other nodes' replicas, many questions in one frame; who answers them is replica-server.ts. */

import type { PeerTransport } from '../runtime/peer-transport.ts';
import {
  type DocumentName,
  decodeDigests,
  decodeVerdicts,
  encodeNames,
  type ToldDigest,
  type Verdict,
} from './answer-codec.ts';
import { CallBatches, type Reply } from './call-batches.ts';
import { digestsKind, documentsKind, insertKind, readKind } from './replica-kinds.ts';
import { decodeDocuments, encodeInserts, type InsertItem, type ToldDocument } from './revision-codec.ts';

export interface ReplicaCallerOptions {
  readonly transport: Pick<PeerTransport, 'request'>;
  readonly now: () => number;
  readonly onReply: (peer: string, reply: 'answered' | 'unanswered', elapsedMs: number) => void;
  readonly onDefect: (error: unknown) => void;
}

/** After so long nobody waits for an answer any more, whatever the settings of a database. */
const answerMsMax = 10_000;
const revisionBytes = 64;
/** A digest is answered at once, so waiting for the answer to the frame before costs less than a frame for each question. */
const digestFramesMax = 1;

export class ReplicaCaller {
  readonly #inserts: CallBatches<InsertItem, Verdict>;
  readonly #digests: CallBatches<DocumentName, ToldDigest>;
  readonly #documents: CallBatches<DocumentName, ToldDocument>;
  readonly #reads: CallBatches<DocumentName, ToldDocument>;

  constructor({ transport, ...rest }: ReplicaCallerOptions) {
    const request = (peer: string, kind: number, bytes: Uint8Array) =>
      transport.request(peer, kind, bytes, { timeoutMs: answerMsMax });
    this.#inserts = new CallBatches({
      ...rest,
      // What a turn of a database makes is complete when the turn is; waiting for more would only wait.
      gather: 'callback',
      bytesOf: ({ revision }) => revisionBytes + revision.body.length,
      send: async (peer, items) => decodeVerdicts(await request(peer, insertKind, encodeInserts(items))),
    });
    this.#digests = new CallBatches({
      ...{ ...rest, gather: 'turn', framesMax: digestFramesMax, bytesOf: () => revisionBytes },
      send: async (peer, names) => decodeDigests(await request(peer, digestsKind, encodeNames(names))),
    });
    const documents = (kind: number) =>
      new CallBatches<DocumentName, ToldDocument>({
        ...{ ...rest, gather: 'turn', bytesOf: () => revisionBytes },
        send: async (peer, names) => decodeDocuments(await request(peer, kind, encodeNames(names))),
      });
    this.#documents = documents(documentsKind);
    this.#reads = documents(readKind);
  }

  /** Revisions to be joined, and durable when the answer is that they are kept. */
  insert(peer: string, items: readonly InsertItem[], done: (reply: Reply<Verdict>) => void): void {
    this.#inserts.ask(peer, items, done);
  }

  /** What replicas hold of documents, as digestOfLeaves tells it. */
  digest(peer: string, name: DocumentName, done: (reply: Reply<ToldDigest>) => void): void {
    this.#digests.ask(peer, [name], done);
  }

  /** All leaves of a document, from a replica that may count for a read. */
  read(peer: string, name: DocumentName, done: (reply: Reply<ToldDocument>) => void): void {
    this.#reads.ask(peer, [name], done);
  }

  /** All leaves of documents. */
  documents(peer: string, names: readonly DocumentName[], done: (reply: Reply<ToldDocument>) => void): void {
    this.#documents.ask(peer, names, done);
  }
}
