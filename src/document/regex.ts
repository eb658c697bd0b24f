/**
 * Regular expressions from strangers, in bounded time.
 *
 * A filter that a client sends runs on the node that everybody uses. The engine's own RegExp tries one way through the
 * pattern after the other, and `(a+)+$` has more ways than a node has years. So here all ways are followed at once
 * (Ken Thompson's method): a set of places in the program moves along the text, and no place is in it twice. The work
 * is at most length of the program × length of the text, and both have a limit. Only whether there is a match is told,
 * not where.
 */

import { failure } from '../errors.ts';
import {
  type Assertion,
  type CharacterSet,
  parseRegex,
  type RegexNode,
  wordCharacters,
} from './regex-parser.ts';

/** Instructions and ranges of characters together: what one character of the text may cost. */
const programWeightMax = 1_000;
/** A longer text is not searched: it does not match. */
export const searchedLengthMax = 65_536;

type Instruction =
  | { readonly kind: 'set'; readonly sets: readonly CharacterSet[]; readonly negated: boolean }
  | { readonly kind: 'assertion'; readonly assertion: Assertion }
  /** Go on at all of these places. */
  | { readonly kind: 'fork'; readonly to: readonly number[] }
  /** Go on at the next place and at `end`, which is one place known only later. */
  | { readonly kind: 'option'; readonly end: readonly number[] }
  | { readonly kind: 'match' };

interface Program {
  readonly instructions: Instruction[];
  weight: number;
}

/**
 * Whether a text contains what the pattern describes.
 * @throws TercetError `bad_arg` when the pattern is malformed, too long or not offered
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  const { root, ignoreCase } = parseRegex(pattern);
  const program: Program = { instructions: [], weight: 0 };
  emit(program, root);
  push(program, { kind: 'match' });
  return (text) => text.length <= searchedLengthMax && search(program.instructions, text, ignoreCase);
}

/** Gives the place of the instruction. */
function push(program: Program, instruction: Instruction): number {
  program.weight += 1 + (instruction.kind === 'set' ? instruction.sets.length : 0);
  if (program.weight > programWeightMax) {
    throw failure('bad_arg', 'Bad argument for operator $regex: the pattern is too complex');
  }
  return program.instructions.push(instruction) - 1;
}

function emit(program: Program, node: RegexNode): void {
  switch (node.kind) {
    case 'set':
    case 'assertion':
      push(program, node);
      return;
    case 'sequence':
      for (const part of node.parts) emit(program, part);
      return;
    case 'alternatives':
      emitAlternatives(program, node.parts);
      return;
    case 'repeat':
      emitRepeat(program, node);
  }
}

function emitAlternatives(program: Program, parts: readonly RegexNode[]): void {
  const starts: number[] = [];
  const end: number[] = [];
  push(program, { kind: 'fork', to: starts });
  for (const part of parts) {
    starts.push(program.instructions.length);
    emit(program, part);
    push(program, { kind: 'fork', to: end });
  }
  end.push(program.instructions.length);
}

function emitRepeat(program: Program, { part, min, max }: RegexNode & { readonly kind: 'repeat' }): void {
  const { instructions } = program;
  for (let i = 0; i < min; i++) {
    const start = instructions.length;
    emit(program, part);
    // What is empty stays so however often; without this, empty groups inside each other would take for ever.
    if (instructions.length === start) return;
  }
  const end: number[] = [];
  if (max === Number.POSITIVE_INFINITY) {
    const start = push(program, { kind: 'option', end });
    emit(program, part);
    push(program, { kind: 'fork', to: [start] });
  } else {
    for (let i = min; i < max; i++) {
      push(program, { kind: 'option', end });
      emit(program, part);
    }
  }
  end.push(instructions.length);
}

/** Where in the text the search is. */
interface Position {
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** One line break, at most, is left. */
  readonly isAtLastEnd: boolean;
}

function search(program: readonly Instruction[], text: string, ignoreCase: boolean): boolean {
  // `reached[place]` is the last step at which the place was entered, so a place is entered once a step.
  const reached = new Int32Array(program.length).fill(-1);
  let places: number[] = [];
  let before: number | undefined;
  let step = 0;
  for (let index = 0; ; step++) {
    const after = text.codePointAt(index);
    const rest = text.length - index;
    const position = { before, after, isAtLastEnd: rest === 0 || (rest === 1 && after === 10) };
    const entered: number[] = [];
    const entries = [...places, 0];
    if (enterAll(program, entries, position, { reached, step, entered })) return true;
    if (after === undefined) return false;
    places = [];
    const forms = ignoreCase ? caseForms(after) : [after];
    for (const place of entered) {
      if (accepts(program[place]!, forms)) places.push(place + 1);
    }
    before = after;
    index += after > 0xffff ? 2 : 1;
  }
}

interface StepState {
  readonly reached: Int32Array;
  readonly step: number;
  /** Places that wait for a character. */
  readonly entered: number[];
}

/** Follows forks and assertions from the given places; true when that leads to the end of the program. */
function enterAll(
  program: readonly Instruction[],
  stack: number[],
  position: Position,
  state: StepState,
): boolean {
  while (stack.length > 0) {
    const place = stack.pop()!;
    if (state.reached[place] === state.step) continue;
    state.reached[place] = state.step;
    const instruction = program[place]!;
    switch (instruction.kind) {
      case 'match':
        return true;
      case 'set':
        state.entered.push(place);
        break;
      case 'assertion':
        if (holds(instruction.assertion, position)) stack.push(place + 1);
        break;
      case 'fork':
        stack.push(...instruction.to);
        break;
      case 'option':
        stack.push(place + 1, ...instruction.end);
    }
  }
  return false;
}

function holds(assertion: Assertion, { before, after, isAtLastEnd }: Position): boolean {
  switch (assertion) {
    case 'text_start':
      return before === undefined;
    case 'text_end':
      return after === undefined;
    case 'last_line_end':
      return isAtLastEnd;
    case 'line_start':
      return before === undefined || before === 10;
    case 'line_end':
      return after === undefined || after === 10;
    case 'word_edge':
      return isWord(before) !== isWord(after);
    case 'no_word_edge':
      return isWord(before) === isWord(after);
  }
}

function isWord(code: number | undefined): boolean {
  return code !== undefined && contains(wordCharacters, code);
}

function accepts(instruction: Instruction, forms: readonly number[]): boolean {
  if (instruction.kind !== 'set') return false;
  return forms.some((code) => instruction.sets.some((set) => contains(set, code))) !== instruction.negated;
}

function contains(set: CharacterSet, code: number): boolean {
  return set.ranges.some(([from, to]) => code >= from && code <= to) !== set.negated;
}

function caseForms(code: number): readonly number[] {
  const character = String.fromCodePoint(code);
  return [code, character.toLowerCase().codePointAt(0)!, character.toUpperCase().codePointAt(0)!];
}
