import { describe, expect, it } from 'vitest';
import type { Operation } from '../src/store/store.ts';
import { type CommitOutcome, calmDisk, SimulatedDisk } from './disk.ts';
import { World } from './world.ts';

const keyOf = (name: string) => new TextEncoder().encode(name);
const put = (name: string): Operation => ({ kind: 'put', key: keyOf(name), value: Uint8Array.of(1) });

function diskOf(seed = 1) {
  const world = new World(seed);
  const disk = new SimulatedDisk({ world, node: 'n1' });
  const settled: string[] = [];
  const commit = (...names: string[]) =>
    disk.commit(names.map(put), ({ kind }: CommitOutcome) => settled.push(`${names} ${kind}`));
  const holds = (name: string) => disk.get(keyOf(name)) !== undefined;
  const pass = (ms: number) => world.runUntil(world.now() + ms * 1_000);
  return { disk, commit, holds, settled, pass };
}

describe('disk', () => {
  it('shows nothing before it is durable', () => {
    const { commit, holds, settled, pass } = diskOf();
    commit('a');
    expect([holds('a'), settled]).toEqual([false, []]);
    pass(10);
    expect([holds('a'), settled]).toEqual([true, ['a durable']]);
  });

  it('settles in the order of the calls, and gathers what comes while it is busy', () => {
    const { commit, settled, pass } = diskOf();
    for (const name of ['a', 'b', 'c']) commit(name);
    pass(2.1);
    expect(settled).toEqual(['a durable']);
    pass(2.1);
    expect(settled).toEqual(['a durable', 'b durable', 'c durable']);
  });

  it('keeps a prefix of whole batches when it crashes, and tells nobody', () => {
    const kept = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const { disk, commit, holds, settled, pass } = diskOf(seed);
      commit('a');
      commit('b1', 'b2');
      commit('c');
      pass(2.1);
      const told = settled.length;
      disk.crash();
      pass(100);
      expect(settled).toHaveLength(told);
      expect(holds('b1')).toBe(holds('b2'));
      expect(holds('c') && !holds('b1')).toBe(false);
      kept.add(['a', 'b1', 'c'].filter(holds).join(''));
    }
    expect([...kept].sort()).toEqual(['a', 'ab1', 'ab1c']);
  });

  it('refuses whole groups while it is full, and takes more when there is room', () => {
    const { disk, commit, holds, settled, pass } = diskOf();
    disk.setCondition({ ...calmDisk, isFull: true });
    commit('a');
    pass(10);
    disk.setCondition(calmDisk);
    commit('b');
    pass(10);
    expect(settled).toEqual(['a refused', 'b durable']);
    expect([holds('a'), holds('b')]).toEqual([false, true]);
  });

  it('is idle once nothing is on its way, whether that was refused or lost', () => {
    const { disk, commit, pass } = diskOf();
    expect(disk.isIdle()).toBe(true);
    disk.setCondition({ ...calmDisk, isFull: true });
    commit('a');
    commit('b');
    expect(disk.isIdle()).toBe(false);
    pass(10);
    expect(disk.isIdle()).toBe(true);
    commit('c');
    disk.crash();
    expect(disk.isIdle()).toBe(true);
  });

  it('stalls', () => {
    const { disk, commit, settled, pass } = diskOf();
    disk.setCondition({ ...calmDisk, stall: 1, stallMs: 500 });
    commit('a');
    pass(499);
    expect(settled).toEqual([]);
    pass(10);
    expect(settled).toEqual(['a durable']);
  });
});
