/** Members of a running cluster: nodes that are added, promoted and removed by the command line while writes go on. */

import { afterEach, expect, test } from 'vitest';
import { checkLinearizability } from '../../simulation/checkers/linearizability.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import {
  agreedLeader,
  ask,
  changesOf,
  createLedger,
  missingOn,
  untilStatus,
  viewOf,
} from './single-leader-cluster.ts';
import { startLoad } from './single-leader-load.ts';

const harness = openHarness();
afterEach(() => harness.close());

interface Said {
  readonly code: number | null;
  readonly text: string;
}

async function tercetNode(at: TestNode, ...words: readonly string[]): Promise<Said> {
  const command = harness.run(['node', ...words, '--url', at.url]);
  return { code: await command.exited, text: command.output() };
}

/**
 * Says it again until it succeeds, or is refused for the reason that an earlier attempt had done it without being told:
 * while leaders change, a node says that it cannot tell.
 */
function untilTold(done: RegExp, at: TestNode, ...words: readonly string[]): Promise<Said> {
  return waitUntil(`"node ${words.join(' ')}" is done`, async () => {
    const said = await tercetNode(at, ...words);
    return (said.code === 0 || done.test(said.text)) && said;
  });
}

/** `name kind`, as a node sees it. */
async function membersOn(node: TestNode): Promise<readonly string[] | undefined> {
  return (await viewOf(node))?.nodes.map(({ name, kind }) => `${name} ${kind}`).toSorted();
}

function untilMembers(nodes: readonly TestNode[], wanted: readonly string[]): Promise<unknown> {
  return waitUntil(`${nodes.map(({ name }) => name)} know of ${wanted}`, async () => {
    const seen = await Promise.all(nodes.map(membersOn));
    return seen.every((members) => members?.join() === wanted.join());
  });
}

function startJoining(name: string, seed: TestNode): Promise<TestNode> {
  return harness.startNode({ name, flags: ['--join', seed.url] });
}

test('a node joins a running cluster, becomes a voter, and takes the place of the leader, under load', async () => {
  const founders = await harness.startCluster(3);
  await createLedger(founders);
  const { leader } = await agreedLeader(founders);
  const [follower, other] = founders.filter((node) => node !== leader) as [TestNode, TestNode];
  const load = startLoad([follower, other], 'joining');
  const acknowledged = (count: number) =>
    waitUntil(`${count} writes are acknowledged`, () => load.acknowledged.length >= count);
  await acknowledged(20);

  const joined = await startJoining('n4', follower);
  expect((await ask('PUT', `${joined.url}/ledger/too-early`, {}))?.status).not.toBe(201);
  const early = await untilStatus(503, 'GET', `${joined.url}/readyz`);
  expect(early.json.checks).toMatchObject({ membership: expect.stringContaining('"tercet node add"') });
  const added = await untilTold(/n4 is a learner already/, follower, 'add', `n4=${joined.url}`);
  expect(added.text).toContain('n4 is a learner');
  const kinds = founders.map(({ name }) => `${name} voter`);
  await untilMembers([...founders, joined], [...kinds, 'n4 learner']);
  await untilStatus(200, 'GET', `${joined.url}/readyz`);
  await waitUntil('n4 is a voter', async () => (await tercetNode(other, 'promote', 'n4')).code === 0);
  const removed = await untilTold(/is no member; there are/, follower, 'remove', leader.name);
  expect(removed.text).toContain('is no member');
  const now = [follower, other, joined];
  await untilMembers(
    now,
    now.map(({ name }) => `${name} voter`),
  );
  await leader.kill();
  await acknowledged(load.acknowledged.length + 20);
  await load.stop();
  expect(load.unexpected).toEqual([]);
  expect(checkLinearizability(load.records)).toEqual([]);

  // What it was told is in its log by now: neither --join nor anybody's --peers is needed to find it again.
  await joined.kill();
  await joined.start();
  await agreedLeader(now);
  await follower.kill();
  const written = await waitUntil('n4 counts for a majority', async () => {
    const reply = await ask('PUT', `${joined.url}/ledger/last-${Math.random()}`, {});
    return reply?.status === 201 && { id: String(reply.json.id), rev: String(reply.json.rev) };
  });
  await agreedLeader([other, joined]);
  expect(await missingOn(joined, [...load.acknowledged, written])).toEqual({});
  expect(await changesOf(joined)).toEqual(await changesOf(other));
}, 120_000);

