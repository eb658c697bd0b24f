import { afterEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../replication/strategy.ts';
import { until } from '../runtime/test-peers.ts';
import { asIndex, asTerm } from '../single-leader/entry.ts';
import type { PlacedMembership } from '../single-leader/membership.ts';
import {
  committedMembership,
  RemovalWatch,
  readMembership,
  removalOf,
  removedText,
  type ToldMembership,
} from './group-removal.ts';
import {
  closeMembers,
  followersOf,
  leaderOf,
  startMember,
  startMembers,
  type TestMember,
  untilApplied,
  write,
} from './test-groups.ts';

const [n1, n2, n3] = ['n1#00000001', 'n2#00000002', 'n3#00000003'] as [NodeId, NodeId, NodeId];
const founders = [n1, n2, n3];

function placed(index: number, ids: readonly NodeId[], lineage = 0): PlacedMembership {
  const members = ids.map((id) => ({ id, kind: 'voter' as const }));
  return { index: asIndex(index), membership: { members, lineage: asTerm(lineage) } };
}

function told(by: string, index: number, members: readonly NodeId[], lineage = 0): ToldMembership {
  return { by, founders, index, lineage, members };
}

const own = { self: n3, memberships: [placed(50, [n1, n2, n3])] };

describe('whether a node was removed', () => {
  it('is what a newer membership says', () => {
    expect(removalOf(own, [told('n1', 120, [n1, n2])])).toEqual({ by: 'n1', index: 120 });
    expect(removalOf(own, [])).toBeUndefined();
  });

  it('is not believed of a membership that is as old as its own or older', () => {
    for (const index of [10, 50]) expect(removalOf(own, [told('n1', index, [n1, n2])])).toBeUndefined();
    const ofNewerLineage = { self: n3, memberships: [placed(50, founders, 7)] };
    expect(removalOf(ofNewerLineage, [told('n1', 120, [n1, n2])])).toBeUndefined();
    expect(removalOf(own, [told('n1', 20, [n1, n2], 7)])).toEqual({ by: 'n1', index: 20 });
  });

  it('is decided by the newest of several answers, in whatever order they come', () => {
    const out = told('n1', 120, [n1, n2]);
    const inAgain = told('n2', 130, [n1, n2, n3]);
    for (const answers of [
      [out, inAgain],
      [inAgain, out],
    ])
      expect(removalOf(own, answers)).toBeUndefined();
    expect(removalOf(own, [told('n2', 50, founders), out])).toMatchObject({ by: 'n1' });
  });

  it('takes its own log for what it belongs to, but not for its removal', () => {
    const sawIt = { self: n3, memberships: [...own.memberships, placed(120, [n1, n2])] };
    expect(removalOf(sawIt, [])).toBeUndefined();
    expect(removalOf(sawIt, [told('n1', 120, [n1, n2])])).toEqual({ by: 'n1', index: 120 });
    const isTakenInAgain = { self: n3, memberships: [...sawIt.memberships, placed(130, founders)] };
    expect(removalOf(isTakenInAgain, [told('n1', 120, [n1, n2])])).toBeUndefined();
  });

  it('is not asked of one that never belonged: it waits to be taken in', () => {
    const waiting = { self: n3, memberships: [placed(50, [n1, n2])] };
    expect(removalOf(waiting, [told('n1', 120, [n1, n2])])).toBeUndefined();
  });

  it('is seen by the disk: another one under the same name has taken its seat', () => {
    const successor = 'n3#0000000f' as NodeId;
    expect(removalOf(own, [told('n1', 120, [n1, n2, successor])])).toEqual({ by: 'n1', index: 120 });
  });
});

describe('what a node tells one that asks', () => {
  it('is the last committed membership, if it belongs to that', () => {
    const memberships = [placed(50, founders), placed(120, [n1, n2])];
    const at = (self: NodeId, commit: number) =>
      committedMembership({ self, commit: asIndex(commit), memberships }, founders);
    expect(at(n1, 119)).toEqual({ founders, index: 50, lineage: 0, members: founders });
    expect(at(n1, 120)).toEqual({ founders, index: 120, lineage: 0, members: [n1, n2] });
    expect([at(n3, 120), at(n1, 49)]).toEqual([undefined, undefined]);
  });

  it('is read back from JSON, and nothing else is', () => {
    const { by: _, ...sent } = told('n1', 120, [n1, n2]);
    expect(readMembership(JSON.parse(JSON.stringify(sent)))).toEqual(sent);
    for (const broken of [undefined, null, {}, { ...sent, index: '1' }, { ...sent, members: ['n1'] }])
      expect(readMembership(broken)).toBeUndefined();
  });
});

describe('a watch', () => {
  it('asks now and then, keeps what the silent said, and believes no other group', async () => {
    let now = 0;
    let asked = 0;
    const answers: Partial<Record<string, ToldMembership>> = { n1: told('n1', 120, [n1, n2]) };
    const watch = new RemovalWatch({
      ...{ now: () => now, peers: () => ['n1', 'n2'], pauseMs: 100 },
      ask: async (peer) => {
        asked += 1;
        return answers[peer];
      },
    });
    const raft = own as Parameters<typeof watch.removal>[0];
    await watch.evaluate(founders);
    now = 99;
    await watch.evaluate(founders);
    expect([asked, watch.removal(raft)]).toEqual([0, undefined]);
    now = 100;
    await watch.evaluate([n1]);
    expect([asked, watch.removal(raft)]).toEqual([2, undefined]);
    now = 200;
    await watch.evaluate(founders);
    expect(watch.removal(raft)).toEqual({ by: 'n1', index: 120 });
    delete answers.n1;
    now = 300;
    await watch.evaluate(founders);
    expect(watch.removal(raft)).toEqual({ by: 'n1', index: 120 });
    watch.forget();
    expect(watch.removal(raft)).toBeUndefined();
  });
});

describe('a member of a running group', () => {
  afterEach(closeMembers);

  /** The one that was removed does not hear of it. */
  async function removeUnheard() {
    const members = await startMembers('n1', 'n2', 'n3', 'n4');
    const leader = await leaderOf(members);
    const [removed, ...others] = followersOf(members, leader) as [TestMember, TestMember, TestMember];
    await write(leader, 'a');
    await untilApplied(members, ['a']);
    removed.setCut(true);
    expect(await leader.group.removeMember(removed.name)).toBe('committed');
    await until(() => expect(removed.group.status().leader).toBeUndefined());
    return { leader, removed, rest: [leader, ...others] };
  }

  it('that is cut off is not told that it was removed, until it can ask', async () => {
    const { removed, rest } = await removeUnheard();
    const names = rest.map(({ name }) => name);
    expect(removed.group.status()).toMatchObject({ leader: undefined, removal: undefined });
    const barrier = removed.group.readBarrier().then(
      () => 'read',
      (error: unknown) => error,
    );
    removed.setCut(false);
    await until(() => {
      const { removal } = removed.group.status();
      expect(names).toContain(removal?.by);
    });
    expect(await barrier).toMatchObject({ code: 'removed_from_cluster' });
    const { id, removal } = removed.group.status();
    expect(removedText(id, removal!)).toContain(`${removed.name} was removed from the cluster`);
  });

  it('that was taken out before it told the leader that it had arrived is removed, not waiting', async () => {
    const members = await startMembers('n1', 'n2', 'n3');
    const leader = await leaderOf(members);
    const peers = members.map(({ name }) => name);
    const joined = await startMember({ name: 'n4', peers, settings: { retryMs: 500 } });
    await until(() => expect(joined.group.status().founded).toBe(true));
    expect(await leader.group.addMember({ name: 'n4', kind: 'learner' })).toBe('committed');
    await write(leader, 'a');
    await untilApplied([...members, joined], ['a']);
    expect(await leader.group.removeMember('n4')).toBe('committed');
    await until(() => expect(peers).toContain(joined.group.status().removal?.by));
  });

  it('is a member again when it is added, under the identity that it had', async () => {
    const { leader, removed, rest } = await removeUnheard();
    removed.setCut(false);
    await until(() => expect(removed.group.status().removal).toBeDefined());
    expect(await leader.group.addMember({ name: removed.name, kind: 'learner' })).toBe('committed');
    await write(leader, 'b');
    await untilApplied([...rest, removed], ['a', 'b']);
    await until(() => expect(removed.group.status()).toMatchObject({ removal: undefined }));
    expect(removed.group.status().leader).toBe(leader.name);
  });

  it('that only lost the majority is told by another one that it belongs', async () => {
    const members = await startMembers('n1', 'n2', 'n3', 'n4');
    const leader = await leaderOf(members);
    const [follower, other, silent] = followersOf(members, leader) as [TestMember, TestMember, TestMember];
    await Promise.all([leader.close(), silent.close()]);
    expect(other.group.committedMembership()?.members).toContain(follower.group.status().id);
    await until(() => expect(follower.group.status().leader).toBeUndefined());
    await expect(follower.group.readBarrier()).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(follower.group.status().removal).toBeUndefined();
  });
});
