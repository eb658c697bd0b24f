/** The real nano, whose functions are all called once at least, against a real process. */

import { once } from 'node:events';
import nano, { type DocumentScope, type ServerScope } from 'nano';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';

interface Body {
  readonly [member: string]: unknown;
}

const harness = openHarness();
let node: TestNode;
let server: ServerScope;
let databases = 0;

beforeAll(async () => {
  node = await harness.startNode({ flags: ['--admin', 'anna:secret'] });
  server = nano(`http://anna:secret@127.0.0.1:${node.port}`);
});
afterAll(() => harness.close());

async function freshDatabase(): Promise<DocumentScope<Body>> {
  databases += 1;
  const name = `nano-${databases}`;
  expect(await server.db.create(name)).toEqual({ ok: true });
  return server.use<Body>(name);
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

/** What nano makes of a refusal: CouchDB's two words beside the status. */
function refused(statusCode: number, error: string, reason: unknown = expect.any(String)): unknown {
  return expect.objectContaining({ statusCode, error, reason, message: reason });
}

/** What nano does and its published types leave out, or describe otherwise. */
interface Untyped {
  readonly replication: {
    enable(...ends: readonly unknown[]): Promise<{ readonly id: string }>;
    query(id: string): Promise<{ readonly _rev: string; readonly _replication_state?: string }>;
    disable(id: string, rev: string): Promise<unknown>;
  };
  changesAsStream(): NodeJS.ReadableStream;
}

const untyped = (scope: object) => scope as Untyped;

const isoTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);

test('databases are created, described, listed, compacted and destroyed', async () => {
  const database = await freshDatabase();
  const { db: name } = database.config;
  await expect(server.db.create(name)).rejects.toEqual(
    refused(412, 'file_exists', 'The database could not be created, the file already exists.'),
  );
  expect(await server.db.get(name)).toMatchObject({ db_name: name, doc_count: 0, doc_del_count: 0 });
  expect(await database.info()).toEqual(await server.db.get(name));
  expect(await server.db.list()).toContain(name);
  expect(JSON.parse(await textOf(server.db.listAsStream()))).toContain(name);
  expect(await server.db.compact(name)).toEqual({ ok: true });
  expect(await database.compact()).toEqual({ ok: true });
  expect(await server.db.destroy(name)).toEqual({ ok: true });
  await expect(server.db.get(name)).rejects.toEqual(refused(404, 'not_found', 'Database does not exist.'));
  await expect(server.db.destroy(name)).rejects.toEqual(refused(404, 'not_found'));
  await expect(server.db.create('UPPER')).rejects.toEqual(refused(400, 'illegal_database_name'));
});

test.each(['a/b', 'a+b', 'x$()-_y', 'z/y/z'])('a database called %s works like any other', async (name) => {
  await server.db.create(name);
  const database = server.use<Body>(name);
  await database.insert({ n: 1 }, 'a/b+c d%');
  expect(await database.get('a/b+c d%')).toMatchObject({ _id: 'a/b+c d%', n: 1 });
  expect((await database.info()).db_name).toBe(name);
  expect(await server.db.list()).toContain(name);
  const target = await freshDatabase();
  expect(await server.db.replicate(name, target.config.db)).toMatchObject({ ok: true });
  expect((await target.info()).doc_count).toBe(1);
  await server.db.destroy(name);
});

test('documents are inserted, read, headed, updated and destroyed', async () => {
  const database = await freshDatabase();
  const { id } = await database.insert({ n: 0 });
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  const { rev } = await database.insert({ n: 1 }, 'one');
  await expect(database.insert({ n: 2 }, 'one')).rejects.toEqual(
    refused(409, 'conflict', 'Document update conflict.'),
  );
  const second = await database.insert({ _id: 'one', _rev: rev, n: 2 });
  expect(await database.head('one')).toMatchObject({ etag: `"${second.rev}"` });
  expect(await database.get('one', { revs_info: true, rev: second.rev })).toMatchObject({
    n: 2,
    _revs_info: [
      { rev: second.rev, status: 'available' },
      { rev, status: 'available' },
    ],
  });
  await expect(database.destroy('one', rev)).rejects.toEqual(refused(409, 'conflict'));
  expect(await database.destroy('one', second.rev)).toMatchObject({ ok: true, id: 'one' });
  await expect(database.get('one')).rejects.toEqual(refused(404, 'not_found', 'deleted'));
  await expect(database.head('one')).rejects.toMatchObject({ statusCode: 404 });
  await expect(database.get('nobody')).rejects.toEqual(refused(404, 'not_found', 'missing'));
});

