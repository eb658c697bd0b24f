/** Holds docs/couchdb-divergence.md: every row has a test of its name here, against a running node. */

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NodeOptions, openNode, type TercetNode } from '../../src/node.ts';
import { singleLeaderChecks } from './divergence-single-leader.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read member by member, and a wrong one fails the test.
  readonly json: any;
}

type Headers = Readonly<Record<string, string>>;

let directory: string;
let node: TercetNode;
let databases = 0;

async function request(method: string, path: string, body?: unknown, headers: Headers = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type: Headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const response = await fetch(`${node.url}${path}`, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body: text }),
  });
  const answer = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    text: answer,
    json: isJson ? (JSON.parse(answer) as unknown) : undefined,
  };
}

function open(options: Partial<NodeOptions> = {}): Promise<TercetNode> {
  return openNode({
    dataDirectory: join(directory, 'data'),
    listen: '127.0.0.1:0',
    logLevel: 'silent',
    ...options,
  });
}

/** An empty database; gives its path. */
async function newDatabase(query = ''): Promise<string> {
  const path = `/db${databases++}`;
  expect((await request('PUT', `${path}${query}`)).status).toBe(201);
  return path;
}

const design = {
  views: { v: { map: 'function (doc) { emit(doc._id); }' } },
  filters: { f: 'function () { return false; }' },
  shows: { s: 'function () { return "shown"; }' },
  validate_doc_update: 'function () { throw { forbidden: "nothing may be written" }; }',
};

async function withDesign(): Promise<string> {
  const path = await newDatabase();
  // As it comes by replication: a client may not write it.
  const replicated = { ...design, _rev: '1-a' };
  expect((await request('PUT', `${path}/_design/d?new_edits=false`, replicated)).status).toBe(201);
  return path;
}

async function statuses(requests: readonly (readonly [method: string, path: string, body?: unknown])[]) {
  const answers = [];
  for (const [method, path, body] of requests) answers.push((await request(method, path, body)).status);
  return answers;
}

type Checks = Readonly<Record<string, () => Promise<void>>>;

const notThereYet: Checks = {
  mango: async () => {
    const path = await newDatabase();
    const query = { selector: {} };
    const index = { index: { fields: ['a'] } };
    const found = await statuses([
      ['POST', `${path}/_find`, query],
      ['POST', `${path}/_explain`, query],
      ['POST', `${path}/_index`, index],
      ['GET', `${path}/_index`],
    ]);
    expect(found).toEqual([501, 501, 501, 501]);
  },
  views: async () => {
    const path = await withDesign();
    const read = (below: string) => request('GET', `${path}/_design/d${below}`);
    expect((await read('/_view/v')).json.error).toBe('not_implemented');
    expect((await read('/_info')).status).toBe(501);
    expect((await read('')).json.views).toEqual(design.views);
  },
  search: async () => {
    const path = await withDesign();
    const found = await statuses([
      ['GET', `${path}/_design/d/_search/s?q=x`],
      ['GET', `${path}/_design/d/_nouveau/s?q=x`],
    ]);
    expect(found).toEqual([501, 501]);
  },
  'filter-functions': async () => {
    const path = await withDesign();
    const filtered = (query: string) => request('GET', `${path}/_changes?${query}`);
    expect((await filtered('filter=d/f')).status).toBe(501);
    expect((await filtered('filter=_view&view=d/v')).status).toBe(501);
    expect((await filtered('filter=d/absent')).status).toBe(404);
    expect((await filtered('filter=_design')).json.results).toHaveLength(1);
    const selected = { selector: { _id: 'absent' } };
    expect((await request('POST', `${path}/_changes?filter=_selector`, selected)).json.results).toEqual([]);
  },
  'validation-functions': async () => {
    const path = await withDesign();
    expect((await request('PUT', `${path}/forbidden`, {})).status).toBe(201);
    const written = { validate_doc_update: design.validate_doc_update };
    const refused = await request('PUT', `${path}/_design/e`, written);
    expect([refused.status, refused.json.error]).toEqual([501, 'not_implemented']);
    const docs = [{ _id: '_design/e', ...written }, { _id: 'other' }];
    const rows = (await request('POST', `${path}/_bulk_docs`, { docs })).json;
    expect(rows).toMatchObject([{ id: '_design/e', error: 'not_implemented' }, { ok: true }]);
    const copy = await request('COPY', `${path}/_design/d`, undefined, { Destination: '_design/e' });
    expect([copy.status, (await request('GET', `${path}/_design/e`)).status]).toEqual([501, 404]);
    expect((await request('DELETE', `${path}/_design/d?rev=1-a`)).status).toBe(200);
  },
  strategies: async () => {
    const found = await statuses([
      ['PUT', '/strategic?strategy=no-such-strategy'],
      ['GET', '/strategic'],
      ['PUT', '/strategic?strategy=single-leader'],
      ['PUT', '/strategic-cart?strategy=leaderless'],
    ]);
    expect(found).toEqual([400, 404, 201, 201]);
    expect((await request('GET', '/strategic')).json.replication.strategy).toBe('single-leader');
    expect((await request('GET', '/strategic-cart')).json.replication).toMatchObject({
      n: 1,
      preset: 'dynamo',
    });
    const path = await newDatabase();
    expect((await request('GET', path)).json.replication.strategy).toBe('single-leader');
  },
};

