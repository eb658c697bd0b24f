import { afterEach, describe, expect, it, vi } from 'vitest';
import { TercetError } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import { until } from '../runtime/test-peers.ts';
import { asTerm } from '../single-leader/entry.ts';
import type { ProposalResult } from './group.ts';
import { encodeLetter } from './group-codec.ts';
import { nodeIdOf } from './group-node-id.ts';
import {
  byLeader,
  closeMembers,
  followersOf,
  leaderOf,
  startMember,
  startMembers,
  type TestMember,
  untilApplied,
  write,
} from './test-groups.ts';

afterEach(closeMembers);

async function startThree() {
  const members = await startMembers('n1', 'n2', 'n3');
  const leader = await leaderOf(members);
  const [follower, other] = followersOf(members, leader) as [TestMember, TestMember];
  return { members, leader, follower, other };
}

describe('leadership of a group', () => {
  it('goes to whom an operator names, whichever node is told', async () => {
    const { members, follower, other } = await startThree();
    expect(await follower.group.transferLeadership(other.name)).toBe('done');
    expect((await leaderOf(members)).name).toBe(other.name);
    expect(await follower.group.transferLeadership('n9')).toBe('no_such_voter');
  });

  it('goes to a node that is told to take it', async () => {
    const { members, follower, leader } = await startThree();
    expect(await follower.group.promote()).toBe('elected');
    expect((await leaderOf(members)).name).toBe(follower.name);
    expect(await follower.group.promote()).toBe('already_leader');
    expect(leader.group.status().role).toBe('follower');
  });

  it('goes on by force where the majority is lost, which is fenced out until it is taken in again', async () => {
    const { members, leader, follower, other } = await startThree();
    await write(leader, 'a');
    await untilApplied(members, ['a']);
    follower.setCut(true);
    other.setCut(true);
    await until(() => expect(leader.group.status().role).not.toBe('leader'));
    expect(await leader.group.forcePromotion([])).toBe('elected');
    expect(await write(leader, 'b')).toMatchObject({ kind: 'acknowledged', outcome: 'met' });
    follower.setCut(false);
    other.setCut(false);
    await until(() => {
      const kinds = leader.group.status().members.map(({ kind }) => kind);
      expect(kinds).toEqual(['voter', 'voter', 'voter']);
    });
    await untilApplied(members, ['a', 'b']);

    follower.setCut(true);
    other.setCut(true);
    await until(() => expect(leader.group.status().role).not.toBe('leader'));
    const { term } = leader.group.status();
    vi.spyOn(Date, 'now').mockReturnValue(term - 5 * 3_600_000);
    expect(await leader.group.forcePromotion([])).toBe('elected');
    expect(leader.group.status().term).toBeGreaterThan(term);
  });
});

describe('members of a group', () => {
  it('are taken out by a word to any node, and taken in again by another', async () => {
    const { leader, follower, other } = await startThree();
    expect(await other.group.removeMember(follower.name)).toBe('committed');
    expect(leader.group.status().members.map(({ name }) => name)).not.toContain(follower.name);
    expect(await other.group.addMember({ name: follower.name, kind: 'learner' })).toBe('committed');
    await write(leader, 'a');
    await untilApplied([follower], ['a']);
    expect(await other.group.promoteLearner(follower.name)).toBe('committed');
    expect(await other.group.addMember({ name: 'n9', kind: 'learner' })).toBe('unreachable');
    expect(await other.group.removeMember('n9')).toBe('no_such_member');
  });

  it('are taken in though their first answers are lost', async () => {
    const { leader, follower, other } = await startThree();
    expect(await other.group.removeMember(follower.name)).toBe('committed');
    follower.setCut(true);
    const added = leader.group.addMember({ name: follower.name, kind: 'learner' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    follower.setCut(false);
    expect(await added).toBe('committed');
  });
});

describe('promises of a group', () => {
  it('are all settled when it closes, those that may come about as unknown', async () => {
    const { leader, follower, other } = await startThree();
    follower.setCut(true);
    other.setCut(true);
    const results: ProposalResult[] = [];
    const logged = write(leader, 'never heard of').then((result) => results.push(result));
    await write(leader, 'logged after it', byLeader);
    const applied = leader.group.appliedThrough(1_000, 60_000).catch((error: unknown) => error);
    const read = leader.group.readBarrier().catch((error: unknown) => error);
    await leader.close();
    await logged;
    expect(results).toEqual([{ kind: 'unknown' }]);
    expect(await applied).toBeInstanceOf(TercetError);
    expect(await read).toBeInstanceOf(TercetError);
    expect(await write(leader, 'too late')).toEqual({
      kind: 'rejected',
      reason: 'no_group',
      leader: undefined,
    });
    expect(await leader.group.promote()).toBe('no_voter');
  });

  it('reject writes and reads of a node that has no group', async () => {
    const alone = await startMember({ name: 'n1', peers: ['n2'], settings: { readMsMax: 50 } });
    expect(alone.group.status()).toMatchObject({ founded: false, members: [], leader: undefined });
    expect(await write(alone, 'a')).toEqual({ kind: 'rejected', reason: 'no_group', leader: undefined });
    await expect(alone.group.readBarrier()).rejects.toMatchObject({ code: 'service_unavailable' });
    await expect(alone.group.appliedThrough(1, 10)).rejects.toMatchObject({ code: 'service_unavailable' });
  });

  it('outlive a full disk: what was on its way is unknown, and later writes come after it', async () => {
    const alone = await startMember({ name: 'n1', peers: [] });
    await leaderOf([alone]);
    await write(alone, 'a');
    await untilApplied([alone], ['a']);
    alone.disk.setFull(true);
    expect(await write(alone, 'lost')).toEqual({ kind: 'unknown' });
    expect(alone.group.status()).toMatchObject({ stopped: true, leaderReady: false });
    expect(await write(alone, 'refused')).toMatchObject({ kind: 'rejected', reason: 'no_group' });
    alone.disk.setFull(false);
    await leaderOf([alone]);
    expect(await write(alone, 'b')).toMatchObject({ kind: 'acknowledged' });
    await untilApplied([alone], ['a', 'b']);
    expect(alone.defects).toEqual([]);
  });

  it('are not touched by letters to a disk that is no more', async () => {
    const alone = await startMember({ name: 'n1', peers: [] });
    const { term, id } = (await leaderOf([alone])).group.status();
    const from = nodeIdOf('n2', 'aaaaaaaa');
    const message = { kind: 'fenced', term: asTerm(term + 7), lineage: asTerm(0) } as const;
    alone.group.receive('n2', 16, encodeLetter({ from, to: nodeIdOf('n1', 'bbbbbbbb'), message }));
    expect(alone.group.status()).toMatchObject({ term, role: 'leader' });
    alone.group.receive('n2', 16, encodeLetter({ from, to: id as NodeId, message }));
    expect(alone.group.status().term).toBeGreaterThan(term);
  });

  it('are not touched by garbage', async () => {
    const alone = await startMember({ name: 'n1', peers: [] });
    const leader = await leaderOf([alone]);
    expect(() => leader.group.receive('n2', 16, Buffer.from('nonsense'))).toThrow(GarbageError);
    expect(() => leader.group.receive('n2', 18, Buffer.from('nonsense'))).toThrow(GarbageError);
    expect(leader.group.serve('n2', 99, Buffer.from(''))).toBeUndefined();
    await expect(leader.group.serve('n2', 17, Buffer.from('{"op":"rule"}'))).rejects.toThrow('not a call');
    expect(await write(leader, 'a')).toMatchObject({ kind: 'acknowledged' });
  });
});
