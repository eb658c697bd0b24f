/** What a deposed leader held alone: what of it is brought, and what becomes of it where somebody wrote since. */

import { afterEach, describe, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import type { AckSettings } from '../database/model.ts';
import { bodyValue, collectChanges, edit, revisionOf, write } from '../database/test-database.ts';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import { type Command, decodeCommand, encodeCommand, type LoggedRevision } from './commands.ts';
import type { CommittedEntry } from './group.ts';
import { RECOVERED_KIND } from './open-cluster.ts';
import { encodeRecovery, inBatches, recover, worthRecovering } from './recovery.ts';
import { closeClusterNodes, leaderAmong, startClusterNode } from './test-clusters.ts';
import { applyInBatches, openReplica, TestLog } from './test-log.ts';

const ack: AckSettings = { policy: 'async', followers: 'majority', onTimeout: 'block', timeoutMs: 1_000 };
const epoch = 3;

async function opened(settings = ack) {
  const log = new TestLog();
  const leader = await log.openLeader();
  await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack: settings });
  return { log, leader, ledger: leader.databases.get('ledger') };
}

type Opened = Awaited<ReturnType<typeof opened>>;

/** An old leader and the present one, which have the same documents up to here. */
async function parted(ids: readonly string[], settings = ack) {
  const [old, now] = [await opened(settings), await opened(settings)];
  const bases = new Map<string, string>();
  for (const id of ids) {
    bases.set(id, await write(old.ledger, id, { id }));
    expect(await write(now.ledger, id, { id })).toBe(bases.get(id));
  }
  const kept = old.log.entries.length;
  const tail = () => old.log.entries.slice(kept);
  return { old, now, bases, tail };
}

async function bringBack({ leader, log }: Opened, entries: readonly CommittedEntry[]): Promise<void> {
  const { catalog, cluster } = leader;
  for (const data of worthRecovering(entries, epoch, log.lineage)) {
    await recover({ catalog, log: cluster.log }, epoch, data);
  }
  await log.settled();
}

async function remove(database: Database, id: string, base: string | undefined): Promise<string> {
  return revisionOf((await database.edit([edit(id, {}, base, true)]))[0]);
}

function noteOf(database: Database): { id: string; rev: string; kept_by?: string }[] {
  const note = database.readLocal(`_local/recovered-epoch-${epoch}`);
  return note === undefined ? [] : JSON.parse(new TextDecoder().decode(note.body)).revisions;
}

const winnerOf = (database: Database, id: string) => {
  const read = database.read(id, { conflicts: true });
  return read.kind === 'found' ? read.document : read.kind;
};

