/** Another node takes the place of an owner that is gone: nothing acknowledged is missed meanwhile and afterwards. */

import { afterEach, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createLeaderless, startWriting, untilCaughtUp } from './leaderless-cluster.ts';
import { agreedLeader, ask, type Reply, untilStatus } from './single-leader-cluster.ts';

const harness = openHarness();
afterEach(() => harness.close());

interface ShownReplica {
  readonly node: string;
  readonly kind: string;
  readonly state: string | null;
}

async function shownOn(node: TestNode): Promise<{
  readonly owners: readonly string[];
  readonly replicas: readonly ShownReplica[];
}> {
  const { json } = await untilStatus(200, 'GET', `${node.url}/carts/_replication`);
  return json as unknown as Awaited<ReturnType<typeof shownOn>>;
}

/** Four nodes, of which one is no owner. */
async function started() {
  const nodes = await harness.startCluster(4);
  await createLeaderless(nodes, 'carts', 'n=3&w=2&r=2&quorum=strict&anti_entropy=false&read_repair=off');
  const { leader } = await agreedLeader(nodes);
  const { owners } = await shownOn(leader);
  const isOwner = ({ name }: TestNode) => owners.includes(name);
  const spare = nodes.find((node) => !isOwner(node))!;
  const gone = nodes.find((node) => isOwner(node) && node !== leader)!;
  const rest = nodes.filter((node) => node !== gone);
  const wanted = owners.map((owner) => (owner === gone.name ? spare.name : owner));
  const change = (list: unknown, other: object = {}): Promise<Reply | undefined> =>
    ask('PUT', `${leader.url}/carts/_replication`, { owners: list, ...other });
  return { nodes, leader, owners, spare, gone, rest, survivors: rest.filter(isOwner), wanted, change };
}

async function removed(leader: TestNode, gone: TestNode): Promise<void> {
  await waitUntil(`${gone.name} is removed`, async () => {
    await ask('DELETE', `${leader.url}/_cluster/nodes/${gone.name}`);
    return (await ask('GET', `${leader.url}/_cluster/nodes/${gone.name}`))?.status === 404;
  });
}

test('under load: it is filled, has what the other one missed, and another owner may be lost then', async () => {
  const { change, gone, leader, owners, rest, spare, survivors, wanted } = await started();
  const before = startWriting(survivors, 'carts', 'before');
  await waitUntil('there is something to fill', () => before.acknowledged.length >= 100);
  await gone.kill();
  const member = await change(wanted);
  expect([member?.status, member?.json.reason]).toEqual([412, expect.stringContaining('node remove')]);
  await removed(leader, gone);
  for (const wrong of [owners.slice(1), ['x', ...owners.slice(1)], [spare.name, 'x', 'y'], 'n1']) {
    expect((await change(wrong))?.status).toBe(400);
  }
  expect((await change(wanted, { r: 1 }))?.status).toBe(400);

  await waitUntil('the owner is replaced', async () => (await change(wanted))?.status === 200);
  for (const node of rest) {
    await waitUntil(`${node.name} shows that all owners are whole`, async () => {
      const shown = await shownOn(node);
      const states = shown.replicas.filter(({ kind }) => kind === 'owner').map(({ state }) => state);
      return shown.owners.join() === wanted.join() && states.join() === 'whole,whole,whole';
    });
  }
  await before.stop();
  expect(before.unexpected).toEqual([]);
  await untilCaughtUp(spare, 'carts', before.acknowledged);

  // One more of the first three: without the new one there would be no majority of owners.
  const [lost, last] = survivors.toSorted((a) => (a === leader ? 1 : -1)) as [TestNode, TestNode];
  await lost.kill();
  const [some] = before.acknowledged;
  for (const node of [last, spare]) {
    const read = await untilStatus(200, 'GET', `${node.url}/carts/${some!.id}`);
    const names = [last.name, spare.name].toSorted().join();
    expect(read.headers.get('tercet-consistency')).toBe(`quorum; r=2/3; ${names}`);
    await untilStatus(201, 'PUT', `${node.url}/carts/after-${node.name}`, {});
  }
}, 120_000);

test("one that still runs when its place is another's takes no write and no read, also where it alone would be enough", async () => {
  const { change, gone, leader, spare, survivors, wanted } = await started();
  await untilStatus(201, 'PUT', `${gone.url}/carts/first`, {});
  await removed(leader, gone);
  await waitUntil('the owner is replaced', async () => (await change(wanted))?.status === 200);
  await waitUntil('the new one is whole', async () => {
    return (await shownOn(leader)).replicas.find(({ node }) => node === spare.name)?.state === 'whole';
  });
  for (const [method, path] of [
    ['PUT', 'astray?w=1'],
    ['PUT', 'astray?w=2'],
    ['PUT', 'astray?coordinator=client'],
    ['GET', 'first?r=1'],
    ['GET', 'first?r=2'],
    ['GET', '_all_docs'],
  ] as const) {
    const url = `${gone.url}/carts/${path}`;
    const refused = await untilStatus(503, method, url, method === 'PUT' ? {} : undefined);
    expect(refused.json.error, path).toBe('removed_from_cluster');
    expect(refused.headers.get('tercet-write')).toBe(method === 'PUT' ? 'did_not_happen' : null);
  }
  // What it has can still be fetched by who says that it may be old.
  expect((await ask('GET', `${gone.url}/carts/first?consistency=eventual`))?.status).toBe(200);
  for (const node of [...survivors, spare]) {
    expect((await untilStatus(404, 'GET', `${node.url}/carts/astray`)).status).toBe(404);
    expect((await untilStatus(200, 'GET', `${node.url}/carts/first`)).status).toBe(200);
  }
}, 120_000);
