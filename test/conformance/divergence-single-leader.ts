/** What a client of CouchDB may notice of single-leader databases; each member is a row of docs/couchdb-divergence.md. */

import { expect } from 'vitest';
import type { NodeOptions, TercetNode } from '../../src/node.ts';

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

/** A member more than there is: never met. */
const unmet = 'followers=1&ack_timeout_ms=50';

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
    acknowledgement: async () => {
      const path = await newDatabase(`?strategy=single-leader&${unmet}`);
      const failed = await fetch(`${node().url}${path}/failed`, { method: 'PUT', body: '{}' });
      expect([failed.status, failed.headers.get('tercet-write')]).toEqual([503, 'unknown']);
      expect(await failed.json()).toMatchObject({ error: 'write_outcome_unknown' });
      expect((await request('PUT', `${path}/degraded?on_timeout=degrade`, {})).status).toBe(202);
      expect((await request('PUT', `${path}/told?ack=async&ack_timeout_ms=20000`, {})).status).toBe(201);
      const stale = await fetch(`${node().url}${path}/told`, { method: 'PUT', body: '{}' });
      expect([stale.status, stale.headers.get('tercet-write')]).toEqual([409, 'did_not_happen']);
    },
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
      expect(transferred.json).toEqual({ ok: false, outcome: 'no_such_voter' });
    },
  };
}
