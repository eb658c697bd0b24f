/**
 * Asks other nodes' replicas, many questions in one frame; who answers them is replica-server.ts. What is more than a frame
 * carries goes in several, one after the other, in both directions.
 */

import { batchBytesMax, batchLength } from '../leaderless/batches.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
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
import { bytesOf } from './delivery.ts';
import { decodePart, encodePartQuestion, gatherParts } from './document-parts.ts';
import { digestsKind, documentsKind, insertKind, partKind, readKind } from './replica-kinds.ts';
import {
  decodeDocuments,
  encodeInserts,
  type InsertItem,
  type SentDocument,
  type ToldDocument,
} from './revision-codec.ts';

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
  readonly #request: (peer: string, kind: number, bytes: Uint8Array) => Promise<Uint8Array>;
  readonly #onDefect: (error: unknown) => void;
  readonly #inserts: CallBatches<InsertItem, Verdict>;
  readonly #digests: CallBatches<DocumentName, ToldDigest>;
  readonly #documents: CallBatches<DocumentName, SentDocument>;
  readonly #reads: CallBatches<DocumentName, SentDocument>;

  constructor({ transport, ...rest }: ReplicaCallerOptions) {
    const request = (peer: string, kind: number, bytes: Uint8Array) =>
      transport.request(peer, kind, bytes, { timeoutMs: answerMsMax });
    this.#request = request;
    this.#onDefect = rest.onDefect;
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
      new CallBatches<DocumentName, SentDocument>({
        ...{ ...rest, gather: 'turn', bytesOf: () => revisionBytes },
        send: async (peer, names) => decodeDocuments(await request(peer, kind, encodeNames(names))),
      });
    this.#documents = documents(documentsKind);
    this.#reads = documents(readKind);
  }

  /** Revisions to be joined, and durable when the answer is that they are kept. */
  insert(peer: string, items: readonly InsertItem[], done: (reply: Reply<Verdict>) => void): void {
    const first = items.length === 1 ? 1 : batchLength(items.map(insertBytesOf), insertLimits);
    if (first === items.length) return this.#inserts.ask(peer, items, done);
    this.#inserts.ask(peer, items.slice(0, first), (reply) => {
      if (reply.kind === 'unanswered') return done(reply);
      this.insert(peer, items.slice(first), (rest) => done(bothOf(reply, rest)));
    });
  }

  /** What replicas hold of documents, as digestOfLeaves tells it. */
  digest(peer: string, name: DocumentName, done: (reply: Reply<ToldDigest>) => void): void {
    this.#digests.ask(peer, [name], done);
  }

  /** All leaves of a document, from a replica that may count for a read. */
  read(peer: string, name: DocumentName, done: (reply: Reply<ToldDocument>) => void): void {
    this.#reads.ask(peer, [name], (reply) =>
      this.#gather({ peer, names: [name], isRead: true }, reply, done),
    );
  }

  /** All leaves of documents. */
  documents(peer: string, names: readonly DocumentName[], done: (reply: Reply<ToldDocument>) => void): void {
    this.#documents.ask(peer, names, (reply) => this.#gather({ peer, names, isRead: false }, reply, done));
  }

  /** Of several documents that come in parts one is gathered, and the others are to be asked for again. */
  #gather(asked: Asked, reply: Reply<SentDocument>, done: (reply: Reply<ToldDocument>) => void): void {
    const at = reply.kind === 'answered' ? reply.answers.indexOf('in_parts') : -1;
    if (reply.kind === 'unanswered' || at < 0) return done(reply as Reply<ToldDocument>);
    const { isRead, names, peer } = asked;
    const { id, identity } = names[at]!;
    const parts = gatherParts(async (known) => {
      const question = encodePartQuestion({ identity, id, isRead, known });
      return decodePart(await this.#request(peer, partKind, question));
    });
    parts.then(
      (gathered) => {
        const answers = reply.answers.map((told, index) => {
          if (index === at) return gathered;
          return told === 'in_parts' ? 'not_now' : told;
        });
        done({ ...reply, answers });
      },
      (error: unknown) => {
        if (!(error instanceof PeerRequestError)) this.#onDefect(error);
        done({ kind: 'unanswered', delivery: 'unknown', reason: String(error) });
      },
    );
  }
}

interface Asked {
  readonly peer: string;
  readonly names: readonly DocumentName[];
  readonly isRead: boolean;
}

const insertLimits = { itemsMax: Number.POSITIVE_INFINITY, bytesMax: 2 * batchBytesMax };

function insertBytesOf({ revision }: InsertItem): number {
  return bytesOf([revision]);
}

/** What was taken before is there, whatever became of the rest. */
function bothOf(first: Extract<Reply<Verdict>, { kind: 'answered' }>, rest: Reply<Verdict>): Reply<Verdict> {
  if (rest.kind === 'unanswered') return { ...rest, delivery: 'unknown' };
  const elapsedMs = first.elapsedMs + rest.elapsedMs;
  return { kind: 'answered', answers: [...first.answers, ...rest.answers], elapsedMs };
}