const data: Checks = {
  'gone-functions': async () => {
    const path = await withDesign();
    const names = ['_show/s', '_list/l/v', '_update/u', '_rewrite/r'];
    const found = await statuses(names.map((name) => ['GET', `${path}/_design/d/${name}`] as const));
    expect(found).toEqual([404, 404, 404, 404]);
  },
  'revision-ids': async () => {
    const [first, second] = [await newDatabase(), await newDatabase()];
    const { rev } = (await request('PUT', `${first}/empty`, {})).json;
    expect((await request('PUT', `${second}/empty`, {})).json.rev).toBe(rev);
    expect(rev).toMatch(/^1-[0-9a-f]{32}$/);
    // What CouchDB gives every empty document.
    expect(rev).not.toBe('1-967a00dff5e02add41819138abb3284d');
  },
  'attachment-types': async () => {
    const path = await newDatabase();
    const attach = (type: string) =>
      request('PUT', `${path}/d`, { _attachments: { a: { content_type: type, data: 'YQ==' } } });
    expect((await attach('x/\u4e2d')).status).toBe(400);
    expect((await attach('text/caf\u00e9')).status).toBe(201);
    const { headers } = await fetch(`${node.url}${path}/d/a`);
    expect(headers.get('content-type')).toBe('text/caf\u00e9');
  },
  'member-order': async () => {
    const path = await newDatabase();
    await request('PUT', `${path}/d`, '{"b":1,"a":{"d":1,"c":2}}');
    expect((await request('GET', `${path}/d`)).text).toContain('"a":{"c":2,"d":1},"b":1');
  },
  numbers: async () => {
    const path = await newDatabase();
    await request('PUT', `${path}/d`, '{"big":12345678901234567890,"one":1.0}');
    expect((await request('GET', `${path}/d`)).text).toContain('"big":12345678901234567000,"one":1}');
  },
  sequences: async () => {
    const [path, other] = [await newDatabase(), await newDatabase()];
    for (const id of ['a', 'b']) await request('PUT', `${path}/${id}`, {});
    await request('PUT', `${other}/c`, {});
    const rowsSince = async (since: string) =>
      (await request('GET', `${path}/_changes?since=${since}`)).json.results.length;
    const foreign = (await request('GET', other)).json.update_seq;
    expect(await rowsSince((await request('GET', path)).json.update_seq)).toBe(0);
    expect(await rowsSince(foreign)).toBe(2);
    expect(await rowsSince('1')).toBe(2);
  },
  'attachment-encoding': async () => {
    const path = await newDatabase();
    const content = 'hello '.repeat(1_000);
    await request('PUT', `${path}/d/a.txt`, content, { 'Content-Type': 'text/plain' });
    const stub = (await request('GET', `${path}/d?att_encoding_info=true`)).json._attachments['a.txt'];
    expect(stub).toMatchObject({ length: content.length, stub: true });
    expect(Object.keys(stub)).not.toContain('encoding');
  },
  'bulk-limit': async () => {
    const path = await newDatabase();
    const docs = (count: number) => ({ docs: Array.from({ length: count }, (_, n) => ({ _id: `d${n}` })) });
    const written = await request('POST', `${path}/_bulk_docs`, docs(10_001));
    expect(written.status).toBe(201);
    expect((await request('GET', path)).json.doc_count).toBe(10_001);
    expect((await request('POST', `${path}/_bulk_docs`, docs(100_001))).status).toBe(413);
  },
  'id-length': async () => {
    const path = await newDatabase();
    expect((await request('PUT', `${path}/${'i'.repeat(7_168)}`, {})).status).toBe(201);
    expect((await request('PUT', `${path}/${'i'.repeat(7_169)}`, {})).json.error).toBe('illegal_docid');
  },
  nesting: async () => {
    const path = await newDatabase();
    const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;
    expect((await request('PUT', `${path}/d`, nested(256))).status).toBe(201);
    expect((await request('PUT', `${path}/e`, nested(257))).status).toBe(400);
  },
};

