/** `Range` requests for one contiguous piece of an attachment (RFC 9110, section 14). */

export type RangeOutcome =
  /** No range, or one this node need not honour (several pieces, another unit): send everything. */
  | { readonly kind: 'everything' }
  /** From byte `start` up to but not including `end`. */
  | { readonly kind: 'piece'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

export function parseRange(header: string | undefined, length: number): RangeOutcome {
  const match = header === undefined ? null : /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header);
  if (match === null) return { kind: 'everything' };
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return { kind: 'everything' };
  if (first === '') return suffix(Number(last), length);
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'everything' };
  if (start >= length) return { kind: 'unsatisfiable' };
  return { kind: 'piece', start, end: last === '' ? length : Math.min(Number(last) + 1, length) };
}

function suffix(bytes: number, length: number): RangeOutcome {
  if (bytes === 0 || length === 0) return { kind: 'unsatisfiable' };
  return { kind: 'piece', start: Math.max(0, length - bytes), end: length };
}
