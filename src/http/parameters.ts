/** Settings that may stand in a URL's query, as text, or in a JSON object, as what they are. */

import { failure, type TercetError } from '../errors.ts';
import type { Query } from './query.ts';
import type { JsonObject } from './services.ts';

export interface Parameters {
  read(name: string): unknown;
  /** `query_parse_error` for a URL, `bad_request` for a body. */
  complaint(reason: string): TercetError;
}

export function queryParameters(query: Query): Parameters {
  return {
    read: (name) => query.get(name),
    complaint: (reason) => failure('query_parse_error', reason),
  };
}

export function objectParameters(object: JsonObject): Parameters {
  return {
    read: (name) => (Object.hasOwn(object, name) ? object[name] : undefined),
    complaint: (reason) => failure('bad_request', reason),
  };
}

export function oneOf<Word extends string>(
  { complaint, read }: Parameters,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const value = read(name);
  if (value === undefined) return undefined;
  const known = words.find((word) => word === value);
  if (known === undefined) throw complaint(`\`${name}\` must be one of ${words.join(', ')}.`);
  return known;
}

export function wholeNumber(
  { complaint, read }: Parameters,
  name: string,
  { min = 1, max }: { readonly min?: number; readonly max: number },
): number | undefined {
  const value = read(name);
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max) {
    throw complaint(`\`${name}\` must be a whole number from ${min} to ${max}.`);
  }
  return number;
}

export function trueOrFalse({ complaint, read }: Parameters, name: string): boolean | undefined {
  const value = read(name);
  if (value === undefined) return undefined;
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw complaint(`\`${name}\` must be true or false.`);
}
