/** Leaderless databases with the client as coordinator: it talks to every replica itself. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, connectReplicas, QuorumError, RequestError } from '../../src/client/client.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createLeaderless } from './leaderless-cluster.ts';
import { ask } from './single-leader-cluster.ts';

const harness = openHarness();
let nodes: readonly TestNode[];
let third: TestNode;

beforeAll(async () => {
  nodes = await harness.startCluster(3);
  third = nodes[2]!;
});
afterAll(() => harness.close());

interface Cart {
  readonly items: readonly string[];
}

/** What was missed comes back by reading alone: hints and anti-entropy are off. */
async function cartsOf(name: string, settings: object = {}, query = '') {
  await createLeaderless(nodes, name, `n=3&hints=false&anti_entropy=false${query}`);
  const urls = Object.fromEntries(nodes.map((node) => [node.name, node.url]));
  return connectReplicas(urls).database<Cart>(name, { timeoutMs: 2_000, ...settings });
}

/** What one replica has by itself: `7-a…`, with siblings behind it. */
async function leavesOn(node: TestNode, database: string, id: string): Promise<readonly string[]> {
  const query = 'open_revs=all&coordinator=client';
  const answer = await fetch(`${node.url}/${database}/${id}?${query}`, {
    headers: { accept: 'application/json' },
  });
  if (answer.status === 404) return [];
  const rows = (await answer.json()) as { ok?: { _rev: string }; grave?: readonly string[] }[];
  return rows.map(({ grave, ok }) => ok?._rev ?? `grave ${grave}`);
}

/** A write of which it is known that all three have it. */
async function putEverywhere(carts: Awaited<ReturnType<typeof cartsOf>>, cart: Cart & { _id: string }) {
  const written = await carts.put(cart, { w: 3 });
  await carts.settled();
  return written;
}

