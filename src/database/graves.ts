/**
 * A grave: what a leaderless database remembers of a document that was deleted everywhere and then forgotten. The id is
 * there as a digest only, the tombstones it ended with as revisions. See leaderless-turn.ts for what it is good for.
 */

import type { Revision } from '../document/revision.ts';

/** Revisions contain no comma. */
export function encodeGrave(leaves: readonly Revision[]): Uint8Array {
  return Buffer.from(leaves.toSorted().join(','), 'latin1');
}

export function decodeGrave(bytes: Uint8Array): Revision[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return text.split(',') as Revision[];
}
