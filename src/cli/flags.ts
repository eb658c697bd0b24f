/**
 * Reading a command line against a table of the flags that exist. Pure: text in, values out.
 *
 *   readFlags({ port: { value: 'PORT', help: '…' } }, ['--port', '80']) → { kind: 'values', values: { port: ['80'] } }
 *
 * A flag takes the next argument or what follows `=`; there are no short flags but `-h`. Words without a flag are refused
 * unless the command names them (its operands), because a stray word on a database's command line is a mistake more often
 * than a wish.
 */

import { OptionsError } from '../config.ts';

export interface Flag {
  /** How help names the value; a flag without one is on or off. */
  readonly value?: string;
  readonly help: string;
  /** May be given several times. */
  readonly repeatable?: true;
}

export type FlagTable = Readonly<Record<string, Flag>>;

export type FlagsRead =
  | { readonly kind: 'help' }
  /** Values in the order given; a flag that is on has an empty list. */
  | {
      readonly kind: 'values';
      readonly values: ReadonlyMap<string, readonly string[]>;
      /** As many as there are names. */
      readonly operands: readonly string[];
    };

/**
 * @param names of the words that the command takes without a flag, as help writes them
 * @throws OptionsError for an unknown flag, a missing value or operand, or one too many
 */
export function readFlags(
  table: FlagTable,
  argv: readonly string[],
  names: readonly string[] = [],
): FlagsRead {
  const values = new Map<string, readonly string[]>();
  const operands: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index]!;
    if (argument === '--help' || argument === '-h') return { kind: 'help' };
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined && !argument.startsWith('-') && operands.length < names.length) {
      operands.push(argument);
      continue;
    }
    if (name === undefined)
      throw new OptionsError(`"${argument}" is not a flag: flags start with "--"; see --help.`);
    const flag = ownFlag(table, name);
    if (flag === undefined)
      throw unknown(
        'flag',
        `--${name}`,
        Object.keys(table).map((known) => `--${known}`),
      );
    if (values.has(name) && flag.repeatable === undefined)
      throw new OptionsError(`--${name} is given twice: keep one.`);
    if (flag.value === undefined) {
      if (inline !== undefined) throw new OptionsError(`--${name} takes no value: write it alone.`);
      values.set(name, []);
      continue;
    }
    const value = inline ?? argv[index + 1];
    if (value === undefined || (inline === undefined && value.startsWith('--'))) {
      throw new OptionsError(`--${name} needs a value: write --${name} ${flag.value}.`);
    }
    if (inline === undefined) index += 1;
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  const missing = names[operands.length];
  if (missing !== undefined) throw new OptionsError(`${missing} is missing; see --help.`);
  return { kind: 'values', values, operands };
}

function ownFlag(table: FlagTable, name: string): Flag | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The error for a name that is not in a closed list, with the nearest one that is. */
export function unknown(what: string, name: string, known: readonly string[]): OptionsError {
  const near =
    nearest(name, known) ??
    known.find((candidate) => candidate.startsWith(name) || name.startsWith(candidate));
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  return new OptionsError(`There is no ${what} ${name}: ${hint}`);
}

/** The known name that takes the fewest edits to reach, if that is few enough to be a slip. */
export function nearest(
  name: string,
  known: readonly string[],
  editsMax = Math.max(2, Math.floor(name.length / 3)),
): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((left, right) => left.distance - right.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= editsMax ? best.candidate : undefined;
}

/** Levenshtein distance: insertions, deletions and replacements of one character. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [index, character] of [...left].entries()) {
    const next = [index + 1];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = row[column - 1]! + (character === right[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[column]! + 1, next[column - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}

/** Help text of a command: usage, what it does, its flags. */
export function helpText(usage: string, story: string, table: FlagTable, closing = ''): string {
  const left = Object.entries(table).map(
    ([name, { value }]) => `  --${name}${value === undefined ? '' : ` ${value}`}`,
  );
  const width = Math.max(...left.map((text) => text.length)) + 2;
  const rows = Object.values(table).map(({ help }, index) => {
    const [first, ...more] = help.split('\n');
    return [left[index]!.padEnd(width) + first, ...more.map((line) => ' '.repeat(width) + line)].join('\n');
  });
  return `usage: ${usage}\n\n${story}\n\n${rows.join('\n')}\n${closing === '' ? '' : `\n${closing}\n`}`;
}
