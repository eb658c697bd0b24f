import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, RequestError, type TercetClient } from '../../src/client/client.ts';
import { openHarness, type TestNode } from './harness.ts';

const harness = openHarness();
let node: TestNode;
let client: TercetClient;

beforeAll(async () => {
  node = await harness.startNode();
  client = connect(`${node.url}/`);
});
afterAll(() => harness.close());

interface Note {
  readonly text: string;
}

async function created(name: string) {
  await client.createDatabase(name);
  return client.database<Note>(name);
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('The client', () => {
  test('creates, lists and deletes databases with odd names', async () => {
    await client.createDatabase('odd/name+x');
    expect(await client.databaseNames()).toContain('odd/name+x');
    await client.deleteDatabase('odd/name+x');
    expect(await client.databaseNames()).not.toContain('odd/name+x');
    expect((await client.info()).vendor.name).toBe('Tercet');
  });

  test('writes, reads, updates and removes documents', async () => {
    const notes = await created('crud');
    const { rev } = await notes.put({ _id: 'ü/1', text: 'one' });
    const stored = await notes.get('ü/1');
    expect(stored).toEqual({ _id: 'ü/1', _rev: rev, text: 'one' });
    const second = await notes.put({ ...stored!, text: 'two' });
    expect(await notes.get('ü/1', { rev })).toMatchObject({ text: 'one' });
    await notes.remove({ _id: 'ü/1', _rev: second.rev });
    expect(await notes.get('ü/1')).toBeUndefined();
    expect(await notes.get(second.id)).toBeUndefined();
    const added = await notes.add({ text: 'three' });
    expect(await notes.get(added.id)).toMatchObject({ text: 'three' });
  });

  test('writes once what it is told twice, with a key', async () => {
    const notes = await created('keyed');
    const once = { idempotencyKey: 'first note' };
    const added = await notes.add({ text: 'one' }, once);
    expect(await notes.add({ text: 'one' }, once)).toEqual(added);
    const put = () =>
      notes.put({ _id: added.id, _rev: added.rev, text: 'two' }, { idempotencyKey: 'change' });
    expect(await put()).toEqual(await put());
    const bulk = () => notes.bulk([{ text: 'three' }, { text: 'three' }], { idempotencyKey: 'two notes' });
    const rows = await bulk();
    expect(new Set(rows.map(({ id }) => id)).size).toBe(2);
    expect(await bulk()).toEqual(rows);
  });

  test('says what a failed write means', async () => {
    const notes = await created('failures');
    await notes.put({ _id: 'x', text: 'one' });
    const again = notes.put({ _id: 'x', text: 'two' });
    await expect(again).rejects.toBeInstanceOf(RequestError);
    await expect(again).rejects.toMatchObject({
      status: 409,
      error: 'conflict',
      writeOutcome: 'did_not_happen',
    });
    await expect(client.database('nowhere').put({ _id: 'x' })).rejects.toMatchObject({
      status: 404,
      reason: 'Database does not exist.',
    });
  });

  test('writes many at once and lists them as they arrive', async () => {
    const notes = await created('many');
    const documents = Array.from({ length: 1_500 }, (_, n) => ({
      _id: String(n).padStart(5, '0'),
      text: `note ${n}\n"quoted"`,
    }));
    expect(await notes.bulk([...documents, { _id: '00000', text: 'again' }])).toHaveLength(1_501);
    const all = await collect(notes.all());
    expect(all.map(({ _id, text }) => ({ _id, text }))).toEqual(documents);
    const some = await collect(notes.all({ startKey: '00010', endKey: '00012', inclusiveEnd: false }));
    expect(some.map((note) => note._id)).toEqual(['00010', '00011']);
  });

  test('follows changes live from where it was, filtered, until it is stopped', async () => {
    const notes = await created('feed');
    await notes.put({ _id: 'a', text: 'old' });
    const [first] = await collect(notes.changes());
    const stop = new AbortController();
    const seen: string[] = [];
    const options = {
      since: first!.seq,
      live: true,
      includeDocuments: true,
      selector: { text: { $gt: 'm' } },
      signal: stop.signal,
    };
    await notes.put({ _id: 'b', text: 'no' });
    await notes.put({ _id: 'c', text: 'begin' });
    for await (const change of notes.changes(options)) {
      seen.push(`${change.id}: ${change.doc?.text}`);
      if (seen.length === 1) await notes.put({ _id: 'd', text: 'yes' });
      else stop.abort();
    }
    expect(seen).toEqual(['b: no', 'd: yes']);
  });

  test('proves who it is', async () => {
    const guarded = await harness.startNode({ flags: ['--admin', 'anna:sécret'] });
    await expect(connect(guarded.url).createDatabase('x')).rejects.toMatchObject({ status: 401 });
    const credentials = { name: 'anna', password: 'sécret' };
    await connect(guarded.url, { credentials }).createDatabase('x');
    expect(await connect(guarded.url, { credentials }).databaseNames()).toContain('x');
  });
});
