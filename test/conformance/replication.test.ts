/** CouchDB's replication as a whole, between every kind of source and target. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  call,
  contentOf,
  eventually,
  fillWithEverything,
  ok,
  openWorld,
  type World,
} from './replication-world.ts';

/** Where the replicator runs, and the base URLs of what holds the two databases. */
interface Pairing {
  readonly name: string;
  readonly sourceIs: 'local' | 'tercet' | 'pouchdb';
  readonly targetIs: 'local' | 'tercet' | 'pouchdb';
}

const pairings: readonly Pairing[] = [
  { name: 'local to local', sourceIs: 'local', targetIs: 'local' },
  { name: 'local to another node', sourceIs: 'local', targetIs: 'tercet' },
  { name: 'another node to local', sourceIs: 'tercet', targetIs: 'local' },
  { name: 'another node to another node', sourceIs: 'tercet', targetIs: 'tercet' },
  { name: 'local to pouchdb-server', sourceIs: 'local', targetIs: 'pouchdb' },
  { name: 'pouchdb-server to local', sourceIs: 'pouchdb', targetIs: 'local' },
];

let world: World;
let bases: Readonly<Record<Pairing['sourceIs'], string>>;
let databasesMade = 0;

beforeAll(async () => {
  world = openWorld();
  const [here, there, pouchdb] = await Promise.all([
    world.openNode('n1'),
    world.openNode('n2'),
    world.startPouchServer(),
  ]);
  bases = { local: here.url, tercet: there.url, pouchdb };
});

afterAll(() => world.close());

