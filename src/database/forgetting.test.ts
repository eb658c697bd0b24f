/** What a leaderless database believes of the dead. */

import { describe, expect, it } from 'vitest';
import type { Revision } from '../document/revision.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Database } from './database.ts';
import type { LeaderlessPart } from './leaderless.ts';
import type { ReplicatedRevision } from './model.ts';
import {
  arrival,
  bodyValue,
  collectChanges,
  edit,
  openLeaderlessDatabase,
  revisionOf,
  write,
} from './test-database.ts';

const a = 'a'.repeat(32);
const b = 'b'.repeat(32);

function partOf(database: Database): LeaderlessPart {
  if (database.leaderless === undefined) throw new Error('the database is not leaderless');
  return database.leaderless;
}

async function rootOf(database: Database): Promise<string> {
  return (await partOf(database).tree.sums(0, [0]))[0]!;
}

async function gravesIn(database: Database, id: string) {
  const { digest } = database.applySettings();
  const bucket = Number.parseInt(digest(Buffer.from(id)).slice(0, 4), 16);
  const entries = await partOf(database).tree.entries(bucket);
  return entries.filter((entry) => entry.kind === 'grave');
}

/** Writes a document and deletes it; gives its revisions, the live one first. */
async function died(database: Database, id: string): Promise<readonly [Revision, Revision]> {
  const live = await write(database, id, { was: 'alive' });
  return [live, revisionOf((await database.edit([edit(id, {}, live, true)]))[0])];
}

async function forget(database: Database, id: string, ...leaves: readonly Revision[]): Promise<string[]> {
  return partOf(database).forgetTombstones(new Map([[id, leaves]]));
}

/** All that a database tells another one of a document. */
function toldBy(database: Database, id: string): ReplicatedRevision[] {
  return database.readOpenRevisions(id, 'all', { path: true }).flatMap((leaf) => {
    if (leaf.kind !== 'found') return [];
    const { path, ...told } = leaf.document;
    return [{ ...told, path: path!, attachments: [] }];
  });
}

describe('a tombstone that is forgotten', () => {
  it('leaves no document and no row, but its place in the hash tree', async () => {
    const store = createMemoryStore();
    const database = await openLeaderlessDatabase({ store });
    const [, tombstone] = await died(database, 'x');
    await write(database, 'y', {});
    const root = await rootOf(database);
    expect(await forget(database, 'x', tombstone)).toEqual(['x']);
    expect(database.read('x')).toEqual({ kind: 'missing' });
    const { rows } = await collectChanges(database.changes({ since: '0', style: 'all_docs' }));
    expect(rows.map((row) => row.id)).toEqual(['y']);
    expect(await database.info()).toMatchObject({ documentCount: 1, deletedDocumentCount: 0 });
    expect(await rootOf(database)).toBe(root);
    const reopened = await openLeaderlessDatabase({ store: store.crash() });
    expect(await rootOf(reopened)).toBe(root);
    expect(partOf(reopened).counts().graves).toBe(1);
    expect(await gravesIn(reopened, 'x')).toMatchObject([{ leaves: [tombstone] }]);
  });

  it('stays when somebody wrote meanwhile, or knows more of it than who decided', async () => {
    const database = await openLeaderlessDatabase();
    const [live, tombstone] = await died(database, 'x');
    await database.insert([arrival('x', 2, [b, a], {}, true)]);
    expect(await forget(database, 'x', tombstone)).toEqual([]);
    await write(database, 'y', {});
    expect(await forget(database, 'y', live)).toEqual([]);
    expect(await forget(database, 'unknown', live)).toEqual([]);
    expect(await forget(database, 'x', tombstone, `2-${b}` as Revision)).toEqual(['x']);
    expect(await gravesIn(database, 'x')).toMatchObject([{ leaves: expect.arrayContaining([`2-${b}`]) }]);
  });
});

describe('how old a deletion is', () => {
  const query = { after: 0, through: 100, limit: 100 };

  it('is told by its latest tombstone, not by those that a grave gave back', async () => {
    const database = await openLeaderlessDatabase();
    const [, tombstone] = await died(database, 'x');
    await database.insert([arrival('x', 1, [b], {}, true)]);
    expect((await partOf(database).tombstones(query)).dead).toMatchObject([{ deletedAtMs: undefined }]);
    await forget(database, 'x', tombstone, `1-${b}` as Revision);
    const anew = await write(database, 'x', { anew: true });
    await database.edit([edit('x', {}, anew, true)]);
    const { dead } = await partOf(database).tombstones(query);
    expect(dead).toMatchObject([{ id: 'x', deletedAtMs: expect.any(Number) }]);
    expect(dead[0]!.leaves).toHaveLength(2);
  });
});

