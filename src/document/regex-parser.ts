/**
 * Reads the regular expressions of Mango's `$regex`: the part of PCRE that can be matched in linear time.
 *
 * In: literals, `.`, classes, `\d \w \s \b` and their opposites, `^ $ \A \Z \z`, groups, alternatives, greedy and lazy
 * repetition, and the options `(?ims)` at the very start. Out, and refused: back references, look-around, possessive
 * and atomic groups, POSIX classes, Unicode properties.
 */

import { failure, type TercetError } from '../errors.ts';

export interface CharacterSet {
  readonly negated: boolean;
  /** First and last code point of each range. */
  readonly ranges: readonly (readonly [number, number])[];
}

export type Assertion =
  | 'text_start'
  | 'text_end'
  | 'last_line_end'
  | 'line_start'
  | 'line_end'
  | 'word_edge'
  | 'no_word_edge';

export type RegexNode =
  | { readonly kind: 'set'; readonly sets: readonly CharacterSet[]; readonly negated: boolean }
  | { readonly kind: 'assertion'; readonly assertion: Assertion }
  | { readonly kind: 'sequence'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'alternatives'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly part: RegexNode; readonly min: number; readonly max: number };

export interface ParsedRegex {
  readonly root: RegexNode;
  readonly ignoreCase: boolean;
}

export const patternLengthMax = 512;
const repeatMax = 1_000;

