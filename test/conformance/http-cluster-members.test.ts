/** `/_cluster/nodes`: who may change the members, by which requests, and where these are done. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type FakeNode, startFakeNode } from './fake-cluster.ts';

let leader: FakeNode;
let follower: FakeNode;

beforeAll(async () => {
  leader = await startFakeNode('n1');
  follower = await startFakeNode('n2', { peers: [{ name: 'n1', url: leader.app.url }] });
});
beforeEach(() => {
  leader.group.place = { kind: 'here' };
  follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
  follower.group.followerWrites = 'forward';
  for (const { group } of [leader, follower]) {
    group.nodeChanges.length = 0;
    group.status = {};
  }
});
afterAll(async () => {
  await follower.app.close();
  await leader.app.close();
  expect([...leader.app.defects, ...follower.app.defects]).toEqual([]);
});

const n4 = { name: 'n4', url: 'http://127.0.0.1:5984' };

describe('changes of the members', () => {
  it('are made at the leader, whoever is asked, also where followers refuse writes', async () => {
    follower.group.followerWrites = 'refuse';
    const added = await follower.app.request('POST', '/_cluster/nodes', n4);
    expect([added.status, added.json]).toEqual([
      201,
      { ok: true, name: 'n4', id: 'n4#ff', kind: 'learner', url: n4.url },
    ]);
    await follower.app.request('POST', '/_cluster/nodes', { ...n4, kind: 'witness' });
    const promoted = await follower.app.request('POST', '/_cluster/nodes/n4/promote');
    expect([promoted.status, promoted.json.kind]).toEqual([200, 'voter']);
    const removed = await follower.app.request('DELETE', '/_cluster/nodes/n4');
    expect([removed.status, removed.json]).toEqual([200, { ok: true, removed: 'n4' }]);
    expect(leader.group.nodeChanges).toEqual([
      `add n4 ${n4.url} learner`,
      `add n4 ${n4.url} witness`,
      'promote n4',
      'remove n4',
    ]);
    expect(follower.group.nodeChanges).toEqual([]);
  });

  it.each([
    ['POST', '', undefined, 400],
    ['POST', '', {}, 400],
    ['POST', '', { name: 'n4' }, 400],
    ['POST', '', { ...n4, kind: 'voter' }, 400],
    ['POST', '', { ...n4, kind: '__proto__' }, 400],
    ['POST', '', [], 400],
    ['POST', '', '{', 400],
    ['POST', '', { ...n4, name: 'x'.repeat(5_000) }, 413],
    ['POST', '/n4', {}, 404],
    ['POST', '/n4/demote', {}, 404],
    ['POST', '/n4/promote/now', {}, 404],
    ['DELETE', '', undefined, 400],
    ['DELETE', '/n4/now', undefined, 404],
    ['PUT', '/n4', {}, 405],
    ['GET', '/n9', undefined, 404],
    ['GET', '/n1/n2', undefined, 404],
  ])('are not made by nonsense: %s %s %j', async (method, path, body, status) => {
    expect((await follower.app.request(method, `/_cluster/nodes${path}`, body)).status).toBe(status);
    expect(leader.group.nodeChanges).toEqual([]);
  });

  it('wait for a leader, and then say that nothing was done', async () => {
    follower.group.place = { kind: 'none' };
    const { status, json, headers } = await follower.app.request('DELETE', '/_cluster/nodes/n4');
    expect([status, json.error, headers.get('tercet-write')]).toEqual([503, 'no_leader', 'did_not_happen']);
  });

  it('are for admins', async () => {
    const guarded = await startFakeNode('n1', { admins: { root: 'secret' } });
    for (const [method, path] of [
      ['GET', ''],
      ['POST', ''],
      ['POST', '/n4/promote'],
      ['DELETE', '/n4'],
    ] as const) {
      expect((await guarded.app.request(method, `/_cluster/nodes${path}`)).status).toBe(401);
    }
    await guarded.app.close();
  });
});

describe('the members', () => {
  it('are shown with their addresses and whole milliseconds', async () => {
    leader.group.status = {
      members: [
        { name: 'n1', id: 'n1#aa', kind: 'voter', url: 'http://n1' },
        { name: 'n2', id: 'n2#bb', kind: 'learner', lagEntries: 5, lagMs: 20.4, lastHeardMs: 12.9 },
      ],
    };
    const { json } = await leader.app.request('GET', '/_cluster/nodes');
    expect(json).toEqual({
      leader: 'n1',
      nodes: [
        {
          ...{ name: 'n1', id: 'n1#aa', url: 'http://n1', kind: 'voter', role: 'leader' },
          ...{ lag_entries: null, lag_ms: null, last_heard_ms: null },
        },
        {
          ...{ name: 'n2', id: 'n2#bb', url: null, kind: 'learner', role: 'learner' },
          ...{ lag_entries: 5, lag_ms: 20, last_heard_ms: 13 },
        },
      ],
    });
    expect((await leader.app.request('GET', '/_cluster/nodes/n2')).json).toEqual(json.nodes[1]);
  });
});
