/** Deleted documents in the order of the changes feed, for whoever decides which may be forgotten. */

import type { Revision } from '../document/revision.ts';
import { hasDerivedForm } from '../document/tree-projection.ts';
import { keyKinds, numberOf } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import type { DocumentContext } from './reads.ts';
import { decodeChange } from './records.ts';
import { wholeDocument } from './whole-documents.ts';

export interface DeadDocument {
  readonly id: string;
  /** Its place in the changes feed. */
  readonly sequence: number;
  readonly leaves: readonly Revision[];
  /** Wall-clock milliseconds of the last deletion, where it was made; undefined: a client brought it, without a time. */
  readonly deletedAtMs: number | undefined;
}

export interface TombstoneQuery {
  readonly after: number;
  readonly through: number;
  /** How many entries of the feed are looked at, of whatever documents. */
  readonly limit: number;
}

export interface Tombstones {
  readonly dead: readonly DeadDocument[];
  /** How far the feed was looked at. */
  readonly through: number;
}

export async function tombstonesIn(
  context: DocumentContext & { readonly store: Store },
  { after, limit, through }: TombstoneQuery,
): Promise<Tombstones> {
  const { keys, store } = context;
  const placed = (place: number) => keys.ofNumber(keyKinds.sequence, place);
  const range = keys.range(keyKinds.sequence, placed(after + 1), placed(through + 1));
  const dead: DeadDocument[] = [];
  let examined = 0;
  let last = after;
  for await (const entries of store.scan(range, { limit })) {
    for (const { key, value } of entries) {
      examined += 1;
      last = numberOf(key);
      const { deleted, id } = decodeChange(value);
      if (deleted) dead.push(deadDocument(context, id, last));
    }
  }
  return { dead, through: examined < limit ? Math.max(after, through) : last };
}

function deadDocument(context: DocumentContext, id: string, sequence: number): DeadDocument {
  const revisions = wholeDocument(context, id, 'all');
  // What only ends the branches of a merge was deleted by nobody.
  const deletions = revisions.filter(({ revision }) => !hasDerivedForm(revision));
  const times = deletions.map(({ stamp }) => stamp?.ms);
  const isTimed = times.every((ms) => ms !== undefined);
  const deletedAtMs = isTimed ? Math.max(...times) : undefined;
  return { id, sequence, leaves: revisions.map(({ revision }) => revision), deletedAtMs };
}
