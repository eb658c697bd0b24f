/**
 * A document as it would be read if some revisions had been joined into it: what a read answers that found more on other
 * replicas than there is here, before, or without, storing it.
 */

import type { Revision } from '../document/revision.ts';
import { tombstonesGraph } from '../replication/graves.ts';
import { keyName } from '../store/keys.ts';
import { applyTogether } from './apply.ts';
import type { Database } from './database.ts';
import { applyBurial } from './forgetting.ts';
import { committedOf } from './leaderless.ts';
import type { OpenRevision, ReadOptions, ReadOutcome, ReplicatedRevision } from './model.ts';
import { type DocumentContext, readDocument, readOpenRevisions } from './reads.ts';
import type { Turn } from './turn.ts';

/** What reads documents: a database, or one of these. */
export interface DocumentReader {
  read(id: string, options?: ReadOptions): ReadOutcome;
  readOpenRevisions(
    id: string,
    wanted: 'all' | readonly string[],
    options?: { readonly latest?: boolean; readonly path?: boolean },
  ): OpenRevision[];
}

/** What another replica has forgotten of the document that is read. */
interface Forgotten {
  readonly id: string;
  /** The tombstones of its grave; none when nobody has forgotten it. */
  readonly grave: readonly Revision[];
}

/** Contents of attachments must be here already, or their revisions are not shown. */
export function joinedReader(
  database: Database,
  revisions: readonly ReplicatedRevision[],
  forgotten: Forgotten,
): DocumentReader {
  const { operations } = database.preview((turn) => {
    buryInTurn(turn, forgotten);
    applyTogether(turn, revisions, database.applySettings());
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

/** What is alive here and dead elsewhere is not shown, whether or not quarantine has room for it. */
function buryInTurn(turn: Turn, { grave, id }: Forgotten): void {
  if (turn.leaderless === undefined || grave.length === 0 || turn.head(id) === undefined) return;
  const buried = { id, idDigest: turn.leaderless.idDigest(id), graph: tombstonesGraph(grave) };
  if (applyBurial(turn, buried) === 'full') turn.setHead(id, undefined);
}
