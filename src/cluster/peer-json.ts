/** JSON that another node sent: rare, small, and no more to be believed than any other input. */

import { PeerRefusal } from '../runtime/peer-acceptor.ts';

export function isObject(value: unknown): value is Partial<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** @throws PeerRefusal */
export function objectIn(bytes: Uint8Array): Partial<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (isObject(value)) return value;
  } catch (error) {
    throw new PeerRefusal('not JSON', { cause: error });
  }
  throw new PeerRefusal('not an object');
}