describe('a client that was away while a document died', () => {
  async function grave() {
    const store = createMemoryStore();
    const database = await openLeaderlessDatabase({ store });
    const [live, tombstone] = await died(database, 'x');
    await forget(database, 'x', tombstone);
    const digests = [tombstone, live].map((revision) => revision.slice(2));
    return { store, database, live, tombstone, digests };
  }

  it('does not bring it back with its old copy, which is known, nor with edits of that', async () => {
    const { store, database, live, digests } = await grave();
    const copy = arrival('x', 1, [digests[1]!], { was: 'alive' });
    expect(await database.insert([copy])).toEqual([]);
    expect(partOf(database).counts()).toMatchObject({ graves: 1, quarantined: 0 });
    const other = arrival('x', 2, [a, digests[1]!], { phone: false });
    const edited = arrival('x', 2, [b, digests[1]!], { phone: true });
    const asked = new Map([['x', [live, edited.revision]]]);
    expect(database.revisionsDifference(asked).get('x')).toEqual({
      missing: [edited.revision],
      possibleAncestors: [],
    });
    for (const revision of [other, edited, edited]) {
      expect(await database.insert([revision])).toMatchObject([{ id: 'x', error: { status: 403 } }]);
    }
    expect(database.read('x')).toEqual({ kind: 'missing' });
    const reopened = await openLeaderlessDatabase({ store: store.crash() });
    const listed = await partOf(reopened).quarantine(10);
    expect(listed.map(({ revision }) => revision)).toEqual([other.revision, edited.revision]);
    expect(JSON.parse(Buffer.from(listed[1]!.body).toString())).toEqual({ phone: true });
    expect(partOf(reopened).counts()).toMatchObject({ graves: 1, quarantined: 2 });
    expect(await partOf(reopened).quarantine(10, listed[0])).toEqual(listed.slice(1));
  });

  it('is not asked for the tombstone again, and may bring it', async () => {
    const { database, tombstone, digests } = await grave();
    expect(database.revisionsDifference(new Map([['x', [tombstone]]])).size).toBe(0);
    expect(await database.insert([arrival('x', 2, digests, {}, true)])).toEqual([]);
    expect(database.read('x')).toEqual({ kind: 'missing' });
  });

  it('is believed when it went on from the tombstone, or deletes too', async () => {
    const { database, digests } = await grave();
    expect(await database.insert([arrival('x', 3, [b, ...digests], { anew: true })])).toEqual([]);
    expect(bodyValue(database, 'x')).toEqual({ anew: true });
    expect(partOf(database).counts().graves).toBe(0);
    const other = await grave();
    expect(await other.database.insert([arrival('x', 2, [b, digests[1]!], {}, true)])).toEqual([]);
    expect(other.database.read('x')).toEqual({ kind: 'deleted' });
  });

  it('may write the document anew: that revision goes on from the tombstone wherever it comes', async () => {
    const { database, live, tombstone } = await grave();
    const other = await grave();
    expect(await database.edit([edit('x', {}, undefined, true)])).toMatchObject([{ error: { status: 409 } }]);
    expect(await database.edit([edit('x', {}, `1-${a}`)])).toMatchObject([{ error: { status: 409 } }]);
    const revision = await write(database, 'x', { anew: 1 });
    expect(revision).toMatch(/^3-/);
    const ids = [revision, tombstone, live].map((each) => each.slice(2));
    expect(toldBy(database, 'x')).toMatchObject([{ path: { ids } }]);
    expect(await other.database.insert(toldBy(database, 'x'))).toEqual([]);
    expect(await rootOf(other.database)).toBe(await rootOf(database));
    const again = revisionOf((await database.edit([edit('x', {}, revision, true)]))[0]);
    expect(await forget(database, 'x', again)).toEqual(['x']);
    expect(await write(database, 'x', {}, again)).toMatch(/^5-/);
  });
});