test('design and local documents keep the slash of their ids', async () => {
  const database = await freshDatabase();
  await database.insert({ language: 'query' }, '_design/d');
  await database.insert({ place: 3 }, '_local/checkpoint');
  expect(await database.get('_design/d')).toMatchObject({ _id: '_design/d' });
  expect(await database.get('_local/checkpoint')).toMatchObject({ _id: '_local/checkpoint', place: 3 });
  expect((await database.list()).rows.map((row) => row.id)).toEqual(['_design/d']);
});

test('many documents are written at once, listed, fetched and streamed', async () => {
  const database = await freshDatabase();
  const docs = ['a', 'b', 'c', 'd'].map((_id) => ({ _id, letter: _id }));
  const written = await database.bulk({ docs });
  expect(written.map((row) => row.id)).toEqual(['a', 'b', 'c', 'd']);
  expect(await database.bulk({ docs: [{ _id: 'a' }] })).toEqual([
    { id: 'a', error: 'conflict', reason: 'Document update conflict.' },
  ]);
  const branch = { _id: 'a', _rev: `1-${'f'.repeat(32)}`, letter: 'other' };
  expect(await database.bulk({ docs: [branch], new_edits: false })).toEqual([]);
  expect(await database.get('a', { conflicts: true })).toMatchObject({ _conflicts: [expect.any(String)] });
  const listed = await database.list({
    startkey: 'b',
    endkey: 'd',
    inclusive_end: false,
    include_docs: true,
  });
  expect(listed).toMatchObject({ total_rows: 4, rows: [{ doc: { letter: 'b' } }, { doc: { letter: 'c' } }] });
  const fetched = await database.fetch({ keys: ['d', 'nobody'] });
  expect(fetched.rows).toMatchObject([{ doc: { letter: 'd' } }, { key: 'nobody', error: 'not_found' }]);
  const revisions = await database.fetchRevs({ keys: ['c'] });
  expect(revisions.rows).toMatchObject([{ id: 'c', value: { rev: written[2]!.rev } }]);
  const streamed = JSON.parse(await textOf(database.listAsStream({ limit: 2, descending: true })));
  expect(streamed.rows.map((row: { id: string }) => row.id)).toEqual(['d', 'c']);
});

test('attachments are stored, read, streamed and removed on their own', async () => {
  const database = await freshDatabase();
  const bytes = Buffer.from([0, 1, 254, 255]);
  const { rev } = await database.attachment.insert('doc', 'raw.bin', bytes, 'application/octet-stream');
  const more = await database.attachment.insert('doc', 'note.json', '{"x": 1}', 'application/json', { rev });
  expect(await database.attachment.get('doc', 'raw.bin')).toEqual(bytes);
  expect((await database.attachment.get('doc', 'note.json')).toString()).toBe('{"x": 1}');
  expect(await textOf(database.attachment.getAsStream('doc', 'note.json'))).toBe('{"x": 1}');
  await expect(database.attachment.insert('doc', 'late', 'x', 'text/plain', { rev })).rejects.toEqual(
    refused(409, 'conflict'),
  );
  const { _attachments } = (await database.get('doc')) as unknown as { _attachments: object };
  expect(Object.keys(_attachments)).toEqual(['note.json', 'raw.bin']);
  await database.attachment.destroy('doc', 'raw.bin', { rev: more.rev });
  await expect(database.attachment.get('doc', 'raw.bin')).rejects.toEqual(
    refused(404, 'not_found', 'Document is missing attachment'),
  );
});

