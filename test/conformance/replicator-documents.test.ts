/** Replications asked for by documents of the `_replicator` database. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TercetNode } from '../../src/node.ts';
import { call, eventually, ok, openWorld, type World } from './replication-world.ts';

let world: World;
let node: TercetNode;
let numbers = 0;

beforeAll(async () => {
  world = openWorld();
  node = await world.openNode('n1');
});

afterAll(() => world.close());

async function makeSource(): Promise<string> {
  numbers += 1;
  const name = `source-${numbers}`;
  await ok(node.url, 'PUT', `/${name}`);
  await ok(node.url, 'PUT', `/${name}/first`, {});
  return name;
}

async function rowOf(base: string, id: string) {
  return (await call(base, 'GET', `/_scheduler/docs/_replicator/${id}`)).body;
}

async function untilState(base: string, id: string, state: string) {
  await eventually(async () => (await rowOf(base, id))?.state === state, `${id} is ${state}`);
  return rowOf(base, id);
}

describe('a document of _replicator', () => {
  test('that asks for a one-shot replication gets it, and says completed', async () => {
    const source = await makeSource();
    await ok(node.url, 'PUT', '/_replicator/once', {
      source,
      target: `${source}-copy`,
      create_target: true,
      note: 'mine',
    });
    expect(await untilState(node.url, 'once', 'completed')).toMatchObject({
      database: '_replicator',
      info: { docs_written: 1 },
    });
    await eventually(
      async () => (await ok(node.url, 'GET', '/_replicator/once'))._replication_state !== undefined,
      'written back',
    );
    expect(await ok(node.url, 'GET', '/_replicator/once')).toMatchObject({
      note: 'mine',
      _replication_state: 'completed',
      _replication_state_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      _replication_stats: { docs_written: 1, doc_write_failures: 0 },
    });
  });

  test('runs again when its state is removed', async () => {
    const source = await makeSource();
    const request = { source, target: `${source}-copy`, create_target: true };
    await ok(node.url, 'PUT', '/_replicator/again', request);
    await untilState(node.url, 'again', 'completed');
    await ok(node.url, 'PUT', `/${source}/second`, {});
    await eventually(async () => {
      const { _rev } = await ok(node.url, 'GET', '/_replicator/again');
      return (await call(node.url, 'PUT', '/_replicator/again', { ...request, _rev })).status === 201;
    }, 'the document is edited');
    await eventually(
      async () => (await call(node.url, 'GET', `/${source}-copy/second`)).status === 200,
      'it ran again',
    );
  });

  test('that is continuous lives as long as the document', async () => {
    const source = await makeSource();
    const { rev } = await ok(node.url, 'PUT', '/_replicator/live', {
      source,
      target: `${source}-copy`,
      create_target: true,
      continuous: true,
    });
    await untilState(node.url, 'live', 'running');
    await eventually(
      async () => (await call(node.url, 'GET', `/${source}-copy/first`)).status === 200,
      'the first arrives',
    );
    const { id } = await rowOf(node.url, 'live');
    const cancelled = await call(node.url, 'POST', '/_replicate', { cancel: true, replication_id: id });
    expect(cancelled).toMatchObject({ status: 400, body: { reason: expect.stringContaining('live') } });
    await ok(node.url, 'DELETE', `/_replicator/live?rev=${rev}`);
    await eventually(
      async () => (await call(node.url, 'GET', `/_scheduler/jobs/${encodeURIComponent(id)}`)).status === 404,
      'the job ends',
    );
    expect((await call(node.url, 'GET', '/_scheduler/docs/_replicator/live')).status).toBe(404);
  });

  test('that makes no sense says failed, with the reason', async () => {
    await ok(node.url, 'PUT', '/_replicator/odd', { source: 'x', target: 'ftp://nowhere' });
    await untilState(node.url, 'odd', 'failed');
    await eventually(
      async () => (await ok(node.url, 'GET', '/_replicator/odd'))._replication_state === 'failed',
      'written back',
    );
    expect(await ok(node.url, 'GET', '/_replicator/odd')).toMatchObject({
      _replication_state_reason: expect.stringContaining('target'),
    });
  });

  test('whose source is not there says failed when it is one-shot, and tries again when it is continuous', async () => {
    await ok(node.url, 'PUT', '/_replicator/lost', {
      source: 'not-yet',
      target: 'lost-copy',
      create_target: true,
    });
    expect(await untilState(node.url, 'lost', 'failed')).toMatchObject({
      info: { error: expect.stringContaining('db_not_found') },
    });
    await ok(node.url, 'PUT', '/_replicator/waiting', {
      source: 'not-yet',
      target: 'late-copy',
      create_target: true,
      continuous: true,
    });
    await untilState(node.url, 'waiting', 'crashing');
    await ok(node.url, 'PUT', '/not-yet');
    await ok(node.url, 'PUT', '/not-yet/a', {});
    await eventually(async () => (await call(node.url, 'GET', '/late-copy/a')).status === 200, 'it came up');
  });

  test('that asks for what another already does is refused', async () => {
    const source = await makeSource();
    const request = { source, target: `${source}-copy`, create_target: true, continuous: true };
    await ok(node.url, 'PUT', '/_replicator/original', request);
    await untilState(node.url, 'original', 'running');
    await ok(node.url, 'PUT', '/_replicator/twin', request);
    await untilState(node.url, 'twin', 'failed');
    expect(await rowOf(node.url, 'twin')).toMatchObject({
      info: { error: expect.stringContaining('original') },
    });
  });
});

test('passwords are shown nowhere', async () => {
  const source = await makeSource();
  const url = new URL(`${node.url}/${source}`);
  url.username = 'anna';
  url.password = 'very-secret';
  await ok(node.url, 'PUT', '/_replicator/hidden', {
    source: url.href,
    target: 'hidden-copy',
    create_target: true,
    continuous: true,
  });
  await eventually(async () => (await rowOf(node.url, 'hidden')) !== undefined, 'the document is seen');
  for (const path of ['/_scheduler/docs?limit=100', '/_scheduler/jobs?limit=100', '/_active_tasks']) {
    expect(JSON.stringify(await ok(node.url, 'GET', path))).not.toContain('very-secret');
  }
});

test('a node that starts again goes on with continuous replications from their checkpoints, and leaves completed ones alone', async () => {
  const dataDirectory = await world.directory();
  const first = await world.openNode('n9', { dataDirectory });
  await ok(first.url, 'PUT', '/a');
  const docs = Array.from({ length: 300 }, (_, number) => ({ _id: `d${number}` }));
  await ok(first.url, 'POST', '/a/_bulk_docs', { docs });
  const request = { source: 'a', target: 'b', create_target: true };
  await ok(first.url, 'PUT', '/_replicator/live', { ...request, continuous: true, checkpoint_interval: 100 });
  await ok(first.url, 'PUT', '/_replicator/once', { ...request, target: 'c' });
  await untilState(first.url, 'once', 'completed');
  await eventually(async () => {
    const [task] = await ok(first.url, 'GET', '/_active_tasks');
    return task?.docs_written === 300 && task.checkpointed_source_seq === task.through_seq;
  }, 'the checkpoint is written');
  await first.close();

  const second = await world.openNode('n9', { dataDirectory });
  await ok(second.url, 'PUT', '/a/new', {});
  await eventually(
    async () => (await call(second.url, 'GET', '/b/new')).status === 200,
    'the new document arrives',
  );
  const [task] = await ok(second.url, 'GET', '/_active_tasks');
  expect(task).toMatchObject({ doc_id: 'live', revisions_checked: 1, docs_read: 1 });
  expect((await rowOf(second.url, 'once')).state).toBe('completed');
  expect((await call(second.url, 'GET', '/c/new')).status).toBe(404);
});
