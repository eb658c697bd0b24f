/** The real PouchDB and a leaderless database whose replicas have forgotten deletions while the phone was away. */

import PouchDB from 'pouchdb';
import memoryAdapter from 'pouchdb-adapter-memory';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createLeaderless } from './leaderless-cluster.ts';
import { remotePouchDB } from './remote-pouchdb.ts';
import { ask } from './single-leader-cluster.ts';

PouchDB.plugin(memoryAdapter);
/** Three nodes start, which takes a busy machine its time. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const harness = openHarness();
let nodes: readonly TestNode[];

beforeAll(async () => {
  nodes = await harness.startCluster(3);
  await createLeaderless(nodes, 'notes', 'anti_entropy=false&tombstone_horizon_ms=1&w=3');
});
afterAll(() => harness.close());

const notes = (node: TestNode, path: string) => `${node.url}/notes/${path}`;

/** Rows of the node's own feed, deletions too. */
async function rowsOf(node: TestNode): Promise<readonly string[]> {
  const feed = (await ask('GET', notes(node, '_changes')))?.json as { results: readonly { id: string }[] };
  return feed.results.map(({ id }) => id);
}

/** Compares until the deletions are gone from every feed: a phone's checkpoint is waited for as long as it may move. */
function untilForgotten(ids: readonly string[]): Promise<unknown> {
  return waitUntil(`${ids.join()} forgotten`, async () => {
    for (const node of nodes) await ask('POST', notes(node, '_anti_entropy'), {});
    const rows = await Promise.all(nodes.map(rowsOf));
    return rows.every((row) => !ids.some((id) => row.includes(id)));
  });
}

test('a phone that was away does not bring back what was deleted and forgotten, and an admin may let it', async () => {
  const [first, second, third] = nodes as [TestNode, TestNode, TestNode];
  const phone = new PouchDB('phone', { adapter: 'memory' });
  const server = (node: TestNode) => remotePouchDB(`${node.url}/notes`);
  const ids = ['edited', 'anew', 'untouched'];
  for (const _id of ids) await server(first).put({ _id, said: 'at first' });
  await phone.sync(server(first));

  const mine = await phone.put({ ...(await phone.get('edited')), said: 'on the phone' });
  for (const id of ids) await server(second).remove(id, (await server(second).get(id))._rev);
  await untilForgotten(ids);
  const anew = await server(third).put({ _id: 'anew', said: 'a new life' });
  expect(anew.rev).toMatch(/^3-/);

  // With another node than before: the phone tells everything that it has.
  await phone.sync(server(third));
  for (const node of nodes) {
    expect((await ask('GET', notes(node, 'edited?r=3')))?.status).toBe(404);
    expect((await ask('GET', notes(node, 'untouched?r=3')))?.status).toBe(404);
    const shown = await ask('GET', notes(node, 'anew?r=3&conflicts=true'));
    expect(shown?.json).toEqual({ _id: 'anew', _rev: anew.rev, said: 'a new life' });
  }
  const held = await ask('GET', notes(third, '_quarantine'));
  expect(held?.json).toMatchObject({ total: 1, rows: [{ id: 'edited', rev: mine.rev }] });
  expect(await phone.get('anew', { conflicts: true })).toEqual({
    ...{ _id: 'anew', _rev: anew.rev, said: 'a new life' },
  });

  const accept = [{ id: 'edited', rev: mine.rev }];
  const accepted = await ask('POST', notes(third, '_quarantine'), { accept });
  expect(accepted?.json).toMatchObject({ accepted: [{ became: expect.stringMatching(/^3-/) }] });
  const [{ became } = { became: '' }] = (accepted?.json.accepted ?? []) as readonly { became: string }[];
  await phone.sync(server(third));
  expect(await phone.get('edited', { conflicts: true })).toMatchObject({
    ...{ _rev: became, said: 'on the phone' },
  });
  for (const node of nodes) {
    const shown = await ask('GET', notes(node, 'edited?r=3&conflicts=true'));
    expect(shown?.json).toEqual({ _id: 'edited', _rev: became, said: 'on the phone' });
  }
  await phone.destroy();
});
