/** `kill -9` of each node of three in turn, in the middle of a load: nothing that was answered may be lost anywhere. */

import { afterAll, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { createDatabase } from './single-leader-cluster.ts';

const harness = openHarness();
afterAll(() => harness.close());

const clients = 6;
const sharedDocuments = 5;
/** Answered writes between one act of violence and the next. */
const writesBetween = 150;

interface Answered {
  readonly id: string;
  readonly rev: string;
  readonly node: string;
}

interface Load {
  readonly answered: Answered[];
  /** Answers that no load may cause, killed nodes or not. */
  readonly unexpected: string[];
  stop(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

/** Undefined when the node did not answer: nothing is known then about a write. */
async function ask(method: string, url: string, body?: object): Promise<Reply | undefined> {
  try {
    const answer = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

async function get(url: string): Promise<Record<string, unknown>> {
  const reply = await ask('GET', url);
  expect(reply?.status, url).toBe(200);
  return reply!.json;
}

/** Clients that write to random nodes until stopped: mostly documents of their own, now and then one that all share. */
function startLoad(nodes: readonly TestNode[]): Load {
  const answered: Answered[] = [];
  const unexpected: string[] = [];
  let stopped = false;

  const note = (node: TestNode, id: string, reply: Reply | undefined) => {
    if (reply === undefined || reply.status === 409) return;
    if (reply.status === 201 || reply.status === 200) {
      answered.push({ id, rev: String(reply.json.rev), node: node.name });
    } else unexpected.push(`${node.name} ${id}: ${reply.status} ${JSON.stringify(reply.json)}`);
  };
  const change = async (node: TestNode, random: () => number) => {
    const id = `shared-${Math.floor(random() * sharedDocuments)}`;
    const url = `${node.url}/notes/${id}`;
    const current = await ask('GET', url);
    if (current === undefined) return;
    const rev = current.status === 200 ? String(current.json._rev) : undefined;
    const isRemoval = rev !== undefined && random() < 0.2;
    const body = { by: node.name, ...(rev === undefined ? {} : { _rev: rev }) };
    note(node, id, await (isRemoval ? ask('DELETE', `${url}?rev=${rev}`) : ask('PUT', url, body)));
  };
  const client = async (number: number) => {
    const random = randomFrom(number);
    for (let n = 0; !stopped; n += 1) {
      const node = nodes[Math.floor(random() * nodes.length)]!;
      const id = `client-${number}-${n}`;
      if (random() < 0.25) await change(node, random);
      else note(node, id, await ask('PUT', `${node.url}/notes/${id}`, { n, text: 'x'.repeat(100) }));
    }
  };
  const running = Promise.all(Array.from({ length: clients }, (_, number) => client(number + 1)));
  return {
    answered,
    unexpected,
    stop: async () => {
      stopped = true;
      await running;
    },
  };
}

/** Numbers from 0 to 1, the same in every run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function killEachInTurn(nodes: readonly TestNode[], { answered }: Load): Promise<void> {
  for (const victim of nodes) {
    const more = (what: string, count: number) => {
      const goal = answered.length + count;
      return waitUntil(`${what} ${victim.name}`, () => answered.length >= goal);
    };
    await more('writes are answered before the death of', writesBetween);
    await victim.kill();
    await more('the others take writes without', writesBetween);
    await victim.start();
    const known = answered.length;
    await waitUntil(`${victim.name} takes writes again`, () =>
      answered.slice(known).some((write) => write.node === victim.name),
    );
  }
}

/** Leaves of every document, the winner first. */
async function leavesOf(node: TestNode): Promise<ReadonlyMap<string, string>> {
  const { results } = await get(`${node.url}/notes/_changes?style=all_docs`);
  const rows = results as { id: string; changes: { rev: string }[] }[];
  return new Map(
    rows.map(({ id, changes }) => {
      const [winner, ...others] = changes.map((change) => change.rev);
      return [id, [winner, ...others.sort()].join(' ')];
    }),
  );
}

async function winnersOf(node: TestNode): Promise<ReadonlyMap<string, string>> {
  const { rows } = await get(`${node.url}/notes/_all_docs`);
  return new Map((rows as { id: string; value: { rev: string } }[]).map(({ id, value }) => [id, value.rev]));
}

async function untilEqual(nodes: readonly TestNode[]): Promise<void> {
  await waitUntil('all nodes have the same leaves', async () => {
    const [first, ...others] = await Promise.all(nodes.map(leavesOf));
    return others.every(
      (other) => other.size === first!.size && [...other].every(([id, leaves]) => first!.get(id) === leaves),
    );
  });
  const [first, ...others] = await Promise.all(nodes.map(winnersOf));
  for (const other of others) expect(other).toEqual(first);
}

/** What the node lacks of the answered writes, as CouchDB's replicators ask for it. */
async function missingOn(node: TestNode, answered: readonly Answered[]): Promise<unknown> {
  const asked = new Map<string, string[]>();
  for (const { id, rev } of answered) asked.set(id, [...(asked.get(id) ?? []), rev]);
  return (await ask('POST', `${node.url}/notes/_revs_diff`, Object.fromEntries(asked)))?.json;
}

interface Link {
  readonly source: string;
  readonly revisions_checked: number;
  readonly checkpointed_source_seq: string | null;
  readonly source_seq: string | null;
}

/** The running replications by which a node pulls the notes of its peers. */
async function linksOf(node: TestNode): Promise<readonly Link[]> {
  const tasks = (await get(`${node.url}/_active_tasks`)) as unknown as Link[];
  return tasks.filter((task) => task.source.endsWith('/notes/'));
}

const checkedBy = (links: readonly Link[]) => links.reduce((sum, link) => sum + link.revisions_checked, 0);

test('three nodes lose nothing that was answered, agree in the end, and go on from their checkpoints', async () => {
  const nodes = await harness.startCluster(3);
  await createDatabase(nodes, 'notes', 'strategy=multi-leader');
  const load = startLoad(nodes);
  await killEachInTurn(nodes, load);
  await load.stop();

  expect(load.unexpected).toEqual([]);
  await untilEqual(nodes);
  for (const node of nodes) expect(await missingOn(node, load.answered), node.name).toEqual({});

  await waitUntil('every link has saved how far it is', async () => {
    const links = (await Promise.all(nodes.map(linksOf))).flat();
    return (
      links.length === 6 &&
      links.every((link) => link.source_seq !== null && link.checkpointed_source_seq === link.source_seq)
    );
  });
  const [one, two, three] = nodes as [TestNode, TestNode, TestNode];
  const checkedBefore = checkedBy([...(await linksOf(two)), ...(await linksOf(three))]);
  await one.kill();
  expect((await ask('PUT', `${two.url}/notes/while-away`, {}))?.status).toBe(201);
  await one.start();
  expect((await ask('PUT', `${one.url}/notes/back-again`, {}))?.status).toBe(201);
  await untilEqual(nodes);
  // Two new documents, each over at most two ways to each node, and not the thousands from before.
  expect(checkedBy(await linksOf(one))).toBeLessThanOrEqual(4);
  const checkedByOthers = checkedBy([...(await linksOf(two)), ...(await linksOf(three))]) - checkedBefore;
  expect(checkedByOthers).toBeLessThanOrEqual(8);
  // Each of the twenty things that it waits for has a deadline of its own.
}, 180_000);
