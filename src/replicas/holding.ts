/** What the own replica has of a document, for others and for reads: its leaves, or the grave that is left of it. */

import type { Database } from '../database/database.ts';
import { committedOf } from '../database/leaderless.ts';
import {
  leafRevisions,
  shownLeaves,
  type WholeRevision,
  wholeDocument,
} from '../database/whole-documents.ts';
import type { Revision } from '../document/revision.ts';
import { batchBytesMax } from '../leaderless/batches.ts';
import { digestOfLeaves } from '../replication/hash-buckets.ts';
import { bytesOf } from './delivery.ts';
import type { DocumentPart } from './document-parts.ts';
import type { HeldDocument } from './revision-codec.ts';

/** Undefined when nothing is known of the document. A grave counts as the tombstones that it stands for. */
export function digestHere(database: Database, id: string): string | undefined {
  const { digest } = committedOf(database);
  const leaves = leafRevisions(committedOf(database), id);
  const held = leaves.length > 0 ? leaves : tombstonesOf(database, id);
  return held && digestOfLeaves(held, digest);
}

export function documentHere(database: Database, id: string): HeldDocument {
  const revisions = wholeDocument(committedOf(database), id, 'all');
  return { revisions, grave: revisions.length > 0 ? [] : (tombstonesOf(database, id) ?? []) };
}

/** As much as goes together of the leaves that are not known there: one at least. */
export function partHere(database: Database, id: string, known: ReadonlySet<Revision>): DocumentPart {
  const committed = committedOf(database);
  const leaves = shownLeaves(committed, id);
  const revisions: WholeRevision[] = [];
  let bytes = 0;
  for (const leaf of leaves) {
    if (known.has(leaf)) continue;
    const found = wholeDocument(committed, id, [leaf]);
    bytes += bytesOf(found);
    if (revisions.length > 0 && bytes > batchBytesMax) return { isLast: false, leaves, revisions };
    revisions.push(...found);
  }
  return { isLast: true, leaves, revisions };
}

/** Of the grave, where that is all there is left. */
function tombstonesOf({ leaderless }: Database, id: string): readonly Revision[] | undefined {
  return leaderless?.grave(id)?.leaves.map(({ revision }) => revision);
}

/** The digest of what a replica has sent. */
export function digestOfHeld(database: Database, { grave, revisions }: HeldDocument): string | undefined {
  const leaves = revisions.length > 0 ? revisions.map(({ revision }) => revision) : grave;
  return leaves.length === 0 ? undefined : digestOfLeaves(leaves, committedOf(database).digest);
}
