import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OptionsError } from '../config.ts';
import { helpText, nearest, readFlags } from './flags.ts';

const table = {
  port: { value: 'PORT', help: 'Where to listen.' },
  name: { value: 'NAME', repeatable: true, help: 'A name.\nOr another.' },
  fresh: { help: 'Start over.' },
} as const;

function values(...argv: string[]): Record<string, readonly string[]> {
  const read = readFlags(table, argv);
  if (read.kind === 'help') throw new Error('help was asked for');
  return Object.fromEntries(read.values);
}

test('a value follows its flag as the next argument or after an equals sign', () => {
  expect(values('--port', '80')).toEqual({ port: ['80'] });
  expect(values('--port=80')).toEqual({ port: ['80'] });
  expect(values('--name=a=b')).toEqual({ name: ['a=b'] });
  expect(values('--name', '-x', '--name=--y')).toEqual({ name: ['-x', '--y'] });
  expect(values('--fresh')).toEqual({ fresh: [] });
});

test('--help and -h ask for help, wherever they stand', () => {
  expect(readFlags(table, ['--port', '80', '--help'])).toEqual({ kind: 'help' });
  expect(readFlags(table, ['-h'])).toEqual({ kind: 'help' });
});

test('an unknown flag is refused with the nearest known one', () => {
  expect(() => readFlags(table, ['--prt', '80'])).toThrow('There is no flag --prt: did you mean --port?');
  expect(() => readFlags(table, ['--port-number', '80'])).toThrow('did you mean --port?');
  expect(() => readFlags(table, ['--na', 'x'])).toThrow('did you mean --name?');
  expect(() => readFlags(table, ['--quorum'])).toThrow('known are --port, --name, --fresh');
  expect(() => readFlags(table, ['--__proto__=1'])).toThrow(OptionsError);
  expect(() => readFlags(table, ['--constructor=1'])).toThrow(OptionsError);
});

test('a missing value, one too many, a repeated flag and a stray word are refused', () => {
  expect(() => readFlags(table, ['--port'])).toThrow('write --port PORT');
  expect(() => readFlags(table, ['--port', '--fresh'])).toThrow('write --port PORT');
  expect(() => readFlags(table, ['--fresh=yes'])).toThrow('takes no value');
  expect(() => readFlags(table, ['--port', '1', '--port', '2'])).toThrow('given twice');
  expect(() => readFlags(table, ['serve'])).toThrow('is not a flag');
});

test('operands stand anywhere, and there are as many as the command names', () => {
  const operands = (...argv: string[]) => {
    const read = readFlags(table, argv, ['NODE']);
    return read.kind === 'values' && read.operands;
  };
  expect(operands('n2', '--port', '80')).toEqual(['n2']);
  expect(operands('--port', '80', '--fresh', 'n2')).toEqual(['n2']);
  expect(() => operands('--port', '80')).toThrow('NODE is missing');
  expect(() => operands('n2', 'n3')).toThrow('"n3" is not a flag');
  expect(() => operands('-n2')).toThrow('"-n2" is not a flag');
  expect(readFlags(table, ['-h'], ['NODE'])).toEqual({ kind: 'help' });
});

test('any argument list is either read or refused as an operator mistake', () => {
  const argument = fc.oneof(fc.constantFrom('--port', '--name', '--fresh', '--', '='), fc.string());
  fc.assert(
    fc.property(fc.array(argument), (argv) => {
      try {
        readFlags(table, argv);
      } catch (error) {
        expect(error).toBeInstanceOf(OptionsError);
      }
    }),
  );
});

test('the nearest name is offered only when it is a likely slip', () => {
  expect(nearest('--data-dir', ['--data', '--node'])).toBeUndefined();
  expect(nearest('--dta', ['--data', '--node'])).toBe('--data');
  expect(nearest('', [])).toBeUndefined();
});

test('help names every flag with its value, one column wide', () => {
  expect(helpText('tercet x [flags]', 'Does x.', table, 'More.')).toBe(`usage: tercet x [flags]

Does x.

  --port PORT  Where to listen.
  --name NAME  A name.
               Or another.
  --fresh      Start over.

More.
`);
});
