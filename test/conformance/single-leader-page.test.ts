/** What docs/single-leader.md tells a reader to try, tried on three nodes: each step of the page in the page's order. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TercetNode } from '../../src/node.ts';
import { freePorts } from '../ports.ts';
import { eventually, openWorld } from './replication-world.ts';

interface Member {
  readonly name: string;
  readonly url: string;
  readonly open: () => Promise<TercetNode>;
  node: TercetNode | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read member by member, and a wrong one fails the test.
  readonly json: any;
}

const world = openWorld();
let members: readonly Member[];

async function ask(
  { url }: Member,
  method: string,
  path: string,
  body?: object,
  more: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...more },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

/** The leader and those who follow it, once all that run agree. */
async function roles(): Promise<{ readonly leader: Member; readonly followers: readonly Member[] }> {
  const running = members.filter(({ node }) => node !== undefined);
  let leader: Member | undefined;
  await eventually(async () => {
    const views = await Promise.all(running.map((member) => ask(member, 'GET', '/_cluster')));
    const { json: leading } = views.find(({ json }) => json.role === 'leader') ?? { json: undefined };
    leader = running.find(({ name }) => name === leading?.node);
    return leader !== undefined && views.every(({ json }) => json.leader === leader!.name);
  }, 'all follow one leader');
  return { leader: leader!, followers: running.filter((member) => member !== leader) };
}

async function stop(member: Member): Promise<void> {
  await member.node?.close();
  member.node = undefined;
}

async function start(member: Member): Promise<void> {
  member.node = await member.open();
}

beforeAll(async () => {
  const names = ['n1', 'n2', 'n3'];
  const ports = await freePorts(names.length);
  const peers = Object.fromEntries(names.map((name, index) => [name, `http://127.0.0.1:${ports[index]}`]));
  const directories = await Promise.all(names.map(() => world.directory()));
  members = names.map((name, index) => ({
    ...{ name, url: peers[name]!, node: undefined },
    open: () =>
      world.openNode(name, {
        ...{ dataDirectory: directories[index]!, listen: `127.0.0.1:${ports[index]}`, peers },
      }),
  }));
  await Promise.all(members.map(start));
  const { followers } = await roles();
  expect((await ask(followers[0]!, 'PUT', '/ledger?strategy=single-leader')).status).toBe(201);
});

afterAll(() => world.close());

it('a database is created through any node, and is there on all', async () => {
  for (const member of members) {
    await eventually(
      async () => (await ask(member, 'GET', '/ledger')).status === 200,
      'the ledger is everywhere',
    );
    const { json } = await ask(member, 'GET', '/ledger/_replication');
    expect(json).toEqual({
      ...{ strategy: 'single-leader', ack: 'semi-sync', followers: 'majority' },
      ...{ on_timeout: 'fail', ack_timeout_ms: 5_000 },
    });
  }
});

it('a write through a follower says where it is durable, and is read on the next node', async () => {
  const { followers } = await roles();
  const [one, two] = followers as [Member, Member];
  const written = await ask(one, 'PUT', '/ledger/e1?receipt=true', { amount: 5 });
  expect(written.status).toBe(201);
  const receipt = JSON.parse(written.headers.get('tercet-receipt') ?? '');
  expect(receipt).toMatchObject({ met: true, policy: 'semi-sync(majority)' });
  expect(receipt.durable_on.length).toBeGreaterThanOrEqual(2);
  const read = await ask(two, 'GET', '/ledger/e1');
  expect(read.json).toMatchObject({ amount: 5 });
  expect(read.headers.get('tercet-consistency')).toBe('linearizable;by=quorum');
  const after = { 'tercet-after': written.headers.get('tercet-position') ?? '' };
  const own = await ask(two, 'GET', '/ledger/e1?consistency=session', undefined, after);
  expect([own.json.amount, own.headers.get('tercet-consistency')]).toEqual([5, 'session']);
});

it('sequences and local documents are the same on every node', async () => {
  const [first, second, third] = members as [Member, Member, Member];
  await ask(first, 'PUT', '/ledger/_local/checkpoint', { at: 1 });
  const { last_seq } = (await ask(first, 'GET', '/ledger/_changes')).json;
  for (const member of [second, third]) {
    expect((await ask(member, 'GET', '/ledger/_changes')).json.last_seq).toBe(last_seq);
    expect((await ask(member, 'GET', `/ledger/_changes?since=${last_seq}`)).json.results).toEqual([]);
    expect((await ask(member, 'GET', '/ledger/_local/checkpoint')).json.at).toBe(1);
  }
});

it('an ordinary write never makes a conflict, and a replicated one may', async () => {
  const edits = members.map((member) => ask(member, 'PUT', '/ledger/raced', { by: member.name }));
  expect((await Promise.all(edits)).map(({ status }) => status).toSorted()).toEqual([201, 409, 409]);
  const elsewhere = { _id: 'raced', _rev: `1-${'f'.repeat(32)}`, by: 'a device' };
  const pushed = { new_edits: false, docs: [elsewhere] };
  expect((await ask(members[0]!, 'POST', '/ledger/_bulk_docs', pushed)).status).toBe(201);
  for (const member of members) {
    expect((await ask(member, 'GET', '/ledger/raced?conflicts=true')).json._conflicts).toHaveLength(1);
  }
});

