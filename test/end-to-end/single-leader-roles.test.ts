/** Witnesses, and leaders that are appointed, over real processes. */

import { afterEach, expect, test } from 'vitest';
import { freePorts } from '../ports.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { agreedLeader, ask, createLedger, type Reply, untilStatus, viewOf } from './single-leader-cluster.ts';

const harness = openHarness();
afterEach(() => harness.close());

async function tercet(...words: readonly string[]) {
  const command = harness.run(words);
  return { code: await command.exited, text: command.output() };
}

/** Asks again while it certainly did not happen. */
function untilWritten(node: TestNode, path: string, body = {}): Promise<unknown> {
  return waitUntil(`${path} is written at ${node.name}`, async () => {
    const reply = await ask('PUT', `${node.url}/${path}`, body);
    // The answer to an earlier attempt may have been lost.
    return reply?.status === 201 || reply?.status === 409;
  });
}

/** A node on a busy machine may need longer than the first attempt waits. */
function answerOf(method: string, url: string, body?: object): Promise<Reply> {
  return waitUntil(`${url} answers`, () => ask(method, url, body));
}

test('two voters and a witness outlive the leader; the witness votes, holds nothing, and sends readers on', async () => {
  const voters = await harness.startCluster(2);
  await createLedger(voters);
  const [first] = voters as [TestNode];
  const witness = await harness.startNode({ name: 'w', flags: ['--join', first.url] });
  const wanted = { name: 'w', url: witness.url, kind: 'witness' };
  await waitUntil('w is a witness', async () => {
    const added = await ask('POST', `${first.url}/_cluster/nodes`, wanted);
    // 409: it is one already, and the answer that said so was late.
    return added?.status === 201 || added?.status === 409;
  });
  const all = [...voters, witness];
  const { leader } = await agreedLeader(all);
  await untilWritten(witness, 'ledger/before');
  const read = await untilStatus(200, 'GET', `${witness.url}/ledger/before`);
  expect(read.headers.get('tercet-consistency')).toBe('linearizable;by=quorum');
  expect((await answerOf('GET', `${witness.url}/_all_dbs`)).json).not.toContain('ledger');
  expect((await tercet('status', '--url', witness.url)).text).toMatch(/^w +witness /m);
  await untilWritten(first, '_users/org.couchdb.user:ann', {
    name: 'ann',
    type: 'user',
    roles: [],
    password: 'key',
  });
  const authorization = `Basic ${Buffer.from('ann:key').toString('base64')}`;
  const unknown = await ask('GET', `${witness.url}/_session`, undefined, { authorization });
  expect(unknown?.status).toBe(503);
  expect(unknown?.json.reason).toMatch(/witness, which keeps no users.*another node/);
  const refused = await answerOf('POST', `${first.url}/_cluster/promote`, { node: 'w' });
  const why = 'w is a witness, which cannot lead: name a voter.';
  expect([refused.status, refused.json]).toEqual([412, { error: 'precondition_failed', reason: why }]);
  const told = await tercet('promote', 'w', '--url', witness.url);
  expect([told.code, told.text]).toEqual([1, `tercet: ${witness.url} answers 412: ${why}\n`]);

  await witness.kill();
  await witness.start();
  await leader.kill();
  const rest = all.filter((node) => node !== leader);
  expect((await agreedLeader(rest)).leader).not.toBe(witness);
  await untilWritten(witness, 'ledger/after');
  await untilStatus(200, 'GET', `${witness.url}/ledger/before`);
  await leader.start();
  await agreedLeader(all);
  await untilStatus(200, 'GET', `${leader.url}/ledger/after`);
}, 120_000);

const stillMs = 1_500;

test('appointed leaders: nobody is elected, promote appoints, and the old leader comes back fenced', async () => {
  const flags = ['--leader-choice', 'appointed', '--follower-writes', 'refuse'];
  const ports = await freePorts(3);
  const peers = Object.fromEntries(ports.map((port, at) => [`n${at + 1}`, `http://127.0.0.1:${port}`]));
  // Nothing of the cluster is there before somebody is appointed, so nothing is waited for.
  const nodes = await Promise.all(
    ports.map((port, at) => harness.startNode({ name: `n${at + 1}`, port, peers, flags })),
  );
  const [n1, n2, n3] = nodes as [TestNode, TestNode, TestNode];
  await waitUntil('n1 is a voter', async () => (await viewOf(n1))?.nodes.length === 3);
  const early = await answerOf('PUT', `${n1.url}/ledger?strategy=single-leader`);
  expect([early.status, early.json.error]).toEqual([503, 'no_leader']);
  const appoint = (name: string, asked: TestNode) =>
    waitUntil(`${name} is appointed`, async () => {
      const { json } = (await ask('POST', `${asked.url}/_cluster/promote`, { node: name })) ?? {};
      return json?.ok === true;
    });
  await appoint('n2', n1);
  const { leader, term } = await agreedLeader(nodes);
  expect(leader).toBe(n2);
  await createLedger([n2, n3]);
  const elsewhere = await waitUntil('n3 names the leader', async () => {
    const reply = await ask('PUT', `${n3.url}/ledger/refused`, {});
    // On a busy machine it may miss the leader for a moment.
    return reply?.json.error !== 'no_leader' && reply;
  });
  expect([elsewhere.status, elsewhere.json.error]).toEqual([503, 'not_leader']);
  expect(elsewhere.headers.get('tercet-leader')).toBe(n2.url);
  expect(elsewhere.json.reason).toContain(n2.url);

  await n2.kill();
  const rest = [n1, n3];
  const views = async () => (await Promise.all(rest.map(viewOf))).filter((view) => view !== undefined);
  const missing = async () => (await views()).filter(({ leader: known }) => known === null).length;
  await waitUntil('they miss their leader', async () => (await missing()) === rest.length);
  // Several times as long as an election takes where there are any.
  const until = performance.now() + stillMs;
  while (performance.now() < until) {
    for (const view of await views()) expect(view.leader).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await appoint('n3', n1);
  const next = await agreedLeader(rest);
  expect(next.leader).toBe(n3);
  expect(next.term).toBeGreaterThan(term);
  await untilWritten(n3, 'ledger/after');

  await n2.start();
  const after = await agreedLeader(nodes);
  expect([after.leader, after.term]).toEqual([n3, next.term]);
  await waitUntil('n2 knows both epochs', async () => {
    const epochs = (await viewOf(n2))?.epochs.map((epoch) => epoch.leader.replace(/#.*/, ''));
    return epochs?.join() === 'n2,n3';
  });
}, 120_000);
