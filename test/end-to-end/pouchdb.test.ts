/** The real PouchDB against real processes: as a client of the HTTP API, and as the other end of replications. */

import PouchDB, { type PouchDocument } from 'pouchdb';
import memoryAdapter from 'pouchdb-adapter-memory';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { remotePouchDB } from './remote-pouchdb.ts';

PouchDB.plugin(memoryAdapter);

const harness = openHarness();
let node: TestNode;
let databases = 0;

beforeAll(async () => {
  node = await harness.startNode();
});
afterAll(() => harness.close());

function local(): PouchDB {
  databases += 1;
  return new PouchDB(`local-${databases}`, { adapter: 'memory' });
}

/** A database of the node through PouchDB's HTTP adapter, which creates it. */
function remote(at: TestNode = node, name = `remote-${++databases}`): PouchDB {
  return remotePouchDB(`${at.url}/${name}`);
}

const numbered = (count: number, prefix = 'doc') =>
  Array.from({ length: count }, (_, n) => ({ _id: `${prefix}-${String(n).padStart(4, '0')}`, n }));

async function contents(database: PouchDB): Promise<Map<string, string>> {
  const { rows } = await database.allDocs();
  return new Map(rows.map((row) => [row.id, row.value.rev]));
}

async function orUndefined<T>(result: Promise<T>): Promise<T | undefined> {
  return result.catch((error: { status?: number }) => {
    if (error.status !== 404) throw error;
    return undefined;
  });
}

describe('PouchDB as a client', () => {
  test('creates a database, writes, reads, updates, conflicts and deletes', async () => {
    const database = remote();
    const first = await database.put({ _id: 'x', n: 1 });
    const second = await database.put({ _id: 'x', _rev: first.rev, n: 2 });
    await expect(database.put({ _id: 'x', _rev: first.rev, n: 3 })).rejects.toMatchObject({
      status: 409,
      name: 'conflict',
    });
    expect(await database.get('x', { revs: true })).toMatchObject({
      _rev: second.rev,
      n: 2,
      _revisions: { start: 2 },
    });
    expect(await database.get('x', { rev: first.rev })).toMatchObject({ n: 1 });
    await database.remove('x', second.rev);
    await expect(database.get('x')).rejects.toMatchObject({ status: 404, reason: 'deleted' });
    await database.destroy();
  });

  test('lists, bulk writes and bulk reads', async () => {
    const database = remote();
    await database.bulkDocs(numbered(20));
    const { rows } = await database.allDocs({ include_docs: true, startkey: 'doc-0005', endkey: 'doc-0007' });
    expect(rows.map((row) => row.doc?.n)).toEqual([5, 6, 7]);
    const keyed = await database.allDocs({ keys: ['doc-0001', 'nobody'] });
    expect(keyed.rows.map((row) => row.error ?? row.id)).toEqual(['doc-0001', 'not_found']);
    const { results } = await database.bulkGet({ docs: [{ id: 'doc-0003' }, { id: 'nobody' }] });
    expect(results.map((result) => Object.keys(result.docs[0] ?? {}))).toEqual([['ok'], ['error']]);
    expect((await database.info()).doc_count).toBe(20);
  });

  test('stores attachments inline and on their own', async () => {
    const database = remote();
    const { rev } = await database.put({
      _id: 'x',
      _attachments: { 'a b/ü.txt': { content_type: 'text/plain', data: btoa('inline') } },
    });
    await database.putAttachment('x', 'raw', rev, Buffer.from([0, 1, 254, 255]), 'application/octet-stream');
    expect((await database.getAttachment('x', 'a b/ü.txt')).toString()).toBe('inline');
    expect([...(await database.getAttachment('x', 'raw'))]).toEqual([0, 1, 254, 255]);
    const document = await database.get('x', { attachments: true });
    expect(document._attachments?.['a b/ü.txt']?.data).toBe(btoa('inline'));
  });

  test('follows a live changes feed with odd ids', async () => {
    const database = remote();
    const seen: string[] = [];
    const feed = database
      .changes({ since: 0, live: true })
      .on('change', (change: { id: string }) => seen.push(change.id));
    const ids = ['ü/ö', 'a+b c', '100%', '한국어', '\u{1f600}', '_design/x'];
    for (const id of ids) await database.put({ _id: id, language: 'query' });
    await waitUntil('every change was seen', () => seen.length === ids.length);
    feed.cancel();
    expect(seen).toEqual(ids);
  });
});

