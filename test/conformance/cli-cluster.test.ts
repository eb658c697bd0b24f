/** `tercet status` and `tercet promote` as processes, against nodes that answer what the test says. */

import { execFile } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { builtMain } from '../end-to-end/build.ts';
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
    { name: 'n2', id: 'n2#bb', kind: 'voter', lagEntries: 3, lagMs: 250 },
  ] as const;
  leader.group.status = { members };
  follower.group.status = { members, hasQuorum: undefined };
});
afterAll(async () => {
  await follower.app.close();
  await leader.app.close();
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

function tercet(argv: readonly string[], environment: Record<string, string> = {}): Promise<Outcome> {
  const env = { PATH: process.env.PATH, TERCET_ADMIN: 'root:secret', ...environment };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [builtMain(), ...argv], { env }, (_error, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

it('status asks any node for all of them', async () => {
  const { code, out } = await tercet(['status', '--url', follower.app.url]);
  expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['n1 leads in term 4, with a quorum; committed up to 100.'],
    [''],
    ['NODE', 'ROLE', 'TERM', 'APPLIED', 'LAG', 'LEADER', 'URL'],
    ['n1', 'leader', '4', '100', '-', 'n1', leader.app.url],
    ['n2', 'follower', '4', '100', '-', 'n1', follower.app.url].with(4, '3 (0.3 s)'),
    [''],
  ]);
  expect(code).toBe(0);
});

it('status says when nobody leads, and in its exit code too', async () => {
  const lonely = await startFakeNode('n3');
  lonely.group.place = { kind: 'none' };
  const { code, out } = await tercet(['status', '--json'], { TERCET_URL: lonely.app.url, TERCET_ADMIN: '' });
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject([{ name: 'n3', cluster: { leader: null, has_quorum: false } }]);
  await lonely.app.close();
});

it('promote tells the node that is named, through any node', async () => {
  const { code, out } = await tercet(['promote', 'n1', '--dry-run', '--url', follower.app.url]);
  expect([code, out]).toEqual([0, 'ok       yes\noutcome  elected\n']);
  await tercet(['promote', '--force', 'n1', '--user', 'root:secret', '--url', leader.app.url]);
  expect(leader.group.promotions).toEqual([
    { dryRun: true, force: false },
    { dryRun: false, force: true },
  ]);
});

it('a refusal is one line that says what to do', async () => {
  const outcomes = await Promise.all([
    tercet(['status', '--url', 'http://127.0.0.1:1']),
    tercet(['status', '--url', leader.app.url], { TERCET_ADMIN: 'root:wrong' }),
    tercet(['promote', 'n9', '--url', leader.app.url]),
  ]);
  expect(outcomes.map(({ code }) => code)).toEqual([1, 1, 1]);
  const wanted = [/Cannot reach a node at/, /--user/, /there are n1/];
  for (const [index, { errors, out }] of outcomes.entries()) {
    expect(errors).toMatch(wanted[index] as RegExp);
    expect(errors).toMatch(/^tercet: [^\n]+\n$/);
    expect(out).toBe('');
  }
});
