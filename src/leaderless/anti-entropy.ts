/**
 * One round of anti-entropy with another replica, as the side that asks: compare, descend where there is a difference,
 * exchange what differs (Dynamo, §4.7). The tree is that of replication/hash-buckets.ts.
 *
 *     we                                       the other
 *     root 4a…                        ──►      equal                         the end, mostly: one message each way
 *                                     ◄──      else the sums below the root
 *     children of 1/3, 1/9            ──►
 *                                     ◄──      their sums …                  depth first, so little is remembered
 *     buckets 40,112 and 40,117,      ──►
 *     with the marks of what we have
 *                                     ◄──      entries that we lack, marks that it lacks
 *     fetch, then send and bury
 *
 * The other side only answers questions ({@link answerOf}) and remembers nothing, so a round may end at any moment and
 * leaves nothing behind. What is exchanged is joined by unions: a tree that changes meanwhile costs a comparison, never a
 * mistake. Of sums below the root 64 bits are compared: a difference that hides behind an accident of 1 in 2^64 is found
 * when anything beside it changes.
 *
 * Invariants:
 * 1. One effect is under way at a time, and every one but `end` is answered by one event.
 * 2. A round that ended well has brought the other everything that was here when it began, and here everything that was
 *    there: each difference was fetched and sent. The driver may rest the horizon on it (tombstones.ts).
 * 3. What is asked for at once is bounded by the options.
 *
 * Left out: reading the tree and its buckets, bodies, the wire, how often there is a round; its pace is in token-bucket.ts.
 */

import type { Digest } from '../document/revision.ts';
import { assert } from '../errors.ts';
import { fanOut } from '../replication/hash-buckets.ts';
import {
  type BucketDifferences,
  type BucketEntry,
  differencesOf,
  markOf,
  unmatched,
} from './bucket-entries.ts';

export type Question =
  | { readonly kind: 'root'; readonly root: string }
  /** The sums below these nodes. */
  | { readonly kind: 'children'; readonly level: number; readonly indexes: readonly number[] }
  | { readonly kind: 'buckets'; readonly buckets: readonly number[]; readonly marks: readonly string[] };

export type Answer =
  | { readonly kind: 'equal' }
  /** Of {@link nodesOf} the question, 16 hex digits each. */
  | { readonly kind: 'sums'; readonly sums: readonly string[] }
  | {
      readonly kind: 'buckets';
      readonly entries: readonly BucketEntry[];
      readonly lacking: readonly string[];
    };

export interface SessionOptions {
  readonly nodesPerQuestionMax: number;
  readonly bucketsPerQuestionMax: number;
}

export const sessionDefaults: SessionOptions = { nodesPerQuestionMax: 256, bucketsPerQuestionMax: 128 };

export interface SessionCounts {
  readonly questions: number;
  /** Buckets in which there was a difference. */
  readonly buckets: number;
  /** Documents of which something was to be fetched, and to be sent. */
  readonly fetched: number;
  readonly sent: number;
}

export type SessionEffect =
  | { readonly kind: 'ask'; readonly question: Question }
  /** Read the own entries of these buckets. */
  | { readonly kind: 'read'; readonly buckets: readonly number[] }
  /**
   * Take over graves (`dig`), judging what they bury here; fetch; then send what of `send` is still a leaf, and tell
   * graves (`bury`). Durable on both sides before it is answered.
   */
  | { readonly kind: 'exchange'; readonly differences: BucketDifferences }
  | {
      readonly kind: 'end';
      readonly outcome: 'equal' | 'repaired' | 'failed';
      readonly counts: SessionCounts;
    };

export type SessionEvent =
  /** `own`: the sums of {@link nodesOf} the question in the own tree, as 32 or 16 hex digits. */
  | { readonly kind: 'answered'; readonly answer: Answer; readonly own: readonly string[] }
  | { readonly kind: 'read'; readonly entries: readonly BucketEntry[] }
  | { readonly kind: 'exchanged' }
  /** Anything did not work: the round is over, the next one finds what is left. */
  | { readonly kind: 'failed' };

interface Frontier {
  readonly level: number;
  readonly indexes: readonly number[];
}

export interface Session {
  readonly options: SessionOptions;
  readonly digest: Digest;
  /** Nodes that differ and whose children were not compared yet; the deepest last. */
  readonly frontiers: readonly Frontier[];
  readonly buckets: readonly number[];
  readonly underWay: SessionEffect;
  /** The own entries of the buckets that were asked for. */
  readonly entries: readonly BucketEntry[];
  readonly counts: SessionCounts;
}

export interface SessionStep {
  readonly session: Session;
  readonly effect: SessionEffect;
}

const bucketLevel = 4;
const markDigits = 16;

/** @param root of the own tree, 32 hex digits */
export function startSession(root: string, options: SessionOptions, digest: Digest): SessionStep {
  const effect: SessionEffect = { kind: 'ask', question: { kind: 'root', root } };
  const counts = { questions: 1, buckets: 0, fetched: 0, sent: 0 };
  const rest = { frontiers: [], buckets: [], entries: [], underWay: effect, counts };
  return { session: { options, digest, ...rest }, effect };
}

