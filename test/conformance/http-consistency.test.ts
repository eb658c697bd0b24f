import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failure } from '../../src/errors.ts';
import { type FakeGroup, startFakeNode } from './fake-cluster.ts';
import { startTestApp, type TestApp } from './http-app.ts';

let app: TestApp;
let group: FakeGroup;

beforeAll(async () => {
  ({ app, group } = await startFakeNode('n1'));
  expect((await app.request('PUT', '/ledger?strategy=single-leader')).status).toBe(201);
  expect((await app.request('PUT', '/notes?strategy=multi-leader')).status).toBe(201);
  expect((await app.request('PUT', '/ledger/e1', { a: 1 })).status).toBe(201);
});
beforeEach(() => {
  group.confirmedBy = 'lease';
  group.stalenessMs = undefined;
  group.applied = { term: 4, index: 100 };
  group.receipt = {};
  group.acksWished.length = 0;
  group.barriers.count = 0;
});
afterAll(async () => {
  await app.close();
  expect(app.defects).toEqual([]);
});

async function read(query: string, after?: string) {
  const headers: Record<string, string> = after === undefined ? {} : { 'tercet-after': after };
  const reply = await app.request('GET', `/ledger/e1${query}`, undefined, headers);
  return [reply.status, reply.headers.get('tercet-consistency') ?? reply.json.error];
}

describe('a read', () => {
  it('is linearizable unless it asks for less, and says so', async () => {
    expect(await read('')).toEqual([200, 'linearizable;by=lease']);
    group.confirmedBy = 'quorum';
    expect(await read('?consistency=linearizable')).toEqual([200, 'linearizable;by=quorum']);
    expect(group.barriers.count).toBe(2);
    const { headers } = await app.request('GET', '/ledger/e1');
    expect(headers.get('tercet-position')).toBe('4-100');
  });

  it('is refused, not weakened, when nobody confirms that it is current', async () => {
    group.confirmedBy = undefined;
    expect(await read('')).toEqual([503, 'consistency_unavailable']);
    expect(await read('?consistency=bounded&max_staleness_ms=100')).toEqual([503, 'consistency_unavailable']);
    group.stalenessMs = 101;
    expect(await read('?consistency=bounded&max_staleness_ms=100')).toEqual([503, 'consistency_unavailable']);
    expect(await read('?consistency=session', '4-101')).toEqual([503, 'consistency_unavailable']);
    const { json } = await app.request('GET', '/ledger/e1');
    expect(json.reason).toMatch(/No leader confirmed it.*weaker/);
  });

  it('may be as old as it says, and is brought up to date where it would be older', async () => {
    group.stalenessMs = 99.5;
    expect(await read('?consistency=bounded&max_staleness_ms=100')).toEqual([
      200,
      'bounded;staleness-ms=100',
    ]);
    expect(group.barriers.count).toBe(0);
    group.stalenessMs = 101;
    expect(await read('?consistency=bounded&max_staleness_ms=100')).toEqual([200, 'linearizable;by=lease']);
    expect(group.barriers.count).toBe(1);
  });

  it('of a session waits for its position only', async () => {
    group.confirmedBy = undefined;
    expect(await read('?consistency=session')).toEqual([200, 'session']);
    expect(await read('?consistency=session', '3-100')).toEqual([200, 'session']);
    expect(group.barriers.count).toBe(0);
  });

  it('may name a position at every level', async () => {
    expect(await read('', '4-101')).toEqual([503, 'consistency_unavailable']);
    expect(await read('?consistency=eventual', '4-101')).toEqual([503, 'consistency_unavailable']);
    expect(await read('', '4-100')).toEqual([200, 'linearizable;by=lease']);
  });

  it('takes what is here when it asks for no more, and tells its age where that is known', async () => {
    group.confirmedBy = undefined;
    expect(await read('?consistency=eventual')).toEqual([200, 'eventual']);
    group.stalenessMs = 7;
    expect(await read('?consistency=eventual')).toEqual([200, 'eventual;staleness-ms=7']);
  });

  it.each([
    ['?consistency=strong', undefined, 'query_parse_error'],
    ['?consistency=bounded', undefined, 'query_parse_error'],
    ['?consistency=bounded&max_staleness_ms=-1', undefined, 'query_parse_error'],
    ['?max_staleness_ms=10', undefined, 'query_parse_error'],
    ['?consistency=eventual&max_staleness_ms=10', undefined, 'query_parse_error'],
    ['', 'yesterday', 'bad_request'],
    ['', '4-100-1', 'bad_request'],
    ['', '', 'bad_request'],
  ])('is refused when it makes no sense: %j after %j', async (query, after, error) => {
    expect(await read(query, after)).toEqual([400, error]);
  });

  it.each([
    ['GET', '/ledger'],
    ['GET', '/ledger/_all_docs'],
    ['POST', '/ledger/_all_docs'],
    ['GET', '/ledger/_changes'],
    ['POST', '/ledger/_bulk_get'],
    ['POST', '/ledger/_revs_diff'],
    ['GET', '/ledger/_local/none'],
    ['GET', '/ledger/_security'],
    ['HEAD', '/ledger/e1'],
    ['GET', '/ledger/missing'],
  ])('of any kind has a guarantee: %s %s', async (method, path) => {
    const body = method === 'POST' ? { docs: [] } : undefined;
    const { headers } = await app.request(method, path, path.endsWith('_revs_diff') ? {} : body);
    expect(headers.get('tercet-consistency')).toBe('linearizable;by=lease');
    expect(headers.get('tercet-position')).toBe('4-100');
    expect(group.barriers.count).toBe(1);
  });

  it('of a live feed is confirmed once, at its start', async () => {
    const ending = new AbortController();
    const response = await fetch(`${app.url}/ledger/_changes?feed=continuous`, { signal: ending.signal });
    expect(response.headers.get('tercet-consistency')).toBe('linearizable;by=lease');
    group.confirmedBy = undefined;
    await app.request('PUT', '/ledger/live', { a: 1 });
    const reader = response.body!.getReader();
    let text = '';
    while (!text.includes('"live"')) text += Buffer.from((await reader.read()).value ?? '').toString();
    expect(group.barriers.count).toBe(1);
    ending.abort();
  });

  it('of a database without a leader is as ever', async () => {
    group.confirmedBy = undefined;
    const { status, headers } = await app.request('GET', '/notes/_all_docs?consistency=linearizable');
    expect([status, headers.get('tercet-consistency'), headers.get('tercet-position')]).toEqual([
      200,
      null,
      null,
    ]);
    expect(group.barriers.count).toBe(0);
  });

  it('of a database that this node has not heard of asks whether there is one', async () => {
    expect((await app.request('GET', '/unheard/doc')).status).toBe(404);
    expect(group.barriers.count).toBe(1);
    group.confirmedBy = undefined;
    const { status, json } = await app.request('GET', '/unheard/doc');
    expect([status, json.error]).toEqual([503, 'no_leader']);
    expect(json.reason).toContain('no leader confirmed it. Try again.');
  });
});

