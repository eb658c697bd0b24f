import { describe, expect, it } from 'vitest';
import { BodyMemory } from './body-memory.ts';

function sender(memory: BodyMemory) {
  const refusals: string[] = [];
  const share = memory.share((error) => refusals.push(error.code));
  return { share, refusals };
}

describe('the memory for bodies', () => {
  it('takes it from the sender who has been silent for longest', () => {
    const memory = new BodyMemory(100_000);
    const [first, second, third] = [sender(memory), sender(memory), sender(memory)];
    first.share.holds(40_000);
    second.share.holds(40_000);
    first.share.holds(45_000);
    third.share.holds(50_000);
    expect([first.refusals, second.refusals, third.refusals]).toEqual([[], ['service_unavailable'], []]);
  });

  it('takes nothing from bodies that are complete, so refuses the newcomer', () => {
    const memory = new BodyMemory(100_000);
    const [done, late] = [sender(memory), sender(memory)];
    done.share.holds(90_000);
    done.share.complete();
    late.share.holds(20_000);
    expect([done.refusals, late.refusals]).toEqual([[], ['service_unavailable']]);
    expect(() => memory.take(20_000)).toThrow('service_unavailable');
    done.share.release();
    memory.take(20_000);
  });

  it('does not count small bodies, and counts a body once however often it is told', () => {
    const memory = new BodyMemory(30_000);
    const small = Array.from({ length: 100 }, () => sender(memory));
    for (const { share } of small) share.holds(16_000);
    const large = sender(memory);
    for (const bytes of [17_000, 25_000, 30_000]) large.share.holds(bytes);
    expect([...small, large].flatMap(({ refusals }) => refusals)).toEqual([]);
  });

  it('has all its room again after what was refused or released', () => {
    const memory = new BodyMemory(50_000);
    for (let round = 0; round < 3; round += 1) {
      const one = sender(memory);
      one.share.holds(60_000);
      expect(one.refusals).toEqual(['service_unavailable']);
      one.share.release();
      const two = sender(memory);
      two.share.holds(50_000);
      two.share.release();
      expect(two.refusals).toEqual([]);
    }
  });
});
