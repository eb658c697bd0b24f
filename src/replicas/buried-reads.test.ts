/** Reads where one replica has forgotten a deletion and others have not, or never heard of it. */

import { afterEach, describe, expect, it } from 'vitest';
import { bodyOf, edit, revisionOf } from '../database/test-database.ts';
import type { Revision } from '../document/revision.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { until } from '../runtime/test-peers.ts';
import { closeReplicaNodes, type ReplicaNode, startReplicas } from './test-replicas.ts';

afterEach(closeReplicaNodes);

/** What somebody made of an old copy while the document died elsewhere. */
function editOf(old: Revision) {
  const ids = ['e'.repeat(32), old.slice(2)];
  const body = bodyOf({ phone: true });
  const path = { start: 2, ids };
  return { id: 'c1', revision: `2-${ids[0]}` as Revision, path, deleted: false, attachments: [], body };
}

/** Three replicas that know of a deletion; the first one has forgotten it. Only reads repair. */
async function forgottenOnFirst(readRepair: LeaderlessSettings['readRepair']) {
  const nodes = await startReplicas(3, { hints: false, antiEntropy: false, readRepair });
  const [n1] = nodes as [ReplicaNode, ...ReplicaNode[]];
  const live = revisionOf((await n1.database.edit([edit('c1', {})], { quorum: { w: 3 } }))[0]);
  const [died] = await n1.database.edit([edit('c1', {}, live, true)], { quorum: { w: 3 } });
  const dead = revisionOf(died);
  expect(await n1.database.leaderless!.forgetTombstones(new Map([['c1', [dead]]]))).toEqual(['c1']);
  return { nodes: nodes as [ReplicaNode, ReplicaNode, ReplicaNode], live, dead };
}

async function shownBy({ database, replicas }: ReplicaNode, r: number) {
  const { reader } = await replicas.read('carts', 'c1', { r });
  const read = (reader ?? database).read('c1', { conflicts: true });
  return read.kind === 'found' ? read.document : 'not found';
}

function repairs(nodes: readonly ReplicaNode[]): number {
  return nodes.reduce((sum, { replicas }) => sum + replicas.figures().readRepairs, 0);
}

describe('a read of R = 2 after one replica has forgotten a deletion', () => {
  it('answers the same from all replicas, and finds nothing to repair', async () => {
    const { nodes } = await forgottenOnFirst('async');
    for (const node of [...nodes, ...nodes]) expect(await shownBy(node, 2)).toBe('not found');
    for (const node of nodes) expect(await shownBy(node, 3)).toBe('not found');
    expect(repairs(nodes)).toBe(0);
  });

  it.each(['off', 'async', 'blocking'] as const)(
    'does not show from any replica what another one holds in quarantine, with read repair %s',
    async (readRepair) => {
      const { nodes, live } = await forgottenOnFirst(readRepair);
      const [n1, n2, n3] = nodes;
      await n2.database.insert([editOf(live)], { quorum: { w: 1 } });
      await until(() => expect(n1.database.leaderless!.counts().quarantined).toBe(1));
      for (const node of nodes) expect(await shownBy(node, 3)).toBe('not found');
      if (readRepair === 'off') {
        expect(n2.database.read('c1').kind).toBe('found');
        expect(repairs(nodes)).toBe(0);
        return;
      }
      const counts = { graves: 1, quarantined: 1 };
      await until(() => {
        for (const { database } of [n2, n3]) expect(database.leaderless!.counts()).toMatchObject(counts);
      });
      const done = repairs(nodes);
      for (const node of [...nodes, ...nodes]) expect(await shownBy(node, 2)).toBe('not found');
      expect(repairs(nodes)).toBe(done);
    },
  );

  it('takes the word of another replica for what is dead, and for nothing else', async () => {
    const { nodes, live } = await forgottenOnFirst('off');
    const [n1, n2, n3] = nodes;
    await n2.database.insert([editOf(live)], { coordinator: 'client' });
    expect(n2.database.read('c1').kind).toBe('found');
    expect(await n3.replicas.hearGraves('carts', 'never')).toBe(false);
    expect(await n2.replicas.hearGraves('carts', 'c1')).toBe(true);
    expect(n2.database.leaderless!.counts()).toMatchObject({ graves: 1, quarantined: 1 });
    expect(n2.database.read('c1').kind).not.toBe('found');
    await n1.close();
    await n2.database.edit([edit('c2', {})], { quorum: { w: 2 } });
    expect(await n3.replicas.hearGraves('carts', 'c2')).toBe(false);
    expect(n3.database.read('c2').kind).toBe('found');
  });

  it('shows what was written anew, and brings it to who has the grave', async () => {
    const { nodes, dead } = await forgottenOnFirst('async');
    const [n1, n2] = nodes;
    // On one replica alone.
    const edits = [edit('c1', { anew: true }, dead)];
    const anew = revisionOf((await n2.database.edit(edits, { coordinator: 'client' }))[0]);
    expect(await shownBy(n1, 3)).toMatchObject({ revision: anew });
    await until(() => expect(n1.database.read('c1')).toMatchObject({ document: { revision: anew } }));
    for (const node of nodes) expect(await shownBy(node, 2)).toMatchObject({ revision: anew });
  });
});