it('databases are single-leader where nothing is said, and stay what they were created as', async () => {
  const [first] = members as [Member];
  await ask(first, 'PUT', '/plain');
  const { replication } = (await ask(first, 'GET', '/plain')).json;
  expect(replication).toMatchObject({ strategy: 'single-leader', ack: 'semi-sync', followers: 'majority' });
  const change = await ask(first, 'PUT', '/ledger/_replication', { strategy: 'multi-leader' });
  expect(change.status).toBe(501);
});

it('sync without one of the voters is told as a write that may come about, or as 202', async () => {
  const { leader, followers } = await roles();
  const [away] = followers as [Member];
  await stop(away);
  const query = 'ack=sync&ack_timeout_ms=100';
  const failed = await ask(leader, 'POST', `/ledger?${query}`, {});
  expect([failed.status, failed.json.error]).toEqual([503, 'write_outcome_unknown']);
  expect(failed.headers.get('tercet-write')).toBe('unknown');
  const degraded = await ask(leader, 'POST', `/ledger?${query}&on_timeout=degrade&receipt=true`, {});
  expect(degraded.status).toBe(202);
  const receipt = JSON.parse(degraded.headers.get('tercet-receipt') ?? '');
  expect(receipt).toMatchObject({ met: false, policy: 'sync' });
  expect(receipt.durable_on).not.toContain(away.name);
  await start(away);
  await roles();
});

it('an operator chooses another leader, and is told before what that means', async () => {
  const { leader, followers } = await roles();
  const [next] = followers as [Member];
  const plan = await ask(leader, 'POST', '/_cluster/promote', { node: next.name, dry_run: true });
  expect(plan.json).toMatchObject({ dry_run: true, may_lose: 'nothing', fenced: [leader.name] });
  expect((await roles()).leader).toBe(leader);
  const done = await ask(leader, 'POST', '/_cluster/promote', { node: next.name });
  expect(done.json).toMatchObject({ ok: true, outcome: 'elected' });
  expect((await roles()).leader).toBe(next);
  const back = await ask(leader, 'POST', '/_cluster/transfer', { node: leader.name });
  expect(back.json).toEqual({ ok: true, outcome: 'done' });
  expect((await roles()).leader).toBe(leader);
});

it('a leader that stops is followed by another, in a later epoch', async () => {
  const { leader } = await roles();
  const { term } = (await ask(leader, 'GET', '/_cluster')).json;
  await stop(leader);
  const after = await roles();
  const { json } = await ask(after.leader, 'GET', '/_cluster');
  expect(json.epochs.at(-1).term).toBeGreaterThan(term);
  expect((await ask(after.followers[0]!, 'POST', '/ledger', {})).status).toBe(201);
  await start(leader);
  await roles();
});

it('nodes that ran alone have groups of their own, also when they are told of each other', async () => {
  const ports = await freePorts(2);
  const peers = { a: `http://127.0.0.1:${ports[0]}`, b: `http://127.0.0.1:${ports[1]}` };
  const loners = await Promise.all(
    (['a', 'b'] as const).map(async (name, index) => {
      const options = { dataDirectory: await world.directory(), listen: `127.0.0.1:${ports[index]}` };
      await (await world.openNode(name, options)).close();
      const node = await world.openNode(name, { ...options, peers });
      return { name, url: peers[name], open: () => Promise.resolve(node), node };
    }),
  );
  for (const loner of loners) {
    await eventually(async () => (await ask(loner, 'GET', '/_cluster')).json.leader === loner.name, 'leads');
    expect((await ask(loner, 'PUT', '/own?strategy=single-leader')).status).toBe(201);
    expect((await ask(loner, 'GET', '/_cluster')).json.nodes).toHaveLength(1);
  }
});

it('a minority takes no writes, reads what it has where asked to, and goes on by force alone', async () => {
  const { leader, followers } = await roles();
  const [left] = followers as [Member];
  const others = members.filter((member) => member !== left);
  await stop(followers[1]!);
  await stop(leader);
  await eventually(async () => (await ask(left, 'GET', '/_cluster')).json.leader === null, 'nobody leads');
  const refused = await ask(left, 'POST', '/ledger', {});
  expect([refused.status, refused.json.error]).toEqual([503, 'no_leader']);
  expect(refused.headers.get('tercet-write')).toBe('did_not_happen');
  expect((await ask(left, 'GET', '/ledger/e1')).json.error).toBe('consistency_unavailable');
  const eventual = await ask(left, 'GET', '/ledger/e1?consistency=eventual');
  expect([eventual.status, eventual.json.amount]).toEqual([200, 5]);
  expect((await ask(left, 'GET', '/readyz')).status).toBe(503);

  const promote = (more: object) => ask(left, 'POST', '/_cluster/promote', { node: left.name, ...more });
  expect((await promote({})).json).toMatchObject({ ok: false, outcome: 'not_elected' });
  const plan = (await promote({ force: true, dry_run: true })).json;
  expect(plan.fenced.toSorted()).toEqual(others.map(({ name }) => name));
  expect((await promote({ force: true })).json).toMatchObject({ ok: true, outcome: 'elected' });
  expect((await ask(left, 'PUT', '/ledger/forced', {})).status).toBe(201);
  await Promise.all(others.map(start));
  await eventually(async () => {
    const { nodes } = (await ask(left, 'GET', '/_cluster')).json;
    return nodes.filter(({ kind }: { kind: string }) => kind === 'voter').length === 3;
  }, 'all are voters again');
  expect((await ask(others[0]!, 'GET', '/ledger/forced')).status).toBe(200);
});
