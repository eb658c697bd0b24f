/**
 * `Idempotency-Key` on writes of documents: a request whose answer was lost may be sent again, to any node, and is done once.
 *
 * The key enters the ids of the revisions that the request makes (database/edited-revision.ts), and those of documents to
 * which the client gave none, so a repetition finds what it made. A key is its user's own: what somebody else wrote under
 * an equal key is not taken for it. Other requests than writes of documents ignore the header.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header, of which this leaves out the 422 for a key that is used for another
 * request: that makes other revisions, and is judged as any write.
 */

import { createHash } from 'node:crypto';
import { failure } from '../errors.ts';
import type { Exchange } from './exchange.ts';

const keyLengthMax = 255;
const digestCharacters = 32;

/**
 * The key of an edit of this request; undefined: its client gave none.
 * @param place which of the request's edits it is, where there are several
 * @throws TercetError `bad_request`
 */
export function idempotencyKeyOf(exchange: Exchange, place = 0): string | undefined {
  const header = exchange.header('idempotency-key');
  if (header === undefined) return undefined;
  // A structured header's string has quotes; many clients leave them out.
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (key === '' || key.length > keyLengthMax || !/^[\x20-\x7e]+$/.test(key))
    throw failure('bad_request', `Idempotency-Key must be 1 to ${keyLengthMax} printable ASCII characters.`);
  const parts = JSON.stringify([exchange.principal.name ?? null, key, place]);
  const digest = createHash('sha256').update(parts).digest('hex');
  return digest.slice(0, digestCharacters);
}
