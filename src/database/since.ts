/** Where a feed begins that is asked for since a sequence. */

import { failure } from '../errors.ts';
import { type Position, parsePosition, resumeFrom } from '../replication/position.ts';

/** @throws TercetError bad_request for a `since` that is no token */
export function placeOf(since: string, now: Position): number {
  const token = parsePosition(since);
  switch (token.kind) {
    case 'beginning':
      return 0;
    case 'now':
      return now.place;
    case 'position':
      return resumeFrom(token.position, now);
    case 'malformed':
      throw failure('bad_request', "Malformed sequence supplied in 'since' parameter.");
  }
}
