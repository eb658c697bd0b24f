import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { emptyGraph, type RevisionGraph } from '../document/revision-graph.ts';
import { addPath, pathOf } from '../document/revision-path.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import {
  bucketCount,
  bucketOf,
  contributionOf,
  fanOut,
  idDigestOf,
  Sums,
  sumsAbove,
} from '../replication/hash-buckets.ts';
import { digest128 } from '../runtime/digest.ts';
import {
  type Answer,
  answerOf,
  nodesOf,
  type Question,
  type SessionEffect,
  type SessionEvent,
  type SessionOptions,
  sessionDefaults,
  startSession,
  stepSession,
} from './anti-entropy.ts';
import type { BucketEntry, NamedRevisions } from './bucket-entries.ts';
import { held } from './test-revisions.ts';

/** A replica that is nothing but graphs and their sums. */
class Replica {
  readonly graphs = new Map<string, RevisionGraph>();
  readonly #buckets = new Sums(bucketCount);

  write(id: string, ...path: readonly string[]): void {
    this.join(id, held(...path).path);
  }

  join(id: string, path: ReturnType<typeof pathOf>): void {
    const idDigest = idDigestOf(id, digest128);
    const before = this.graphs.get(id);
    const { graph } = addPath(before ?? emptyGraph, path, { deleted: false, stored: true }, digest128);
    this.graphs.set(id, graph);
    const contribution = (of: RevisionGraph) => contributionOf(idDigest, leavesOfTree(of), digest128);
    if (before !== undefined) this.#buckets.subtract(bucketOf(idDigest), contribution(before));
    this.#buckets.add(bucketOf(idDigest), contribution(graph));
  }

  sums(level: number, indexes: readonly number[]): readonly string[] {
    let sums = this.#buckets;
    for (let count = bucketCount; count > fanOut ** level; count /= fanOut) sums = sumsAbove(sums, count);
    return indexes.map((index) => sums.hex(index));
  }

  entries(buckets: readonly number[]): BucketEntry[] {
    return [...this.graphs].flatMap(([id, graph]): BucketEntry[] =>
      buckets.includes(bucketOf(idDigestOf(id, digest128)))
        ? [{ kind: 'document', id, leaves: leavesOfTree(graph) }]
        : [],
    );
  }

  take(from: Replica, wanted: readonly NamedRevisions[]): void {
    for (const { id, revisions } of wanted) {
      for (const revision of revisions) this.join(id, pathOf(from.graphs.get(id)!, revision));
    }
  }
}

function leavesOfTree(graph: RevisionGraph): readonly Revision[] {
  return treeLeaves(graph, digest128).map((leaf) => leaf.revision);
}

function sumsOf(question: Question, of: Replica): readonly string[] {
  const { level, indexes } = nodesOf(question);
  return of.sums(level, indexes);
}

function answered(question: Question, by: Replica): Answer {
  const entries = question.kind === 'buckets' ? by.entries(question.buckets) : [];
  return answerOf(question, { root: by.sums(0, [0])[0]!, sums: sumsOf(question, by), entries }, digest128);
}

function done(effect: SessionEffect, ours: Replica, theirs: Replica): SessionEvent {
  switch (effect.kind) {
    case 'ask': {
      const { question } = effect;
      return { kind: 'answered', answer: answered(question, theirs), own: sumsOf(question, ours) };
    }
    case 'read':
      return { kind: 'read', entries: ours.entries(effect.buckets) };
    case 'exchange':
      ours.take(theirs, effect.differences.fetch);
      theirs.take(ours, effect.differences.send);
      return { kind: 'exchanged' };
    case 'end':
      throw new Error('nothing follows the end');
  }
}

function round(ours: Replica, theirs: Replica, options: SessionOptions = sessionDefaults) {
  let { session, effect } = startSession(ours.sums(0, [0])[0]!, options, digest128);
  while (effect.kind !== 'end') ({ session, effect } = stepSession(session, done(effect, ours, theirs)));
  return effect;
}