describe('a document that was written anew on its grave', () => {
  /** Four edits, then a deletion that is forgotten; gives what a replica that was away still has of it. */
  async function writtenAnew() {
    const database = await openLeaderlessDatabase();
    const away = await openLeaderlessDatabase();
    let last: Revision | undefined;
    for (let edits = 0; edits < 4; edits += 1) {
      last = await write(database, 'x', { edits }, last);
      if (edits === 2) await away.insert(toldBy(database, 'x'));
    }
    const tombstone = revisionOf((await database.edit([edit('x', {}, last, true)]))[0]);
    await forget(database, 'x', tombstone);
    const graves = await gravesIn(database, 'x');
    const revision = await write(database, 'x', { anew: true });
    return { database, away, graves, revision, tombstone };
  }

  it('supersedes what somebody brings who was away, here and there', async () => {
    const { database, away, revision } = await writtenAnew();
    await database.insert(toldBy(away, 'x'));
    await away.insert(toldBy(database, 'x'));
    for (const replica of [database, away]) {
      expect(replica.read('x', { conflicts: true })).toMatchObject({ document: { revision } });
      expect(replica.read('x', { conflicts: true })).not.toMatchObject({ document: { conflicts: [/./] } });
      expect(toldBy(replica, 'x')).toHaveLength(1);
    }
    expect(await rootOf(away)).toBe(await rootOf(database));
  });

  it('is told by a grave what it supersedes, if it came without its way back', async () => {
    const { database, away, graves, revision, tombstone } = await writtenAnew();
    await away.insert([arrival('x', 6, [revision.slice(2), tombstone.slice(2)], { anew: true })]);
    expect(toldBy(away, 'x')).toHaveLength(2);
    expect(await partOf(away).bury(graves)).toBe(0);
    expect(toldBy(away, 'x')).toMatchObject([{ revision }]);
    expect(await rootOf(away)).toBe(await rootOf(database));
  });
});

describe('quarantine', () => {
  async function waiting() {
    const database = await openLeaderlessDatabase();
    const [live, tombstone] = await died(database, 'x');
    await forget(database, 'x', tombstone);
    const old = arrival('x', 2, [b, live.slice(2)], { phone: true });
    await database.insert([old]);
    return { database, old, named: { id: 'x', revision: old.revision } };
  }

  it('lets a revision join that is accepted, and others then believe it too', async () => {
    const [here, there] = [await waiting(), await waiting()];
    const [outcome] = await partOf(here.database).acceptQuarantined([here.named]);
    expect(revisionOf(outcome)).toMatch(/^3-/);
    expect(bodyValue(here.database, 'x')).toEqual({ phone: true });
    expect(partOf(here.database).counts()).toMatchObject({ graves: 0, quarantined: 0, quarantinedBytes: 0 });
    expect(here.database.read('x', { conflicts: true, deletedConflicts: true })).toMatchObject({
      document: { revision: revisionOf(outcome) },
    });
    expect(await there.database.insert(toldBy(here.database, 'x'))).toEqual([]);
    expect(bodyValue(there.database, 'x')).toEqual({ phone: true });
    expect(partOf(there.database).counts()).toMatchObject({ graves: 0, quarantined: 0 });
    expect(await rootOf(there.database)).toBe(await rootOf(here.database));
    expect(await partOf(here.database).acceptQuarantined([here.named])).toMatchObject([
      { kind: 'failed', error: { status: 404 } },
    ]);
  });

  it('accepts what is many generations behind the tombstone', async () => {
    const [here, there] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const old = arrival('x', 1, [a], { phone: true });
    for (const database of [here, there]) {
      let [, tombstone] = await died(database, 'x');
      const again = await write(database, 'x', {}, tombstone);
      tombstone = revisionOf((await database.edit([edit('x', {}, again, true)]))[0]);
      await forget(database, 'x', tombstone);
      await database.insert([old]);
    }
    const [outcome] = await partOf(here).acceptQuarantined([old]);
    expect(revisionOf(outcome)).toMatch(/^5-/);
    expect(bodyValue(here, 'x')).toEqual({ phone: true });
    expect(await there.insert(toldBy(here, 'x'))).toEqual([]);
    expect(bodyValue(there, 'x')).toEqual({ phone: true });
    expect(await rootOf(there)).toBe(await rootOf(here));
  });

  it('makes the same revision of one that is accepted twice, in two places', async () => {
    const [here, there] = [await waiting(), await waiting()];
    const [ours] = await partOf(here.database).acceptQuarantined([here.named]);
    const [theirs] = await partOf(there.database).acceptQuarantined([there.named]);
    expect(ours).toEqual(theirs);
  });

  it('gives up what is discarded, and asks again when it comes again', async () => {
    const { database, named, old } = await waiting();
    expect(await partOf(database).discardQuarantined([named, named])).toEqual([true, false]);
    expect(await partOf(database).quarantine(10)).toEqual([]);
    expect(await database.insert([old])).toMatchObject([{ error: { status: 403 } }]);
    expect(partOf(database).counts().quarantined).toBe(1);
  });

  it('accepts also where the document was written anew meanwhile: as a branch', async () => {
    const { database, named } = await waiting();
    const anew = await write(database, 'x', { anew: true });
    const [outcome] = await partOf(database).acceptQuarantined([named]);
    expect(revisionOf(outcome)).toBe(named.revision);
    expect(database.read('x', { conflicts: true })).toMatchObject({
      document: { revision: anew, conflicts: [named.revision] },
    });
  });

  it('keeps the attachments of what is in it', async () => {
    let now = 0;
    const store = createMemoryStore();
    const clock = { ...systemClock, monotonic: () => now };
    const database = await openLeaderlessDatabase({ store, clock });
    const [, tombstone] = await died(database, 'x');
    await forget(database, 'x', tombstone);
    const content = (async function* () {
      yield Buffer.from('kept');
    })();
    const blob = await database.storeBlob(content, 1e9);
    const attachments = [{ kind: 'stored', name: 'f', contentType: 'text/plain', blob }] as const;
    const old = { ...arrival('x', 1, [b]), attachments };
    expect(await database.insert([old])).toMatchObject([{ error: { status: 403 } }]);
    now += 4_000_000;
    database.compact();
    await expect.poll(async () => (await database.info()).compactRunning).toBe(false);
    const [outcome] = await partOf(database).acceptQuarantined([old]);
    expect(database.read('x')).toMatchObject({
      document: { revision: revisionOf(outcome), attachments: [{ name: 'f' }] },
    });
  });
});