test('a node that was removed and still runs says so, and what to do, until it is added again', async () => {
  const founders = await harness.startCluster(3);
  await createLedger(founders);
  const { leader } = await agreedLeader(founders);
  const [founder] = founders.filter((node) => node !== leader) as [TestNode];
  const joined = await startJoining('n4', leader);
  await untilTold(/n4 is a learner already/, leader, 'add', `n4=${joined.url}`);
  await untilStatus(200, 'GET', `${joined.url}/ledger`);

  // The others do not link to n4 any more; the founder is named by their --peers, so that they still do.
  for (const gone of [joined, founder]) {
    await untilTold(/is no member; there are/, leader, 'remove', gone.name);
    const refused = await waitUntil(`${gone.name} knows that it was removed`, async () => {
      const reply = await ask('PUT', `${gone.url}/ledger/gone`, {});
      return reply?.json.error === 'removed_from_cluster' && reply;
    });
    expect([refused.status, refused.headers.get('tercet-write')]).toEqual([503, 'did_not_happen']);
    expect(refused.json.reason).toMatch(new RegExp(`^${gone.name} was removed .* "tercet node add"`));
    expect((await ask('GET', `${gone.url}/ledger/none`))?.json.error).toBe('removed_from_cluster');
    expect((await ask('GET', `${gone.url}/ledger/none?consistency=eventual`))?.status).toBe(404);
    const forced = await ask('POST', `${gone.url}/_cluster/promote`, { node: gone.name, force: true });
    expect(forced?.json.error).toBe('removed_from_cluster');
    const shown = harness.run(['status', '--url', gone.url]);
    await shown.exited;
    expect(shown.output()).toMatch(new RegExp(`^${gone.name} +removed `, 'm'));
    expect(shown.output()).toContain(`${leader.name} leads`);
    expect(shown.output()).toContain('To take it in again');
  }

  await untilTold(/n4 is a learner already/, leader, 'add', `n4=${joined.url}`);
  await untilStatus(201, 'PUT', `${joined.url}/ledger/back`, {});
  expect((await ask('GET', `${joined.url}/_cluster`))?.json.removed).toBeNull();
}, 120_000);

test('one node grows into a cluster, and says what is wrong with what it is asked', async () => {
  const first = await harness.startNode({ name: 'n1' });
  await createLedger([first]);
  await untilStatus(201, 'PUT', `${first.url}/ledger/alone`, {});
  const second = await startJoining('n2', first);
  const stranger = await harness.startNode({ name: 'n3' });

  const refusal = async (name: string, url: string) => {
    const reply = await ask('POST', `${first.url}/_cluster/nodes`, { name, url });
    return [reply?.status, reply?.json.reason];
  };
  expect(await refusal('n5', second.url)).toEqual([503, expect.stringContaining('This is n2, not')]);
  expect(await refusal('n5', 'http://127.0.0.1:1')).toEqual([503, expect.stringContaining('ECONNREFUSED')]);
  expect(await refusal('n3', stranger.url)).toEqual([503, expect.stringContaining('This cluster is')]);
  expect(await refusal('n1', first.url)).toEqual([409, 'n1 is a voter already.']);
  expect(await refusal('n4', 'http://10.0.0.4:5984')).toEqual([
    412,
    expect.stringContaining('--secret-file'),
  ]);
  expect(await refusal('n4', 'ftp://n4')).toEqual([400, expect.stringContaining('is no URL of a node')]);
  const last = await tercetNode(first, 'remove', 'n1');
  expect([last.code, last.text]).toEqual([1, expect.stringMatching(/^tercet: [^\n]*last voter[^\n]*\n$/)]);

  const added = await untilTold(/n2 is a learner already/, first, 'add', `n2=${second.url}`);
  expect(added.text).toContain(`n2 is a learner at ${second.url}`);
  await waitUntil('n2 is a voter', async () => (await tercetNode(second, 'promote', 'n2')).code === 0);
  await agreedLeader([first, second]);
  await untilStatus(200, 'GET', `${second.url}/ledger/alone`);
  const { text } = await tercetNode(second, 'list');
  expect(text.split('\n').map((line) => line.split(/ {2,}/)[0])).toEqual(['NODE', 'n1', 'n2', '']);
  expect(text).toContain(first.url);

  const linked = () => first.output().split('linked to a peer').length;
  const linkedBefore = linked();
  const double = await startJoining('n2', first);
  for (const node of [double, first]) {
    await waitUntil(`${node.url} says what is wrong`, () => node.output().includes('Another node called n2'));
  }
  await untilStatus(201, 'PUT', `${second.url}/ledger/undisturbed`, {});
  expect(linked()).toBe(linkedBefore);
}, 120_000);
