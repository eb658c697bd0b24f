/** Local documents (`_local/…`): never replicated, no history; checkpoints of replications live here. */

import { failure } from '../errors.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { keyKinds, textOf } from '../store/keys.ts';
import type { Store } from '../store/store.ts';
import { idRange } from './all-documents.ts';
import type { AllDocumentsQuery } from './model.ts';
import type { Turn } from './turn.ts';

export interface LocalDocument {
  readonly id: string;
  /** `0-1`, `0-2`, …: how often it was written. */
  readonly revision: string;
  /** Canonical JSON object, UTF-8. */
  readonly body: Uint8Array;
}

export type LocalDocumentsQuery = Pick<
  AllDocumentsQuery,
  'startKey' | 'endKey' | 'inclusiveEnd' | 'descending' | 'skip' | 'limit'
>;

interface LocalContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
}

export function readLocal({ store, keys }: LocalContext, id: string): LocalDocument | undefined {
  const record = store.get(keys.ofText(keyKinds.local, id));
  return record === undefined ? undefined : decodeLocal(id, record);
}

/**
 * Writes or, without a body, deletes in a turn; gives the new revision.
 *
 * @throws TercetError `conflict` when `base` is not the current revision, `not_found` when there is nothing to delete
 */
export function applyLocal(
  turn: Turn,
  context: LocalContext,
  write: { readonly id: string; readonly base: string | undefined; readonly body: Uint8Array | undefined },
): string {
  const key = context.keys.ofText(keyKinds.local, write.id);
  const pending = turn.added(key);
  const committed = pending === undefined ? context.store.get(key) : undefined;
  const stored = pending?.kind === 'put' ? pending.value : committed;
  const current = stored === undefined ? undefined : decodeLocal(write.id, stored);
  if (write.body === undefined && current === undefined) throw failure('not_found', 'missing');
  if (current?.revision !== write.base) throw failure('conflict');
  if (write.body === undefined) {
    turn.add({ kind: 'delete', key });
    return '0-0';
  }
  const count = current === undefined ? 1 : Number(current.revision.slice(2)) + 1;
  turn.add({ kind: 'put', key, value: encodeLocal(count, write.body) });
  return `0-${count}`;
}

/** Puts or deletes as another replica decided, without asking what is there. */
export function putLocal(
  turn: Turn,
  { keys }: LocalContext,
  {
    body,
    id,
    revision,
  }: { readonly id: string; readonly revision: string; readonly body: Uint8Array | undefined },
): void {
  const key = keys.ofText(keyKinds.local, id);
  if (body === undefined) turn.add({ kind: 'delete', key });
  else turn.add({ kind: 'put', key, value: encodeLocal(Number(revision.slice(2)), body) });
}

export async function* localDocuments(
  { store, keys }: LocalContext,
  query: LocalDocumentsQuery,
): AsyncIterable<readonly LocalDocument[]> {
  let skip = query.skip ?? 0;
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  const range = idRange(keys, keyKinds.local, query);
  for await (const entries of store.scan(range, { reverse: query.descending === true })) {
    const skipped = Math.min(skip, entries.length);
    skip -= skipped;
    const documents = entries
      .slice(skipped, skipped + Math.min(left, entries.length))
      .map(({ key, value }) => decodeLocal(textOf(key), value));
    left -= documents.length;
    if (documents.length > 0) yield documents;
    if (left === 0) return;
  }
}

function encodeLocal(count: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, count);
  bytes.set(body, 4);
  return bytes;
}

function decodeLocal(id: string, record: Uint8Array): LocalDocument {
  const count = new DataView(record.buffer, record.byteOffset).getUint32(0);
  return { id, revision: `0-${count}`, body: record.subarray(4) };
}