describe('a round of anti-entropy', () => {
  it('costs one question where both hold the same', () => {
    const [ours, theirs] = [new Replica(), new Replica()];
    for (const replica of [ours, theirs]) replica.write('a', '2-b', '1-a');
    expect(round(ours, theirs)).toMatchObject({ outcome: 'equal', counts: { questions: 1, buckets: 0 } });
  });

  it('heals a document that nobody reads, whichever side asks', () => {
    for (const asks of ['stale', 'fresh']) {
      const [stale, fresh] = [new Replica(), new Replica()];
      for (const replica of [stale, fresh]) replica.write('a', '6-v', '5-u');
      fresh.write('a', '7-w', '6-v', '5-u');
      const [ours, theirs] = asks === 'stale' ? [stale, fresh] : [fresh, stale];
      expect(round(ours, theirs)).toMatchObject({
        outcome: 'repaired',
        counts: { questions: 5, buckets: 1 },
      });
      expect(stale.graphs).toEqual(fresh.graphs);
    }
  });

  it('does not send what the fetched supersedes back as a sibling', () => {
    const [ours, theirs] = [new Replica(), new Replica()];
    ours.write('a', '1-a');
    theirs.write('a', '2-b', '1-a');
    round(ours, theirs);
    expect(treeLeaves(ours.graphs.get('a')!, digest128).map((leaf) => leaf.revision)).toEqual(['2-b']);
  });

  it('makes any two replicas equal, in questions of any size', () => {
    const edit = fc.record({
      side: fc.constantFrom('ours', 'theirs', 'both'),
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      digest: fc.constantFrom('x', 'y', 'z'),
      generation: fc.integer({ min: 1, max: 3 }),
    });
    const sizes = fc.record({
      nodesPerQuestionMax: fc.integer({ min: 1, max: 3 }),
      bucketsPerQuestionMax: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 20 }), sizes, (edits, options) => {
        const [ours, theirs] = [new Replica(), new Replica()];
        for (const { side, id, digest, generation } of edits) {
          const path = Array.from({ length: generation }, (_, index) => `${generation - index}-${digest}`);
          if (side !== 'theirs') ours.write(id, ...path);
          if (side !== 'ours') theirs.write(id, ...path);
        }
        round(ours, theirs, options);
        expect(theirs.sums(0, [0])).toEqual(ours.sums(0, [0]));
        for (const [id, graph] of ours.graphs) {
          expect(theirs.graphs.get(id)?.leaves.map((leaf) => leaf.revision)).toEqual(
            graph.leaves.map((leaf) => leaf.revision),
          );
        }
        expect(round(ours, theirs).outcome).toBe('equal');
      }),
      { numRuns: 50 },
    );
  });

  it('asks only for what differs: few bytes for few documents among many', () => {
    const [ours, theirs] = [new Replica(), new Replica()];
    for (let index = 0; index < 2_000; index += 1) {
      for (const replica of [ours, theirs]) replica.write(`doc-${index}`, '1-a');
    }
    theirs.write('doc-7', '2-b', '1-a');
    theirs.write('doc-1999', '2-b', '1-a');
    const { counts } = round(ours, theirs);
    expect(counts).toMatchObject({ buckets: 2, fetched: 2 });
    expect(counts.questions).toBeLessThanOrEqual(6);
  });

  it('ends, and says so, when anything fails or the other talks nonsense', () => {
    const [ours, theirs] = [new Replica(), new Replica()];
    theirs.write('a', '1-a');
    const { session } = startSession(ours.sums(0, [0])[0]!, sessionDefaults, digest128);
    expect(stepSession(session, { kind: 'failed' }).effect).toMatchObject({ kind: 'end', outcome: 'failed' });
    const nonsense: Answer[] = [
      { kind: 'buckets', entries: [], lacking: [] },
      { kind: 'sums', sums: [] },
    ];
    for (const answer of nonsense) {
      const { effect } = stepSession(session, { kind: 'answered', answer, own: ours.sums(1, [0]) });
      expect(effect).toMatchObject({ outcome: 'failed' });
    }
  });
});
