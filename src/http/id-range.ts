/**
 * `startkey`, `endkey` and `key` of lists whose keys are ids. Any JSON may stand there; in CouchDB's collation numbers,
 * booleans and null sort before every id, arrays and objects after every id.
 */

import { flag, flagUnlessFalse, json, type Query } from './query.ts';

export type IdRange =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'range';
      readonly startKey?: string;
      readonly endKey?: string;
      readonly descending: boolean;
      readonly inclusiveEnd: boolean;
    };

/** Where a JSON value stands among ids. */
type Bound =
  | { readonly kind: 'none' }
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'before_all' }
  | { readonly kind: 'after_all' };

/** @throws TercetError `query_parse_error` */
export function idRange(query: Query): IdRange {
  const descending = flag(query, 'descending');
  const inclusiveEnd = flagUnlessFalse(query, 'inclusive_end');
  if (query.has('key')) {
    const key = json(query, 'key');
    if (typeof key !== 'string') return { kind: 'nothing' };
    return { kind: 'range', startKey: key, endKey: key, descending, inclusiveEnd: true };
  }
  const start = bound(query, query.has('startkey') ? 'startkey' : 'start_key');
  const end = bound(query, query.has('endkey') ? 'endkey' : 'end_key');
  // A list that starts behind its last id, or ends before its first, is empty.
  const [behind, ahead] = descending
    ? (['before_all', 'after_all'] as const)
    : (['after_all', 'before_all'] as const);
  if (start.kind === behind || end.kind === ahead) return { kind: 'nothing' };
  return {
    kind: 'range',
    ...(start.kind === 'id' ? { startKey: start.id } : {}),
    ...(end.kind === 'id' ? { endKey: end.id } : {}),
    descending,
    inclusiveEnd,
  };
}

/** The part of a range that lies from `startKey` up to but not including `endKey`. */
export function narrowed(
  range: IdRange,
  limit: { readonly startKey: string; readonly endKey: string },
): IdRange {
  if (range.kind === 'nothing') return range;
  const { descending } = range;
  const low = descending ? range.endKey : range.startKey;
  const high = descending ? range.startKey : range.endKey;
  const isInside = (id: string): boolean => id >= limit.startKey && id < limit.endKey;
  const startsBelow = low === undefined || low < limit.startKey;
  const endsAbove = high === undefined || high >= limit.endKey;
  if (
    (low !== undefined && !startsBelow && !isInside(low)) ||
    (high !== undefined && !endsAbove && !isInside(high))
  ) {
    return { kind: 'nothing' };
  }
  const from = startsBelow ? limit.startKey : low;
  const to = endsAbove ? limit.endKey : high;
  const inclusiveEnd = descending ? startsBelow || range.inclusiveEnd : !endsAbove && range.inclusiveEnd;
  return descending
    ? { kind: 'range', startKey: to, endKey: from, descending, inclusiveEnd }
    : { kind: 'range', startKey: from, endKey: to, descending, inclusiveEnd };
}

function bound(query: Query, name: string): Bound {
  const value = json(query, name);
  if (value === undefined) return { kind: 'none' };
  if (typeof value === 'string') return { kind: 'id', id: value };
  return { kind: typeof value === 'object' && value !== null ? 'after_all' : 'before_all' };
}
