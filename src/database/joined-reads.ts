/**
 * A document as it would be read if some revisions had been joined into it: what a read answers that found more on other
 * replicas than there is here, before, or without, storing it.
 */

import { keyName } from '../store/keys.ts';
import { applyReplicated } from './apply.ts';
import type { Database } from './database.ts';
import { committedOf } from './leaderless.ts';
import type { OpenRevision, ReadOptions, ReadOutcome, ReplicatedRevision } from './model.ts';
import { type DocumentContext, readDocument, readOpenRevisions } from './reads.ts';

/** What reads documents: a database, or one of these. */
export interface DocumentReader {
  read(id: string, options?: ReadOptions): ReadOutcome;
  readOpenRevisions(
    id: string,
    wanted: 'all' | readonly string[],
    options?: { readonly latest?: boolean; readonly path?: boolean },
  ): OpenRevision[];
}

/** Contents of attachments must be here already, or their revisions are not shown. */
export function joinedReader(database: Database, revisions: readonly ReplicatedRevision[]): DocumentReader {
  const { operations } = database.preview((turn) => {
    for (const revision of revisions) applyReplicated(turn, revision, database.applySettings());
    return turn.finish();
  });
  const committed = committedOf(database);
  const changed = new Map(
    operations.map((operation) => [
      keyName(operation.key),
      operation.kind === 'put' ? operation.value : undefined,
    ]),
  );
  const get = (key: Uint8Array) => {
    const name = keyName(key);
    return changed.has(name) ? changed.get(name) : committed.store.get(key);
  };
  const context: DocumentContext = { ...committed, store: { get } };
  return {
    read: (id, options = {}) => readDocument(context, id, options),
    readOpenRevisions: (id, wanted, options = {}) => readOpenRevisions(context, id, wanted, options),
  };
}
