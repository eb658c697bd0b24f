/** Nodes that were given each other as peers keep databases of the same name equal. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TercetNode } from '../../src/node.ts';
import { freePorts } from '../ports.ts';
import {
  call,
  contentOf,
  eventually,
  fillWithEverything,
  ok,
  openWorld,
  type World,
} from './replication-world.ts';

interface Member {
  readonly name: string;
  readonly url: string;
  open(): Promise<TercetNode>;
}

let world: World;
let members: readonly Member[];
let nodes: TercetNode[];

beforeEach(async () => {
  world = openWorld();
  const names = ['n1', 'n2', 'n3'];
  const ports = await freePorts(names.length);
  const peers = Object.fromEntries(names.map((name, index) => [name, `http://127.0.0.1:${ports[index]}`]));
  const directories = await Promise.all(names.map(() => world.directory()));
  members = names.map((name, index) => ({
    name,
    url: peers[name]!,
    open: () => {
      const listen = `127.0.0.1:${ports[index]}`;
      return world.openNode(name, { dataDirectory: directories[index]!, listen, peers });
    },
  }));
  nodes = await Promise.all(members.map((member) => member.open()));
});

afterEach(() => world.close());

async function untilEqual(database: string): Promise<void> {
  await eventually(async () => {
    const [first, ...others] = await Promise.all(members.map(({ url }) => contentOf(`${url}/${database}`)));
    return others.every((other) => sameContent(first, other));
  }, `${database} is equal everywhere`);
}

function sameContent(one: unknown, other: unknown): boolean {
  const sorted = (content: unknown) =>
    JSON.stringify(Object.entries(content as object).sort(([a], [b]) => (a < b ? -1 : 1)));
  return sorted(one) === sorted(other);
}

/** Multi-leader: made by one node, it is there on all. */
async function createEverywhere(database: string): Promise<void> {
  await eventually(async () => {
    const { status } = await call(members[0]!.url, 'PUT', `/${database}?strategy=multi-leader`);
    return status === 201;
  }, 'somebody leads and creates it');
  await Promise.all(members.map(({ url }) => ok(url, 'GET', `/${database}`)));
}

test('what is written on any node appears on all, and a conflict has the same winner everywhere', async () => {
  await createEverywhere('shared');
  await fillWithEverything(`${members[0]!.url}/shared`);
  await Promise.all(members.map(({ url, name }) => ok(url, 'PUT', `/shared/from-${name}`, { name })));
  await Promise.all(members.map(({ url, name }) => ok(url, 'PUT', '/shared/fought-over', { by: name })));
  await untilEqual('shared');
  const winners = await Promise.all(
    members.map(({ url }) => ok(url, 'GET', '/shared/fought-over?conflicts=true')),
  );
  expect(new Set(winners.map((winner) => winner._rev)).size).toBe(1);
  expect(winners[0]._conflicts).toHaveLength(2);
});

test('a node that was away catches up from its checkpoint', async () => {
  await createEverywhere('shared');
  const docs = Array.from({ length: 200 }, (_, number) => ({ _id: `before-${number}` }));
  await ok(members[0]!.url, 'POST', '/shared/_bulk_docs', { docs });
  await untilEqual('shared');
  const link = async () =>
    (await ok(members[2]!.url, 'GET', '/_active_tasks')).filter(
      (task: { target: string }) => task.target === 'shared',
    );
  await eventually(async () => {
    const tasks = await link();
    return (
      tasks.length === 2 &&
      tasks.every((task: Record<string, unknown>) => task.checkpointed_source_seq === task.through_seq)
    );
  }, 'checkpoints are written');
  await nodes[2]!.close();
  await ok(members[0]!.url, 'PUT', '/shared/while-away', {});
  await members[2]!.open();
  await eventually(
    async () => (await call(members[2]!.url, 'GET', '/shared/while-away')).status === 200,
    'it caught up',
  );
  for (const task of await link()) expect(task.revisions_checked).toBeLessThan(200);
});

test('a database that a peer lacks is linked when it is made there, and unlinked when it is deleted here', async () => {
  const [one, two] = members;
  // Made by a program in the node, they are each node's own, and equal because they have one name.
  await nodes[0]!.databases.create('late');
  await ok(one!.url, 'PUT', '/late/a', {});
  await nodes[1]!.databases.create('late');
  await eventually(
    async () => (await call(two!.url, 'GET', '/late/a')).status === 200,
    'the document arrives',
  );
  await ok(two!.url, 'PUT', '/late/b', {});
  await eventually(async () => (await call(one!.url, 'GET', '/late/b')).status === 200, 'and the other way');
  await ok(two!.url, 'DELETE', '/late');
  await eventually(async () => {
    const { jobs } = await ok(two!.url, 'GET', '/_scheduler/jobs?limit=100');
    return jobs.every((job: { readonly target: string }) => job.target !== 'late');
  }, 'no job is left');
});

test('users are the same everywhere, and each node keeps its own replications', async () => {
  const user = {
    _id: 'org.couchdb.user:anna',
    name: 'anna',
    password: 'a long password',
    roles: [],
    type: 'user',
  };
  await eventually(
    async () => (await call(members[0]!.url, 'GET', '/_users')).status === 200,
    'the first leader makes the database',
  );
  await ok(members[0]!.url, 'PUT', '/_users/org.couchdb.user:anna', user);
  // At once: no node refuses her before it has caught up.
  for (const { url } of members) {
    await ok(url, 'POST', '/_session', { name: 'anna', password: 'a long password' });
  }
  const { jobs } = await ok(members[0]!.url, 'GET', '/_scheduler/jobs?limit=100');
  expect(jobs.map((job: { readonly target: string }) => job.target)).not.toContain('_replicator');
});
