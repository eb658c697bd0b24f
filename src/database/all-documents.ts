/** `_all_docs`: documents in the order of their ids' bytes, from one snapshot, in chunks. */

import type { DatabaseKeys } from '../store/keys.ts';
import { after, keyKinds, textOf } from '../store/keys.ts';
import type { KeyRange } from '../store/store.ts';
import type { AllDocumentsQuery, AllDocumentsRow } from './model.ts';
import type { ReadContext } from './reads.ts';
import { readWinner, withConflicts } from './reads.ts';
import { decodeHeadSummary } from './records.ts';

/** The part of a query that names a stretch of ids. */
type IdRange = Pick<AllDocumentsQuery, 'startKey' | 'endKey' | 'inclusiveEnd' | 'descending'>;

export async function* allDocuments(
  context: ReadContext,
  query: AllDocumentsQuery,
): AsyncIterable<readonly AllDocumentsRow[]> {
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  let skip = query.skip ?? 0;
  if (left <= 0) return;
  const range = idRange(context.keys, keyKinds.head, query);
  for await (const entries of context.store.scan(range, { reverse: query.descending === true })) {
    const rows: AllDocumentsRow[] = [];
    for (const { key, value } of entries) {
      const { winner, deleted } = decodeHeadSummary(value);
      if (deleted) continue;
      if (skip > 0) {
        skip -= 1;
        continue;
      }
      rows.push(row(context, textOf(key), winner, value, query));
      left -= 1;
      if (left === 0) break;
    }
    if (rows.length > 0) yield rows;
    if (left === 0) return;
  }
}

export function allDocumentsByIds(
  context: ReadContext,
  ids: readonly string[],
  options: { readonly includeDocuments?: boolean; readonly conflicts?: boolean },
): (AllDocumentsRow | undefined)[] {
  return ids.map((id) => {
    const record = context.store.get(context.keys.ofText(keyKinds.head, id));
    if (record === undefined) return undefined;
    const { winner, deleted } = decodeHeadSummary(record);
    return deleted ? { id, revision: winner, deleted } : row(context, id, winner, record, options);
  });
}

/** The keys between two ids as CouchDB counts: `startKey` is where reading starts, so the higher one when descending. */
export function idRange(keys: DatabaseKeys, kind: 0x68 | 0x6c, query: IdRange): KeyRange {
  const whole = keys.range(kind);
  const descending = query.descending === true;
  const low = descending ? query.endKey : query.startKey;
  const high = descending ? query.startKey : query.endKey;
  const lowIncluded = !descending || query.inclusiveEnd !== false;
  const highIncluded = descending || query.inclusiveEnd !== false;
  const lowKey = low === undefined ? whole.from : keys.ofText(kind, low);
  const highKey = high === undefined ? whole.to : keys.ofText(kind, high);
  return {
    from: low !== undefined && !lowIncluded ? after(lowKey) : lowKey,
    to: high !== undefined && highIncluded ? after(highKey) : highKey,
  };
}

function row(
  context: ReadContext,
  id: string,
  revision: AllDocumentsRow['revision'],
  record: Uint8Array,
  options: { readonly includeDocuments?: boolean; readonly conflicts?: boolean },
): AllDocumentsRow {
  if (options.includeDocuments !== true) return { id, revision, deleted: false };
  const document = options.conflicts === true ? withConflicts(context, record, id) : readWinner(record, id);
  return { id, revision, deleted: false, document };
}