const cluster: Checks = {
  batch: async () => {
    const path = await newDatabase();
    expect((await request('PUT', `${path}/d?batch=ok`, {})).status).toBe(201);
    expect((await request('GET', `${path}/d`)).status).toBe(200);
  },
  'quorum-parameters': async () => {
    const path = await newDatabase();
    expect((await request('PUT', `${path}/d?w=3`, {})).status).toBe(201);
    expect((await request('GET', `${path}/d?r=3`)).status).toBe(200);
  },
  partitioned: async () => {
    const path = await newDatabase('?partitioned=true');
    expect((await request('GET', path)).json.props).toEqual({});
    expect((await request('PUT', `${path}/without-a-partition`, {})).status).toBe(201);
    expect((await request('GET', `${path}/_partition/p/_all_docs`)).status).toBe(404);
  },
  shards: async () => {
    const path = await newDatabase();
    expect((await request('GET', path)).json.cluster).toEqual({ q: 1, n: 1, w: 1, r: 1 });
    const found = await statuses([
      ['GET', `${path}/_shards`],
      ['POST', `${path}/_sync_shards`, {}],
      ['GET', '/_reshard'],
    ]);
    expect(found).toEqual([404, 404, 404]);
  },
  'system-databases': async () => {
    expect(await statuses(['_users', '_replicator'].map((name) => ['GET', `/${name}`]))).toEqual([200, 200]);
    expect((await request('GET', '/_global_changes')).status).toBe(404);
  },
  'database-updates': async () => {
    const path = await newDatabase();
    const known = (await request('GET', '/_db_updates')).json;
    await node.close();
    node = await open();
    const again = (await request('GET', `/_db_updates?since=${known.last_seq}`)).json;
    expect(again.results.map((row: { db_name: string }) => `/${row.db_name}`)).toContain(path);
  },
  configuration: async () => {
    expect((await request('GET', '/_node/_local/_config/couchdb/max_document_size')).json).toBe('8000000');
    expect((await request('PUT', '/_node/_local/_config/couchdb/max_document_size', '"9"')).status).toBe(405);
  },
  'cluster-setup': async () => {
    expect((await request('GET', '/_cluster_setup')).json.state).toBe('single_node_enabled');
    expect((await request('POST', '/_cluster_setup', { action: 'add_node', host: 'h' })).status).toBe(400);
  },
  'node-operations': async () => {
    const local = '/_node/_local';
    const found = await statuses([
      ['POST', `${local}/_restart`, {}],
      ['GET', `${local}/_versions`],
      ...['_stats', '_system', '_prometheus', '_config'].map((name) => ['GET', `${local}/${name}`] as const),
    ]);
    expect(found).toEqual([405, 404, 200, 200, 200, 200]);
  },
  probes: async () => {
    expect((await request('GET', '/metrics')).text).toMatch(/^tercet_databases \d+$/m);
    expect((await request('GET', '/livez')).json).toEqual({ status: 'ok' });
    const isReady = { status: 'ok', checks: { store: 'ok', membership: 'ok', leader: 'ok' } };
    // A node that has just started leads its single-leader databases a moment later.
    await expect.poll(async () => (await request('GET', '/readyz?verbose')).json).toEqual(isReady);
    expect((await request('PUT', '/metrics')).status).toBe(201);
    expect((await request('GET', '/metrics')).json.db_name).toBe('metrics');
  },
  fauxton: async () => {
    expect((await request('GET', '/_utils/')).status).toBe(404);
  },
  'replication-proxy': async () => {
    const replication = { source: 'http://a/b', target: await newDatabase(), source_proxy: 'http://proxy' };
    expect((await request('POST', '/_replicate', replication)).status).toBe(400);
  },
};

