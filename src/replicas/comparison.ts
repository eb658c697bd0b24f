/**
 * One round of anti-entropy with another replica: the core (leaderless/anti-entropy.ts) says what to compare and what to
 * exchange; here its questions are asked, buckets read, documents fetched and sent, at a pace that clients do not feel.
 */

import { committedOf } from '../database/leaderless.ts';
import { type WholeRevision, wholeDocument } from '../database/whole-documents.ts';
import type { Revision } from '../document/revision.ts';
import { assert, TercetError } from '../errors.ts';
import {
  type Answer,
  answerOf,
  nodesOf,
  type Question,
  type SessionCounts,
  type SessionEffect,
  type SessionEvent,
  sessionDefaults,
  startSession,
  stepSession,
} from '../leaderless/anti-entropy.ts';
import { batchBytesMax, batchLength } from '../leaderless/batches.ts';
import type { BucketDifferences, BucketEntry, NamedRevisions } from '../leaderless/bucket-entries.ts';
import { fullBucket, type Pace, spend, type TokenBucket, waitMs } from '../leaderless/token-bucket.ts';
import { pause } from '../runtime/pause.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock } from '../runtime/ports.ts';
import { decodeComparisonAnswer, encodeComparison } from './comparison-codec.ts';
import { bytesOf, type Delivery } from './delivery.ts';
import type { Joining } from './joining.ts';
import { encodeQuestion, toldGrave } from './questions.ts';
import type { ReplicaCaller } from './replica-caller.ts';
import { compareKind, questionKind } from './replica-kinds.ts';
import type { ReplicaSet } from './replica-sets.ts';
import type { ToldDocument } from './revision-codec.ts';

export interface ComparisonContext {
  readonly transport: Pick<PeerTransport, 'request'>;
  readonly caller: ReplicaCaller;
  readonly delivery: Delivery;
  readonly joining: Joining;
  readonly clock: Clock;
  /** Bytes that are fetched and sent. */
  readonly pace: Pace;
}

export interface ComparisonResult extends SessionCounts {
  readonly outcome: 'equal' | 'repaired' | 'failed';
  /** Why it failed. */
  readonly error?: string;
  /** What went over the wire, without the documents. */
  readonly comparedBytes: number;
  /** Something that was sent is not joined there, now or later. */
  readonly isRejected: boolean;
}

const answerMsMax = 15_000;
const documentsPerQuestion = 100;
const batchLimits = { itemsMax: 100, bytesMax: batchBytesMax };

/** An exchange that did not come about; the next round finds what is left. */
class RoundFailure extends Error {
  override readonly name = 'RoundFailure';
}

export class Comparison {
  readonly #context: ComparisonContext;
  readonly #set: ReplicaSet;
  readonly #peer: string;
  #bucket: TokenBucket;
  #comparedBytes = 0;
  #error: string | undefined;
  #isRejected = false;

  constructor(context: ComparisonContext, set: ReplicaSet, peer: string) {
    this.#context = context;
    this.#set = set;
    this.#peer = peer;
    this.#bucket = fullBucket(context.pace, context.clock.monotonic());
  }