describe('a read at a node that has no part in the group because its disk is full', () => {
  let full: Awaited<ReturnType<typeof startFakeNode>>;
  beforeAll(async () => {
    const storeHealth = () => ({ kind: 'read_only', cause: 'disk_full', detail: '' }) as const;
    full = await startFakeNode('n1', { storeHealth });
    expect((await full.app.request('PUT', '/ledger?strategy=single-leader')).status).toBe(201);
    full.group.confirmedBy = undefined;
  });
  afterAll(() => full.app.close());

  it.each([
    ['/ledger', 'consistency_unavailable', /whether this node is current\. No leader .* A weaker `cons/],
    [
      '/ledger?consistency=bounded&max_staleness_ms=1',
      'consistency_unavailable',
      /of unknown age\. No leader /,
    ],
    ['/unheard', 'no_leader', /whether there is such a database: no leader /],
  ])('says that, and whom to ask: %s', async (path, error, reason) => {
    const { status, json } = await full.app.request('GET', path);
    expect([status, json.error]).toEqual([503, error]);
    expect(json.reason).toMatch(reason);
    expect(json.reason).toContain(
      'The disk of this node takes no writes (disk_full), so it has no part in the cluster until it does: ask another node.',
    );
  });

  it('says that of a position that it has not got to as well', async () => {
    const { json } = await full.app.request('GET', '/ledger', undefined, { 'tercet-after': '4-101' });
    expect(json.reason).toMatch(
      /^This node has not got as far as Tercet-After says\. .* The disk .* ask another node/,
    );
  });
});

describe('a write', () => {
  it('tells its position', async () => {
    const { status, headers } = await app.request('POST', '/ledger', {});
    expect([status, headers.get('tercet-position')]).toEqual([201, '4-101']);
    expect(headers.get('tercet-receipt')).toBeNull();
    expect(group.acksWished).toEqual([undefined]);
  });

  it('may ask for an acknowledgement of its own, and a receipt', async () => {
    const query = 'ack=sync&on_timeout=degrade&ack_timeout_ms=250&receipt=true';
    const { status, headers } = await app.request('POST', `/ledger?${query}`, {});
    expect(status).toBe(201);
    expect(group.acksWished).toEqual([
      { policy: 'sync', followers: undefined, onTimeout: 'degrade', timeoutMs: 250 },
    ]);
    expect(JSON.parse(headers.get('tercet-receipt')!)).toEqual({
      ...{
        met: true,
        policy: 'semi-sync',
        term: 4,
        index: 101,
        durable_on: ['n1', 'n2'],
        milliseconds: 1.235,
      },
    });
  });

  it.each([
    ['POST', '/ledger', {}],
    ['POST', '/ledger/_bulk_docs', { docs: [{}, {}] }],
    [
      'POST',
      '/ledger/_bulk_docs',
      { new_edits: false, docs: [{ _id: 'x', _rev: '1-aaaabbbbccccddddeeeeffff00001111' }] },
    ],
    ['PUT', '/ledger/degraded/a.txt', 'text'],
  ])('that missed its policy in time is 202: %s %s', async (method, path, body) => {
    group.receipt = { met: false, durableOn: ['n1'] };
    const { status, headers } = await app.request(method, `${path}?receipt=true`, body);
    expect(status).toBe(202);
    expect(JSON.parse(headers.get('tercet-receipt')!)).toMatchObject({ met: false, durable_on: ['n1'] });
  });

  it('that failed is not made a success by its receipt', async () => {
    group.receipt = { met: false };
    expect((await app.request('PUT', '/ledger/e1', { a: 2 })).status).toBe(409);
  });

  it.each([
    ['followers=2', 2],
    ['ack=semi-sync&followers=majority', 'majority'],
  ])('may ask for followers of its own, which is semi-sync: %s', async (query, followers) => {
    expect((await app.request('POST', `/ledger?${query}`, {})).status).toBe(201);
    expect(group.acksWished).toMatchObject([{ policy: 'semi-sync', followers }]);
  });

  it('of unknown outcome says so', async () => {
    const ledger = app.databases.get('ledger');
    const edit = ledger.edit;
    ledger.edit = () => Promise.reject(failure('write_outcome_unknown', 'The acknowledgement did not come.'));
    const { status, json, headers } = await app.request('POST', '/ledger', {});
    ledger.edit = edit;
    expect([status, json.error, headers.get('tercet-write')]).toEqual([
      503,
      'write_outcome_unknown',
      'unknown',
    ]);
  });

  it.each([
    'followers=0',
    'ack=sync&followers=1',
    'ack=none',
    'ack=',
    'on_timeout=wait',
    'ack_timeout_ms=0',
    'ack_timeout_ms=1e9',
    'receipt=yes',
  ])('is refused when it asks for what there is not: %s', async (query) => {
    const { status, json } = await app.request('POST', `/ledger?${query}`, {});
    expect([status, json.error]).toEqual([400, 'query_parse_error']);
    expect(group.acksWished).toEqual([]);
  });
});

it('pages of other origins may read what answers tell', async () => {
  const cors = {
    origins: ['*'],
    credentials: false,
    headers: ['tercet-after'],
    methods: ['GET'],
    maxAgeSeconds: 1,
  };
  const node = await startFakeNode('n1', { cors });
  const { headers } = await node.app.request('GET', '/', undefined, { origin: 'http://localhost:3000' });
  expect(headers.get('access-control-expose-headers')).toMatch(/ETag.*Tercet-Position/);
  await node.app.close();
});

describe('a node without cluster services', () => {
  let plain: TestApp;
  beforeAll(async () => {
    plain = await startTestApp();
    await plain.request('PUT', '/notes', { replication: { strategy: 'single-leader' } });
  });
  afterAll(() => plain.close());

  it('answers as ever', async () => {
    const ignored = await plain.request('GET', '/notes?consistency=strong&max_staleness_ms=x', undefined, {
      'tercet-after': 'nonsense',
    });
    expect(ignored.status).toBe(200);
    expect(ignored.json.replication).toBeUndefined();
    const written = await plain.request('PUT', '/notes/n?ack=none&receipt=yes', {});
    expect(written.status).toBe(201);
    for (const { headers } of [ignored, written]) {
      expect([...headers.keys()].filter((name) => name.startsWith('tercet-'))).toEqual([]);
    }
    expect((await plain.request('PUT', '/new?strategy=single-leader')).status).toBe(501);
    expect((await plain.request('GET', '/_cluster')).status).toBe(404);
    expect((await plain.request('POST', '/_cluster/promote', { node: 'n1' })).status).toBe(404);
    expect((await plain.request('GET', '/new')).json.reason).toBe('Database does not exist.');
  });
});
