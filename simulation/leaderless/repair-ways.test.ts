import { describe, expect, it } from 'vitest';
import { settingsFrom } from '../../src/leaderless/presets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { microsecondsOf, World } from '../world.ts';
import { noLeaderlessCanary } from './canaries.ts';
import { LeaderlessCluster } from './cluster.ts';
import type { ReadAnswer, WriteAnswer } from './messages.ts';

/** Three replicas, a write of version 6 that all have, and one of version 7 while the third is cut off. */
function afterCut(wishes: Partial<LeaderlessSettings>) {
  const world = new World(7);
  const settings = settingsFrom({ readTimeoutMs: 400, writeTimeoutMs: 500, ...wishes }, 3);
  const cluster = new LeaderlessCluster({ world, nodes: 3, settings, canary: noLeaderlessCanary });
  cluster.start();
  const [first, second, third] = cluster.owners;
  const wait = (milliseconds: number) => world.runUntil(world.now() + microsecondsOf(milliseconds));
  const write = (base: WriteAnswer | undefined, value: number): WriteAnswer => {
    let told: WriteAnswer | undefined;
    const revision = base !== undefined && 'revision' in base ? base.revision : undefined;
    first!.write({ id: 'cart', base: revision, deleted: false, value, settings }, (answer) => {
      told = answer;
    });
    world.runUntil(world.now() + microsecondsOf(2_000), () => told !== undefined);
    return told!;
  };
  const six = write(undefined, 6);
  wait(500);
  cluster.network.partition([[first!.id, second!.id], [third!.id]]);
  const seven = write(six, 7);
  wait(1_000);
  const held = () =>
    third!
      .store()!
      .leaves('cart')
      .map(({ value }) => value);
  const heldWhileCut = held();
  cluster.network.partition([cluster.nodes.map(({ id }) => id)]);
  const read = (r: number): ReadAnswer => {
    let told: ReadAnswer | undefined;
    third!.read({ id: 'cart', settings: { ...settings, r } }, (answer) => {
      told = answer;
    });
    world.runUntil(world.now() + microsecondsOf(2_000), () => told !== undefined);
    return told!;
  };
  return { seven, heldWhileCut, held, read, wait };
}

const nothing = { hints: false, readRepair: 'off', antiEntropy: false } as const;
const valuesOf = (answer: ReadAnswer) =>
  answer.kind === 'answered' ? answer.leaves.map(({ value }) => value) : answer.kind;

describe('a replica that missed a write', () => {
  it('stays stale for ever where nothing repairs it, and a quorum still sees the write', () => {
    const { seven, heldWhileCut, held, read, wait } = afterCut(nothing);
    expect(seven.kind).toBe('met');
    expect(heldWhileCut).toEqual([6]);
    wait(30_000);
    expect(valuesOf(read(1))).toEqual([6]);
    expect(valuesOf(read(2))).toEqual([7]);
    expect(held()).toEqual([6]);
  });

  it('is brought the write by a hint', () => {
    const { held, wait } = afterCut({ ...nothing, hints: true });
    wait(3_000);
    expect(held()).toEqual([7]);
  });

  it('is repaired by a read of all three, which sees version 7 beside version 6', () => {
    const { held, read, wait } = afterCut({ ...nothing, readRepair: 'async' });
    wait(30_000);
    expect(held()).toEqual([6]);
    expect(valuesOf(read(3))).toEqual([7]);
    wait(100);
    expect(held()).toEqual([7]);
  });

  it('is healed by anti-entropy though nobody reads', () => {
    const { held, wait } = afterCut({ ...nothing, antiEntropy: true });
    wait(3_000);
    expect(held()).toEqual([7]);
  });

  it('stays stale on what nobody reads under voldemort once the hint is lost, and heals under the others', () => {
    const healed = (['dynamo', 'riak', 'cassandra', 'voldemort'] as const).map((preset) => {
      const { held, wait } = afterCut({ preset, hints: false });
      wait(10_000);
      return { preset, held: held() };
    });
    expect(healed).toEqual([
      { preset: 'dynamo', held: [7] },
      { preset: 'riak', held: [7] },
      { preset: 'cassandra', held: [7] },
      { preset: 'voldemort', held: [6] },
    ]);
  });
});
