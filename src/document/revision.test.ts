import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digest128 } from '../runtime/digest.ts';
import {
  compareRevisions,
  deriveRevision,
  digestOf,
  generationOf,
  parseRevision,
  type Revision,
  type RevisionContent,
  revisionOf,
} from './revision.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const revisions = (...texts: string[]): Revision[] => texts as string[] as Revision[];

describe('reading a revision id', () => {
  it.each([
    '1-abc',
    '3-9c65296036141e575d32ba9c034dd3ee',
    '9007199254740991-a',
    '95-aaaaaaaaaaaaa-b',
    '1-A.b_c-9',
    `1-${'a'.repeat(64)}`,
  ])('takes %s', (text) => {
    expect(parseRevision(text)).toBe(text);
  });

  it.each([
    '',
    '1',
    '1-',
    '-abc',
    '0-abc',
    '01-abc',
    '-1-abc',
    '1.5-abc',
    'a-b',
    '1-a b',
    '1-é',
    '1-abc\n',
    ' 1-abc',
    '9007199254740992-a',
    '10000000000000000000-a',
    `1-${'a'.repeat(65)}`,
  ])('refuses %j', (text) => {
    expect(parseRevision(text)).toBeUndefined();
  });

  it('takes it apart as it was put together', () => {
    const revision = revisionOf(12, 'a-b');
    expect(generationOf(revision)).toBe(12);
    expect(digestOf(revision)).toBe('a-b');
  });
});

describe('the order of revisions', () => {
  it('is by generation as a number, then by digest', () => {
    const sorted = revisions('1-b', '2-a', '2-b', '9-z', '10-a', '100-a');
    expect(sorted.toReversed().sort(compareRevisions)).toEqual(sorted);
    expect(compareRevisions(sorted[0]!, sorted[0]!)).toBe(0);
  });
});

describe('deriving a revision', () => {
  const content: RevisionContent = {
    parents: revisions('2-b', '2-c', '1-a'),
    deleted: false,
    body: bytes('{"n":1}'),
    attachmentDigests: [
      ['x', 'md5-1'],
      ['y', 'md5-2'],
    ],
  };
  const derived = deriveRevision(content, digest128);

  it('goes one generation above the highest parent, starts at 1, and has 32 hex digits', () => {
    expect(derived).toMatch(/^3-[0-9a-f]{32}$/);
    expect(deriveRevision({ ...content, parents: [] }, digest128)).toMatch(/^1-/);
    expect(deriveRevision({ ...content, parents: revisions('1-a', '9-b') }, digest128)).toMatch(/^10-/);
  });

  it('does not depend on the order of attachments and of parents behind the first', () => {
    const parents = revisions('2-b', '1-a', '2-c', '1-a');
    const attachmentDigests = content.attachmentDigests.toReversed();
    expect(deriveRevision({ ...content, parents, attachmentDigests }, digest128)).toBe(derived);
  });

  it.each<[string, Partial<RevisionContent>]>([
    ['the tree parent', { parents: revisions('2-c', '2-b', '1-a') }],
    ['the parents', { parents: revisions('2-b', '2-c') }],
    ['deletion', { deleted: true }],
    ['the body', { body: bytes('{"n":2}') }],
    ['an idempotency key', { idempotencyKey: 'a' }],
    ['an attachment', { attachmentDigests: [['x', 'md5-1']] }],
    [
      "an attachment's name",
      {
        attachmentDigests: [
          ['x', 'md5-1'],
          ['z', 'md5-2'],
        ],
      },
    ],
  ])('depends on %s', (_what, change) => {
    expect(deriveRevision({ ...content, ...change }, digest128)).not.toBe(derived);
  });

  it('never writes two contents as the same bytes', () => {
    const text = fc.string({
      unit: fc.constantFrom('\n', '"', ',', '[', ']', 'a', 'd', 'l', '1', '-'),
      maxLength: 4,
    });
    const contents = fc.record({
      parents: fc.subarray(revisions('1-a', '1-b', '2-a')),
      deleted: fc.boolean(),
      body: text.map(bytes),
      attachmentDigests: fc.uniqueArray(fc.tuple(text, text), { maxLength: 2, selector: ([name]) => name }),
      idempotencyKey: fc.option(fc.string({ unit: fc.constantFrom('k', 'd', 'l', '1'), maxLength: 2 }), {
        nil: undefined,
      }),
    });
    const written = (each: RevisionContent): string => {
      let seen = '';
      deriveRevision(each, (input) => {
        seen = new TextDecoder().decode(input);
        return '';
      });
      return seen;
    };
    const sorted = (each: RevisionContent) => ({
      ...each,
      parents: [each.parents[0], ...each.parents.slice(1).sort()],
      attachmentDigests: each.attachmentDigests.map((pair) => JSON.stringify(pair)).sort(),
    });
    fc.assert(
      fc.property(contents, contents, (a, b) => {
        expect(written(a) === written(b)).toBe(JSON.stringify(sorted(a)) === JSON.stringify(sorted(b)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is a bad request beyond the last generation', () => {
    const last = { ...content, parents: revisions('9007199254740991-a') };
    expect(() => deriveRevision(last, digest128)).toThrow('highest generation');
  });
});