describe('A client that coordinates', () => {
  test('writes to all, is answered after W, reads from R', async () => {
    const carts = await cartsOf('all');
    const { rev, durableOn } = await carts.put({ _id: 'anna', items: ['bread'] });
    expect(durableOn.length).toBeGreaterThanOrEqual(2);
    await carts.settled();
    for (const node of nodes) expect(await leavesOn(node, 'all', 'anna')).toEqual([rev]);
    const read = await carts.get('anna');
    expect(read).toMatchObject({ document: { _id: 'anna', _rev: rev, items: ['bread'] }, siblings: [] });
    expect(Object.keys(read.document!)).not.toContain('_revisions');
    expect(read.from).toHaveLength(2);
    const removed = await carts.remove({ _id: 'anna', _rev: rev });
    expect(removed.rev).toMatch(/^2-/);
    expect((await carts.get('anna', { r: 3 })).document).toBeUndefined();
    expect((await carts.get('nobody', { r: 3 })).document).toBeUndefined();
  });

  test('an edit of what is not the latest is a conflict, and definitely did not happen', async () => {
    const carts = await cartsOf('stale');
    const first = await putEverywhere(carts, { _id: 'anna', items: [] });
    const second = await carts.put({ _id: 'anna', _rev: first.rev, items: ['bread'] }, { w: 3 });
    for (const base of [{}, { _rev: first.rev }]) {
      const again = carts.put({ _id: 'anna', ...base, items: ['milk'] });
      await expect(again).rejects.toBeInstanceOf(RequestError);
      await expect(again).rejects.toMatchObject({ status: 409, writeOutcome: 'did_not_happen' });
    }
    for (const node of nodes) expect(await leavesOn(node, 'stale', 'anna')).toEqual([second.rev]);
  });

  test('what two wrote at the same time become siblings, which everybody reads, and a person settles', async () => {
    const carts = await cartsOf('siblings');
    const base = await putEverywhere(carts, { _id: 'anna', items: [] });
    // Two who did not hear of each other: each reached a replica that the other one did not.
    const [one, two] = await Promise.all(
      nodes.slice(0, 2).map(async ({ url }, index) => {
        const body = JSON.stringify({ _rev: base.rev, items: [`item ${index}`] });
        const answer = await fetch(`${url}/siblings/anna?coordinator=client`, { method: 'PUT', body });
        return ((await answer.json()) as { rev: string }).rev;
      }),
    );
    const { document, siblings, repaired } = await carts.get('anna', { r: 3 });
    expect([document?._rev, ...siblings.map(({ _rev }) => _rev)].sort()).toEqual([one, two].sort());
    expect([...repaired].sort()).toEqual(['n1', 'n2', 'n3']);
    await carts.settled();
    for (const node of nodes) {
      expect([...(await leavesOn(node, 'siblings', 'anna'))].sort()).toEqual([one, two].sort());
    }
    await carts.remove(siblings[0]!);
    const merged = await carts.put({ ...document!, items: ['item 0', 'item 1'] });
    const after = await carts.get('anna', { r: 3 });
    expect(after).toMatchObject({
      document: { _rev: merged.rev, items: ['item 0', 'item 1'] },
      siblings: [],
    });
  });

  test('does not show what a replica has forgotten as deleted, and sees to it that the others hear of it', async () => {
    await createLeaderless(nodes, 'buried', 'hints=false&anti_entropy=false&tombstone_horizon_ms=1&w=3');
    const urls = Object.fromEntries(nodes.map((node) => [node.name, node.url]));
    const carts = connectReplicas(urls).database<Cart>('buried', { w: 3, readRepair: 'blocking' });
    const first = await carts.put({ _id: 'anna', items: ['bread'] });
    const dead = await carts.remove({ _id: 'anna', _rev: first.rev });
    const [forgetful, misled] = nodes as [TestNode, TestNode];
    await waitUntil('n1 has forgotten it', async () => {
      await fetch(`${forgetful.url}/buried/_anti_entropy`, { method: 'POST' });
      return (await leavesOn(forgetful, 'buried', 'anna')).join() === `grave ${dead.rev}`;
    });
    // What somebody made of an old copy meanwhile reaches one that has not forgotten yet.
    const old = `2-${'e'.repeat(32)}`;
    const _revisions = { start: 2, ids: ['e'.repeat(32), first.rev.slice(2)] };
    const body = JSON.stringify({ _id: 'anna', _rev: old, _revisions, items: ['stale'] });
    const path = `${misled.url}/buried/anna?new_edits=false&coordinator=client`;
    expect((await fetch(path, { method: 'PUT', body })).status).toBe(201);
    expect(await leavesOn(misled, 'buried', 'anna')).toContain(old);

    const read = await carts.get('anna', { r: 3 });
    expect(read).toMatchObject({ document: undefined, siblings: [], repaired: ['n2'] });
    // Without waiting for anything else: the answer came after it was told.
    expect(await leavesOn(misled, 'buried', 'anna')).toEqual([`grave ${dead.rev}`]);
    const alone = connectReplicas({ n2: misled.url }).database<Cart>('buried');
    expect((await alone.get('anna')).document).toBeUndefined();
    const quarantine = await (await fetch(`${misled.url}/buried/_quarantine`)).json();
    expect(quarantine).toMatchObject({ total: 1, rows: [{ id: 'anna', rev: old }] });
    const anew = await carts.put({ _id: 'anna', items: ['milk'] });
    expect((await carts.get('anna', { r: 3 })).document?._rev).toBe(anew.rev);
  });

  test('wrong counts are refused before anything is sent', async () => {
    const carts = await cartsOf('counts');
    await expect(carts.get('x', { r: 4 })).rejects.toThrow('r must be a whole number from 1 to 3');
    expect(() => carts.put({ _id: 'x', items: [] }, { w: 0 })).toThrow(
      'w must be a whole number from 1 to 3',
    );
    await expect(cartsOf('counts', { r: 9 })).rejects.toThrow(RangeError);
  });

  test('what all replicas answer alike is told as they tell it', async () => {
    const urls = Object.fromEntries(nodes.map((node) => [node.name, node.url]));
    const nowhere = connectReplicas(urls).database('nowhere');
    await expect(nowhere.put({ _id: 'x' })).rejects.toMatchObject({
      status: 404,
      reason: 'Database does not exist.',
      writeOutcome: 'did_not_happen',
    });
    await expect(nowhere.get('x')).rejects.toBeInstanceOf(QuorumError);
  });
});

