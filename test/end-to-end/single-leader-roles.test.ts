/** Witnesses, and leaders that are appointed, over real processes. */

import { afterEach, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { agreedLeader, ask, createLedger, viewOf } from './single-leader-cluster.ts';

const harness = openHarness();
afterEach(() => harness.close());

async function tercet(...words: readonly string[]) {
  const command = harness.run(words);
  return { code: await command.exited, text: command.output() };
}

/** Asks again while it certainly did not happen. */
function untilWritten(node: TestNode, id: string): Promise<unknown> {
  return waitUntil(`${id} is written at ${node.name}`, async () => {
    const reply = await ask('PUT', `${node.url}/ledger/${id}`, {});
    // The answer to an earlier attempt may have been lost.
    return reply?.status === 201 || reply?.status === 409;
  });
}

test('two voters and a witness outlive the leader; the witness votes, holds nothing, and sends readers on', async () => {
  const voters = await harness.startCluster(2);
  await createLedger(voters);
  const [first] = voters as [TestNode];
  const witness = await harness.startNode({ name: 'w', flags: ['--join', first.url] });
  const added = await tercet('node', 'add', `w=${witness.url}`, '--witness', '--url', first.url);
  expect(added.text).toContain('w is a witness');
  const all = [...voters, witness];
  const { leader } = await agreedLeader(all);
  await untilWritten(witness, 'before');
  expect((await ask('GET', `${witness.url}/ledger/before`))?.headers.get('tercet-consistency')).toContain(
    'linearizable',
  );
  expect((await ask('GET', `${witness.url}/_all_dbs`))?.json).not.toContain('ledger');
  expect((await tercet('status', '--url', witness.url)).text).toMatch(/^w +witness /m);
  const refused = await ask('POST', `${witness.url}/_cluster/promote`, { node: 'w' });
  expect(refused?.json.ok).toBe(false);

  await witness.kill();
  await witness.start();
  await leader.kill();
  const rest = all.filter((node) => node !== leader);
  expect((await agreedLeader(rest)).leader).not.toBe(witness);
  await untilWritten(witness, 'after');
  expect((await ask('GET', `${witness.url}/ledger/before`))?.status).toBe(200);
  await leader.start();
  await agreedLeader(all);
  await waitUntil('the returning voter has it all', async () => {
    return (await ask('GET', `${leader.url}/ledger/after`))?.status === 200;
  });
}, 60_000);

const stillMs = 1_500;

test('appointed leaders: nobody is elected, promote appoints, and the old leader comes back fenced', async () => {
  const flags = ['--leader-choice', 'appointed', '--follower-writes', 'refuse'];
  const nodes = await harness.startCluster(3, { flags });
  const [n1, n2, n3] = nodes as [TestNode, TestNode, TestNode];
  await waitUntil('n1 is a voter', async () => (await viewOf(n1))?.nodes.length === 3);
  const early = await ask('PUT', `${n1.url}/ledger?strategy=single-leader`);
  expect([early?.status, early?.json.error]).toEqual([503, 'no_leader']);
  const appoint = (name: string, asked: TestNode) =>
    waitUntil(
      `${name} is appointed`,
      async () => (await tercet('promote', name, '--url', asked.url)).code === 0,
    );
  await appoint('n2', n1);
  const { leader, term } = await agreedLeader(nodes);
  expect(leader).toBe(n2);
  await waitUntil('the ledger is there', async () => {
    const made = await ask('PUT', `${n2.url}/ledger?strategy=single-leader`);
    return made?.status === 201 || made?.status === 412;
  });
  await waitUntil('n3 has it', async () => (await ask('GET', `${n3.url}/ledger`))?.status === 200);
  const elsewhere = await ask('PUT', `${n3.url}/ledger/refused`, {});
  expect([elsewhere?.status, elsewhere?.json.error]).toEqual([503, 'not_leader']);
  expect(elsewhere?.headers.get('tercet-leader')).toBe(n2.url);
  expect(elsewhere?.json.reason).toContain(n2.url);

  await n2.kill();
  const rest = [n1, n3];
  const leaders = async () => (await Promise.all(rest.map(viewOf))).map((view) => view?.leader);
  await waitUntil('they miss their leader', async () => (await leaders()).every((name) => name === null));
  const until = performance.now() + stillMs;
  while (performance.now() < until) expect(await leaders()).toEqual([null, null]);
  await appoint('n3', n1);
  const next = await agreedLeader(rest);
  expect(next.leader).toBe(n3);
  expect(next.term).toBeGreaterThan(term);
  await untilWritten(n3, 'after');

  await n2.start();
  const after = await agreedLeader(nodes);
  expect([after.leader, after.term]).toEqual([n3, next.term]);
  expect((await viewOf(n2))?.epochs.map((epoch) => epoch.leader.replace(/#.*/, ''))).toEqual(['n2', 'n3']);
}, 60_000);