const access: Checks = {
  'admin-party': async () => {
    expect((await request('GET', '/_session')).json.userCtx).toEqual({ name: null, roles: ['_admin'] });
    await expect(open({ dataDirectory: join(directory, 'wide'), listen: '0.0.0.0:0' })).rejects.toThrow(
      '--admin',
    );
  },
  'lock-out': async () => {
    const guarded = await open({ dataDirectory: join(directory, 'guarded'), admins: { anna: 'right' } });
    try {
      const authorization = `Basic ${Buffer.from('anna:wrong').toString('base64')}`;
      const seen: number[] = [];
      while (seen.length < 20 && seen.at(-1) !== 429) {
        seen.push((await fetch(`${guarded.url}/_all_dbs`, { headers: { authorization } })).status);
      }
      expect(seen.at(-1)).toBe(429);
      expect(new Set(seen.slice(0, 5))).toEqual(new Set([401]));
    } finally {
      await guarded.close();
    }
  },
  'foreign-pages': async () => {
    const path = await newDatabase();
    const write = (origin: string) => request('POST', path, {}, { Origin: origin });
    expect((await write('https://elsewhere.example')).status).toBe(403);
    expect((await write(node.url)).status).toBe(201);
  },
  'session-cookies': async () => {
    const user = { name: 'carla', password: 'a long password', roles: [], type: 'user' };
    expect((await request('PUT', '/_users/org.couchdb.user:carla', user)).status).toBe(201);
    const body = new URLSearchParams({ name: user.name, password: user.password });
    const { headers } = await fetch(`${node.url}/_session`, { method: 'POST', body });
    expect(headers.get('set-cookie')).toMatch(/^AuthSession=.*; HttpOnly; SameSite=Strict$/);
  },
  'password-hashes': async () => {
    const path = '/_users/org.couchdb.user:berta';
    const user = { name: 'berta', password: 'a long password', roles: [], type: 'user' };
    expect((await request('PUT', path, user)).status).toBe(201);
    const members = Object.keys((await request('GET', path)).json);
    expect(members.toSorted()).toEqual(['_id', '_rev', 'name', 'roles', 'type']);
  },
};

const singleLeader = singleLeaderChecks({
  ...{ request, newDatabase, node: () => node },
  openAlone: (options) => open({ dataDirectory: join(directory, options.name ?? 'alone'), ...options }),
});

const checks: Checks = { ...notThereYet, ...data, ...cluster, ...singleLeader, ...access };

describe('docs/couchdb-divergence.md', () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tercet-divergence-'));
    node = await open();
  });

  afterAll(async () => {
    await node.close();
    await rm(directory, { recursive: true, force: true });
  });

  it('has a test for each of its rows, and a row for each test', () => {
    const page = readFileSync(new URL('../../docs/couchdb-divergence.md', import.meta.url), 'utf8');
    const ids = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, id]) => id);
    expect(ids.toSorted()).toEqual(Object.keys(checks).toSorted());
  });

  it.each(Object.entries(checks))('is right about %s', async (_id, check) => {
    await check();
  });
});
