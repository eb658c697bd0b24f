/** Single-leader databases over real processes: one winner for each revision, leaders that leave, disks that are lost. */

import { rm } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { checkLinearizability } from '../../simulation/checkers/linearizability.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import {
  agreedLeader,
  ask,
  branchesOn,
  changesOf,
  createLedger,
  missingOn,
  viewOf,
} from './single-leader-cluster.ts';
import { startLoad } from './single-leader-load.ts';

const idCount = Number(process.env.TERCET_ROUNDS ?? 2) >= 10 ? 1_000 : 200;
/** Ids that are raced for at the same time. */
const racesAtOnce = 20;

const harness = openHarness();
afterEach(() => harness.close());

async function startLedger(): Promise<TestNode[]> {
  const nodes = await harness.startCluster(3);
  await createLedger(nodes);
  return nodes;
}

/**
 * All nodes are asked at once to write the document, each with its own value; gives the one revision that came of it.
 * Undefined when the leader changed meanwhile, as on a starved machine: then one of the answers is that nobody knows.
 */
async function race(
  nodes: readonly TestNode[],
  id: string,
  rev: string | undefined,
): Promise<string | undefined> {
  const replies = await Promise.all(
    nodes.map(({ name, url }) => ask('PUT', `${url}/ledger/${id}`, { by: name, ...(rev && { _rev: rev }) })),
  );
  const statuses = replies.map((reply) => reply?.status ?? 503).sort();
  const won = replies.filter((reply) => reply?.status === 201);
  if (statuses.includes(503)) {
    expect(won.length, id).toBeLessThanOrEqual(1);
    return undefined;
  }
  expect(statuses, id).toEqual([201, 409, 409]);
  return String(won[0]!.json.rev);
}

async function expectOneHistory(nodes: readonly TestNode[]): Promise<void> {
  const [first, ...others] = await Promise.all(nodes.map(changesOf));
  for (const other of others) expect(other).toEqual(first);
  for (const node of nodes) expect(await branchesOn(node), node.name).toEqual([]);
}

test('of three clients that write one revision at three nodes at once, exactly one succeeds', async () => {
  const nodes = await startLedger();
  const won: { id: string; rev: string }[] = [];
  let next = 0;
  const worker = async () => {
    while (won.length < 2 * idCount) {
      next += 1;
      const id = `entry-${next}`;
      const created = await race(nodes, id, undefined);
      const updated = created && (await race(nodes, id, created));
      if (updated) won.push({ id, rev: created }, { id, rev: updated });
    }
  };
  await Promise.all(Array.from({ length: racesAtOnce }, worker));
  // Leaders change rarely, so what was left undecided is the exception.
  expect(next - won.length / 2).toBeLessThan(idCount / 2);
  await expectOneHistory(nodes);
  for (const node of nodes) expect(await missingOn(node, won), node.name).toEqual({});
}, 120_000);

test('a leader that is asked to stop hands over, leaves with exit code 0, and loses nothing', async () => {
  const nodes = await startLedger();
  const { leader, term } = await agreedLeader(nodes);
  const others = nodes.filter((node) => node !== leader);
  const load = startLoad(nodes, 'leaving');
  const acknowledged = (count: number) =>
    waitUntil(`${count} writes are acknowledged`, () => load.acknowledged.length >= count);
  await acknowledged(50);
  expect(await leader.stop()).toBe(0);
  const after = await agreedLeader(others);
  expect(after.term).toBeGreaterThan(term);
  await acknowledged(load.acknowledged.length + 50);
  await load.stop();
  console.info(`SIGTERM: longest gap in acknowledged writes: ${Math.round(load.longestGapMs())} ms`);
  expect(load.unexpected).toEqual([]);
  expect(checkLinearizability(load.records)).toEqual([]);
  await leader.start();
  await agreedLeader(nodes);
  await expectOneHistory(nodes);
  for (const node of nodes) expect(await missingOn(node, load.acknowledged), node.name).toEqual({});
}, 60_000);

const memberNamed = async (node: TestNode, name: string) =>
  (await viewOf(node))?.nodes.filter((member) => member.name === name);

test('a follower whose disk was lost comes back as somebody else, catches up, and then counts for a majority', async () => {
  const nodes = await startLedger();
  const { leader } = await agreedLeader(nodes);
  const [wiped, other] = nodes.filter((node) => node !== leader) as [TestNode, TestNode];
  const write = (id: string) =>
    waitUntil(`${id} is written`, async () => {
      const url = `${leader.url}/ledger/${id}`;
      const tried = await ask('PUT', url, {});
      if (tried?.status === 201) return { id, rev: String(tried.json.rev) };
      // An earlier attempt may have written it without an answer in time.
      const there = tried?.status === 409 ? await ask('GET', url) : undefined;
      return there?.status === 200 && { id, rev: String(there.json._rev) };
    });
  const written = await Promise.all(Array.from({ length: 100 }, (_, number) => write(`before-${number}`)));
  const [before] = (await memberNamed(leader, wiped.name)) ?? [];
  await wiped.kill();
  await rm(wiped.dataDirectory, { recursive: true });
  written.push(await write('while it was away'));
  await wiped.start();
  const [after] = await waitUntil(
    `the new disk of ${wiped.name} is a voter, and the old one is out`,
    async () => {
      const members = await memberNamed(leader, wiped.name);
      return (
        members?.length === 1 && members[0]?.id !== before?.id && members[0]?.kind === 'voter' && members
      );
    },
  );
  expect(after!.id).not.toBe(before!.id);
  expect(await missingOn(wiped, written)).toEqual({});

  await other.kill();
  written.push(await write('with the new disk alone'));
  await other.start();
  await agreedLeader(nodes);
  await expectOneHistory(nodes);
  for (const node of nodes) expect(await missingOn(node, written), node.name).toEqual({});
}, 60_000);
