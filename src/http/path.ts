/** Takes the target of a request apart: `/db%2Fx/_design/a/_view/b?q` → decoded segments and the raw query. */

import { failure } from '../errors.ts';
import { decodePercent } from './query.ts';

export interface Target {
  /** Decoded; empty for `/`. One trailing slash is dropped. */
  readonly segments: readonly string[];
  /** What follows `?`, not yet decoded. */
  readonly query: string;
}

/** @throws TercetError `bad_request` */
export function parseTarget(url: string): Target {
  const origin = url.startsWith('/') ? url : withoutOrigin(url);
  const question = origin.indexOf('?');
  const path = question < 0 ? origin : origin.slice(0, question);
  const query = question < 0 ? '' : origin.slice(question + 1);
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  if (end <= 0) return { segments: [], query };
  const segments = path.slice(1, end).split('/');
  // Most paths have nothing to decode, so the array is only rewritten where it must be.
  return { segments: path.includes('%') ? segments.map(decodePercent) : segments, query };
}

/** Proxies may send the whole URL (`GET http://host/db`), and `OPTIONS` may ask for `*`. */
function withoutOrigin(url: string): string {
  if (url === '*') return '/';
  const match = /^https?:\/\/[^/?]*(.*)$/i.exec(url);
  if (match === null) throw failure('bad_request', 'The request target is not a path.');
  const rest = match[1] ?? '';
  return rest.startsWith('/') ? rest : `/${rest}`;
}
