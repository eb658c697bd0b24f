/**
 * A grave on disk: what a leaderless database remembers of a document that was deleted everywhere and then forgotten. The
 * id is there as a digest only, in the key. See replication/graves.ts for what it is good for.
 */

import { decodeGraph, encodeGraph } from '../document/graph-codec.ts';
import type { Revision } from '../document/revision.ts';
import type { RevisionGraph } from '../document/revision-graph.ts';
import { tombstonesGraph } from '../replication/graves.ts';

/** A graph begins with its version; the digits that a revision begins with are higher. */
const versionMax = 0x2f;

export function encodeGrave(graph: RevisionGraph): Uint8Array {
  return encodeGraph(graph);
}

/** Earlier builds wrote the tombstones alone, separated by commas. */
export function decodeGrave(bytes: Uint8Array): RevisionGraph {
  if (bytes[0]! <= versionMax) return decodeGraph(bytes);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return tombstonesGraph(text.split(',') as Revision[]);
}
