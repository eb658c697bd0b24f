/** What a client of CouchDB may notice of single-leader databases; each member is a row of docs/couchdb-divergence.md. */

import { expect, vi } from 'vitest';
import type { NodeOptions, TercetNode } from '../../src/node.ts';
import { freePorts } from '../ports.ts';

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read member by member, and a wrong one fails the test.
  readonly json: any;
}

type Headers = Readonly<Record<string, string>>;

interface DivergenceWorld {
  readonly request: (method: string, path: string, body?: unknown, headers?: Headers) => Promise<Answer>;
  /** An empty database; gives its path. */
  readonly newDatabase: (query?: string) => Promise<string>;
  readonly node: () => TercetNode;
  /** Another node, to be closed by who asked for it. */
  readonly openAlone: (options: Partial<NodeOptions>) => Promise<TercetNode>;
}

const leadingMsMax = 20_000;

/** Three nodes of which one that followed is closed: what all have to confirm is not met any more. */
async function clusterWithoutOne(openAlone: DivergenceWorld['openAlone']) {
  const ports = await freePorts(3);
  const peers = Object.fromEntries(ports.map((port, at) => [`m${at}`, `http://127.0.0.1:${port}`]));
  const open = (port: number, at: number) =>
    openAlone({ name: `m${at}`, listen: `127.0.0.1:${port}`, peers });
  const nodes = await Promise.all(ports.map(open));
  const leads = async ({ url }: TercetNode) => {
    const shown = (await (await fetch(`${url}/_cluster`)).json()) as Answer['json'];
    return shown.has_quorum === true;
  };
  const leader = await vi.waitUntil(
    async () => {
      const leading = await Promise.all(nodes.map(leads));
      return nodes[leading.indexOf(true)];
    },
    { timeout: leadingMsMax },
  );
  const [gone, ...left] = nodes.filter((node) => node !== leader).concat(leader);
  await gone!.close();
  return { url: leader.url, close: () => Promise.all(left.map((node) => node.close())) };
}

async function checkAcknowledgement(openAlone: DivergenceWorld['openAlone']): Promise<void> {
  const { url, close } = await clusterWithoutOne(openAlone);
  const put = async (path: string) => {
    const init = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{}' };
    const answer = await fetch(`${url}/ledger${path}`, path.startsWith('/') ? init : { method: 'PUT' });
    const { error } = (await answer.json()) as Answer['json'];
    return { status: answer.status, write: answer.headers.get('tercet-write'), error };
  };
  try {
    expect(await put('?strategy=single-leader&ack=sync&ack_timeout_ms=50')).toMatchObject({
      status: 201,
    });
    expect(await put('/failed')).toEqual({
      status: 503,
      write: 'unknown',
      error: 'write_outcome_unknown',
    });
    expect(await put('/degraded?on_timeout=degrade')).toMatchObject({ status: 202 });
    expect(await put('/told?ack=async&ack_timeout_ms=20000')).toMatchObject({ status: 201 });
    expect(await put('/told')).toEqual({ status: 409, write: 'did_not_happen', error: 'conflict' });
    expect(await put('/asked?followers=3')).toEqual({
      status: 400,
      write: 'did_not_happen',
      error: 'bad_request',
    });
  } finally {
    await close();
  }
}

export function singleLeaderChecks({
  request,
  newDatabase,
  node,
  openAlone,
}: DivergenceWorld): Readonly<Record<string, () => Promise<void>>> {
  return {
    'replication-settings': async () => {
      const path = await newDatabase('?strategy=single-leader&ack=async');
      const shown = { strategy: 'single-leader', ack: 'async', on_timeout: 'fail', ack_timeout_ms: 5_000 };
      expect((await request('GET', path)).json.replication).toEqual(shown);
      expect((await request('PUT', `${path}/_replication`, { ack: 'sync' })).status).toBe(200);
      expect((await request('GET', `${path}/_replication`)).json).toEqual({ ...shown, ack: 'sync' });
    },
    acknowledgement: () => checkAcknowledgement(openAlone),
    'read-levels': async () => {
      const path = await newDatabase('?strategy=single-leader');
      const read = async (query: string, headers: Headers = {}) => {
        const { status, headers: answered } = await fetch(`${node().url}${path}${query}`, { headers });
        return [status, answered.get('tercet-consistency')?.replace(/;.*/, '')];
      };
      expect(await read('')).toEqual([200, 'linearizable']);
      expect(await read('?consistency=eventual')).toEqual([200, 'eventual']);
      const unreached = await request('GET', path, undefined, { 'tercet-after': '1-1000000' });
      expect([unreached.status, unreached.json.error]).toEqual([503, 'consistency_unavailable']);
    },
    'no-leader': async () => {
      const peers = { n1: 'http://127.0.0.1:1', n2: 'http://127.0.0.1:2' };
      const alone = await openAlone({ name: 'n1', peers });
      try {
        const answer = await fetch(`${alone.url}/ledger?strategy=single-leader`, { method: 'PUT' });
        expect([answer.status, await answer.json()]).toMatchObject([503, { error: 'no_leader' }]);
        expect((await fetch(`${alone.url}/unheard`)).status).toBe(503);
      } finally {
        await alone.close();
      }
    },
    'cluster-endpoints': async () => {
      const { name } = node();
      const shown = { node: name, role: 'leader', leader: name, has_quorum: true };
      expect((await request('GET', '/_cluster')).json).toMatchObject(shown);
      const promoted = await request('POST', '/_cluster/promote', { node: name });
      expect(promoted.json).toMatchObject({ ok: true, outcome: 'already_leader' });
      const transferred = await request('POST', '/_cluster/transfer', { node: name });
      expect([transferred.status, transferred.json.error]).toEqual([409, 'conflict']);
    },
  };
}