describe.each(pairings)('$name', ({ sourceIs, targetIs }) => {
  async function makePair() {
    databasesMade += 1;
    const end = (kind: Pairing['sourceIs'], name: string) => {
      const url = `${bases[kind]}/${name}`;
      return { url, spec: kind === 'local' ? name : url };
    };
    const source = end(sourceIs, `source-${databasesMade}`);
    const target = end(targetIs, `target-${databasesMade}`);
    await ok(source.url, 'PUT', '');
    const replicate = (options: object = {}) =>
      call(bases.local, 'POST', '/_replicate', {
        source: source.spec,
        target: target.spec,
        create_target: true,
        ...options,
      });
    return { source, target, replicate };
  }

  test('copies documents of every kind with their conflicts, deletions, histories and attachments', async () => {
    const { source, target, replicate } = await makePair();
    await fillWithEverything(source.url);
    const reply = await replicate();
    expect(reply).toMatchObject({ status: 200, body: { ok: true, history: [{ doc_write_failures: 0 }] } });
    expect(await contentOf(target.url)).toEqual(await contentOf(source.url));
  });

  test('reads again only what is new', async () => {
    const { source, target, replicate } = await makePair();
    await fillWithEverything(source.url);
    await replicate();
    expect((await replicate()).body).toMatchObject({ ok: true, no_changes: true });
    await ok(source.url, 'PUT', '/later', { x: 1 });
    const { body } = await replicate();
    expect(body.history[0]).toMatchObject({
      missing_checked: 1,
      missing_found: 1,
      docs_read: 1,
      docs_written: 1,
    });
    expect(body.history).toHaveLength(2);
    expect(await ok(target.url, 'GET', '/later')).toMatchObject({ x: 1 });
  });

  test('follows the source as long as it is continuous, and stops when it is cancelled', async () => {
    const { source, target, replicate } = await makePair();
    const begun = await replicate({ continuous: true, checkpoint_interval: 100 });
    expect(begun.status).toBe(202);
    for (const id of ['one', 'two']) {
      await eventually(async () => (await call(source.url, 'GET', '')).status === 200, 'the source is there');
      await ok(source.url, 'PUT', `/${id}`, {});
      await eventually(async () => (await call(target.url, 'GET', `/${id}`)).status === 200, `${id} arrives`);
    }
    const tasks = (await ok(bases.local, 'GET', '/_active_tasks')) as readonly Record<string, unknown>[];
    expect(tasks.find((task) => task.replication_id === begun.body._local_id)).toMatchObject({
      type: 'replication',
      continuous: true,
      docs_written: 2,
      doc_write_failures: 0,
    });
    expect((await replicate({ continuous: true, cancel: true })).status).toBe(200);
    expect((await replicate({ continuous: true, cancel: true })).status).toBe(404);
  });

  test('copies only the documents that are named', async () => {
    const { source, target, replicate } = await makePair();
    await ok(source.url, 'POST', '/_bulk_docs', { docs: ['a', 'b', 'c'].map((_id) => ({ _id })) });
    await replicate({ doc_ids: ['a', 'c', 'never there'] });
    expect(Object.keys(await contentOf(target.url)).sort()).toEqual(['a', 'c']);
  });

  test('large attachments arrive whole, whatever their names', async () => {
    const { source, target, replicate } = await makePair();
    const contents = ['b/c.bin', '10', '9'].map((name, index) => {
      return { name, bytes: Buffer.alloc(1_000_001 + index, `${name} `) };
    });
    let { rev } = await ok(source.url, 'PUT', '/big', {});
    for (const { name, bytes } of contents) {
      const headers = { 'content-type': 'application/x-tercet' };
      const put = await fetch(`${source.url}/big/${name}?rev=${rev}`, {
        method: 'PUT',
        headers,
        body: bytes,
      });
      expect(put.status).toBe(201);
      rev = ((await put.json()) as { readonly rev: string }).rev;
    }
    expect((await replicate()).body).toMatchObject({ ok: true, history: [{ doc_write_failures: 0 }] });
    for (const { name, bytes } of contents) {
      const got = await fetch(`${target.url}/big/${name}`);
      expect(got.headers.get('content-type')).toContain('application/x-tercet');
      expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  test('a source that is not there is said so', async () => {
    const { replicate, source } = await makePair();
    const missing = sourceIs === 'local' ? 'never-made' : `${bases[sourceIs]}/never-made`;
    expect(await replicate({ source: missing })).toMatchObject({
      status: 404,
      body: { error: 'db_not_found' },
    });
    await ok(source.url, 'GET', '');
  });
});

describe('selections of a Tercet source', () => {
  test.each(['local', 'tercet'] as const)('a selector chooses documents (%s)', async (kind) => {
    const name = `selected-${kind}`;
    const url = `${bases[kind]}/${name}`;
    await ok(url, 'PUT', '');
    await ok(url, 'POST', '/_bulk_docs', { docs: [1, 2, 3, 4].map((size) => ({ _id: `d${size}`, size })) });
    const request = {
      source: kind === 'local' ? name : url,
      target: `${name}-copy`,
      create_target: true,
      selector: { size: { $gt: 2 } },
    };
    await ok(bases.local, 'POST', '/_replicate', request);
    expect(Object.keys(await contentOf(`${bases.local}/${name}-copy`)).sort()).toEqual(['d3', 'd4']);
  });

  test.each(['local', 'tercet'] as const)('winning revisions alone may be copied (%s)', async (kind) => {
    const name = `winners-${kind}`;
    const url = `${bases[kind]}/${name}`;
    await ok(url, 'PUT', '');
    await fillWithEverything(url);
    const request = {
      source: kind === 'local' ? name : url,
      target: `${name}-copy`,
      create_target: true,
      winning_revs_only: true,
    };
    await ok(bases.local, 'POST', '/_replicate', request);
    const copy = await contentOf(`${bases.local}/${name}-copy`);
    expect(copy.conflicted).toHaveLength(1);
  });

  test('a start can be given', async () => {
    const url = `${bases.local}/since`;
    await ok(url, 'PUT', '');
    await ok(url, 'PUT', '/before', {});
    const { last_seq } = await ok(url, 'GET', '/_changes');
    await ok(url, 'PUT', '/after', {});
    await ok(bases.local, 'POST', '/_replicate', {
      source: 'since',
      target: 'since-copy',
      create_target: true,
      since_seq: last_seq,
    });
    expect(Object.keys(await contentOf(`${bases.local}/since-copy`))).toEqual(['after']);
  });
});
