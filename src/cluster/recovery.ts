/**
 * What a deposed leader held alone comes back: as branches of the documents, through the present leader.
 *
 * With `async` a write is acknowledged once it is on the leader's disk. Should that leader fail before anybody else has
 * it, the others go on without it, and when the old leader returns its tail of the log has to go. The revisions in it
 * are not thrown away: they are sent to the present leader, which logs them. A document that nobody changed meanwhile
 * simply has its write again; where somebody did, what is current stays so, and what came late is a closed branch
 * (database/late-revision.ts).
 *
 * Writes that nobody is told of before they are committed do not come back: their clients know that the outcome is open.
 * Nor do attachments that only such writes name. Only where a membership was forced, what was committed may have been
 * given up, and everything older comes back.
 *
 * Which revisions came back this way is noted in the database, in the local document `_local/recovered-epoch-N`; one that
 * was overtaken with the tombstone that keeps it, as `kept_by`.
 */

import type { Database } from '../database/database.ts';
import type { DocumentRevision } from '../database/model.ts';
import type { OvertakenRevision } from '../database/writes.ts';
import { canonicalJson } from '../document/canonical-json.ts';
import { failure, TercetError } from '../errors.ts';
import { type Catalog, storedAttachment } from './catalog.ts';
import { type CommandLog, catalogAck } from './command-log.ts';
import { type Command, decodeCommand, encodeCommand, type LoggedRevision } from './commands.ts';
import type { CommittedEntry } from './group.ts';

interface Noted {
  readonly id: string;
  readonly rev: string;
  readonly kept_by?: string;
}

interface Note {
  readonly epoch: number;
  readonly revisions: readonly Noted[];
}

type Write = Extract<Command, { kind: 'write' }>;

/**
 * What of the entries of one epoch is worth bringing back: documents that somebody may count on, and before them their
 * attachments. Of revisions made one from the other the last one, with the way back to what the group has.
 * @param lineage the term in which a membership was last forced; undefined: not known at the moment
 * @throws TercetError no_leader when that is not known: what is left out would be forgotten
 */
export function worthRecovering(
  entries: readonly CommittedEntry[],
  epoch: number,
  lineage: number | undefined,
): readonly Uint8Array[] {
  if (lineage === undefined) throw failure('no_leader');
  const inOrder = entries.toSorted((left, right) => left.index - right.index);
  const commands = inOrder.map(({ data }) => decodeCommand(data));
  const writes = lastOfEach(
    commands.filter((command) => command.kind === 'write').filter((write) => isOwed(write, epoch, lineage)),
  );
  const named = new Set(
    writes.flatMap(({ revisions }) =>
      revisions.flatMap(({ attachments }) => attachments.map(({ blob }) => blob)),
    ),
  );
  const chunkSets = new Set(
    commands.flatMap((command) =>
      command.kind === 'blob' && named.has(command.blob) ? [command.chunkSet] : [],
    ),
  );
  const content = commands.filter(
    (command) => (command.kind === 'chunk' || command.kind === 'blob') && chunkSets.has(command.chunkSet),
  );
  return [...content, ...writes].map(encodeCommand);
}

/** Its client was told, or it may have been committed before that was given up. */
function isOwed({ isToldEarly }: Write, epoch: number, lineage: number): boolean {
  return isToldEarly === true || epoch < lineage;
}

/** As in any replication, a revision that another was made from comes along as an id on that one's path. */
function lastOfEach(writes: readonly Write[]): Write[] {
  const last = new Map<string, LoggedRevision>();
  const nameOf = ({ database }: Write, id: string, revision: string) => `${database} ${revision} ${id}`;
  for (const write of writes) {
    for (const revision of write.revisions) {
      const { id, path } = revision;
      const parent = path.ids[1] === undefined ? '' : nameOf(write, id, `${path.start - 1}-${path.ids[1]}`);
      const replaced = last.get(parent);
      const ids = [path.ids[0]!, ...(replaced?.path.ids ?? [])];
      const reachesFurther = ids.length > path.ids.length;
      last.delete(parent);
      last.set(
        nameOf(write, id, revision.revision),
        reachesFurther ? { ...revision, path: { start: path.start, ids } } : revision,
      );
    }
  }
  return writes.flatMap((write) => {
    const revisions = write.revisions.flatMap(
      ({ id, revision }) => last.get(nameOf(write, id, revision)) ?? [],
    );
    return revisions.length === 0 ? [] : [{ ...write, revisions }];
  });
}

/** Chunks of an attachment on their way together share an fsync. */
const chunksAtOnce = 8;

/** In order; what is in one batch may be on its way at the same time. */
export function inBatches(commands: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const batches: Uint8Array[][] = [];
  let chunks: Uint8Array[] = [];
  for (const command of commands) {
    const isChunk = decodeCommand(command).kind === 'chunk';
    if (!isChunk || chunks.length === 0 || chunks.length >= chunksAtOnce) {
      chunks = [];
      batches.push(isChunk ? chunks : [command]);
    }
    if (isChunk) chunks.push(command);
  }
  return batches;
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
  const done = log.expedite();
  try {
    if (command.kind === 'chunk' || command.kind === 'blob') {
      const { applied } = await log.log([command], catalogAck, {});
      // The write that names it is checked against what is applied; its chunks are, once it is.
      if (command.kind === 'blob') await applied;
    } else if (command.kind === 'write' && isOwed(command, epoch, log.lineage()))
      await recoverRevisions(database, epoch, command.revisions);
  } finally {
    done();
  }
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
  const overtaken: OvertakenRevision[] = [];
  const [failed] = await database.insert(arrivals, { onOvertaken: (one) => overtaken.push(one) });
  if (failed?.kind === 'failed') throw failed.error;
  const noted = revisions.map(({ id, revision }) => {
    const told = overtaken.find((one) => one.id === id && one.revision === revision)?.keptBy;
    const keptBy = told ?? tombstoneOf(database, id, revision);
    return { id, rev: revision, ...(keptBy !== undefined && { kept_by: keptBy }) };
  });
  await note(database, epoch, noted);
}

/** Of a revision that came before, in a try that ended before it was noted. */
function tombstoneOf(database: Database, id: string, revision: string): string | undefined {
  const leaves = database.readOpenRevisions(id, 'all', { path: true });
  const isChild = ({ deleted, path }: DocumentRevision) =>
    deleted && path !== undefined && `${path.start - 1}-${path.ids[1]}` === revision;
  return leaves.flatMap((leaf) =>
    leaf.kind === 'found' && isChild(leaf.document) ? leaf.document.revision : [],
  )[0];
}

async function note(database: Database, epoch: number, noted: readonly Noted[]): Promise<void> {
  const id = `_local/recovered-epoch-${epoch}`;
  for (;;) {
    const present = database.readLocal(id);
    const known = present === undefined ? [] : (parse(present.body).revisions ?? []);
    const added = noted.filter(
      (came) => !known.some(({ id: of, rev }) => of === came.id && rev === came.rev),
    );
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
