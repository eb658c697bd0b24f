/** Query parameters, from the URL or from a JSON body, with CouchDB's complaints about wrong ones. */

import { failure } from '../errors.ts';

/** Every value as it would stand in a URL: JSON parameters as JSON text, all others as plain text. */
export type Query = ReadonlyMap<string, string>;

const emptyQuery: Query = new Map();

/** Parameters whose value is JSON, so that a string is written with its quotes. */
const jsonParameters: ReadonlySet<string> = new Set([
  'key',
  'keys',
  'startkey',
  'start_key',
  'endkey',
  'end_key',
  'doc_ids',
  'open_revs',
  'atts_since',
]);

/** @throws TercetError `bad_request` for broken percent-encoding */
export function parseQuery(text: string): Query {
  if (text === '') return emptyQuery;
  const query = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? '' : pair.slice(equals + 1);
    query.set(decodeForm(name), decodeForm(value));
  }
  return query;
}

/** A body such as `{"limit": 5, "startkey": "a"}` as the query it stands for, on top of the URL's. */
export function queryWithBody(query: Query, body: object): Query {
  const merged = new Map(query);
  for (const [name, value] of Object.entries(body)) {
    if (value === undefined || value === null) continue;
    merged.set(name, typeof value === 'string' && !jsonParameters.has(name) ? value : JSON.stringify(value));
  }
  return merged;
}

/** Decodes a piece of a path. @throws TercetError `bad_request` */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    // The only error decodeURIComponent knows: escapes that are cut off or not UTF-8.
    throw failure('bad_request', 'The URL contains an invalid percent-encoding.');
  }
}

function decodeForm(text: string): string {
  return decodePercent(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

export function flag(query: Query, name: string): boolean {
  const value = query.get(name);
  if (value === undefined) return false;
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw failure('query_parse_error', `Invalid boolean parameter: ${JSON.stringify(value)}`);
}

/** A flag that is on unless it is switched off. */
export function flagUnlessFalse(query: Query, name: string): boolean {
  return !query.has(name) || flag(query, name);
}

/** A whole number from 0 up. */
export function count(query: Query, name: string): number | undefined {
  const value = query.get(name);
  if (value === undefined) return undefined;
  if (!/^-?\d+$/.test(value)) {
    throw failure('query_parse_error', `Invalid value for integer: ${JSON.stringify(value)}`);
  }
  const number = Number(value);
  if (number < 0 || !Number.isSafeInteger(number)) {
    throw failure('query_parse_error', `Invalid value for positive integer: ${JSON.stringify(value)}`);
  }
  return number;
}

/** A parameter whose value is JSON; undefined when it is absent. */
export function json(query: Query, name: string): unknown {
  const text = query.get(name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // What is wrong inside is of no use to the caller: the parameter's name is.
    throw failure('query_parse_error', `Invalid value for JSON parameter: ${name}`);
  }
}
