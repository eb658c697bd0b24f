/** The real RxDB, whose CouchDB replication uses the changes feed, `_all_docs` and `_bulk_docs`, through a real process. */

import { createRxDatabase, type RxCollection, type RxJsonSchema } from 'rxdb';
import { replicateCouchDB } from 'rxdb/plugins/replication-couchdb';
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';

interface Note {
  readonly id: string;
  readonly text: string;
  readonly stars: number;
}
type Notes = RxCollection<Note>;
type Sync = ReturnType<typeof replicateCouchDB<Note>>;

const schema: RxJsonSchema<Note> = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  properties: {
    id: { type: 'string', maxLength: 100 },
    text: { type: 'string' },
    stars: { type: 'number' },
  },
  required: ['id', 'text', 'stars'],
};

const harness = openHarness();
const closers: (() => Promise<unknown>)[] = [];
let node: TestNode;
let devices = 0;

beforeAll(async () => {
  node = await harness.startNode();
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
  await harness.close();
});

/** A database of its own, as on another device; texts that differ are joined, and more stars win. */
async function device(): Promise<Notes> {
  devices += 1;
  const database = await createRxDatabase({
    name: `device-${devices}`,
    storage: getRxStorageMemory(),
    multiInstance: false,
  });
  closers.push(() => database.close());
  const { notes } = await database.addCollections({
    notes: {
      schema,
      conflictHandler: {
        isEqual: (one, other) =>
          one.text === other.text && one.stars === other.stars && one._deleted === other._deleted,
        resolve: async ({ newDocumentState: mine, realMasterState: theirs }) => ({
          ...theirs,
          text: [...new Set([...mine.text.split(' | '), ...theirs.text.split(' | ')])].sort().join(' | '),
          stars: Math.max(mine.stars, theirs.stars),
        }),
      },
    },
  });
  return notes as Notes;
}

function sync(collection: Notes, url: string): Sync {
  const state = replicateCouchDB<Note>({
    replicationIdentifier: `${url} ${collection.database.name}`,
    collection,
    url: `${url}/`,
    live: true,
    retryTime: 100,
    pull: { batchSize: 20 },
    push: { batchSize: 20 },
  });
  closers.push(() => state.cancel());
  return state;
}

async function remote(name: string, at: TestNode = node): Promise<string> {
  const answer = await fetch(`${at.url}/${name}`, { method: 'PUT' });
  expect(answer.status).toBe(201);
  return `${at.url}/${name}`;
}

async function contents(collection: Notes): Promise<readonly string[]> {
  const found = await collection.find().exec();
  return found.map(({ id, text, stars }) => `${id}: ${text} ${stars}`).sort();
}

async function have(collections: readonly Notes[], expected: readonly string[]): Promise<void> {
  await waitUntil(`all have ${JSON.stringify(expected)}`, async () => {
    const all = await Promise.all(collections.map(contents));
    return all.every((one) => JSON.stringify(one) === JSON.stringify([...expected].sort()));
  });
}

test('two devices push and pull everything, change each other’s documents and delete them', async () => {
  const url = await remote('rx-both-ways');
  const [phone, tablet] = [await device(), await device()];
  const many = Array.from({ length: 70 }, (_, n) => ({ id: `note-${n}`, text: 'first', stars: n }));
  await phone.bulkInsert(many);
  const errors: unknown[] = [];
  for (const state of [sync(phone, url), sync(tablet, url)])
    state.error$.subscribe((each) => errors.push(each));
  await have(
    [tablet],
    many.map(({ id, text, stars }) => `${id}: ${text} ${stars}`),
  );

  await tablet.find({ selector: { stars: { $gte: 2 } } }).remove();
  await tablet.insert({ id: 'ü/ö + 한국어', text: 'odd id', stars: 5 });
  await tablet.findOne('note-0').patch({ text: 'changed' });
  await have([phone, tablet], ['note-0: changed 0', 'note-1: first 1', 'ü/ö + 한국어: odd id 5']);
  const info = (await (await fetch(url)).json()) as { doc_count: number; doc_del_count: number };
  expect(info).toMatchObject({ doc_count: 3, doc_del_count: 68 });
  expect(errors).toEqual([]);
});

test('a conflict is settled by RxDB’s handler, the same way everywhere', async () => {
  const url = await remote('rx-conflict');
  const [phone, tablet] = [await device(), await device()];
  await phone.insert({ id: 'memo', text: 'left', stars: 1 });
  await tablet.insert({ id: 'memo', text: 'right', stars: 3 });
  const first = sync(phone, url);
  await first.awaitInSync();
  sync(tablet, url);
  await have([phone, tablet], ['memo: left | right 3']);
  const stored = await (await fetch(`${url}/memo?conflicts=true`)).json();
  expect(stored).toMatchObject({ text: 'left | right', stars: 3 });
  expect(stored).not.toHaveProperty('_conflicts');
});

test('devices go on by themselves when the node was killed and comes back', async () => {
  const own = await harness.startNode();
  const url = await remote('rx-restart', own);
  const [phone, tablet] = [await device(), await device()];
  await phone.insert({ id: 'before', text: 'x', stars: 1 });
  const states = [sync(phone, url), sync(tablet, url)];
  await have([phone, tablet], ['before: x 1']);
  await own.kill();
  const refused = Promise.all(states.map((state) => firstOf(state.error$)));
  await phone.insert({ id: 'while away', text: 'phone', stars: 2 });
  await tablet.findOne('before').remove();
  await refused;
  await own.start();
  await have([phone, tablet], ['while away: phone 2']);
});

function firstOf(source: Sync['error$']): Promise<unknown> {
  return new Promise((resolve) => {
    const subscription = source.subscribe((value) => {
      subscription.unsubscribe();
      resolve(value);
    });
  });
}