describe('While a replica is away', () => {
  test('it misses a write; who reads all three sees version 7 beside 6, takes 7 and writes it back', async () => {
    const carts = await cartsOf('missed');
    let rev: string | undefined;
    for (let version = 1; version <= 6; version++) {
      const base = rev === undefined ? {} : { _rev: rev };
      ({ rev } = await carts.put({ _id: 'anna', ...base, items: [`version ${version}`] }, { w: 3 }));
    }
    await carts.settled();
    await third.kill();
    const written = await carts.put({ _id: 'anna', _rev: rev!, items: ['version 7'] });
    expect([...written.durableOn].sort()).toEqual(['n1', 'n2']);
    await carts.settled();
    await third.start();
    expect(await leavesOn(third, 'missed', 'anna')).toEqual([rev]);
    expect(rev).toMatch(/^6-/);

    const { document, siblings, from, repaired } = await carts.get('anna', { r: 3 });
    expect(document).toMatchObject({ _rev: written.rev, items: ['version 7'] });
    expect(written.rev).toMatch(/^7-/);
    expect([siblings, [...from].sort(), repaired]).toEqual([[], ['n1', 'n2', 'n3'], ['n3']]);
    await carts.settled();
    expect(await leavesOn(third, 'missed', 'anna')).toEqual([written.rev]);
  });

  test('a read with r=1 of it is stale, one with blocking repair leaves R that are not', async () => {
    const carts = await cartsOf('blocking', { readRepair: 'blocking' });
    const first = await putEverywhere(carts, { _id: 'anna', items: [] });
    await third.kill();
    const second = await carts.put({ _id: 'anna', _rev: first.rev, items: ['bread'] });
    await carts.settled();
    await third.start();
    const alone = connectReplicas({ n3: third.url }).database<Cart>('blocking');
    expect((await alone.get('anna')).document?._rev).toBe(first.rev);
    const read = await carts.get('anna', { r: 3 });
    expect(read.document?._rev).toBe(second.rev);
    // Without waiting for anything else: the answer came after the repair.
    expect(await leavesOn(third, 'blocking', 'anna')).toEqual([second.rev]);
  });

  test('an edit of what a replica never heard of reaches it with its history, attachments too', async () => {
    const carts = await cartsOf('unheard');
    await third.kill();
    const bread = { content_type: 'text/plain', data: btoa('bread') };
    const attached = { _id: 'anna', items: [], _attachments: { 'list.txt': bread } };
    const first = await carts.put(attached);
    // Read while it is away: a read that meets it would bring it the first revision.
    const { document } = await carts.get('anna', { r: 2 });
    await carts.settled();
    await third.start();
    const second = await carts.put({ ...document!, items: ['bread'] }, { w: 3 });
    expect(second.rev).toMatch(/^2-/);
    expect(await leavesOn(third, 'unheard', 'anna')).toEqual([second.rev]);
    const content = await fetch(`${third.url}/unheard/anna/list.txt?coordinator=client`);
    expect(await content.text()).toBe('bread');
    expect(await connect(third.url).database('unheard').get('anna', { rev: first.rev })).toBeUndefined();
  });

  test('fewer than W or R is told with who answered, and a partial write stays', async () => {
    const carts = await cartsOf('few', { r: 3, w: 3 });
    await third.kill();
    try {
      const partial = await carts.put({ _id: 'anna', items: [] }).catch((error: unknown) => error);
      expect(partial).toBeInstanceOf(QuorumError);
      expect(partial).toMatchObject({ outcome: 'partial', needed: 3, writeOutcome: 'unknown' });
      const { reached, rev, errors } = partial as QuorumError;
      expect(['n1', 'n2']).toEqual(expect.arrayContaining([...reached]));
      expect([reached.length > 0, [...errors.keys()]]).toEqual([true, ['n3']]);
      await expect(carts.get('anna')).rejects.toMatchObject({ outcome: 'unreached', needed: 3 });
      expect((await carts.get('anna', { r: 2 })).document?._rev).toBe(rev);
    } finally {
      await third.start();
    }
  });

  test('a replica that hangs is not waited for', async () => {
    const faults: string[] = [];
    const onFault = ({ replica, during }: { replica: string; during: string }) => {
      faults.push(`${replica} ${during}`);
    };
    const carts = await cartsOf('hanging', { onFault });
    await putEverywhere(carts, { _id: 'anna', items: [] });
    process.kill(nodes[0]!.pid, 'SIGSTOP');
    try {
      const { durableOn } = await carts.put({ _id: 'bert', items: [] });
      expect([...durableOn].sort()).toEqual(['n2', 'n3']);
      expect((await carts.get('anna')).document).toBeDefined();
      await carts.settled();
      expect(faults).toContain('n1 write');
    } finally {
      process.kill(nodes[0]!.pid, 'SIGCONT');
    }
  });
});

