/** The operators of Mango selectors that look at one value. */

import { failure, type TercetError } from '../errors.ts';
import { compareCodeUnits, compareValues } from './collation.ts';
import { isJsonObject, isPlainValue } from './json-values.ts';
import { compileRegex } from './regex.ts';

/** Is given values that exist only. */
export type ValueMatcher = (value: unknown) => boolean;

type Compare = (a: unknown, b: unknown) => number;

/**
 * The matcher of an operator with its argument; undefined when there is no such operator.
 * @param order `code_units` for document ids, which the store keeps in that order
 * @throws TercetError `bad_arg`
 */
export function valueOperator(
  name: string,
  argument: unknown,
  order: 'collated' | 'code_units',
): ValueMatcher | undefined {
  const compare: Compare = order === 'collated' ? compareValues : compareIds;
  switch (name) {
    case '$eq':
      return (value) => compare(value, argument) === 0;
    case '$ne':
      return (value) => compare(value, argument) !== 0;
    case '$lt':
      return (value) => compare(value, argument) < 0;
    case '$lte':
      return (value) => compare(value, argument) <= 0;
    case '$gt':
      return (value) => compare(value, argument) > 0;
    case '$gte':
      return (value) => compare(value, argument) >= 0;
    case '$in':
      return includedIn(listArgument(name, argument));
    case '$nin': {
      const isIncluded = includedIn(listArgument(name, argument));
      return (value) => !isIncluded(value);
    }
    case '$all':
      return containingAll(listArgument(name, argument));
    default:
      return formOperator(name, argument);
  }
}

/** Operators that look at the form of a value rather than compare it. */
function formOperator(name: string, argument: unknown): ValueMatcher | undefined {
  switch (name) {
    case '$type': {
      const type = textArgument(name, argument);
      return (value) => typeOf(value) === type;
    }
    case '$size': {
      const size = wholeNumberArgument(name, argument);
      return (value) => Array.isArray(value) && value.length === size;
    }
    case '$mod':
      return remainder(argument);
    case '$regex': {
      const matches = compileRegex(textArgument(name, argument));
      return (value) => typeof value === 'string' && matches(value);
    }
    case '$beginsWith': {
      const prefix = textArgument(name, argument);
      return (value) => typeof value === 'string' && value.startsWith(prefix);
    }
    default:
      return undefined;
  }
}

export function badArgument(name: string, argument: unknown): TercetError {
  return failure('bad_arg', `Bad argument for operator ${name}: ${JSON.stringify(argument).slice(0, 200)}`);
}

function compareIds(a: unknown, b: unknown): number {
  return typeof a === 'string' && typeof b === 'string' ? compareCodeUnits(a, b) : compareValues(a, b);
}

/** Of an array it is asked whether one of its elements is included. */
function includedIn(list: readonly unknown[]): ValueMatcher {
  // Different strings are never equal, so plain values need no comparing.
  const plain = new Set(list.filter(isPlainValue));
  const others = list.filter((item) => !isPlainValue(item));
  const isIncluded = (value: unknown): boolean =>
    isPlainValue(value) ? plain.has(value) : others.some((item) => compareValues(value, item) === 0);
  return (value) => (Array.isArray(value) ? value.some(isIncluded) : isIncluded(value));
}

/** `[[1,2]]` also asks whether the value is `[1,2]` itself. */
function containingAll(list: readonly unknown[]): ValueMatcher {
  const whole = list.length === 1 && Array.isArray(list[0]) ? list[0] : undefined;
  return (value) => {
    if (!Array.isArray(value) || list.length === 0) return false;
    if (whole !== undefined && compareValues(value, whole) === 0) return true;
    return list.every((item) => value.some((element) => compareValues(element, item) === 0));
  };
}

function remainder(argument: unknown): ValueMatcher {
  const [divisor, rest] = Array.isArray(argument) && argument.length === 2 ? (argument as unknown[]) : [];
  if (!Number.isSafeInteger(divisor) || !Number.isSafeInteger(rest) || divisor === 0) {
    throw badArgument('$mod', argument);
  }
  return (value) => Number.isSafeInteger(value) && (value as number) % (divisor as number) === rest;
}

function listArgument(name: string, argument: unknown): readonly unknown[] {
  if (!Array.isArray(argument)) throw badArgument(name, argument);
  return argument;
}

function textArgument(name: string, argument: unknown): string {
  if (typeof argument !== 'string') throw badArgument(name, argument);
  return argument;
}

function wholeNumberArgument(name: string, argument: unknown): number {
  if (typeof argument !== 'number' || !Number.isSafeInteger(argument) || argument < 0) {
    throw badArgument(name, argument);
  }
  return argument;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return isJsonObject(value) ? 'object' : typeof value;
}
