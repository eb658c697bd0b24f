/** Where other nodes' questions about leaderless databases arrive. */

import type { Database } from '../database/database.ts';
import { purgeInTurn } from '../database/local-writes.ts';
import { TercetError } from '../errors.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { answerComparison } from './comparison.ts';
import { decodeComparison, encodeComparisonAnswer } from './comparison-codec.ts';
import { type ContentSender, takeContent } from './contents.ts';
import { mustBeMember } from './members-only.ts';
import {
  type Answer,
  decodeQuestion,
  encodeAnswer,
  heardGrave,
  type Question,
  type ToldStanding,
} from './questions.ts';
import {
  compareKind,
  contentKind,
  digestsKind,
  documentsKind,
  insertKind,
  partKind,
  questionKind,
  readKind,
  replicaKinds,
} from './replica-kinds.ts';
import type { ReplicaServer } from './replica-server.ts';
import type { ReplicaSets } from './replica-sets.ts';

export interface PeerDeskContext {
  readonly server: ReplicaServer;
  readonly contents: ContentSender;
  readonly sets: ReplicaSets;
  /** @throws TercetError of the store */
  readonly standing: (identity: string) => Promise<ToldStanding>;
}

export class PeerDesk {
  readonly #context: PeerDeskContext;

  constructor(context: PeerDeskContext) {
    this.#context = context;
  }

  /** Undefined for a kind that belongs to somebody else. @throws GarbageError, PeerRefusal */
  serve(from: string, kind: number, bytes: Uint8Array): Uint8Array | Promise<Uint8Array> | undefined {
    const { server, sets } = this.#context;
    if (replicaKinds.has(kind)) mustBeMember(from, (node) => sets.isMember(node));
    switch (kind) {
      case insertKind:
        return server.insert(from, bytes);
      case digestsKind:
        return server.digests(from, bytes);
      case documentsKind:
        return server.documents(bytes);
      case readKind:
        return server.read(from, bytes);
      case partKind:
        return server.part(from, bytes);
      case contentKind:
        return takeContent(bytes, (identity) => sets.databaseOf(identity));
      case compareKind:
        return this.#compare(bytes);
      case questionKind:
        return this.#answer(from, decodeQuestion(bytes)).then(encodeAnswer);
      default:
        return undefined;
    }
  }

  async #compare(bytes: Uint8Array): Promise<Uint8Array> {
    const { identity, question } = decodeComparison(bytes);
    return encodeComparisonAnswer(await answerComparison({ database: this.#databaseOf(identity) }, question));
  }

  async #answer(from: string, question: Question): Promise<Answer> {
    switch (question.op) {
      case 'contents': {
        const { identity, blobs } = question;
        const database = this.#databaseOf(identity);
        await new Promise<void>((resolve) => {
          this.#context.contents.bring(from, { identity, database }, blobs, resolve);
        });
        return { kind: 'done' };
      }
      case 'bury':
        await this.#databaseOf(question.identity).leaderless?.bury(question.graves.map(heardGrave));
        return { kind: 'done' };
      case 'standing':
        return { kind: 'standing', ...(await this.#standing(question.identity)) };
      case 'purge': {
        const database = this.#databaseOf(question.identity);
        const request = new Map(question.request);
        const purged = await database.submit((turn) => purgeInTurn(turn, request, database.inTurn));
        return { kind: 'purged', purged: [...purged] };
      }
    }
  }

  #standing(identity: string): Promise<ToldStanding> {
    return this.#context.standing(identity).catch((error: unknown) => {
      if (error instanceof TercetError) throw new PeerRefusal(error.message);
      throw error;
    });
  }

  #databaseOf(identity: string): Database {
    const database = this.#context.sets.databaseOf(identity);
    if (database === undefined) throw new PeerRefusal('the database is not here');
    return database;
  }
}