  /** Never rejects for what a peer or a disk does. `onProgress` is told after every step. */
  async run(onProgress: (counts: SessionCounts) => void): Promise<ComparisonResult> {
    const { tree, committed } = this.#leaderless();
    const [root] = await tree.sums(0, [0]);
    let step = startSession(root!, sessionDefaults, committed.digest);
    while (step.effect.kind !== 'end') {
      await this.#pause();
      step = stepSession(step.session, await this.#perform(step.effect));
      onProgress(step.session.counts);
    }
    const { outcome, counts } = step.effect;
    const error = this.#error;
    const told = { comparedBytes: this.#comparedBytes, isRejected: this.#isRejected };
    return { ...counts, outcome, ...told, ...(error !== undefined && { error }) };
  }

  async #perform(effect: Exclude<SessionEffect, { kind: 'end' }>): Promise<SessionEvent> {
    try {
      switch (effect.kind) {
        case 'ask':
          return await this.#ask(effect.question);
        case 'read':
          return { kind: 'read', entries: await entriesOf(this.#set, effect.buckets) };
        case 'exchange':
          await this.#exchange(effect.differences);
          return { kind: 'exchanged' };
      }
    } catch (error) {
      const isExpected =
        error instanceof PeerRequestError || error instanceof TercetError || error instanceof RoundFailure;
      if (!isExpected) throw error;
      this.#error = error.message;
      return { kind: 'failed' };
    }
  }

  async #ask(question: Question): Promise<SessionEvent> {
    const bytes = encodeComparison(this.#set.identity, question);
    const { transport } = this.#context;
    const answered = await transport.request(this.#peer, compareKind, bytes, { timeoutMs: answerMsMax });
    this.#comparedBytes += bytes.length + answered.length;
    this.#pay(bytes.length + answered.length);
    const { level, indexes } = nodesOf(question);
    const own = indexes.length === 0 ? [] : await this.#leaderless().tree.sums(level, indexes);
    return { kind: 'answered', answer: decodeComparisonAnswer(answered), own };
  }

  /** In the order that the core asks for. */
  async #exchange({ bury, dig, fetch, send }: BucketDifferences): Promise<void> {
    if (dig.length > 0) await this.#leaderless().bury(dig);
    for (const part of inParts(fetch)) await this.#fetch(part);
    await this.#send(send);
    for (const part of inParts(bury)) {
      const graves = part.map(toldGrave);
      const question = encodeQuestion({ op: 'bury', identity: this.#set.identity, graves });
      this.#pay(question.length);
      await this.#context.transport.request(this.#peer, questionKind, question, { timeoutMs: answerMsMax });
    }
  }

  async #fetch(documents: readonly NamedRevisions[]): Promise<void> {
    const { caller, joining } = this.#context;
    let left = documents.map(({ id }) => ({ identity: this.#set.identity, id }));
    while (left.length > 0) {
      await this.#pause();
      const asked = left;
      const told = await new Promise<readonly ToldDocument[]>((resolve, reject) => {
        caller.documents(this.#peer, asked, (reply) => {
          if (reply.kind === 'answered') resolve(reply.answers);
          else reject(new RoundFailure(reply.reason));
        });
      });
      if (told.includes('no_database')) throw new RoundFailure('the database is not there');
      const revisions = told.flatMap((each) => (typeof each === 'string' ? [] : each.revisions));
      this.#pay(bytesOf(revisions));
      await joining.fetchContents(this.#peer, this.#set, revisions);
      if ((await joining.joinHere(this.#set, revisions)) === 'not_now')
        throw new RoundFailure('not joined here');
      left = asked.filter((_, at) => told[at] === 'not_now');
    }
  }

  /** What was superseded by what was fetched is not sent any more: what became of it is known there. */
  async #send(documents: readonly NamedRevisions[]): Promise<void> {
    const left = documents.flatMap(({ id, revisions }) => revisions.map((revision) => ({ id, revision })));
    for (let at = 0; at < left.length; ) {
      const loaded: (readonly WholeRevision[])[] = [];
      const taken = batchLength(this.#sizes(left, at, loaded), batchLimits);
      at += taken;
      const revisions = loaded.slice(0, taken).flat();
      if (revisions.length > 0) await this.#sendBatch(revisions);
    }
  }

  /** Reads one after the other from `at` on, as far as somebody asks how large it is. */
  *#sizes(
    named: readonly { readonly id: string; readonly revision: Revision }[],
    at: number,
    loaded: (readonly WholeRevision[])[],
  ): Iterable<number> {
    const committed = committedOf(this.#set.database);
    for (let next = at; next < named.length; next += 1) {
      const { id, revision } = named[next]!;
      const found = wholeDocument(committed, id, [revision]).filter((leaf) => leaf.revision === revision);
      loaded.push(found);
      yield bytesOf(found);
    }
  }

  async #sendBatch(revisions: readonly WholeRevision[]): Promise<void> {
    await this.#pause();
    this.#pay(bytesOf(revisions));
    const outcome = await new Promise<string>((resolve) => {
      this.#context.delivery.send({ to: this.#peer, set: this.#set, revisions }, resolve);
    });
    if (outcome === 'rejected') this.#isRejected = true;
    if (outcome !== 'durable' && outcome !== 'rejected') throw new RoundFailure('not joined there');
  }

  #pay(bytes: number): void {
    this.#bucket = spend(this.#bucket, bytes, this.#context.clock.monotonic());
  }

  async #pause(): Promise<void> {
    const { clock } = this.#context;
    const delayMs = waitMs(this.#bucket, clock.monotonic());
    if (delayMs > 0) await pause(clock, delayMs);
  }

  #leaderless() {
    const { leaderless } = this.#set.database;
    assert(leaderless !== undefined, 'the database is leaderless');
    return leaderless;
  }
}

/** What a replica tells one that compares itself with it. */
export async function answerComparison(
  set: Pick<ReplicaSet, 'database'>,
  question: Question,
): Promise<Answer> {
  const { leaderless } = set.database;
  assert(leaderless !== undefined, 'the database is leaderless');
  const { tree, committed } = leaderless;
  const { level, indexes } = nodesOf(question);
  const [root] = await tree.sums(0, [0]);
  const isEqual = question.kind === 'root' && question.root === root;
  const sums = isEqual || indexes.length === 0 ? [] : await tree.sums(level, indexes);
  const entries = question.kind === 'buckets' ? await entriesOf(set, question.buckets) : [];
  return answerOf(question, { root: root!, sums, entries }, committed.digest);
}

async function entriesOf(
  { database }: Pick<ReplicaSet, 'database'>,
  buckets: readonly number[],
): Promise<readonly BucketEntry[]> {
  const entries: BucketEntry[] = [];
  for (const bucket of buckets) entries.push(...((await database.leaderless?.tree.entries(bucket)) ?? []));
  return entries;
}

function inParts<Item>(items: readonly Item[]): Item[][] {
  const parts: Item[][] = [];
  for (let at = 0; at < items.length; at += documentsPerQuestion) {
    parts.push(items.slice(at, at + documentsPerQuestion));
  }
  return parts;
}