describe('graves that another replica has', () => {
  it('are taken over, so that a wiped replica judges as the others do', async () => {
    const [full, wiped] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const [, tombstone] = await died(full, 'x');
    await forget(full, 'x', tombstone);
    const graves = await gravesIn(full, 'x');
    expect(await partOf(wiped).bury(graves)).toBe(0);
    expect(await rootOf(wiped)).toBe(await rootOf(full));
    expect(await wiped.insert([arrival('x', 1, [b])])).toMatchObject([{ error: { status: 403 } }]);
    expect(await partOf(wiped).bury(graves)).toBe(0);
    expect(partOf(wiped).counts().graves).toBe(1);
  });

  it('bury what is dead here as well, and send what is alive to quarantine', async () => {
    const [full, stale] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    for (const id of ['alive', 'dead']) await forget(full, id, (await died(full, id))[1]);
    await stale.insert([arrival('alive', 1, [a], { old: 1 }), arrival('alive', 2, [b, a], { old: 2 })]);
    await stale.insert([arrival('dead', 1, [a], {}, true)]);
    const graves = [...(await gravesIn(full, 'alive')), ...(await gravesIn(full, 'dead'))];
    expect(await partOf(stale).bury(graves)).toBe(0);
    expect([stale.read('alive').kind, stale.read('dead').kind]).toEqual(['missing', 'missing']);
    const kept = await partOf(stale).quarantine(10);
    expect(kept).toMatchObject([{ id: 'alive', revision: `2-${b}`, path: { start: 2, ids: [b, a] } }]);
    const back = [...(await gravesIn(stale, 'alive')), ...(await gravesIn(stale, 'dead'))];
    await partOf(full).bury(back);
    expect(await rootOf(full)).toBe(await rootOf(stale));
  });

  it('send to quarantine what was accepted here because the deletion was not forgotten yet', async () => {
    const [full, slow] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const [live, tombstone] = await died(full, 'x');
    await slow.insert(toldBy(full, 'x'));
    await forget(full, 'x', tombstone);
    const old = arrival('x', 2, [b, live.slice(2)], { phone: true });
    expect(await full.insert([old])).toMatchObject([{ error: { status: 403 } }]);
    expect(await slow.insert([old])).toEqual([]);
    expect(bodyValue(slow, 'x')).toEqual({ phone: true });
    await partOf(slow).bury(await gravesIn(full, 'x'));
    expect(slow.read('x')).toEqual({ kind: 'missing' });
    expect(partOf(slow).counts()).toMatchObject({ graves: 1, quarantined: 1 });
    expect(await rootOf(slow)).toBe(await rootOf(full));
  });

  it('mean nothing to who wrote the document anew', async () => {
    const [full, ahead] = [await openLeaderlessDatabase(), await openLeaderlessDatabase()];
    const [live, tombstone] = await died(full, 'x');
    await ahead.insert(toldBy(full, 'x'));
    await forget(full, 'x', tombstone);
    const graves = await gravesIn(full, 'x');
    await write(ahead, 'x', { anew: true }, tombstone);
    expect(await partOf(ahead).bury(graves)).toBe(0);
    expect(bodyValue(ahead, 'x')).toEqual({ anew: true });
    expect(live).toMatch(/^1-/);
  });
});
