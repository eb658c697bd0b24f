/** A witness in a real group: it votes and counts with the order of writes alone, and holds none of them. */

import { afterEach, expect, it } from 'vitest';
import { until, untilUp } from '../runtime/test-peers.ts';
import { raftDefaults } from '../single-leader/state.ts';
import {
  closeMembers,
  createDisk,
  followersOf,
  leaderOf,
  type MemberStart,
  restart,
  startMember,
  type TestMember,
  untilApplied,
  write,
} from './test-groups.ts';

afterEach(closeMembers);

/** A busy machine may cost a leader its term for a moment; what was rejected did not happen. */
async function writeSoon(member: TestMember, text: string): Promise<void> {
  await until(async () => {
    const result = await write(member, text);
    if (result.kind === 'rejected') throw new Error(result.reason);
    expect(result).toMatchObject({ kind: 'acknowledged', outcome: 'met' });
  });
}

async function addWitness(leader: TestMember, witness: TestMember): Promise<void> {
  await untilUp(leader.node, witness.node);
  expect(await leader.group.addMember({ name: 'w', kind: 'witness' })).toBe('committed');
}

/** So slow to miss a leader that a busy machine changes none in between: what a test cuts off is all that goes. */
const patient = { raft: { ...raftDefaults, electionTicksMin: 80, electionTicksMax: 160 } };

function startPatient(name: string, more: Partial<MemberStart> = {}): Promise<TestMember> {
  const peers = ['n1', 'n2'].filter((peer) => peer !== name);
  return startMember({ name, peers, ...more, settings: { ...patient, ...more.settings } });
}

async function startWithWitness() {
  const voters = await Promise.all(['n1', 'n2'].map((name) => startPatient(name)));
  const leader = await leaderOf(voters);
  const [follower] = followersOf(voters, leader) as [TestMember];
  const witness = await startPatient('w');
  await addWitness(leader, witness);
  return { leader, follower, witness };
}

async function untilWitnessHas(witness: TestMember, leader: TestMember): Promise<void> {
  await until(() => expect(witness.group.status().commit).toBe(leader.group.status().commit));
}

it('makes a majority with a leader, keeps no writes, also over a restart, and never leads', async () => {
  const { leader, follower, witness } = await startWithWitness();
  follower.setCut(true);
  await writeSoon(leader, 'a');
  await untilWitnessHas(witness, leader);
  expect(witness.disk.texts()).toEqual([]);
  expect(await witness.group.promote()).not.toBe('elected');
  const again = await restart(witness, { peers: ['n1', 'n2'] });
  await writeSoon(leader, 'b');
  await untilWitnessHas(again, leader);
  expect(again.disk.texts()).toEqual([]);
  follower.setCut(false);
  await untilApplied([leader, follower], ['a', 'b']);
});

it('elects the voter that is left, once that one has what the leader and the witness agreed on', async () => {
  const { leader, follower, witness } = await startWithWitness();
  await writeSoon(leader, 'a');
  await untilApplied([leader, follower], ['a']);
  // Who has heard of no membership yet has no vote.
  await untilWitnessHas(witness, leader);
  leader.setCut(true);
  expect((await leaderOf([follower, witness])).name).toBe(follower.name);
  await writeSoon(follower, 'b');
  leader.setCut(false);
  await untilApplied([leader, follower], ['a', 'b']);
  expect(witness.disk.texts()).toEqual([]);
});

it('begins where the log does that it is too late for, without fetching any state', async () => {
  const names = ['n1', 'n2'];
  const voters = await Promise.all(
    names.map((name) => startPatient(name, { settings: { logEntriesKept: 3 } })),
  );
  const leader = await leaderOf(voters);
  const [follower] = followersOf(voters, leader) as [TestMember];
  const texts = Array.from({ length: 20 }, (_, at) => `${at}`);
  for (const text of texts) await writeSoon(leader, text);
  await untilApplied(voters, texts);
  await until(() => expect(leader.group.statePoint(5)).toBeUndefined());
  const disk = createDisk();
  const witness = await startPatient('w', { disk });
  await addWitness(leader, witness);
  follower.setCut(true);
  await writeSoon(leader, 'more');
  const again = await restart(witness, { peers: names });
  await writeSoon(leader, 'and more');
  await untilWitnessHas(again, leader);
  expect(disk.texts()).toEqual([]);
  expect([...witness.defects, ...again.defects]).toEqual([]);
});

it('comes back as a witness when its disk was lost', async () => {
  const { leader, follower, witness } = await startWithWitness();
  await writeSoon(leader, 'a');
  const back = await restart(witness, { peers: ['n1', 'n2'], disk: createDisk() });
  await until(() => {
    const kinds = leader.group.status().members.map(({ id, kind }) => `${id} ${kind}`);
    expect(kinds).toContain(`${back.group.status().id} witness`);
    expect(kinds).toHaveLength(3);
  });
  follower.setCut(true);
  await writeSoon(leader, 'b');
  expect(back.disk.texts()).toEqual([]);
});