describe('A write that comes back', () => {
  it('is current again where nobody wrote since', async () => {
    const { now, old, bases, tail } = await parted(['x']);
    const changed = await write(old.ledger, 'x', { by: 'old' }, bases.get('x'));
    const created = await write(old.ledger, 'new', { by: 'old' });
    await bringBack(now, tail());
    expect(winnerOf(now.ledger, 'x')).toMatchObject({ revision: changed });
    expect(winnerOf(now.ledger, 'new')).toMatchObject({ revision: created });
    expect(noteOf(now.ledger)).toEqual([
      { id: 'x', rev: changed },
      { id: 'new', rev: created },
    ]);
  });

  it('leaves current what somebody wrote since, however the digests compare', async () => {
    const ids = Array.from({ length: 24 }, (_, n) => `doc-${n}`);
    const { now, old, bases, tail } = await parted(ids);
    for (const id of ids) await write(old.ledger, id, { by: 'old' }, bases.get(id));
    const current = new Map<string, string>();
    for (const id of ids) current.set(id, await write(now.ledger, id, { by: 'new' }, bases.get(id)));
    await bringBack(now, tail());
    for (const id of ids) {
      expect(winnerOf(now.ledger, id)).toMatchObject({ revision: current.get(id) });
      expect(winnerOf(now.ledger, id)).toHaveProperty('conflicts', undefined);
    }
    const notes = noteOf(now.ledger);
    expect(notes.map(({ id }) => id)).toEqual(ids);
    for (const { id, rev, kept_by: keptBy } of notes) {
      expect(bodyValue(now.ledger, id, rev)).toEqual({ by: 'old' });
      expect(bodyValue(now.ledger, id, keptBy)).toEqual({ by: 'old' });
    }
  });

  it('gives its author a conflict as to everybody who was overtaken, and others none', async () => {
    const { now, old, bases, tail } = await parted(['x']);
    const late = await write(old.ledger, 'x', { by: 'old' }, bases.get('x'));
    const current = await write(now.ledger, 'x', { by: 'new' }, bases.get('x'));
    await bringBack(now, tail());
    expect(await now.ledger.edit([edit('x', { by: 'author' }, late)])).toMatchObject([
      { kind: 'failed', error: { status: 409 } },
    ]);
    const next = await write(now.ledger, 'x', { by: 'reader' }, current);
    await now.log.settled();
    expect(winnerOf(now.ledger, 'x')).toMatchObject({ revision: next });
  });

  it('does not bring back what was deleted since, and deletes nothing that was written since', async () => {
    const { now, old, bases, tail } = await parted(['deleted', 'written', 'both']);
    await write(old.ledger, 'deleted', { by: 'old' }, bases.get('deleted'));
    await remove(old.ledger, 'written', bases.get('written'));
    await remove(old.ledger, 'both', bases.get('both'));
    await remove(now.ledger, 'deleted', bases.get('deleted'));
    const current = await write(now.ledger, 'written', { by: 'new' }, bases.get('written'));
    await remove(now.ledger, 'both', bases.get('both'));
    await bringBack(now, tail());
    expect(winnerOf(now.ledger, 'deleted')).toBe('deleted');
    expect(winnerOf(now.ledger, 'written')).toMatchObject({ revision: current });
    expect(winnerOf(now.ledger, 'both')).toBe('deleted');
    // Whoever creates it again goes on as after any deletion.
    await write(now.ledger, 'deleted', { by: 'new' });
  });

  it('adds nothing when it comes again, from the same disk or another', async () => {
    const { now, old, bases, tail } = await parted(['x', 'y']);
    await write(old.ledger, 'x', { by: 'old' }, bases.get('x'));
    await write(old.ledger, 'y', { by: 'old' }, bases.get('y'));
    await write(now.ledger, 'x', { by: 'new' }, bases.get('x'));
    await bringBack(now, tail());
    const before = [now.log.entries.length, await feedOf(now.ledger), noteOf(now.ledger)];
    await bringBack(now, tail());
    // A part of it, as a node has that was cut off earlier.
    await bringBack(now, tail().slice(0, 1));
    expect([now.log.entries.length, await feedOf(now.ledger), noteOf(now.ledger)]).toEqual(before);
  });

  it('stays where it is when several deposed leaders bring branches of one document', async () => {
    const first = await parted(['x']);
    const second = await parted(['x']);
    const base = first.bases.get('x');
    await write(first.old.ledger, 'x', { by: 'first' }, base);
    await write(second.old.ledger, 'x', { by: 'second' }, base);
    const current = await write(first.now.ledger, 'x', { by: 'new' }, base);
    await bringBack(first.now, first.tail());
    await bringBack(first.now, second.tail());
    expect(winnerOf(first.now.ledger, 'x')).toMatchObject({ revision: current });
    expect(noteOf(first.now.ledger).map(({ kept_by: keptBy }) => keptBy)).toEqual([
      expect.stringMatching(/^3-/),
      expect.stringMatching(/^3-/),
    ]);
  });

  it('has the tombstone noted also when an earlier try ended before the note', async () => {
    const { now, old, bases, tail } = await parted(['x']);
    await write(old.ledger, 'x', { by: 'old' }, bases.get('x'));
    await write(now.ledger, 'x', { by: 'new' }, bases.get('x'));
    const answer = now.log.answer;
    now.log.answer = (entry, rule) =>
      decodeCommand(entry.data).kind === 'local'
        ? { kind: 'rejected', reason: 'not_leader', leader: undefined }
        : answer(entry, rule);
    await expect(bringBack(now, tail())).rejects.toMatchObject({ status: 503 });
    now.log.answer = answer;
    await bringBack(now, tail());
    expect(noteOf(now.ledger)).toMatchObject([{ id: 'x', kept_by: expect.stringMatching(/^3-/) }]);
  });

  it('looks alike on every replica, and takes its attachments along', async () => {
    const { now, old, bases, tail } = await parted(['x']);
    const content = (async function* () {
      yield Buffer.from('kept');
    })();
    const blob = await old.ledger.storeBlob(content, 1e6);
    const attachments = [{ kind: 'stored', name: 'file', contentType: 'text/plain', blob }] as const;
    await old.ledger.edit([{ ...edit('x', { by: 'old' }, bases.get('x')), attachments }]);
    await write(now.ledger, 'x', { by: 'new' }, bases.get('x'));
    await bringBack(now, tail());
    const keptBy = noteOf(now.ledger)[0]?.kept_by;
    for (const sizes of [[1], [3, 1], [1_000]]) {
      const follower = await openReplica();
      await applyInBatches(follower, now.log.entries, sizes);
      const copy = follower.databases.get('ledger');
      expect(await feedOf(copy)).toEqual(await feedOf(now.ledger));
      expect(copy.readOpenRevisions('x', [keptBy!])).toMatchObject([
        { document: { deleted: true, attachments: [{ name: 'file', length: 4 }] } },
      ]);
    }
  });
});

describe('A node that is brought what it cannot take now', () => {
  afterEach(closeClusterNodes);

  it('refuses it, to be offered again, and does not call that a defect', async () => {
    const nodes = [await startClusterNode('n1', ['n1', 'n2']), await startClusterNode('n2', ['n1', 'n2'])];
    const leader = await leaderAmong(nodes);
    const follower = nodes.find((node) => node !== leader)!;
    const purge = encodeCommand({ kind: 'purge', database: 1, request: [] });
    const asked = leader.ask(follower.name, RECOVERED_KIND, encodeRecovery(epoch, purge));
    await expect(asked).rejects.toMatchObject({ kind: 'refused', delivery: 'not_delivered' });
    expect(follower.defects).toEqual([]);
  });
});

