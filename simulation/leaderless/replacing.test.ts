import { expect, it } from 'vitest';
import { settingsFrom } from '../../src/leaderless/presets.ts';
import { calmLink } from '../network.ts';
import { microsecondsOf, World } from '../world.ts';
import { noLeaderlessCanary } from './canaries.ts';
import { LeaderlessCluster } from './cluster.ts';
import type { ReadAnswer, WriteAnswer } from './messages.ts';

const settings = settingsFrom(
  {
    ...{ n: 3, r: 1, w: 3, quorum: 'strict', hints: false, readRepair: 'off', antiEntropy: false },
    ...{ readTimeoutMs: 400, writeTimeoutMs: 3_000 },
  },
  4,
);

/** Three owners, and a fourth node that leads the group and takes the place of the second. */
function started(seed: number) {
  const world = new World(seed);
  const cluster = new LeaderlessCluster({
    ...{ world, nodes: 4, settings, canary: noLeaderlessCanary, isReplacing: true },
  });
  cluster.start();
  const { group } = cluster;
  const [first, second, third] = cluster.owners;
  const fourth = cluster.nodes.find(({ id }) => !group.isOwner(id))!;
  const until = (isDone: () => boolean) => world.runUntil(world.now() + microsecondsOf(5_000), isDone);
  /** As an operator does: it is removed, the others hear of it, another one takes its place and is filled. */
  const replaceSecond = () => {
    group.change('remove', second!.id);
    fourth.lead();
    until(() => [first!, third!].every((node) => !node.members().includes(second!.id)));
    let hindrance: string | undefined = 'not asked';
    fourth.confirmRemoved({ node: second!.id, by: fourth.id }, (told) => {
      hindrance = told;
    });
    until(() => hindrance === undefined);
    group.replaceOwner(second!.id, { by: fourth.id, disk: fourth.diskId });
    fourth.lead();
    until(() => fourth.isWhole());
  };
  return { world, cluster, first: first!, third: third!, fourth, until, replaceSecond };
}

/** A write that the owner that goes has confirmed when it is removed, and that another one takes when the new one was filled. */
function writtenMeanwhile(seed: number) {
  const { cluster, first, fourth, replaceSecond, third, until, world } = started(seed);
  const late = { ...calmLink, delayMsMin: 2_000, delayMsMax: 2_000 };
  cluster.network.setCondition(first.id, third.id, late);
  let answer: WriteAnswer | undefined;
  first.write({ id: 'cart', base: undefined, deleted: false, value: 1, settings }, (told) => {
    answer = told;
  });
  world.runUntil(microsecondsOf(20));
  replaceSecond();
  const filledAt = world.now();
  until(() => answer !== undefined);
  let read: ReadAnswer | undefined;
  fourth.read({ id: 'cart', settings }, (told) => {
    read = told;
  });
  until(() => read !== undefined);
  const isSeen = read?.kind === 'answered' && read.leaves.length > 0;
  return { answer, isSeen, isFilledBefore: filledAt < microsecondsOf(2_000) };
}

it('a write that counted the owner that went is not acknowledged by what reaches the others after the new one was filled', () => {
  const runs = [1, 2, 3, 4, 5, 6].map(writtenMeanwhile);
  expect(runs.every(({ isFilledBefore }) => isFilledBefore)).toBe(true);
  expect(runs.some(({ isSeen }) => !isSeen)).toBe(true);
  expect(runs.filter(({ answer, isSeen }) => answer?.kind === 'met' && !isSeen)).toEqual([]);
});
