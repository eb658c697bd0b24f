import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRegex, searchedLengthMax } from './regex.ts';
import { patternLengthMax } from './regex-parser.ts';

/** Patterns of the shared part of our language and RegExp's, without what makes RegExp slow on short texts. */
const patterns = fc.letrec<{ any: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 2, depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      'a',
      'b',
      'é',
      '.',
      '\\d',
      '\\W',
      '\\s',
      '[ab]',
      '[^a-c1]',
      '[\\d-]',
      '\\.',
      '\\x61',
      '\\b',
      '^',
      '$',
    ),
    tie('any').map((inner) => `(${inner})`),
    tie('any').map((inner) => `(?:${inner})`),
  ),
  any: fc
    .array(
      fc
        .tuple(tie('atom'), fc.constantFrom('', '', '*', '+?', '?', '{2}', '{0,2}', '{1,}'))
        .map(([atom, repeat]) => (/^(\^|\$|\\b)$/.test(atom) ? atom : atom + repeat)),
      { maxLength: 3 },
    )
    .chain((terms) =>
      fc
        .option(tie('atom'), { nil: undefined })
        .map((other) => (other === undefined ? terms.join('') : `${terms.join('')}|${other}`)),
    ),
})).any;
const texts = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', ' ', '.', '-', 'é', 'A'), maxLength: 6 });

describe('a regular expression', () => {
  it("matches what the engine's own would", () => {
    fc.assert(
      fc.property(patterns, texts, fc.boolean(), (pattern, text, ignoreCase) => {
        const expected = new RegExp(pattern, ignoreCase ? 'i' : '').test(text);
        expect(compileRegex(ignoreCase ? `(?i)${pattern}` : pattern)(text)).toBe(expected);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ['^a$', 'a\n', true],
    ['^a\\z', 'a\n', false],
    ['a\\Z', 'a\n', true],
    ['\\Ab', 'a\nb', false],
    ['(?m)^b$', 'a\nb\nc', true],
    ['^b$', 'a\nb\nc', false],
    ['a.b', 'a\nb', false],
    ['(?s)a.b', 'a\nb', true],
    ['^.$', '\u{1f600}', true],
    ['\\x{1f600}', '\u{1f600}', true],
    ['(?i)É', 'é', true],
    ['[]a]', ']', true],
    ['a{', 'a{', true],
    ['', '', true],
    ['a|', 'b', true],
    ['^(a|ab)(c|bcd)$', 'abcd', true],
    ['[a\\]]{2}', 'a]', true],
    ['[\\b]', '\b', true],
  ])('%j on %j gives %s', (pattern, text, expected) => {
    expect(compileRegex(pattern)(text)).toBe(expected);
  });

  it.each([
    '(',
    ')',
    'a)',
    '[',
    '[a',
    '*a',
    'a**',
    'a{2}{3}',
    'a{3,2}',
    'a{9999}',
    '\\',
    '\\1',
    '\\p{L}',
    '(?=a)',
    '(?<n>a)',
    '(?i',
    'a++',
    '[z-a]',
    '[a-\\d]',
    '[[:alpha:]]',
    'a'.repeat(patternLengthMax + 1),
  ])('%j is refused', (pattern) => {
    expect(() => compileRegex(pattern)).toThrow('bad_arg');
  });

  it.each([
    '(a{900}){900}',
    '(((((){1000}){1000}){1000}){1000}a{900}){1000}',
    '[abcdefghijklmnopqrstuvwxyz]{500}',
  ])('%j is refused for what it would cost', (pattern) => {
    expect(() => compileRegex(pattern)).toThrow('too complex');
  });

  it.each(['(a+)+$', '^(a|a)*$', '^(a|aa)+$', 'a*a*a*a*a*a*a*a*b', '((){1000}){1000}b', '(.*)*x'])(
    '%j, which has no end in an engine that goes back, ends',
    (pattern) => {
      expect(compileRegex(pattern)(`${'a'.repeat(2_000)}!`)).toBe(false);
    },
  );

  it('does not search a text that is longer than the limit', () => {
    expect(compileRegex('a')('a'.repeat(searchedLengthMax))).toBe(true);
    expect(compileRegex('a')('a'.repeat(searchedLengthMax + 1))).toBe(false);
  });
});
