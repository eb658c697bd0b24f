/** What operators see and do: `/_cluster`, its actions, replication settings, probes and metrics. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterStatus } from '../../src/http/services.ts';
import { type FakeNode, startFakeNode } from './fake-cluster.ts';

const policy = { followers: 'majority', onTimeout: 'fail', timeoutMs: 5_000 } as const;
const policies = new Map([
  ['ledger', { policy: 'semi-sync', ...policy } as const],
  ['log', { policy: 'async', ...policy } as const],
]);

let leader: FakeNode;
let follower: FakeNode;

beforeAll(async () => {
  leader = await startFakeNode('n1');
  follower = await startFakeNode('n2', { peers: [{ name: 'n1', url: leader.app.url }] });
});
beforeEach(() => {
  leader.group.place = { kind: 'here' };
  follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
  for (const { group } of [leader, follower]) {
    group.promotions.length = 0;
    group.transfers.length = 0;
    group.status = {};
    group.stalenessMs = undefined;
  }
});
afterAll(async () => {
  await follower.app.close();
  await leader.app.close();
  expect([...leader.app.defects, ...follower.app.defects]).toEqual([]);
});

describe('a single-leader database', () => {
  it('is created at the leader, whoever is asked', async () => {
    const { status, headers } = await follower.app.request('PUT', '/created?strategy=single-leader&ack=sync');
    expect([status, headers.get('location')]).toEqual([201, '/created']);
    expect(follower.app.databases.has('created')).toBe(false);
    expect((await leader.app.request('GET', '/created')).json.replication).toEqual({
      ...{ strategy: 'single-leader', ack: 'sync', on_timeout: 'fail', ack_timeout_ms: 5_000 },
    });
  });

  it('may be described in a body', async () => {
    const replication = {
      strategy: 'single-leader',
      followers: 1,
      on_timeout: 'degrade',
      ack_timeout_ms: 250,
    };
    expect((await follower.app.request('PUT', '/described', { replication })).status).toBe(201);
    expect((await leader.app.request('GET', '/described/_replication')).json).toEqual({
      ack: 'semi-sync',
      ...replication,
    });
    expect((await follower.app.request('PUT', '/described', { replication })).status).toBe(412);
  });

  it('is deleted at the leader', async () => {
    const path = '/deleted?strategy=single-leader';
    for (const { app, group } of [leader, follower]) {
      group.place = { kind: 'here' };
      expect((await app.request('PUT', path)).status).toBe(201);
    }
    follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
    expect((await follower.app.request('DELETE', '/deleted')).status).toBe(200);
    expect(leader.app.databases.has('deleted')).toBe(false);
  });

  it('may have its acknowledgement changed, a member at a time, but not its strategy', async () => {
    await leader.app.request('PUT', '/changing?strategy=single-leader');
    const change = (body: unknown) => leader.app.request('PUT', '/changing/_replication', body);
    expect((await change({ ack: 'async' })).json).toEqual({ ok: true });
    expect((await change({ on_timeout: 'block', strategy: 'single-leader' })).status).toBe(200);
    expect((await leader.app.request('GET', '/changing/_replication')).json).toEqual({
      ...{ strategy: 'single-leader', ack: 'async', on_timeout: 'block', ack_timeout_ms: 5_000 },
    });
    expect((await change({ strategy: 'multi-leader' })).status).toBe(501);
    expect((await change([])).status).toBe(400);
    expect((await change({ ack: '__proto__' })).status).toBe(400);
  });

  it.each([
    ['?strategy=single-leader&ack=all', undefined, 400],
    ['?strategy=single-leader&followers=0', undefined, 400],
    ['?strategy=single-leader&on_timeout=', undefined, 400],
    ['?strategy=multi-leader&ack=sync', undefined, 400],
    ['?preset=dynamo', undefined, 400],
    ['?strategy=', undefined, 400],
    ['?strategy=no-such-strategy', undefined, 400],
    ['', { replication: { strategy: 'single-leader', w: 2 } }, 400],
    ['', { replication: { strategy: 'multi-leader', ack: 'sync' } }, 400],
    ['', { replication: { strategy: 'leaderless', preset: 1 } }, 400],
    ['', { replication: { strategy: 'leaderless', n: '__proto__' } }, 400],
    ['', { replication: { strategy: 'single-leader', ack_timeout_ms: 1.5 } }, 400],
    ['', { replication: 'single-leader' }, 400],
    ['', [], 400],
    ['', '{', 400],
    ['', `{"replication":${'['.repeat(20)}${']'.repeat(20)}}`, 400],
  ])('is not created by nonsense: %s %j', async (query, body, status) => {
    expect((await leader.app.request('PUT', `/nonsense${query}`, body)).status).toBe(status);
    expect(leader.app.databases.has('nonsense')).toBe(false);
  });

  it('is what a database is by default', async () => {
    for (const [name, body] of [
      ['plain', undefined],
      ['bodied', {}],
    ] as const) {
      expect((await follower.app.request('PUT', `/${name}`, body)).status).toBe(201);
      expect((await leader.app.request('GET', `/${name}`)).json.replication).toEqual({
        ...{ strategy: 'single-leader', ack: 'semi-sync', followers: 'majority' },
        ...{ on_timeout: 'fail', ack_timeout_ms: 5_000 },
      });
    }
  });

  it('is not created while nobody leads, and says so', async () => {
    follower.group.place = { kind: 'none' };
    const { status, json, headers } = await follower.app.request('PUT', '/nobody');
    expect([status, json.error, headers.get('tercet-write')]).toEqual([503, 'no_leader', 'did_not_happen']);
    expect([leader, follower].map(({ app }) => app.databases.has('nobody'))).toEqual([false, false]);
  });
});

it('a node that has no part in the group because its disk is full says that, not that nobody leads', async () => {
  const storeHealth = () => ({ kind: 'read_only', cause: 'disk_full', detail: '' }) as const;
  const node = await startFakeNode('n1', { storeHealth });
  node.group.place = { kind: 'none' };
  const { status, json, headers } = await node.app.request('PUT', '/nobody');
  expect([status, json.error, headers.get('tercet-write')]).toEqual([
    ...[507, 'insufficient_storage', 'did_not_happen'],
  ]);
  await node.app.close();
});

describe('a multi-leader database', () => {
  it('has its settings changed, and is dropped, at the leader', async () => {
    for (const { app, group } of [leader, follower]) {
      group.place = { kind: 'here' };
      expect((await app.request('PUT', '/many?strategy=multi-leader')).status).toBe(201);
      expect((await app.request('GET', '/many')).json.replication).toEqual({ strategy: 'multi-leader' });
    }
    follower.group.place = { kind: 'there', name: 'n1', url: leader.app.url };
    const onFollower = (...request: [string, string, unknown?]) => follower.app.request(...request);
    expect((await onFollower('PUT', '/many/_revs_limit', 7)).status).toBe(200);
    expect((await leader.app.request('GET', '/many/_revs_limit')).json).toBe(7);
    expect((await onFollower('PUT', '/many/doc', {})).status).toBe(201);
    expect((await leader.app.request('GET', '/many/doc')).status).toBe(404);
    const change = (wanted: object) => onFollower('PUT', '/many/_replication', wanted);
    expect((await change({ strategy: 'multi-leader' })).status).toBe(200);
    expect((await change({ ack: 'sync' })).status).toBe(400);
    expect((await change({ strategy: 'single-leader' })).status).toBe(501);
    expect((await onFollower('DELETE', '/many')).status).toBe(200);
    expect([leader, follower].map(({ app }) => app.databases.has('many'))).toEqual([false, true]);
  });
});

describe('a leaderless database', () => {
  it('has the ways of a preset, and knobs beside them', async () => {
    follower.group.place = { kind: 'here' };
    const query = 'strategy=leaderless&preset=cassandra&w=1&hints=false&read_timeout_ms=700';
    expect((await follower.app.request('PUT', `/cart?${query}`)).status).toBe(201);
    const { json } = await follower.app.request('GET', '/cart');
    expect(json.cluster).toEqual({ q: 1, n: 2, w: 1, r: 2 });
    expect(json.replication).toEqual({
      ...{ strategy: 'leaderless', preset: 'cassandra', n: 2, r: 2, w: 1, pr: 0, pw: 0, quorum: 'strict' },
      ...{ resolver: 'last-write-wins', hints: false, read_repair: 'blocking', anti_entropy: true },
      ...{ read_timeout_ms: 700, write_timeout_ms: 5_000 },
      ...{ hint_window_ms: 10_800_000, tombstone_horizon_ms: 2_592_000_000 },
    });
    const change = (body: object) => follower.app.request('PUT', '/cart/_replication', body);
    expect((await change({ preset: 'voldemort', n: 1 })).json.reason).toContain('`r` is 2');
    expect((await change({ preset: 'voldemort', n: 1, r: 1, pw: 1 })).status).toBe(200);
    expect((await follower.app.request('GET', '/cart/_replication')).json).toMatchObject({
      ...{ preset: 'voldemort', n: 1, r: 1, w: 1, pw: 1, resolver: 'siblings', anti_entropy: false },
      ...{ read_timeout_ms: 700 },
    });
    expect((await change({ hint: true })).json.reason).toContain('no setting "hint"');
  });

  it.each([
    ['preset=mongo', '`preset` must be one of dynamo, riak, cassandra, voldemort.'],
    ['n=3', '`n` must not exceed the number of nodes, which is 2.'],
    ['n=0', '`n` must be a whole number'],
    ['n=1&r=2', '`r` must be a whole number from 1 to 1.'],
    ['w=two', '`w` must be a whole number from 1 to 2.'],
    ['r=1&pr=2', '`pr` must not exceed `r`, which is 1.'],
    ['quorum=loose', '`quorum` must be one of strict, sloppy.'],
    ['resolver=keep', '`resolver` must be one of siblings, last-write-wins, merge.'],
    ['hints=1', '`hints` must be true or false.'],
    ['read_repair=yes', '`read_repair` must be one of off, async, blocking.'],
    ['anti_entropy=', '`anti_entropy` must be true or false.'],
    ['write_timeout_ms=0', '`write_timeout_ms` must be a whole number from 1 to'],
  ])('is not created by nonsense: %s', async (query, reason) => {
    follower.group.place = { kind: 'here' };
    const { status, json } = await follower.app.request('PUT', `/nonsense?strategy=leaderless&${query}`);
    expect([status, json.error]).toEqual([400, 'query_parse_error']);
    expect(json.reason).toContain(reason);
    expect(follower.app.databases.has('nonsense')).toBe(false);
  });
});

describe('/_cluster', () => {
  it('shows the group as the node sees it', async () => {
    leader.group.stalenessMs = 1.2345;
    leader.group.policies = policies;
    leader.group.status = {
      quorum: { voters: 3, needed: 2, inTouch: 3 },
      epochs: [{ term: 3, leader: 'n2', firstIndex: 1 }],
      members: [
        { name: 'n1', id: 'n1#aa', kind: 'voter' },
        { name: 'n2', id: 'n2#bb', kind: 'voter', lagEntries: 5, lagMs: 20, lastHeardMs: 12 },
        { name: 'n3', id: 'n3#cc', kind: 'witness' },
      ],
    };
    const { json } = await leader.app.request('GET', '/_cluster');
    const unknown = { url: null, lag_entries: null, lag_ms: null, last_heard_ms: null };
    expect(json).toEqual({
      ...{ node: 'n1', kind: 'voter', role: 'leader', term: 4, leader: 'n1', commit: 100, applied: 100 },
      ...{ membership: null, removed: null },
      ...{ has_quorum: true, quorum: { voters: 3, needed: 2, in_touch: 3 }, staleness_ms: 1 },
      ...{ leader_choice: 'elected', follower_writes: 'forward', read_lease: false },
      acknowledgement: {
        ledger: { ack: 'semi-sync', followers: 'majority', on_timeout: 'fail', ack_timeout_ms: 5_000 },
        log: { ack: 'async', on_timeout: 'fail', ack_timeout_ms: 5_000 },
      },
      epochs: [{ term: 3, leader: 'n2', first_index: 1 }],
      nodes: [
        { ...unknown, name: 'n1', id: 'n1#aa', kind: 'voter', role: 'leader' },
        {
          ...{ name: 'n2', id: 'n2#bb', url: null, kind: 'voter', role: 'follower' },
          ...{ lag_entries: 5, lag_ms: 20, last_heard_ms: 12 },
        },
        { ...unknown, name: 'n3', id: 'n3#cc', kind: 'witness', role: 'witness' },
      ],
    });
    expect((await leader.app.request('GET', '/_cluster/elsewhere')).status).toBe(404);
  });

  it('promotes the node that is named, through any node', async () => {
    const wanted = { node: 'n1', dry_run: true };
    const { status, json } = await follower.app.request('POST', '/_cluster/promote', wanted);
    expect([status, json]).toEqual([200, { ok: true, outcome: 'elected' }]);
    await leader.app.request('POST', '/_cluster/promote?node=n1&force=true');
    expect(leader.group.promotions).toEqual([
      { dryRun: true, force: false },
      { dryRun: false, force: true },
    ]);
    expect(follower.group.promotions).toEqual([]);
  });

  it('transfers leadership at the leader', async () => {
    expect((await follower.app.request('POST', '/_cluster/transfer', { node: 'n3' })).status).toBe(200);
    expect((await follower.app.request('POST', '/_cluster/transfer')).status).toBe(200);
    expect(leader.group.transfers).toEqual(['n3', undefined]);
  });

  it.each([
    ['promote', {}, 400],
    ['promote', { node: 1 }, 400],
    ['promote', { node: 'n1', force: 'yes' }, 400],
    ['promote', { node: 'n1', dryRun: true }, 400],
    ['promote', { node: 'n9' }, 404],
    ['promote', [], 400],
    ['promote', '{', 400],
    ['promote', { node: 'x'.repeat(5_000) }, 413],
    ['transfer', { node: 1 }, 400],
    ['elsewhere', {}, 404],
    ['promote/n1', {}, 404],
  ])('refuses nonsense: %s %j', async (action, body, status) => {
    expect((await follower.app.request('POST', `/_cluster/${action}`, body)).status).toBe(status);
    expect(leader.group.promotions).toEqual([]);
  });

  it('says when the node that is to lead cannot be reached', async () => {
    const peers = [{ name: 'n3', url: 'http://127.0.0.1:1' }];
    const lonely = await startFakeNode('n2', { peers });
    const { status, json } = await lonely.app.request('POST', '/_cluster/promote', { node: 'n3' });
    expect([status, json.reason]).toEqual([503, 'The node n3 cannot be reached; nothing was changed.']);
    await lonely.app.close();
  });

  it('is for admins', async () => {
    const guarded = await startFakeNode('n1', { admins: { root: 'secret' } });
    for (const [method, path] of [
      ['GET', '/_cluster'],
      ['POST', '/_cluster/promote'],
      ['POST', '/_cluster/transfer'],
      ['GET', '/metrics'],
    ] as const) {
      expect((await guarded.app.request(method, path)).status).toBe(401);
    }
    expect((await guarded.app.request('GET', '/livez')).status).toBe(200);
    expect((await guarded.app.request('GET', '/readyz')).status).toBe(200);
    await guarded.app.close();
  });
});

describe('probes', () => {
  it('say that the process answers, whatever else is the case', async () => {
    follower.group.place = { kind: 'none' };
    expect((await follower.app.request('GET', '/livez')).json).toEqual({ status: 'ok' });
  });

  it('say whether requests are better sent elsewhere', async () => {
    const node = await startFakeNode('n1');
    const ready = async (query = '') => {
      const { status, json } = await node.app.request('GET', `/readyz${query}`);
      return [status, json];
    };
    node.group.place = { kind: 'none' };
    // Databases without a leader can be used without one.
    const well = { store: 'ok', membership: 'ok' };
    expect(await ready('?verbose')).toEqual([200, { status: 'ok', checks: well }]);
    node.group.place = { kind: 'here' };
    await node.app.request('PUT', '/ledger?strategy=single-leader');
    expect(await ready()).toEqual([200, { status: 'ok' }]);
    expect(await ready('?verbose')).toEqual([200, { status: 'ok', checks: { ...well, leader: 'ok' } }]);
    node.group.place = { kind: 'none' };
    const checks = { ...well, leader: 'no leader is known' };
    expect(await ready()).toEqual([503, { status: 'not_ready', checks }]);
    await node.app.close();
  });

  it('say that a node waits to be taken in, or was taken out, whatever databases it has', async () => {
    const node = await startFakeNode('n1');
    const membership = async (status: Partial<ClusterStatus>) => {
      node.group.status = { kind: undefined, ...status };
      const answer = await node.app.request('GET', '/readyz');
      return [answer.status, answer.json.checks?.membership];
    };
    // Founders that are still finding each other may have to be called ready before the next one is started.
    expect(await membership({})).toEqual([200, undefined]);
    expect(await membership({ awaitsAdmission: true })).toEqual([
      ...[503, expect.stringContaining('"tercet node add"')],
    ]);
    const removal = { by: 'n2', index: 7, advice: 'n1 was removed' };
    expect(await membership({ removal })).toEqual([503, 'n1 was removed']);
    await node.app.close();
  });

  it('give way to databases of their names', async () => {
    for (const name of ['livez', 'readyz', 'metrics']) {
      await follower.app.databases.create(name);
      expect((await follower.app.request('GET', `/${name}`)).json.db_name).toBe(name);
      expect((await follower.app.request('DELETE', `/${name}`)).status).toBe(200);
      expect((await follower.app.request('HEAD', `/${name}`)).status).toBe(200);
      expect((await follower.app.request('GET', `/${name}/doc`)).status).toBe(404);
    }
  });
});

describe('/metrics', () => {
  it('is what Prometheus reads, with the state of the group', async () => {
    leader.group.stalenessMs = 1_500;
    leader.group.policies = policies;
    leader.group.status = {
      quorum: { voters: 3, needed: 2, inTouch: 3 },
      members: [
        { name: 'n1', id: 'n1#aa', kind: 'voter' },
        { name: 'n2', id: 'n2#bb', kind: 'voter', lagEntries: 5, lagMs: 250 },
      ],
    };
    const { status, text, headers } = await leader.app.request('GET', '/metrics');
    expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) tercet_\w+ \S.*|tercet_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+)$/,
      );
    }
    for (const line of [
      'tercet_info{node="n1",version="0.1.0"} 1',
      'tercet_group_term 4',
      'tercet_group_is_leader 1',
      'tercet_group_has_quorum 1',
      'tercet_group_applied_index 100',
      'tercet_group_voters 3',
      'tercet_group_voters_needed 2',
      'tercet_group_voters_in_touch 3',
      'tercet_group_ack_policy{database="ledger",ack="semi-sync(majority)",on_timeout="fail"} 1',
      'tercet_group_staleness_seconds 1.5',
      'tercet_group_lag_entries{member="n2"} 5',
      'tercet_group_lag_seconds{member="n2"} 0.25',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(families).size).toBe(families.length);
  });
});
