/**
 * What a deposed leader held alone comes back: as branches of the documents, through the present leader.
 *
 * With `async` a write is acknowledged once it is on the leader's disk. Should that leader fail before anybody else has
 * it, the others go on without it, and when the old leader returns its tail of the log has to go. The revisions in it
 * are not thrown away: they are sent to the present leader, which logs them as a replication would. A document that
 * nobody changed meanwhile simply has its write again; one that somebody did has a conflict, both branches kept.
 *
 * Writes that nobody is told of before they are committed do not come back: their clients know that the outcome is open,
 * and a late branch could outrank what was acknowledged since. Only where a membership was forced, what was committed may
 * have been given up, and everything older comes back.
 *
 * Which revisions came back this way is noted in the database, in the local document `_local/recovered-epoch-N`.
 */

import type { Database } from '../database/database.ts';
import { canonicalJson } from '../document/canonical-json.ts';
import { failure, TercetError } from '../errors.ts';
import { type Catalog, storedAttachment } from './catalog.ts';
import { type CommandLog, catalogAck } from './command-log.ts';
import { decodeCommand, type LoggedRevision } from './commands.ts';

interface Note {
  readonly epoch: number;
  readonly revisions: readonly { readonly id: string; readonly rev: string }[];
}

/** What of an entry is worth bringing back: documents and their attachments. */
export function isRecoverable(data: Uint8Array): boolean {
  const { kind } = decodeCommand(data);
  return kind === 'write' || kind === 'chunk' || kind === 'blob';
}

/** A request to the leader: `epoch` in which the entries were logged, then the entry. */
export function encodeRecovery(epoch: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + data.length);
  new DataView(bytes.buffer).setFloat64(0, epoch);
  bytes.set(data, 8);
  return bytes;
}

export function decodeRecovery(bytes: Uint8Array): { readonly epoch: number; readonly data: Uint8Array } {
  if (bytes.length < 9) throw failure('bad_request', 'A recovered entry is too short.');
  return { epoch: new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0), data: bytes.subarray(8) };
}

/**
 * On the leader: logs again what an entry of an earlier epoch said. Twice is the same as once.
 * @throws TercetError service_unavailable when this node does not lead
 */
export async function recover(
  { catalog, log }: { readonly catalog: Catalog; readonly log: CommandLog },
  epoch: number,
  data: Uint8Array,
): Promise<void> {
  log.requireLeading();
  const command = decodeCommand(data);
  const database = catalog.database(command.kind === 'create' ? 0 : command.database);
  // The database was deleted meanwhile, and with it everything that was ever written to it.
  if (database === undefined) return;
  if (command.kind === 'chunk' || command.kind === 'blob') await log.log([command], catalogAck, {});
  else if (command.kind === 'write' && (command.isToldEarly === true || epoch < log.lineage()))
    await recoverRevisions(database, epoch, command.revisions);
}

async function recoverRevisions(
  database: Database,
  epoch: number,
  revisions: readonly LoggedRevision[],
): Promise<void> {
  const arrivals = revisions.map((revision) => ({
    ...revision,
    attachments: revision.attachments.map(storedAttachment),
  }));
  const [failed] = await database.insert(arrivals);
  if (failed?.kind === 'failed') throw failed.error;
  await note(database, epoch, revisions);
}

async function note(database: Database, epoch: number, revisions: readonly LoggedRevision[]): Promise<void> {
  const id = `_local/recovered-epoch-${epoch}`;
  for (;;) {
    const present = database.readLocal(id);
    const known = present === undefined ? [] : (parse(present.body).revisions ?? []);
    const added = revisions
      .map(({ id: document, revision }) => ({ id: document, rev: revision }))
      .filter(({ id: document, rev }) => !known.some((one) => one.id === document && one.rev === rev));
    if (added.length === 0) return;
    const body = new TextEncoder().encode(canonicalJson({ epoch, revisions: [...known, ...added] }, 8));
    try {
      await database.writeLocal(id, present?.revision, body);
      return;
    } catch (cause) {
      // Another entry of the same epoch was noted at the same time.
      if (!(cause instanceof TercetError) || cause.code !== 'conflict') throw cause;
    }
  }
}

function parse(body: Uint8Array): Partial<Note> {
  return JSON.parse(new TextDecoder().decode(body)) as Partial<Note>;
}
