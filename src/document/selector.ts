/**
 * Mango selectors: does a document match `{"year":{"$gt":2000},"tags":{"$all":["sea"]}}`?
 *
 * A selector is compiled once into a function of the document. Two rules of CouchDB's shape that function:
 *
 * - A field that is missing matches nothing but `{"$exists":false}`, under `$not` as well: `{"$not":{"a":1}}` finds the
 *   documents whose `a` is something else, not those without `a`. So negation is carried down to the operators.
 * - An object without operators goes a level down: `{"a":{"b":1}}` is `{"a.b":1}`.
 *
 * Left out: `$text`, which needs a text index. The operators themselves are in selector-operators.ts.
 */

import { limits } from '../config.ts';
import { failure, type TercetError } from '../errors.ts';
import { isJsonObject, isPlainValue, isWithinDepth, type JsonObject } from './json-values.ts';
import { badArgument, type ValueMatcher, valueOperator } from './selector-operators.ts';

type Matcher = (document: unknown) => boolean;

/** Where in the document a condition looks, and whether it is to fail instead of to hold. */
interface Context {
  readonly path: readonly string[];
  readonly negated: boolean;
}

const selectorDepthMax = 64;
const arrayIndex = /^(?:0|[1-9][0-9]{0,8})$/;

/**
 * @throws TercetError `bad_request` when the selector is not an object, `invalid_operator`, `bad_arg`
 */
export function compileSelector(selector: unknown): Matcher {
  if (!isJsonObject(selector)) throw failure('bad_request', 'Selector error: expected a JSON object');
  if (!isWithinDepth(selector, selectorDepthMax)) {
    throw failure('bad_request', `Selector error: nested deeper than ${selectorDepthMax}`);
  }
  if (countConditions(selector) > limits.selectorConditionsMax) {
    throw failure('bad_request', `Selector error: more than ${limits.selectorConditionsMax} conditions`);
  }
  return compileCondition(selector, { path: [], negated: false });
}

/** What a document may have to be compared with, one by one. Plain values of a list are looked up. */
function countConditions(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + countConditions(item), 1);
  if (!isJsonObject(value)) return 1;
  let count = 1;
  for (const name of Object.keys(value)) {
    const argument = value[name];
    const isLookup = (name === '$in' || name === '$nin') && Array.isArray(argument);
    count += countConditions(isLookup ? argument.filter((item) => !isPlainValue(item)) : argument);
  }
  return count;
}

function compileCondition(condition: unknown, context: Context): Matcher {
  if (!isJsonObject(condition)) return compileOperator('$eq', condition, context);
  const names = Object.keys(condition);
  if (names.length === 0) {
    return context.path.length === 0 ? () => !context.negated : compileOperator('$eq', condition, context);
  }
  return combined(
    names.map((name) => compileMember(name, condition[name], context)),
    context.negated ? 'any' : 'all',
  );
}

function compileMember(name: string, argument: unknown, context: Context): Matcher {
  if (!name.startsWith('$'))
    return compileCondition(argument, { ...context, path: [...context.path, ...parsePath(name)] });
  switch (name) {
    case '$and':
      return compileEach(name, argument, context, context.negated ? 'any' : 'all');
    case '$or':
      return compileEach(name, argument, context, context.negated ? 'all' : 'any');
    case '$nor':
      return compileEach(
        name,
        argument,
        { ...context, negated: !context.negated },
        context.negated ? 'any' : 'all',
      );
    case '$not':
      if (!isJsonObject(argument)) throw badArgument(name, argument);
      return compileCondition(argument, { ...context, negated: !context.negated });
    default:
      return compileOperator(name, argument, context);
  }
}

function compileEach(name: string, argument: unknown, context: Context, mode: 'all' | 'any'): Matcher {
  if (!Array.isArray(argument)) throw badArgument(name, argument);
  const matchers = argument.map((condition: unknown) => compileCondition(condition, context));
  // Of nothing, CouchDB says that it holds.
  return matchers.length === 0 ? () => true : combined(matchers, mode);
}

function combined(matchers: readonly Matcher[], mode: 'all' | 'any'): Matcher {
  if (matchers.length === 1) return matchers[0]!;
  return mode === 'all'
    ? (document) => matchers.every((matches) => matches(document))
    : (document) => matchers.some((matches) => matches(document));
}

function compileOperator(name: string, argument: unknown, context: Context): Matcher {
  const { path, negated } = context;
  if (name === '$exists') {
    if (typeof argument !== 'boolean') throw badArgument(name, argument);
    const wanted = argument !== negated;
    return (document) => (valueAt(document, path) !== undefined) === wanted;
  }
  const isId = path.length === 1 && path[0] === '_id';
  const holds = quantifier(name, argument) ?? valueOperator(name, argument, isId ? 'code_units' : 'collated');
  if (holds === undefined) throw unknownOperator(name);
  return (document) => {
    const value = valueAt(document, path);
    return value !== undefined && holds(value) !== negated;
  };
}

/** Operators whose argument is a selector for the elements of the value. */
function quantifier(name: string, argument: unknown): ValueMatcher | undefined {
  if (name !== '$elemMatch' && name !== '$allMatch' && name !== '$keyMapMatch') return undefined;
  if (!isJsonObject(argument)) throw badArgument(name, argument);
  const matches = compileCondition(argument, { path: [], negated: false });
  switch (name) {
    case '$elemMatch':
      return (value) => Array.isArray(value) && value.some(matches);
    case '$allMatch':
      return (value) => Array.isArray(value) && value.length > 0 && value.every(matches);
    case '$keyMapMatch':
      return (value) => isJsonObject(value) && Object.keys(value).some(matches);
  }
}

function unknownOperator(name: string): TercetError {
  return failure('invalid_operator', `Invalid operator: ${name}`);
}

/** `a.b` is member b of member a; a backslash makes the point a part of the name. */
function parsePath(field: string): readonly string[] {
  const parts = field.split(/(?<!\\)\./).map((part) => part.replaceAll('\\.', '.'));
  if (parts.includes('')) throw failure('bad_request', `Invalid field name: ${field}`);
  return parts;
}

/** Undefined when it is missing. A number leads into an array. */
function valueAt(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const part of path) {
    if (Array.isArray(value)) value = arrayIndex.test(part) ? value[Number(part)] : undefined;
    else if (isJsonObject(value))
      value = Object.hasOwn(value, part) ? (value as JsonObject)[part] : undefined;
    else return undefined;
  }
  return value;
}
