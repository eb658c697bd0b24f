import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { emptyGraph, type RevisionGraph } from '../document/revision-graph.ts';
import { addPath, pathOf } from '../document/revision-path.ts';
import { treeLeaves } from '../document/tree-projection.ts';
import { digest128 } from '../runtime/digest.ts';
import {
  type Answer,
  answerOf,
  type Question,
  type SessionEffect,
  type SessionEvent,
  type SessionOptions,
  sessionDefaults,
  startSession,
  stepSession,
} from './anti-entropy.ts';
import type { BucketEntry, NamedRevisions } from './bucket-entries.ts';
import { contributionOf } from './contribution.ts';
import { bucketOf, HashTree } from './hash-tree.ts';
import { held } from './test-revisions.ts';

/** A replica that is nothing but graphs and their tree. */
class Replica {
  readonly tree = new HashTree();
  readonly graphs = new Map<string, RevisionGraph>();

  write(id: string, ...path: readonly string[]): void {
    this.join(id, held(...path).path);
  }

  join(id: string, path: ReturnType<typeof pathOf>): void {
    const before = this.graphs.get(id) ?? emptyGraph;
    const { graph } = addPath(before, path, { deleted: false, stored: true }, digest128);
    this.graphs.set(id, graph);
    const contributions = [before, graph].map((one) => contributionOf(id, one, digest128));
    this.tree.change(bucketOf(id), contributions[0], contributions[1]);
  }

  entries(buckets: readonly number[]): BucketEntry[] {
    return [...this.graphs].flatMap(([id, graph]) => {
      if (!buckets.includes(bucketOf(id))) return [];
      const leaves = treeLeaves(graph, digest128).map((leaf) => leaf.revision);
      return [{ kind: 'document', id, leaves, contribution: contributionOf(id, graph, digest128)! }];
    });
  }

  take(from: Replica, wanted: readonly NamedRevisions[]): void {
    for (const { id, revisions } of wanted) {
      for (const revision of revisions) this.join(id, pathOf(from.graphs.get(id)!, revision));
    }
  }
}

function answered(question: Question, by: Replica): Answer {
  const entries = question.kind === 'buckets' ? by.entries(question.buckets) : [];
  return answerOf(question, by.tree, entries)!;
}

function done(effect: SessionEffect, ours: Replica, theirs: Replica): SessionEvent {
  switch (effect.kind) {
    case 'ask':
      return { kind: 'answered', answer: answered(effect.question, theirs) };
    case 'read':
      return { kind: 'read', entries: ours.entries(effect.buckets) };
    default:
      if (effect.kind !== 'exchange') throw new Error(effect.kind);
      ours.take(theirs, effect.differences.fetch);
      theirs.take(ours, effect.differences.send);
      return { kind: 'exchanged' };
  }
}

function round(ours: Replica, theirs: Replica, options: SessionOptions = sessionDefaults) {
  let { session, effect } = startSession(ours.tree, options);
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
        expect(theirs.tree.root()).toBe(ours.tree.root());
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
    theirs.write('a', '1-a' as Revision);
    const { session } = startSession(ours.tree, sessionDefaults);
    expect(stepSession(session, { kind: 'failed' }).effect).toMatchObject({ kind: 'end', outcome: 'failed' });
    const nonsense: Answer = { kind: 'buckets', entries: [], lacking: [] };
    expect(stepSession(session, { kind: 'answered', answer: nonsense }).effect).toMatchObject({
      outcome: 'failed',
    });
  });
});

describe('the side that is asked', () => {
  it.each<Question>([
    { kind: 'children', level: 4, indexes: [0] },
    { kind: 'children', level: 1, indexes: [16] },
    { kind: 'children', level: 1, indexes: [0.5] },
    { kind: 'buckets', buckets: [65_536], marks: [] },
  ])('has no answer to %j', (question) => {
    expect(answerOf(question, new HashTree(), [])).toBeUndefined();
  });
});
