/** Databases of the group whose content does not travel by its log: multi-leader and leaderless ones. */

import { describe, expect, it } from 'vitest';
import type { ReplicationChoice } from '../database/model.ts';
import { bodyValue, write } from '../database/test-database.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { type Command, decodeCommand, encodeCommand } from './commands.ts';
import { applyInBatches, openReplica, TestLog, type TestReplica } from './test-log.ts';
import { transfer } from './test-state-transfer.ts';

const settings: LeaderlessSettings = {
  ...{ preset: 'dynamo', n: 3, r: 2, w: 2, pr: 0, pw: 0, quorum: 'sloppy', resolver: 'siblings' },
  ...{ hints: true, readRepair: 'async', antiEntropy: true, readTimeoutMs: 1, writeTimeoutMs: 2 },
  ...{ hintWindowMs: 3, tombstoneHorizonMs: 4 },
};
const leaderless: ReplicationChoice = { strategy: 'leaderless', settings };
const multiLeader: ReplicationChoice = { strategy: 'multi-leader' };
const ack = { policy: 'semi-sync', followers: 'majority', onTimeout: 'block', timeoutMs: 1_000 } as const;

async function opened() {
  const log = new TestLog();
  const leader = await log.openLeader();
  await leader.cluster.createDatabase('cart', leaderless);
  await leader.cluster.createDatabase('notes', multiLeader);
  await log.settled();
  return { log, leader };
}

async function followerOf(log: TestLog, follower?: TestReplica): Promise<TestReplica> {
  const replica = follower ?? (await openReplica());
  await log.settled();
  await applyInBatches(replica, log.entries.slice(replica.catalog.appliedIndex()), [1]);
  return replica;
}

function incarnationsOf({ databases }: TestReplica): string[] {
  return ['cart', 'notes'].map((name) => databases.get(name).incarnation);
}

/** Two states of the log that do not know each other: what forcing a membership leaves. */
async function forked() {
  const { log } = await opened();
  const other = new TestLog();
  const leader = await other.openLeader();
  await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
  await leader.cluster.createDatabase('other', multiLeader);
  await leader.cluster.createDatabase('notes', multiLeader);
  await other.settled();
  return { returned: await followerOf(log), leader };
}

describe('A database that is not single-leader', () => {
  it('is created, set up and dropped on all nodes', async () => {
    const { log, leader } = await opened();
    const follower = await followerOf(log);
    expect(follower.databases.replication('notes')).toEqual(leader.databases.replication('notes'));
    const changed = { ...settings, r: 3 };
    await leader.cluster.setReplication('cart', { strategy: 'leaderless', settings: changed });
    await leader.cluster.deleteDatabase('notes');
    await followerOf(log, follower);
    expect(follower.databases.replication('cart')).toMatchObject({
      strategy: 'leaderless',
      settings: changed,
    });
    expect(follower.databases.replication('cart')).toEqual(leader.databases.replication('cart'));
    expect(follower.databases.names()).toEqual(['cart']);
    await expect(leader.cluster.createDatabase('cart', leaderless)).rejects.toMatchObject({ status: 412 });
  });

  it('has owners from its creation on, which settings do not change; and none without so many voters', async () => {
    const { log, leader } = await opened();
    const owners = [
      { node: 'n1', disk: '00000001' },
      { node: 'n2', disk: '00000002' },
      { node: 'n3', disk: '00000003' },
    ];
    const follower = await followerOf(log);
    await leader.cluster.setReplication('cart', { strategy: 'leaderless', settings: { ...settings, r: 3 } });
    await followerOf(log, follower);
    const late = await openReplica();
    await transfer({ from: leader, to: late });
    for (const { databases } of [leader, follower, late]) {
      expect(databases.replication('cart')).toMatchObject({ owners, settings: { r: 3 } });
    }
    const four = { ...settings, n: 4 };
    const refused = { status: 400, reason: expect.stringContaining('n=') };
    await expect(
      leader.cluster.setReplication('cart', { strategy: 'leaderless', settings: four }),
    ).rejects.toMatchObject(refused);
    await expect(
      leader.cluster.createDatabase('more', { strategy: 'leaderless', settings: four }),
    ).rejects.toMatchObject({ status: 400, reason: 'n=4 replicas need as many voters; the cluster has 3.' });
  });

  it('gives the place of an owner that is no member any more to a voter, on all nodes alike', async () => {
    const { log, leader } = await opened();
    const follower = await followerOf(log);
    const asked: string[] = [];
    const replace = (node: string, by: string) =>
      leader.cluster.replaceOwner('cart', { node, by }, async () => void asked.push(node));
    await expect(replace('n3', 'n2')).rejects.toMatchObject({ status: 400 });
    log.members = [...log.members, { id: 'n4#00000004', name: 'n4', kind: 'voter' }];
    const isMember = { status: 412, reason: expect.stringContaining('node remove n3') };
    await expect(replace('n3', 'n4')).rejects.toMatchObject(isMember);
    await expect(replace('n9', 'n4')).rejects.toMatchObject({ status: 400, reason: 'n9 is no owner.' });
    log.members = log.members.filter(({ name }) => name !== 'n3');
    const noVoter = { status: 400, reason: 'n5 is no voter of the cluster.' };
    await expect(replace('n3', 'n5')).rejects.toMatchObject(noVoter);
    expect(asked).toEqual([]);

    await replace('n3', 'n4');
    await leader.cluster.setReplication('cart', { strategy: 'leaderless', settings: { ...settings, r: 3 } });
    await followerOf(log, follower);
    const owners = [
      { node: 'n1', disk: '00000001' },
      { node: 'n2', disk: '00000002' },
      { node: 'n4', disk: '00000004', joined: expect.stringMatching(/^[0-9a-f]+$/), replaced: ['n3'] },
    ];
    for (const { databases } of [leader, follower]) {
      expect(databases.replication('cart')).toMatchObject({ owners, settings: { r: 3 } });
    }
    expect([asked, follower.databases.replication('cart')]).toEqual([
      ['n3'],
      leader.databases.replication('cart'),
    ]);
    await expect(replace('n3', 'n4')).rejects.toMatchObject({ status: 400 });
  });

  it('counts its changes on each node by itself, under an incarnation that no other has', async () => {
    const { log, leader } = await opened();
    const replicas = [leader, await followerOf(log), await followerOf(log)];
    expect(new Set(replicas.flatMap(incarnationsOf)).size).toBe(6);
    const replications = replicas.map(({ databases }) => databases.replication('cart'));
    expect(replications[1]).toEqual(replications[0]);
    expect(replications[2]).toEqual(replications[0]);
  });

  it('is created once, however often its entry is applied', async () => {
    const { log } = await opened();
    const follower = await followerOf(log);
    await write(follower.databases.get('notes'), 'a', { n: 1 });
    const before = incarnationsOf(follower);
    await applyInBatches(follower, log.entries, [1]);
    expect(incarnationsOf(follower)).toEqual(before);
    expect(bodyValue(follower.databases.get('notes'), 'a')).toMatchObject({ n: 1 });
  });

  it('takes in what a node had under its name alone, where it is multi-leader', async () => {
    const { log } = await opened();
    const follower = await openReplica();
    for (const name of ['cart', 'notes']) await write(await follower.databases.create(name), 'a', { n: 1 });
    const [cart, notes] = incarnationsOf(follower);
    await followerOf(log, follower);
    expect(follower.databases.names()).toEqual(['cart', `cart-local-${cart}`, 'notes']);
    expect(follower.databases.get('notes').incarnation).toBe(notes);
    expect(bodyValue(follower.databases.get('notes'), 'a')).toMatchObject({ n: 1 });
    expect(follower.databases.get('cart').documentCount()).toBe(0);
  });
});