describe('What is worth bringing back', () => {
  it('is what somebody was told of; everything older, once a forced membership gave up what was committed', async () => {
    const { now, old, tail } = await parted([], { ...ack, policy: 'semi-sync' });
    await write(old.ledger, 'x', { by: 'old' });
    const current = await write(now.ledger, 'x', { by: 'new' });
    await bringBack(now, tail());
    expect(now.ledger.readOpenRevisions('x', 'all')).toMatchObject([{ document: { revision: current } }]);
    now.log.lineage = epoch + 1;
    await bringBack(now, tail());
    expect(now.ledger.readOpenRevisions('x', 'all')).toHaveLength(2);
    expect(winnerOf(now.ledger, 'x')).toMatchObject({ revision: current });
  });

  it('leaves out attachments that nothing names which comes back', () => {
    const commands: Command[] = [
      { kind: 'chunk', database: 1, chunkSet: 'c1', index: 0, bytes: Uint8Array.of(1) },
      { kind: 'blob', database: 1, blob: 'b1', digest: 'md5-', length: 1, chunkSet: 'c1' },
      { kind: 'chunk', database: 1, chunkSet: 'c2', index: 0, bytes: Uint8Array.of(2) },
      { kind: 'blob', database: 1, blob: 'b2', digest: 'md5-', length: 1, chunkSet: 'c2' },
      { kind: 'write', database: 1, revisions: [revisionNaming('b1')] },
      { kind: 'write', database: 1, isToldEarly: true, revisions: [revisionNaming('b2')] },
      { kind: 'local', database: 1, id: 'l', revision: '0-1', body: Uint8Array.of(1) },
      { kind: 'purge', database: 1, request: [] },
      { kind: 'settings', database: 1, change: {} },
      { kind: 'drop', database: 1 },
    ];
    const brought = (lineage: number) =>
      worthRecovering(entriesOf(commands), epoch, lineage).map((data) => decodeCommand(data));
    expect(brought(0)).toEqual([commands[2], commands[3], commands[5]]);
    expect(brought(epoch + 1)).toEqual(commands.slice(0, 6));
  });

  it('goes chunk by chunk with others of its attachments, and else one after the other', () => {
    const chunk = (index: number): Command => ({
      ...{ kind: 'chunk', database: 1, chunkSet: 'c1', index, bytes: Uint8Array.of(index) },
    });
    const blob: Command = {
      kind: 'blob',
      database: 1,
      blob: 'b1',
      digest: 'md5-',
      length: 1,
      chunkSet: 'c1',
    };
    const write: Command = { kind: 'write', database: 1, revisions: [revisionNaming('b1')] };
    const ten = Array.from({ length: 10 }, (_, index) => chunk(index));
    const commands = [...ten, blob, chunk(0), blob, write, write];
    const batches = inBatches(commands.map(encodeCommand));
    expect(batches.map(({ length }) => length)).toEqual([8, 2, 1, 1, 1, 1, 1]);
    expect(batches.flat().map((data) => decodeCommand(data))).toEqual(commands);
  });

  it('is the last of revisions made one from the other, with the way back', async () => {
    const { now, old, bases, tail } = await parted(['x']);
    let last = bases.get('x');
    for (const n of [1, 2, 3]) last = await write(old.ledger, 'x', { n }, last);
    const current = await write(now.ledger, 'x', { by: 'new' }, bases.get('x'));
    await bringBack(now, tail().toReversed());
    expect(winnerOf(now.ledger, 'x')).toMatchObject({ revision: current });
    const [kept, ...others] = noteOf(now.ledger);
    expect([kept?.rev, others]).toEqual([last, []]);
    expect(now.ledger.readOpenRevisions('x', [kept!.kept_by!], { path: true })).toMatchObject([
      { document: { path: { start: 5, ids: { length: 5 } } } },
    ]);
  });
});

function revisionNaming(blob: string): LoggedRevision {
  const attachments = [{ name: 'a', contentType: 'text/plain', revpos: 1, digest: 'md5-', length: 1, blob }];
  return {
    ...{ id: blob, revision: `1-${blob}` as LoggedRevision['revision'], deleted: false, attachments },
    path: { start: 1, ids: [blob] },
    body: new Uint8Array(0),
  };
}

function entriesOf(commands: readonly Command[]): CommittedEntry[] {
  return commands.map((command, at) => ({
    ...{ index: asIndex(at + 1), term: asTerm(epoch) },
    data: encodeCommand(command),
  }));
}

async function feedOf(database: Database) {
  const { rows, lastSequence } = await collectChanges(database.changes({ since: '0', style: 'all_docs' }));
  return { rows, lastSequence };
}