describe('PouchDB replication', () => {
  test('pushes and pulls with deletions, conflicts and attachments until both are equal', async () => {
    const [here, there, back] = [local(), remote(), local()];
    await here.bulkDocs(numbered(250));
    const { rev } = await here.get('doc-0000').then(({ _rev }) => ({ rev: _rev }));
    await here.remove('doc-0000', rev);
    await here.put({
      _id: 'pic',
      _attachments: { 'p.bin': { content_type: 'image/png', data: btoa('\0\xff'.repeat(5000)) } },
    });
    const branches = ['a', 'b'].map((d) => ({ _id: 'both', _rev: `1-${d.repeat(32)}`, by: d }));
    await here.bulkDocs(branches, { new_edits: false });
    const pushed = await here.replicate.to(there);
    expect(pushed).toMatchObject({ ok: true, docs_written: 253, doc_write_failures: 0 });
    expect(await back.replicate.from(there)).toMatchObject({ ok: true, docs_written: 253 });
    for (const database of [there, back]) {
      expect(await contents(database)).toEqual(await contents(here));
      expect(await database.get('both', { conflicts: true })).toMatchObject({
        by: 'b',
        _conflicts: [branches[0]?._rev],
      });
      expect(await database.getAttachment('pic', 'p.bin')).toHaveLength(10_000);
    }
  });

  test('goes on from its checkpoint instead of starting again', async () => {
    const [here, there] = [local(), remote()];
    await here.bulkDocs(numbered(120));
    await here.replicate.to(there);
    await here.put({ _id: 'one more' });
    expect(await here.replicate.to(there)).toMatchObject({ docs_read: 1, docs_written: 1 });
    const pulled = local();
    await pulled.replicate.from(there);
    await there.put({ _id: 'another' });
    expect(await pulled.replicate.from(there)).toMatchObject({ docs_read: 1 });
  });

  test('filters by ids and by selector at the source', async () => {
    const there = remote();
    await there.bulkDocs(numbered(30));
    const [byIds, bySelector] = [local(), local()];
    await byIds.replicate.from(there, { doc_ids: ['doc-0004', 'doc-0009'] });
    expect([...(await contents(byIds)).keys()]).toEqual(['doc-0004', 'doc-0009']);
    await bySelector.replicate.from(there, { selector: { n: { $gte: 28 } } });
    expect([...(await contents(bySelector)).keys()]).toEqual(['doc-0028', 'doc-0029']);
  });

  test('syncs live both ways, also across a kill and restart of the node', async () => {
    const own = await harness.startNode();
    const [phone, tablet] = [local(), local()];
    const url = `${own.url}/live`;
    const syncs = [phone, tablet].map((device) =>
      device.sync(remotePouchDB(url), { live: true, retry: true, back_off_function: () => 100 }),
    );
    await phone.put({ _id: 'from phone' });
    await waitUntil('the tablet has it', () => orUndefined(tablet.get('from phone')));
    await own.kill();
    await tablet.put({ _id: 'while away' });
    await own.start();
    await waitUntil('the phone has it', () => orUndefined(phone.get('while away')));
    for (const sync of syncs) sync.cancel();
    await Promise.allSettled(syncs);
  });
});

describe('three nodes and offline devices', () => {
  test('a conflict made on two nodes appears on all with the same winner, and can be settled on any', async () => {
    const cluster = await harness.startCluster(3);
    await fetch(`${cluster[0]!.url}/notes?strategy=multi-leader`, { method: 'PUT' });
    const notes = cluster.map((each) => remote(each, 'notes'));
    await Promise.all(notes.map((database) => database.info()));
    const first = await notes[0]!.put({ _id: 'memo', by: 'everyone' });
    await waitUntil('all have the memo', async () =>
      (await Promise.all(notes.map((each) => orUndefined(each.get('memo'))))).every(Boolean),
    );
    const [left, right] = await Promise.all([edit(cluster[0]!, 'left'), edit(cluster[1]!, 'right')]);
    const views = await waitUntil('all show both branches', async () => {
      const read = await Promise.all(notes.map((each) => each.get('memo', { conflicts: true })));
      return read.every((document) => document._conflicts?.length === 1) && read;
    });
    expect(new Set(views.map((view) => view._rev)).size).toBe(1);
    expect(new Set([views[0]!._rev, ...(views[0]!._conflicts ?? [])])).toEqual(new Set([left, right]));
    await notes[2]!.remove('memo', views[2]!._conflicts![0]!);
    await waitUntil('the conflict is gone everywhere', async () => {
      const read = await Promise.all(notes.map((each) => each.get('memo', { conflicts: true })));
      return read.every((document: PouchDocument) => document._conflicts === undefined);
    });

    /** Writes a branch of its own, as a client that has not heard of the other one does. */
    async function edit(at: TestNode, by: string): Promise<string> {
      const rev = `2-${Buffer.from(by.padEnd(16)).toString('hex')}`;
      const ids = [rev.slice(2), first.rev.slice(2)];
      await remote(at, 'notes').bulkDocs([{ _id: 'memo', _rev: rev, _revisions: { start: 2, ids }, by }], {
        new_edits: false,
      });
      return rev;
    }
  });
});
