/**
 * Compaction: forgets bodies of revisions that are no longer leaves, then attachments that nothing names any more, and
 * what the hash tree still names of documents that are gone, and asks the store for the space. Revision ids stay. Runs beside reads and writes, some documents at a time.
 * Starts on request, and by itself once superseded bodies take more room than the current ones.
 */

import { bodyKeyParts, keyKinds, kindOf } from '../store/keys.ts';
import { applyCompaction } from './apply.ts';
import type { Blobs } from './blobs.ts';
import { stretchesIn, tidied } from './bucket-ids.ts';
import { decodeQuarantined } from './quarantine.ts';
import type { ReadContext } from './reads.ts';
import { type BodyRecord, decodeBody, decodeHeadBody } from './records.ts';
import type { Counters } from './turn.ts';
import type { Writer } from './writer.ts';

const DOCUMENTS_PER_TURN = 200;
/** Below this much a compaction would cost more than it gives back. */
const SUPERSEDED_BYTES_MIN = 33_554_432;

export function isCompactionDue(counters: Counters): boolean {
  return counters.supersededBytes >= Math.max(SUPERSEDED_BYTES_MIN, counters.bodyBytes);
}

export interface CompactionContext extends ReadContext {
  readonly writer: Writer;
  readonly blobs: Blobs;
  /** Turns true when the database is deleted or closed: compaction then stops where it is. */
  readonly stopped: () => boolean;
}

export async function compactDatabase(context: CompactionContext): Promise<void> {
  await context.writer.submit((turn) => turn.countSupersededAnew());
  await forgetOldBodies(context);
  if (context.stopped()) return;
  await context.blobs.sweep(() => namedBlobs(context));
  await forgetStrayIds(context);
  const { keys, store } = context;
  for (const kind of [keyKinds.body, keyKinds.chunk]) await store.reclaim(keys.range(kind));
}

async function forgetOldBodies(context: CompactionContext): Promise<void> {
  const { keys, store } = context;
  let ids = new Set<string>();
  for await (const entries of store.scan(keys.range(keyKinds.body), { keysOnly: true })) {
    for (const { key } of entries) {
      ids.add(bodyKeyParts(key).id);
      if (ids.size < DOCUMENTS_PER_TURN) continue;
      await compactDocuments(context, ids);
      ids = new Set();
    }
    if (context.stopped()) return;
  }
  await compactDocuments(context, ids);
}

async function compactDocuments(context: CompactionContext, ids: ReadonlySet<string>): Promise<void> {
  if (ids.size === 0 || context.stopped()) return;
  await context.writer.submit((turn) => {
    for (const id of ids) applyCompaction(turn, id);
  });
}

/** A document that is here as it was committed has its id kept: one that this turn brings brings its own. */
async function forgetStrayIds(context: CompactionContext): Promise<void> {
  const { keys, store, writer } = context;
  const strays = await writer.submit((turn) => turn.leaderless?.countStraysAnew() ?? 0);
  if (strays === 0) return;
  const isThere = (id: string) => store.get(keys.ofText(keyKinds.head, id)) !== undefined;
  for await (const stretch of stretchesIn(context)) {
    if (context.stopped()) return;
    await writer.submit((turn) => {
      for (const operation of tidied(stretch, keys, isThere)) turn.add(operation);
    });
  }
}

/**
 * Every blob that a stored revision names, or one in quarantine, from one snapshot of bodies and heads: a winner that is displaced meanwhile
 * moves from one to the other, and two snapshots could miss it in both. The kinds lie beside each other.
 */
async function namedBlobs({ keys, store }: CompactionContext): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  const name = ({ attachments }: Pick<BodyRecord, 'attachments'>) => {
    for (const stub of attachments) named.add(stub.blob);
  };
  const heads = keys.range(keyKinds.head);
  const both = { from: keys.range(keyKinds.body).from, to: heads.to };
  for await (const entries of store.scan(both)) {
    for (const { key, value } of entries) {
      const kind = kindOf(key);
      if (kind === keyKinds.body) name(decodeBody(value));
      else if (kind === keyKinds.head) name(decodeHeadBody(value));
      else if (kind === keyKinds.quarantine) name(decodeQuarantined(key, value));
    }
  }
  return named;
}
