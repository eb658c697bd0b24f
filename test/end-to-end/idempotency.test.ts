/** Clients that send again what was not answered, with the same Idempotency-Key, while leaders die under them. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { agreedLeader, ask, branchesOn, createLedger, type Reply } from './single-leader-cluster.ts';

const clients = 6;

const harness = openHarness();
let nodes: readonly TestNode[];

beforeAll(async () => {
  nodes = await harness.startCluster(3);
  await createLedger(nodes);
}, 60_000);
afterAll(() => harness.close());

/** What happens beside the load. */
interface Course {
  /** Requests that no node answered, or none knew what became of. */
  lost: number;
  isOver: boolean;
}

/** Asks one node after the other until one says what became of it. */
async function insist(
  client: number,
  method: string,
  path: string,
  body: object,
  course: Course,
): Promise<Reply> {
  const headers = { 'idempotency-key': `${client} ${method} ${path} ${JSON.stringify(body)}` };
  for (let turn = client; ; turn += 1) {
    const node = nodes[turn % nodes.length] as TestNode;
    const reply = await ask(method, `${node.url}/ledger${path}`, body, headers);
    if (reply !== undefined && reply.status < 500) return reply;
    course.lost += 1;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Adds documents without names, one by one and two at once, and counts in a document of its own; gives how often. */
async function work(client: number, course: Course): Promise<number> {
  let [n, rev] = [0, undefined as string | undefined];
  while (!course.isOver) {
    n += 1;
    const added = await insist(client, 'POST', '', { client, n }, course);
    expect(added.status).toBe(201);
    const docs = [`${n} a`, `${n} b`].map((pair) => ({ client, pair }));
    const both = await insist(client, 'POST', '/_bulk_docs', { docs }, course);
    expect(both.json).toEqual([expect.objectContaining({ ok: true }), expect.objectContaining({ ok: true })]);
    const counter = { n, ...(rev !== undefined && { _rev: rev }) };
    const counted = await insist(client, 'PUT', `/counter-${client}`, counter, course);
    expect(counted.status).toBe(201);
    rev = String(counted.json.rev);
  }
  return n;
}

interface Row {
  readonly id: string;
  readonly doc: {
    readonly client?: number;
    readonly n?: number;
    readonly pair?: string;
    readonly _rev: string;
  };
}

test('nothing is done twice, and nothing is left out, when leaders are killed and writes are sent again', async () => {
  const course: Course = { lost: 0, isOver: false };
  const working = Promise.all(Array.from({ length: clients }, (_, client) => work(client, course)));
  for (let round = 0; round < 2; round += 1) {
    const { leader } = await agreedLeader(nodes);
    await leader.kill();
    await leader.start();
  }
  await agreedLeader(nodes);
  course.isOver = true;
  const counts = await working;
  expect(course.lost).toBeGreaterThan(0);
  const [first] = nodes as [TestNode];
  const rows = await waitUntil('all documents can be read', async () => {
    const reply = await ask('GET', `${first.url}/ledger/_all_docs?include_docs=true`);
    return reply?.status === 200 && (reply.json.rows as readonly Row[]);
  });
  const added = rows.flatMap(({ doc: { client, n, pair } }) =>
    client === undefined ? [] : [`${client}: ${n ?? pair}`],
  );
  const wanted = counts.flatMap((count, client) =>
    Array.from({ length: count }, (_, at) =>
      ['', ' a', ' b'].map((end) => `${client}: ${at + 1}${end}`),
    ).flat(),
  );
  expect(added.toSorted()).toEqual(wanted.toSorted());
  const counters = rows.filter(({ id }) => id.startsWith('counter-'));
  expect(counters.map(({ doc }) => [doc.n, Number(doc._rev.split('-')[0])])).toEqual(
    counts.map((count) => [count, count]),
  );
  expect(await branchesOn(first)).toEqual([]);
}, 90_000);
