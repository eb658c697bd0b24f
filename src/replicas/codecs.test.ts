import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WholeRevision } from '../database/whole-documents.ts';
import { type Revision, revisionOf } from '../document/revision.ts';
import { graphOf } from '../document/revision-graph.ts';
import { graveOf } from '../replication/graves.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import {
  decodeDigests,
  decodeNames,
  decodeVerdicts,
  encodeDigests,
  encodeNames,
  encodeVerdicts,
  type Verdict,
} from './answer-codec.ts';
import { decodeComparisonAnswer, encodeComparisonAnswer } from './comparison-codec.ts';
import { heardGrave, toldGrave } from './questions.ts';
import { decodeDocuments, decodeInserts, encodeDocuments, encodeInserts } from './revision-codec.ts';

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 });
const pathId = fc.oneof(hex, fc.constantFrom('abc', 'A-B_c.d', 'F'.repeat(32)));
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const attachment = fc.record({
  ...{ kind: fc.constant('stored' as const), name: text, contentType: text, revpos: fc.nat(9) },
  blob: fc.record({ blob: hex, digest: text, length: fc.nat() }),
});
const revision: fc.Arbitrary<WholeRevision> = fc
  .record({
    ...{
      id: text,
      ids: fc.array(pathId, { minLength: 1, maxLength: 30 }),
      below: fc.constantFrom(0, 5, 2 ** 50),
    },
    ...{ deleted: fc.boolean(), attachments: fc.array(attachment, { maxLength: 2 }) },
    body: fc.uint8Array({ maxLength: 40 }),
    stamp: fc.option(fc.record({ ms: fc.nat(), counter: fc.nat(65_535), node: text }), { nil: undefined }),
    isMerge: fc.boolean(),
  })
  .map(({ below, body, ids, isMerge, stamp, ...rest }) => {
    const start = ids.length + below;
    const parents = ['4-a', '3-b'].map((parent) => parent as Revision);
    return {
      ...{ ...rest, revision: revisionOf(start, ids[0]!), path: { start, ids }, body: Buffer.from(body) },
      ...(isMerge && { parents }),
      ...(stamp && { stamp }),
    };
  });
const item = fc.record({
  ...{ identity: fc.constantFrom('carts-1', 'orders-ü'), revision, isWhole: fc.boolean() },
  owner: fc.option(fc.constantFrom('n1', 'ñ2'), { nil: undefined }),
});

describe('frames between replicas', () => {
  it('carry revisions as they are, long paths cut off unless they are to be whole', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), (items) => {
        const arrived = decodeInserts(encodeInserts(items));
        for (const [index, { identity, owner, isWhole, revision: sent }] of items.entries()) {
          const got = arrived[index]!;
          const ids = isWhole || sent.path.ids.length <= 16 ? sent.path.ids : sent.path.ids.slice(0, 8);
          expect(got).toEqual({
            ...{ identity, owner, isWhole: ids.length === sent.path.ids.length },
            revision: { ...sent, path: { start: sent.path.start, ids } },
          });
        }
        expect(arrived).toHaveLength(items.length);
      }),
      { numRuns: 200 },
    );
  });

  it('carry whole documents', () => {
    const grave = fc.array(fc.constantFrom('4-a' as Revision, '5-b' as Revision), { maxLength: 2 });
    const held = fc.record({ revisions: fc.array(revision, { maxLength: 3 }), grave });
    const told = fc.oneof(held, fc.constantFrom('not_now' as const, 'no_database' as const));
    fc.assert(
      fc.property(fc.array(told, { maxLength: 4 }), (documents) => {
        expect(decodeDocuments(encodeDocuments(documents))).toEqual(documents);
      }),
      { numRuns: 100 },
    );
  });

  it('carry graves with their ways back', () => {
    const chain = ['4-d', '3-0123456789abcdef0123456789abcdef', '2-b'] as Revision[];
    const graph = graphOf(
      chain.map((each, at) => ({
        ...{ revision: each, parents: chain.slice(at + 1, at + 2), deleted: at === 0, stored: false },
      })),
    );
    const grave = graveOf('0a'.repeat(16), graph);
    const entries = [
      { kind: 'grave', ...grave },
      { kind: 'document', id: 'ü', leaves: chain },
    ] as const;
    const answer = { kind: 'buckets', entries, lacking: ['0b'.repeat(8)] } as const;
    expect(decodeComparisonAnswer(encodeComparisonAnswer(answer))).toEqual(answer);
    expect(heardGrave(toldGrave(grave))).toEqual(grave);
    expect(() => heardGrave({ idDigest: grave.idDigest, graph: 'AAAA' })).toThrow(GarbageError);
  });

  it('carry names, digests and verdicts', () => {
    const names = [
      { identity: 'a', id: 'x' },
      { identity: 'b', id: 'ü'.repeat(300) },
      { identity: 'a', id: '' },
    ];
    expect(decodeNames(encodeNames(names))).toEqual(names);
    const digests = [
      { kind: 'digest', digest: '0a'.repeat(16) },
      { kind: 'no_document' },
      { kind: 'no_database' },
    ] as const;
    expect(decodeDigests(encodeDigests(digests))).toEqual(digests);
    const verdicts: Verdict[] = [
      { kind: 'kept' },
      { kind: 'lacks_path' },
      { kind: 'lacks_contents', blobs: ['ab', 'cd'] },
      { kind: 'refused', reason: 'voll: ü', mayBeKept: false },
      { kind: 'refused', reason: '', mayBeKept: true },
      { kind: 'rejected', reason: 'it is in quarantine' },
    ];
    expect(decodeVerdicts(encodeVerdicts(verdicts))).toEqual(verdicts);
  });

  it('are refused where they end too early or name what was not said', () => {
    const sent: WholeRevision = {
      ...{ id: 'x', revision: revisionOf(1, 'a'), path: { start: 1, ids: ['a'] } },
      ...{ deleted: false, attachments: [], body: Buffer.from('{}') },
    };
    const bytes = encodeInserts([{ identity: 'a', revision: sent }]);
    for (let length = 1; length < bytes.length; length += 1) {
      // Cut between two revisions it is a shorter list; there is only one here.
      if (length === 5) continue;
      expect(() => decodeInserts(bytes.subarray(0, length))).toThrow(GarbageError);
    }
    expect(() => decodeNames(Uint8Array.of(0, 0, 0, 1, 0, 0))).toThrow(GarbageError);
    expect(() => decodeVerdicts(Uint8Array.of(9))).toThrow(GarbageError);
  });
});
