/**
 * What a replica does for the others: joins the revisions that it is sent, tells what it has.
 *
 * Everything of one frame goes into one turn of its database, and is answered when that is durable.
 */

import { applyReplicated } from '../database/apply.ts';
import type { Database } from '../database/database.ts';
import { settlingTogether } from '../database/siblings.ts';
import type { Turn } from '../database/turn.ts';
import type { WholeRevision } from '../database/whole-documents.ts';
import { revisionOf } from '../document/revision.ts';
import { nodeOf } from '../document/revision-graph.ts';
import { TercetError } from '../errors.ts';
import {
  type DocumentName,
  decodeNames,
  encodeDigests,
  encodeVerdicts,
  type ToldDigest,
  type Verdict,
} from './answer-codec.ts';
import { bytesOf } from './delivery.ts';
import { decodePartQuestion, encodePart } from './document-parts.ts';
import { digestHere, documentHere, partHere } from './holding.ts';
import { type ArrivedRevision, decodeInserts, encodeDocuments, type SentDocument } from './revision-codec.ts';

export interface ReplicaServerContext {
  /** The replica of a database that this node has; undefined: it has not heard of it, or dropped it. */
  readonly databaseOf: (identity: string) => Database | undefined;
  /** See ReplicaSets. */
  readonly mayRead: (identity: string, node: string) => boolean;
  /** See ReplicaSets. */
  readonly isOwner: (identity: string, node: string) => boolean;
  /** Keeps for its owner what this node took in its stead, durably; refused: there is no more room. */
  readonly standIn: (arrivals: readonly ArrivedRevision[]) => Promise<'stored' | 'refused'>;
}

/** Bytes in one answer; what comes after that is to be asked for again, and what has more by itself, in parts. */
const answerBytes = 8_000_000;

const kept: Verdict = { kind: 'kept' };
const lacksPath: Verdict = { kind: 'lacks_path' };
const noRoom: Verdict = { kind: 'refused', reason: 'there is no more room for hints', mayBeKept: true };
const noOwner: Verdict = { kind: 'refused', reason: 'its sender is no owner', mayBeKept: true };
const noDatabase: Verdict = { kind: 'refused', reason: 'the database is not here', mayBeKept: false };

export class ReplicaServer {
  readonly #context: ReplicaServerContext;

  constructor(context: ReplicaServerContext) {
    this.#context = context;
  }

  /** Only an owner coordinates; what is brought for an owner, this one too, anybody may bring. */
  async insert(from: string, bytes: Uint8Array): Promise<Uint8Array> {
    const arrivals = decodeInserts(bytes);
    const verdicts: Verdict[] = new Array(arrivals.length).fill(noDatabase);
    const places = new Map<string, number[]>();
    for (const [place, { identity }] of arrivals.entries()) {
      const of = places.get(identity);
      if (of === undefined) places.set(identity, [place]);
      else of.push(place);
    }
    const joining = [...places].map(async ([identity, its]) => {
      const database = this.#context.databaseOf(identity);
      if (database === undefined) return;
      const judged = await this.#join(
        database,
        its.map((place) => arrivals[place]!),
      );
      // Looked at when it is durable: by then another may have the sender's place.
      const isOwner = this.#context.isOwner(identity, from);
      for (const [index, place] of its.entries()) {
        const mayCount = isOwner || arrivals[place]!.owner !== undefined;
        verdicts[place] = mayCount ? judged[index]! : noOwner;
      }
    });
    await Promise.all(joining);
    return encodeVerdicts(verdicts);
  }

  digests(from: string, bytes: Uint8Array): Uint8Array {
    return encodeDigests(decodeNames(bytes).map((name) => this.#digestOf(from, name)));
  }

  /** What counts for a read. */
  read(from: string, bytes: Uint8Array): Uint8Array {
    return this.#documents(bytes, (identity) => this.#wholeOf(from, identity));
  }

  /** What is here, for whoever gathers what there is. */
  documents(bytes: Uint8Array): Uint8Array {
    return this.#documents(bytes, this.#context.databaseOf);
  }

  #wholeOf(from: string, identity: string): Database | undefined {
    return this.#context.mayRead(identity, from) ? this.#context.databaseOf(identity) : undefined;
  }

  #documents(bytes: Uint8Array, databaseOf: ReplicaServerContext['databaseOf']): Uint8Array {
    let left = answerBytes;
    const answer = decodeNames(bytes).map(({ identity, id }): SentDocument => {
      if (left <= 0) return 'not_now';
      const database = databaseOf(identity);
      if (database === undefined) return 'no_database';
      const held = documentHere(database, id);
      const size = bytesOf(held.revisions);
      if (size > answerBytes && held.revisions.length > 1) return 'in_parts';
      if (size > left && left < answerBytes) return 'not_now';
      left -= size;
      return held;
    });
    return encodeDocuments(answer);
  }

  part(from: string, bytes: Uint8Array): Uint8Array {
    const { id, identity, isRead, known } = decodePartQuestion(bytes);
    const database = isRead ? this.#wholeOf(from, identity) : this.#context.databaseOf(identity);
    return encodePart(database === undefined ? 'no_database' : partHere(database, id, new Set(known)));
  }

  #digestOf(from: string, { identity, id }: DocumentName): ToldDigest {
    const database = this.#wholeOf(from, identity);
    if (database === undefined) return { kind: 'no_database' };
    const digest = digestHere(database, id);
    return digest === undefined ? { kind: 'no_document' } : { kind: 'digest', digest };
  }

  async #join(database: Database, arrivals: readonly ArrivedRevision[]): Promise<readonly Verdict[]> {
    try {
      const settings = database.applySettings();
      const verdicts = await database.submit((turn) =>
        settlingTogether(turn, settings, () =>
          arrivals.map((arrival) => joinRevision(turn, arrival, settings)),
        ),
      );
      const stoodIn = arrivals.filter(
        ({ owner }, at) => owner !== undefined && verdicts[at]?.kind === 'kept',
      );
      if (stoodIn.length === 0 || (await this.#context.standIn(stoodIn)) === 'stored') return verdicts;
      // It is here, but nobody would bring it to its owner.
      return arrivals.map(({ owner }, at) => (owner === undefined ? verdicts[at]! : noRoom));
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      const mayBeKept = error.writeOutcome === 'unknown';
      return arrivals.map(() => ({ kind: 'refused', reason: error.reason, mayBeKept }));
    }
  }
}

function joinRevision(
  turn: Turn,
  { isWhole, revision }: ArrivedRevision,
  settings: Parameters<typeof applyReplicated>[2],
): Verdict {
  if (!isWhole && !knowsPath(turn, revision)) return lacksPath;
  const blobs = missingBlobs(turn, revision);
  if (blobs.length > 0) return { kind: 'lacks_contents', blobs };
  const outcome = applyReplicated(turn, revision, settings);
  if (outcome.kind === 'written') return kept;
  return { kind: 'rejected', reason: outcome.error.reason };
}

/** Whether the end of a path that was cut off is known, so that the graph goes on from there. */
function knowsPath(turn: Turn, { id, path }: WholeRevision): boolean {
  const graph = turn.head(id)?.graph;
  const last = path.ids.length - 1;
  return graph !== undefined && nodeOf(graph, revisionOf(path.start - last, path.ids[last]!)) !== undefined;
}

function missingBlobs(turn: Turn, { attachments }: WholeRevision): readonly string[] {
  if (attachments.length === 0) return [];
  const missing = attachments.filter(({ blob }) => !turn.willNameBlob(blob.blob));
  return [...new Set(missing.map(({ blob }) => blob.blob))];
}