test('a document and its attachments travel together as multipart', async () => {
  const database = await freshDatabase();
  const attachments = [
    { name: 'a.txt', data: 'first', content_type: 'text/plain' },
    { name: 'b.bin', data: Buffer.from([0, 13, 10, 45, 45, 255]), content_type: 'application/octet-stream' },
  ];
  await database.multipart.insert({ n: 1 }, attachments, 'doc');
  expect(await database.attachment.get('doc', 'b.bin')).toEqual(attachments[1]!.data);
  const whole: string = await database.multipart.get('doc');
  expect(whole).toMatch(/^--/);
  expect(whole).toContain('"follows":true');
  expect(whole).toContain('first');
});

test('changes are read at once, as a stream, and from a sequence on', async () => {
  const database = await freshDatabase();
  await database.bulk({ docs: [{ _id: 'a' }, { _id: 'b' }] });
  const all = await database.changes({ include_docs: true });
  expect(all.results.map((row) => row.id)).toEqual(['a', 'b']);
  expect(await server.db.changes(database.config.db, { since: all.last_seq })).toMatchObject({ results: [] });
  const streamed = JSON.parse(await textOf(untyped(database).changesAsStream()));
  expect(streamed.results).toHaveLength(2);
});

test('the changes reader gets what there is, spools it, and follows what comes until it is stopped', async () => {
  const database = await freshDatabase();
  await database.bulk({ docs: ['a', 'b', 'c'].map((_id) => ({ _id })) });
  const reader = () => server.use<Body>(database.config.db).changesReader;
  const ids = (rows: readonly { id: string }[]) => rows.map((row) => row.id);

  const got: string[] = [];
  const getting = reader().get({ since: 0, batchSize: 2, includeDocs: true, timeout: 200 });
  getting.on('change', (row: { id: string; doc: object }) => got.push(row.doc ? row.id : 'no doc'));
  await once(getting, 'end');
  expect(got).toEqual(['a', 'b', 'c']);

  const spooled = reader().spool({ since: 0 });
  const batches: string[] = [];
  spooled.on('batch', (rows: { id: string }[]) => batches.push(...ids(rows)));
  const [lastSequence] = await once(spooled, 'end');
  expect(batches).toEqual(['a', 'b', 'c']);

  const following = reader();
  const seen: string[] = [];
  const started = following.start({ since: lastSequence as string, selector: { wanted: true } });
  started.on('change', (row: { id: string }) => seen.push(row.id));
  await database.insert({ wanted: false }, 'no');
  await database.insert({ wanted: true }, 'yes');
  await waitUntil('the change was seen', () => seen.length === 1);
  expect(seen).toEqual(['yes']);
  started.on('error', () => undefined); // Stopping aborts the request that is under way.
  const ended = new Promise((resolve) => started.on('end', resolve));
  following.stop();
  await ended;
  await database.insert({ wanted: true }, 'after');
  await waitUntil('the node has let go of the feed', async () => {
    const system: { feeds: number } = await server.request({ path: '_node/_local/_system' });
    return system.feeds === 0;
  });
  expect(seen).toEqual(['yes']);
});

test('one database is replicated into another, once', async () => {
  const [source, target] = [await freshDatabase(), await freshDatabase()];
  await source.bulk({ docs: [{ _id: 'a' }, { _id: 'b' }] });
  expect(await source.replicate(target)).toMatchObject({
    ok: true,
    history: [expect.objectContaining({ docs_written: 2 })],
  });
  expect(await server.db.replicate(source, target)).toMatchObject({ ok: true, no_changes: true });
  await source.replicate('created-by-nano', { create_target: true });
  expect((await server.db.get('created-by-nano')).doc_count).toBe(2);
  await expect(source.replicate('nobody')).rejects.toEqual(refused(404, 'db_not_found'));
});

