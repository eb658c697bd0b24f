import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../runtime/test-peers.ts';
import { closeMembers, followersOf, leaderOf, startMembers, untilApplied, write } from './test-groups.ts';

afterEach(closeMembers);

describe('a group of three', () => {
  it('is founded by nodes that start for the first time, and elects one of them', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const status = leader.group.status();
    expect(status.members.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'n1 voter',
      'n2 voter',
      'n3 voter',
    ]);
    expect(status).toMatchObject({ role: 'leader', leader: leader.name, founded: true, stopped: false });
    expect(status.epochs).toMatchObject([{ term: status.term, leader: status.id }]);
    expect(members.flatMap(({ defects }) => defects)).toEqual([]);
  });

  it('acknowledges a write that a majority holds, and applies it everywhere in one order', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const results = await Promise.all(['a', 'b', 'c'].map((text) => write(leader, text)));
    for (const result of results) {
      expect(result).toMatchObject({ kind: 'acknowledged', outcome: 'met', receipt: { committed: true } });
      expect(result.kind === 'acknowledged' && result.receipt.durableOn.length).toBeGreaterThanOrEqual(2);
    }
    await untilApplied(members, ['a', 'b', 'c']);
  });

  it('rejects a write on a follower and names the leader', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    for (const follower of followersOf(members, leader)) {
      const result = await write(follower, 'elsewhere');
      expect(result).toEqual({ kind: 'rejected', reason: 'not_leader', leader: leader.name });
    }
  });

  it('shows a follower, after its read barrier, every write acknowledged before', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    for (const text of ['a', 'b', 'c', 'd']) {
      await write(leader, text);
      for (const member of members) {
        await member.group.readBarrier();
        expect(member.disk.texts()).toContain(text);
      }
    }
  });

  it('bounds how stale a follower is, and says so only once it was confirmed', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const [follower] = followersOf(members, leader);
    expect(follower?.group.stalenessMs()).toBeUndefined();
    await until(() => expect(follower?.group.stalenessMs()).toBeGreaterThanOrEqual(0));
  });

  it('tells the leader how far every follower is', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const [away] = followersOf(members, leader);
    away?.setCut(true);
    await write(leader, 'a');
    await until(() => {
      const lags = leader.group.status().members.map(({ name, lagEntries }) => [name, lagEntries]);
      expect(Object.fromEntries(lags)).toMatchObject({ [away?.name ?? '']: 1, [leader.name]: 0 });
    });
    away?.setCut(false);
    await untilApplied(members, ['a']);
    await until(() => {
      for (const { lagEntries, lagMs } of leader.group.status().members)
        expect([lagEntries, lagMs]).toEqual([0, 0]);
    });
  });

  it('tells listeners of a new leader after its status shows it', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const [follower] = followersOf(members, leader);
    const seen: (string | undefined)[] = [];
    const stop = follower?.group.onChange((status) => {
      expect(status.leader).toBe(follower.group.status().leader);
      seen.push(status.leader);
    });
    await leader.close();
    const next = await leaderOf(followersOf(members, leader));
    expect(seen).toContain(next.name);
    stop?.();
  });
});