describe('On a merge that a replica has not heard of', () => {
  /** n3 knows one of two branches; n1 and n2 know both, and merged them. Gives the merge. */
  async function mergedWithoutThird(database: string) {
    const carts = await cartsOf(database, {}, '&resolver=merge');
    const root = await putEverywhere(carts, { _id: 'anna', items: [] });
    const written = (node: TestNode, body: object, query = '') =>
      ask('PUT', `${node.url}/${database}/anna?coordinator=client${query}`, body);
    const [first, second] = nodes as [TestNode, TestNode];
    const branches = [];
    for (const [node, mark] of [
      ...([
        [first, 'here'],
        [third, 'there'],
      ] as const),
    ]) {
      const body = { _rev: root.rev, items: [], [mark]: 1 };
      const made = await written(node, body);
      const rev = String(made?.json.rev);
      const _revisions = { start: 2, ids: [rev, root.rev].map((each) => each.slice(2)) };
      branches.push({ ...body, _rev: rev, _revisions });
    }
    for (const node of [first, second]) {
      for (const branch of branches) await written(node, branch, '&new_edits=false');
    }
    const { document } = await connectReplicas({ n1: first.url }).database<Cart>(database).get('anna');
    expect(document).toMatchObject({ _rev: expect.stringMatching(/^3-/), here: 1, there: 1 });
    expect(await leavesOn(third, database, 'anna')).toEqual([branches[1]!._rev]);
    const alone = connectReplicas({ n3: third.url }).database<Cart>(database);
    return { carts, merge: document!, alone };
  }

  test('a deletion brings it what the merge took in as ended, and nothing is back there', async () => {
    const { alone, carts, merge } = await mergedWithoutThird('merged-deleted');
    await carts.remove(merge, { w: 3 });
    expect(await alone.get('anna')).toMatchObject({ document: undefined, siblings: [] });
  });

  test('nor is it a sibling of an edit, or merged with it once more', async () => {
    const { alone, carts, merge } = await mergedWithoutThird('merged-edited');
    const { _id, _rev } = merge;
    // Without what the ended branch had added.
    const edited = await carts.put({ _id, _rev, items: ['bread'] }, { w: 3 });
    expect(await alone.get('anna')).toMatchObject({
      document: { _id, _rev: edited.rev, items: ['bread'] },
      siblings: [],
    });
    const everywhere = await Promise.all(nodes.map((node) => leavesOn(node, 'merged-edited', 'anna')));
    for (const leaves of everywhere) expect([...leaves].sort()).toEqual([...everywhere[0]!].sort());
  });
});