export function stepSession(session: Session, event: SessionEvent): SessionStep {
  assert(session.underWay.kind !== 'end', 'a session that ended is over');
  switch (event.kind) {
    case 'answered':
      return withAnswer(session, event.answer, event.own);
    case 'read':
      return withEntries(session, event.entries);
    case 'exchanged':
      return proceed({ ...session, entries: [] });
    case 'failed':
      return ended(session, 'failed');
  }
}

/** The nodes whose sums a question is about, in the order of the answer; both sides read them from their trees. */
export function nodesOf(question: Question): Frontier {
  if (question.kind === 'buckets') return { level: bucketLevel, indexes: [] };
  const { level, indexes } = question.kind === 'root' ? { level: 0, indexes: [0] } : question;
  const children = indexes.flatMap((index) =>
    Array.from({ length: fanOut }, (_, child) => index * fanOut + child),
  );
  return { level: level + 1, indexes: children };
}

/** What the side that is asked has to tell: its root, the sums of {@link nodesOf}, the entries of the buckets. */
export interface Told {
  readonly root: string;
  readonly sums: readonly string[];
  readonly entries: readonly BucketEntry[];
}

export function answerOf(question: Question, { root, sums, entries }: Told, digest: Digest): Answer {
  if (question.kind === 'buckets') return { kind: 'buckets', ...unmatched(entries, question.marks, digest) };
  if (question.kind === 'root' && question.root === root) return { kind: 'equal' };
  return { kind: 'sums', sums: sums.map(shortened) };
}

function withAnswer(session: Session, answer: Answer, own: readonly string[]): SessionStep {
  const { underWay } = session;
  if (underWay.kind !== 'ask') return ended(session, 'failed');
  const { question } = underWay;
  if (answer.kind === 'equal' && question.kind === 'root') return ended(session, 'equal');
  if (answer.kind === 'buckets' && question.kind === 'buckets') return compared(session, answer);
  const { level, indexes } = nodesOf(question);
  const isWhole =
    answer.kind === 'sums' && answer.sums.length === indexes.length && own.length === indexes.length;
  if (!isWhole || question.kind === 'buckets') return ended(session, 'failed');
  const differing = indexes.filter((_, place) => answer.sums[place] !== shortened(own[place]!));
  if (level === bucketLevel) return proceed({ ...session, buckets: [...session.buckets, ...differing] });
  return proceed({ ...session, frontiers: [...session.frontiers, { level, indexes: differing }] });
}

function withEntries(session: Session, entries: readonly BucketEntry[]): SessionStep {
  assert(session.underWay.kind === 'read', 'entries were asked for');
  const { buckets } = session.underWay;
  const marks = entries.map((entry) => markOf(entry, session.digest));
  return asked({ ...session, entries }, { kind: 'buckets', buckets, marks });
}

function compared(session: Session, answer: Extract<Answer, { kind: 'buckets' }>): SessionStep {
  const lacking = new Set(answer.lacking);
  const ours = session.entries.filter((entry) => lacking.has(markOf(entry, session.digest)));
  const differences = differencesOf(ours, answer.entries);
  if (Object.values(differences).every((list) => list.length === 0))
    return proceed({ ...session, entries: [] });
  const { counts } = session;
  const fetched = counts.fetched + differences.fetch.length;
  const counted = { ...counts, fetched, sent: counts.sent + differences.send.length };
  return during({ ...session, counts: counted }, { kind: 'exchange', differences });
}

/** What comes next: the buckets that are known to differ first, then the deepest nodes. */
function proceed(session: Session): SessionStep {
  const { options, buckets, frontiers, counts } = session;
  if (buckets.length > 0) {
    const now = buckets.slice(0, options.bucketsPerQuestionMax);
    const counted = { ...counts, buckets: counts.buckets + now.length };
    const rest = buckets.slice(now.length);
    return during({ ...session, buckets: rest, counts: counted }, { kind: 'read', buckets: now });
  }
  const deepest = frontiers.at(-1);
  if (deepest === undefined) return ended(session, 'repaired');
  const others = frontiers.slice(0, -1);
  const indexes = deepest.indexes.slice(0, options.nodesPerQuestionMax);
  if (indexes.length === 0) return proceed({ ...session, frontiers: others });
  const left = { level: deepest.level, indexes: deepest.indexes.slice(indexes.length) };
  const question: Question = { kind: 'children', level: deepest.level, indexes };
  return asked({ ...session, frontiers: [...others, left] }, question);
}

function asked(session: Session, question: Question): SessionStep {
  const { counts } = session;
  return during(
    { ...session, counts: { ...counts, questions: counts.questions + 1 } },
    { kind: 'ask', question },
  );
}

function ended(session: Session, outcome: 'equal' | 'repaired' | 'failed'): SessionStep {
  return during(session, { kind: 'end', outcome, counts: session.counts });
}

function during(session: Session, effect: SessionEffect): SessionStep {
  return { session: { ...session, underWay: effect }, effect };
}

function shortened(sum: string): string {
  return sum.slice(0, markDigits);
}