test('a replication is enabled, queried until it runs, and disabled', async () => {
  const [source, target] = [await freshDatabase(), await freshDatabase()];
  await source.insert({ n: 1 }, 'a');
  const replication = untyped(server.db).replication;
  const enabled = await replication.enable(source, target, { continuous: true });
  await waitUntil('it has replicated', async () => (await target.info()).doc_count === 1);
  await source.insert({ n: 2 }, 'b');
  await waitUntil('it goes on', async () => (await target.info()).doc_count === 2);
  const asked = await replication.query(enabled.id);
  expect(asked).toMatchObject({ _id: enabled.id, continuous: true });
  await replication.disable(enabled.id, asked._rev);
  await expect(replication.query(enabled.id)).rejects.toEqual(refused(404, 'not_found', 'deleted'));

  const once = await untyped(source).replication.enable(target);
  const over = await waitUntil('it is over', async () => {
    const document = await untyped(source).replication.query(once.id);
    return document._replication_state === 'completed' && document;
  });
  expect(over).toMatchObject({ _replication_state_time: isoTime });
});

test('sessions begin with a name and password and go on with the cookie', async () => {
  const anonymous = nano(node.url);
  expect(await anonymous.session()).toMatchObject({ ok: true, userCtx: { name: null } });
  await expect(anonymous.db.list()).rejects.toEqual(refused(401, 'unauthorized'));
  await expect(anonymous.auth('anna', 'wrong')).rejects.toEqual(
    refused(401, 'unauthorized', 'Name or password is incorrect.'),
  );
  expect(await anonymous.auth('anna', 'secret')).toMatchObject({ ok: true, name: 'anna', roles: ['_admin'] });
  expect(await anonymous.session()).toMatchObject({ userCtx: { name: 'anna' } });
  expect(await anonymous.db.list()).toContain('_users');
});

test('the node gives uuids, its name and its updates', async () => {
  expect((await server.uuids(3)).uuids).toHaveLength(3);
  expect(await server.info()).toMatchObject({ couchdb: 'Welcome', vendor: { name: 'Tercet' } });
  const database = await freshDatabase();
  const { results } = await server.updates();
  expect(results).toContainEqual(expect.objectContaining({ db_name: database.config.db, type: 'created' }));
});

test('what is not offered is refused at once, with a reason', async () => {
  const database = await freshDatabase();
  const index = { index: { fields: ['a'] } };
  const notImplemented = [
    database.find({ selector: {} }),
    database.createIndex(index),
    database.view('d', 'v'),
    database.view('d', 'v', { keys: ['a'] }),
    database.search('d', 's', { q: 'a:b' }),
  ];
  for (const answer of await Promise.allSettled<unknown>(notImplemented)) {
    expect(answer).toMatchObject({ reason: refused(501, 'not_implemented') });
  }
  const unpartitioned = [
    database.partitionInfo('p'),
    database.partitionedList('p'),
    database.partitionedFind('p', { selector: {} }),
    database.partitionedSearch('p', 'd', 's', { q: 'a:b' }),
    database.partitionedView('p', 'd', 'v', {}),
  ];
  for (const answer of await Promise.allSettled<unknown>(unpartitioned)) {
    const reason = 'Databases have no partitions on this node.';
    expect(answer).toMatchObject({ reason: refused(404, 'not_found', reason) });
  }
  const gone = [
    database.show('d', 's', 'doc'),
    database.atomic('d', 'u', 'doc', {}),
    database.updateWithHandler('d', 'u', 'doc', {}),
    database.viewWithList('d', 'v', 'l'),
  ];
  for (const answer of await Promise.allSettled<unknown>(gone)) {
    expect(answer).toMatchObject({ reason: refused(404, 'not_found') });
  }
  const streams = [
    database.findAsStream({ selector: {} }),
    database.viewAsStream('d', 'v'),
    database.searchAsStream('d', 's', { q: 'a:b' }),
    database.partitionedListAsStream('p'),
    database.partitionedFindAsStream('p', { selector: {} }),
    database.partitionedSearchAsStream('p', 'd', 's', { q: 'a:b' }),
    database.partitionedViewAsStream('p', 'd', 'v', {}),
  ];
  const failures = await Promise.allSettled(streams.map(textOf));
  expect(failures.map((each) => each.status === 'rejected' && each.reason.statusCode)).toEqual([
    ...[501, 501, 501],
    ...[404, 404, 404, 404],
  ]);
});
