import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../runtime/test-peers.ts';
import { readGroup } from './group-founding.ts';
import {
  byLeader,
  byMajority,
  closeMembers,
  createDisk,
  followersOf,
  leaderOf,
  restart,
  startMember,
  startMembers,
  type TestMember,
  untilApplied,
  write,
} from './test-groups.ts';

afterEach(closeMembers);

describe('a group whose members come and go', () => {
  it('has another leader right after its leader closed, and the returning one catches up', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    await write(leader, 'a');
    await leader.close();
    const rest = followersOf(members, leader);
    const next = await leaderOf(rest);
    expect(await write(next, 'b')).toMatchObject({ kind: 'acknowledged', outcome: 'met' });
    const peers = rest.map(({ name }) => name);
    const back = await startMember({ name: leader.name, peers, disk: leader.disk });
    await untilApplied([...rest, back], ['a', 'b']);
    expect(back.group.status().id).toBe(leader.group.status().id);
  });

  it('elects another leader when its leader is cut off, which learns of it afterwards', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    leader.setCut(true);
    const rest = followersOf(members, leader);
    const next = await leaderOf(rest);
    expect(await write(next, 'b')).toMatchObject({ kind: 'acknowledged', outcome: 'met' });
    await until(() => expect(leader.group.status().role).not.toBe('leader'));
    leader.setCut(false);
    await untilApplied(members, ['b']);
    expect(leader.group.status().leader).toBe(next.name);
  });

  it('hands over what only a deposed leader had, by its epoch, and forgets it then', async () => {
    const { deposed, term, rest } = await deposeLeader();
    deposed.setCut(false);
    await until(() => expect(deposed.recovered).toEqual([{ texts: ['only here'], epoch: term }]));
    await until(async () => expect(await recoveredOn(deposed)).toEqual([]));
    await untilApplied([...rest, deposed], ['everywhere']);
  });

  it('keeps what a deposed leader had until somebody takes it, also over a restart', async () => {
    const { deposed, term, rest } = await deposeLeader();
    deposed.refuseRecovered();
    deposed.setCut(false);
    await until(() => expect(deposed.recovered.length).toBeGreaterThanOrEqual(2));
    expect(await recoveredOn(deposed)).toEqual(['only here']);
    const again = await restart(deposed, { peers: rest.map(({ name }) => name) });
    await until(() => expect(again.recovered).toEqual([{ texts: ['only here'], epoch: term }]));
    await until(async () => expect(await recoveredOn(again)).toEqual([]));
  });

  it('takes its founder with a new disk in under a new id, and lets the old one go', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    await write(await leaderOf(members), 'a');
    const [founder, ...rest] = members as [TestMember, ...TestMember[]];
    const before = founder.group.status().id;
    const back = await restart(founder, { peers: ['n2', 'n3'], disk: createDisk() });
    await until(() => {
      for (const { group } of rest) {
        const ids = group.status().members.map(({ id, kind }) => `${id} ${kind}`);
        expect(ids).toContain(`${back.group.status().id} voter`);
        expect(ids).toHaveLength(3);
      }
    });
    expect(back.group.status().id).not.toBe(before);
    expect(await write(await leaderOf([...rest, back]), 'b')).toMatchObject({ kind: 'acknowledged' });
    await untilApplied([...rest, back], ['a', 'b']);
  });

  it('goes on without the beginning of its log, on all members', async () => {
    const names = ['n1', 'n2', 'n3'];
    const start = (name: string) =>
      startMember({ name, peers: names.filter((peer) => peer !== name), settings: { logEntriesKept: 3 } });
    const members = await Promise.all(names.map(start));
    const leader = await leaderOf(members);
    const texts = Array.from({ length: 20 }, (_, at) => `${at}`);
    for (const text of texts) await write(leader, text);
    await untilApplied(members, texts);
    await until(async () => {
      for (const { disk } of members)
        expect((await readGroup(disk.store))?.log.found.start).toBeGreaterThan(10);
    });
    const [follower] = followersOf(members, leader) as [TestMember];
    const back = await restart(follower, { peers: names.filter((name) => name !== follower.name) });
    await write(leader, 'more');
    await untilApplied([back], [...texts, 'more']);
  });
});

describe('a group of one', () => {
  it('is there at once, and still there after a restart', async () => {
    const alone = await startMember({ name: 'n1', peers: [] });
    await leaderOf([alone]);
    expect(await write(alone, 'a', byMajority)).toMatchObject({ kind: 'acknowledged', outcome: 'met' });
    expect(await alone.group.readBarrier()).toMatchObject({ index: alone.group.status().commit });
    const again = await restart(alone, { peers: [] });
    await leaderOf([again]);
    expect(await write(again, 'b')).toMatchObject({ kind: 'acknowledged' });
    await untilApplied([again], ['a', 'b']);
  });

  it('grows when nodes without a group are told of it', async () => {
    const alone = await startMember({ name: 'n1', peers: [] });
    await leaderOf([alone]);
    await write(alone, 'a');
    const n1 = await restart(alone, { peers: ['n2'] });
    const n2 = await startMember({ name: 'n2', peers: ['n1'] });
    await until(() => {
      const kinds = n1.group.status().members.map(({ name, kind }) => `${name} ${kind}`);
      expect(kinds).toEqual(['n1 voter', 'n2 voter']);
    });
    await untilApplied([n1, n2], ['a']);
  });
});

async function deposeLeader() {
  const members = await startMembers('n1', 'n2', 'n3');
  const deposed = await leaderOf(members);
  const { term } = deposed.group.status();
  deposed.setCut(true);
  const alone = await write(deposed, 'only here', byLeader);
  expect(alone).toMatchObject({ kind: 'acknowledged', outcome: 'met', receipt: { committed: false } });
  const rest = followersOf(members, deposed);
  await write(await leaderOf(rest), 'everywhere');
  return { deposed, term, rest };
}

async function recoveredOn({ disk }: TestMember): Promise<string[]> {
  const stored = await readGroup(disk.store);
  return (stored?.log.recovered ?? []).map(({ body }) =>
    body.kind === 'data' ? Buffer.from(body.data).toString() : body.kind,
  );
}