const digits: CharacterSet = { negated: false, ranges: [[48, 57]] };
export const wordCharacters: CharacterSet = {
  negated: false,
  ranges: [
    [48, 57],
    [65, 90],
    [95, 95],
    [97, 122],
  ],
};
const spaces: CharacterSet = {
  negated: false,
  ranges: [
    [9, 13],
    [32, 32],
  ],
};
const classEscapes: ReadonlyMap<string, CharacterSet> = new Map([
  ['d', digits],
  ['w', wordCharacters],
  ['s', spaces],
  ['D', { ...digits, negated: true }],
  ['W', { ...wordCharacters, negated: true }],
  ['S', { ...spaces, negated: true }],
]);
const characterEscapes: ReadonlyMap<string, number> = new Map([
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['f', 12],
  ['v', 11],
  ['e', 27],
]);
const assertionEscapes: ReadonlyMap<string, Assertion> = new Map([
  ['b', 'word_edge'],
  ['B', 'no_word_edge'],
  ['A', 'text_start'],
  ['z', 'text_end'],
  ['Z', 'last_line_end'],
]);
const optionsPattern = /^\(\?([ims]+)\)/;
const repeatPattern = /^\{(\d{1,4})(,(\d{0,4}))?\}/;
const hexPattern = /^(?:x\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/;
const letterOrDigit = /[0-9A-Za-z]/;

/** @throws TercetError `bad_arg` for what is malformed or left out */
export function parseRegex(pattern: string): ParsedRegex {
  if (pattern.length > patternLengthMax)
    throw refused(pattern, `it is longer than ${patternLengthMax} characters`);
  const options = optionsPattern.exec(pattern);
  const flags = options?.[1] ?? '';
  const reader: PatternReader = {
    pattern,
    place: options?.[0].length ?? 0,
    dotAll: flags.includes('s'),
    multiline: flags.includes('m'),
  };
  const root = readAlternatives(reader);
  if (reader.place < pattern.length) throw refused(pattern, 'a parenthesis is not opened');
  return { root, ignoreCase: flags.includes('i') };
}

interface PatternReader {
  readonly pattern: string;
  place: number;
  readonly dotAll: boolean;
  readonly multiline: boolean;
}

function refused(pattern: string, why: string): TercetError {
  return failure(
    'bad_arg',
    `Bad argument for operator $regex: ${JSON.stringify(pattern.slice(0, 80))}: ${why}`,
  );
}

function peek(reader: PatternReader): string {
  return reader.pattern[reader.place] ?? '';
}

function readAlternatives(reader: PatternReader): RegexNode {
  const parts = [readSequence(reader)];
  while (peek(reader) === '|') {
    reader.place++;
    parts.push(readSequence(reader));
  }
  return parts.length === 1 ? parts[0]! : { kind: 'alternatives', parts };
}

function readSequence(reader: PatternReader): RegexNode {
  const parts: RegexNode[] = [];
  while (reader.place < reader.pattern.length && peek(reader) !== '|' && peek(reader) !== ')') {
    parts.push(readRepeated(reader, readAtom(reader)));
  }
  return { kind: 'sequence', parts };
}

function readRepeated(reader: PatternReader, part: RegexNode): RegexNode {
  const range = readRange(reader);
  if (range === undefined) return part;
  // Greedy or lazy is all one for whether there is a match; possessive is not.
  if (peek(reader) === '?') reader.place++;
  else if (peek(reader) === '+') throw refused(reader.pattern, 'possessive repetition is not offered');
  if (range.min > range.max) throw refused(reader.pattern, 'a repetition ends before it begins');
  const repeated: RegexNode = { kind: 'repeat', part, ...range };
  if (readRange(reader) !== undefined) throw refused(reader.pattern, 'there is nothing to repeat');
  return repeated;
}

function readRange(reader: PatternReader): { min: number; max: number } | undefined {
  const sign = peek(reader);
  if (sign === '*' || sign === '+' || sign === '?') {
    reader.place++;
    return { min: sign === '+' ? 1 : 0, max: sign === '?' ? 1 : Number.POSITIVE_INFINITY };
  }
  const match = sign === '{' ? repeatPattern.exec(reader.pattern.slice(reader.place)) : null;
  if (match === null) return undefined;
  reader.place += match[0].length;
  const min = Number(match[1]);
  const max = match[2] === undefined ? min : match[3] === '' ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (min > repeatMax || (max > repeatMax && max !== Number.POSITIVE_INFINITY)) {
    throw refused(reader.pattern, `a repetition of more than ${repeatMax}`);
  }
  return { min, max };
}

function readAtom(reader: PatternReader): RegexNode {
  const sign = peek(reader);
  switch (sign) {
    case '(':
      return readGroup(reader);
    case '[':
      return readClass(reader);
    case '\\':
      return readEscape(reader);
    case '*':
    case '+':
    case '?':
      throw refused(reader.pattern, 'there is nothing to repeat');
    case '.':
      reader.place++;
      return reader.dotAll
        ? { kind: 'set', sets: [], negated: true }
        : { kind: 'set', sets: [{ negated: false, ranges: [[10, 10]] }], negated: true };
    case '^':
      reader.place++;
      return { kind: 'assertion', assertion: reader.multiline ? 'line_start' : 'text_start' };
    case '$':
      reader.place++;
      return { kind: 'assertion', assertion: reader.multiline ? 'line_end' : 'last_line_end' };
    default:
      return character(readCodePoint(reader));
  }
}

function character(code: number): RegexNode {
  return { kind: 'set', sets: [{ negated: false, ranges: [[code, code]] }], negated: false };
}

function readCodePoint(reader: PatternReader): number {
  const code = reader.pattern.codePointAt(reader.place)!;
  reader.place += code > 0xffff ? 2 : 1;
  return code;
}

function readGroup(reader: PatternReader): RegexNode {
  reader.place++;
  if (peek(reader) === '?') {
    if (!reader.pattern.startsWith('?:', reader.place)) {
      throw refused(
        reader.pattern,
        'of the groups that start with (? only (?: is offered, and options at the start',
      );
    }
    reader.place += 2;
  }
  const inner = readAlternatives(reader);
  if (peek(reader) !== ')') throw refused(reader.pattern, 'a parenthesis is not closed');
  reader.place++;
  return inner;
}

function readEscape(reader: PatternReader): RegexNode {
  const sign = reader.pattern[reader.place + 1] ?? '';
  const assertion = assertionEscapes.get(sign);
  if (assertion !== undefined) {
    reader.place += 2;
    return { kind: 'assertion', assertion };
  }
  const escaped = readEscapedCharacter(reader);
  return typeof escaped === 'number' ? character(escaped) : { kind: 'set', sets: [escaped], negated: false };
}

/** An escape that means the same inside a class: a character, or a set of them. */
function readEscapedCharacter(reader: PatternReader): number | CharacterSet {
  reader.place++;
  const hex = hexPattern.exec(reader.pattern.slice(reader.place, reader.place + 10));
  if (hex !== null) {
    reader.place += hex[0].length;
    return Number.parseInt((hex[1] ?? hex[2] ?? hex[3])!, 16);
  }
  const sign = peek(reader);
  const known = classEscapes.get(sign) ?? characterEscapes.get(sign);
  if (known === undefined && (sign === '' || letterOrDigit.test(sign))) {
    throw refused(reader.pattern, `\\${sign} is not offered`);
  }
  if (known === undefined) return readCodePoint(reader);
  reader.place++;
  return known;
}

function readClass(reader: PatternReader): RegexNode {
  reader.place++;
  const negated = peek(reader) === '^';
  if (negated) reader.place++;
  const sets: CharacterSet[] = [];
  // A bracket that closes at once is a character: []a] has two.
  for (let isFirst = true; isFirst || peek(reader) !== ']'; isFirst = false) {
    const from = readClassItem(reader);
    if (typeof from !== 'number') {
      sets.push(from);
      continue;
    }
    const isRange = peek(reader) === '-' && (reader.pattern[reader.place + 1] ?? ']') !== ']';
    if (isRange) reader.place++;
    const to = isRange ? readClassItem(reader) : from;
    if (typeof to !== 'number' || to < from)
      throw refused(reader.pattern, 'a range of characters is out of order');
    sets.push({ negated: false, ranges: [[from, to]] });
  }
  reader.place++;
  return { kind: 'set', sets, negated };
}

function readClassItem(reader: PatternReader): number | CharacterSet {
  const sign = peek(reader);
  if (sign === '') throw refused(reader.pattern, 'a bracket is not closed');
  if (sign === '\\') {
    if (reader.pattern[reader.place + 1] !== 'b') return readEscapedCharacter(reader);
    reader.place += 2;
    return 8;
  }
  const next = reader.pattern[reader.place + 1] ?? '';
  if (sign === '[' && (next === ':' || next === '.' || next === '=')) {
    throw refused(reader.pattern, 'POSIX classes are not offered');
  }
  return readCodePoint(reader);
}