describe('The state of the group', () => {
  it('tells that they exist and how they are set up, and leaves what is in them alone', async () => {
    const { log, leader } = await opened();
    const follower = await followerOf(log);
    await write(follower.databases.get('notes'), 'own', { n: 1 });
    await write(leader.databases.get('notes'), 'elsewhere', { n: 2 });
    await leader.cluster.createDatabase('late', leaderless);
    await leader.cluster.createDatabase('ledger', { strategy: 'single-leader', ack });
    await leader.databases.get('notes').setRevisionsLimit(7);
    await leader.cluster.deleteDatabase('cart');
    await log.settled();
    const before = follower.databases.get('notes').incarnation;
    const { opened: states } = await transfer({ from: leader, to: follower });
    const scopes = Object.fromEntries(states[0]!.databases.map(({ name, scope }) => [name, scope]));
    expect(scopes).toEqual({ notes: 'settings', late: 'settings', ledger: 'whole' });
    expect(follower.databases.names()).toEqual(['late', 'ledger', 'notes']);
    const notes = follower.databases.get('notes');
    expect([notes.incarnation, notes.revisionsLimit()]).toEqual([before, 7]);
    expect([notes.documentCount(), bodyValue(notes, 'own')]).toMatchObject([1, { n: 1 }]);
    expect(follower.databases.replication('late')).toEqual(leader.databases.replication('late'));
    expect(follower.databases.get('late').incarnation).not.toBe(leader.databases.get('late').incarnation);
  });

  it('does not take away what only this side of a forced membership knows', async () => {
    const { returned, leader } = await forked();
    await write(returned.databases.get('notes'), 'own', { n: 1 });
    const [cart, notes] = incarnationsOf(returned);
    await transfer({ from: leader, to: returned, scope: 'whole' });
    const aside = [`cart-local-${cart}`, `notes-local-${notes}`];
    expect(returned.databases.names()).toEqual([aside[0], 'ledger', 'notes', aside[1], 'other']);
    expect(bodyValue(returned.databases.get(aside[1]!), 'own')).toMatchObject({ n: 1 });
    expect(returned.databases.replication(aside[1]!)).toEqual({ strategy: 'multi-leader' });
    expect(new Map(returned.catalog.names())).toEqual(leader.catalog.names());
  });
});

it('Creations and settings in logs of before there were strategies are those of single-leader databases', () => {
  const old = { kind: 'create', name: 'ledger', incarnation: 'aa', ack } as unknown as Command;
  expect(decodeCommand(encodeCommand(old))).toEqual({
    ...{ kind: 'create', name: 'ledger', incarnation: 'aa' },
    replication: { strategy: 'single-leader', ack },
  });
  const configure = { kind: 'configure', database: 1, ack } as unknown as Command;
  expect(decodeCommand(encodeCommand(configure))).toMatchObject({ replication: { ack } });
});
