/** `tercet node` against nodes that answer what the test says; without a process, of which it needs nothing. */

import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { node } from '../../src/cli/node.ts';
import { type FakeNode, startFakeNode } from './fake-cluster.ts';

const admins = { root: 'secret' };

let leader: FakeNode;
let follower: FakeNode;

beforeAll(async () => {
  leader = await startFakeNode('n1', { admins });
  follower = await startFakeNode('n2', { admins, peers: [{ name: 'n1', url: leader.app.url }] });
  follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
  const members = [
    { name: 'n1', id: 'n1#aa', kind: 'voter' },
    { name: 'n2', id: 'n2#bb', kind: 'learner', lagEntries: 3, lagMs: 250 },
  ] as const;
  follower.group.status = { members };
});
afterAll(async () => {
  await follower.app.close();
  await leader.app.close();
});

async function said(stream: 'stdout' | 'stderr', words: readonly string[], user = 'root:secret') {
  const write = vi.spyOn(process[stream], 'write').mockReturnValue(true);
  try {
    const code = await node([...words, '--url', follower.app.url, '--user', user]);
    return { code, text: write.mock.calls.map(([text]) => text).join('') };
  } finally {
    write.mockRestore();
  }
}

it('lists the members', async () => {
  const { code, text } = await said('stdout', ['list']);
  expect(code).toBe(0);
  expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['NODE', 'KIND', 'ROLE', 'LAG', 'URL'],
    ['n1', 'voter', 'leader', '-', leader.app.url],
    ['n2', 'learner', '-', '3', '-'],
    [''],
  ]);
  expect(JSON.parse((await said('stdout', ['list', '--json'])).text)).toMatchObject({ leader: 'n1' });
});

it('adds, promotes and removes, each with a line that says what is so now', async () => {
  const add = ['add', 'n4=http://127.0.0.1:4'];
  expect(await said('stdout', add)).toEqual({
    code: 0,
    text: 'n4 is a learner at http://127.0.0.1:4; once it has caught up, make it a voter with: tercet node promote n4\n',
  });
  for (const words of [
    [...add, '--witness'],
    ['promote', 'n4'],
    ['remove', 'n4'],
  ]) {
    expect(await said('stdout', words)).toEqual({ code: 0, text: expect.stringMatching(/^n4 [^\n]+\n$/) });
  }
  expect(leader.group.nodeChanges).toEqual([
    'add n4 http://127.0.0.1:4 learner',
    'add n4 http://127.0.0.1:4 witness',
    'promote n4',
    'remove n4',
  ]);
});

it('passes a refusal on in one line', async () => {
  const { code, text } = await said('stderr', ['remove', 'n4'], 'root:wrong');
  expect([code, text]).toEqual([1, expect.stringMatching(/^tercet: [^\n]+--user[^\n]+\n$/)]);
});
