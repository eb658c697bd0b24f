import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AckPolicy, Durability, Holding } from './ack-policy.ts';
import { acknowledgeableThrough, receiptFor } from './ack-policy.ts';
import type { MemberKind } from './entry.ts';
import { asIndex, asTerm } from './entry.ts';
import { nodeId } from './test-group.ts';

function holding(id: string, durableThrough: number, kind: MemberKind = 'voter'): Holding {
  return { id: nodeId(id), kind, isLeader: id === 'n1', durableThrough: asIndex(durableThrough) };
}

const majority: AckPolicy = { kind: 'semi_sync', followers: 'majority' };
const semiSync = (followers: number): AckPolicy => ({ kind: 'semi_sync', followers });

describe('ack policies', () => {
  const five: Durability = {
    commit: asIndex(9),
    holdings: [holding('n1', 9), holding('n2', 9), holding('n3', 9), holding('n4', 7), holding('n5', 4)],
  };

  it.each([
    { policy: { kind: 'async' }, through: 9, why: "the leader's disk" },
    { policy: majority, through: 9, why: 'what is committed' },
    { policy: semiSync(2), through: 9, why: 'two followers' },
    { policy: semiSync(3), through: 7, why: 'three followers' },
    { policy: { kind: 'sync' }, through: 4, why: 'every voter' },
  ] as const)('$policy allows what $why has, $through', ({ policy, through }) => {
    expect(acknowledgeableThrough(policy, five)).toBe(through);
  });

  it('semi-sync and sync never tell what is not committed, however many have it', () => {
    const early = { ...five, commit: asIndex(3) };
    for (const policy of [majority, semiSync(1), { kind: 'sync' } as const])
      expect(acknowledgeableThrough(policy, early)).toBe(3);
    expect(acknowledgeableThrough({ kind: 'async' }, early)).toBe(9);
  });

  it('async waits for the disk of the leader, though followers were faster', () => {
    const slow = { ...five, holdings: [holding('n1', 2), ...five.holdings.slice(1)] };
    expect(acknowledgeableThrough({ kind: 'async' }, slow)).toBe(2);
    expect(acknowledgeableThrough(majority, slow)).toBe(9);
  });

  it('a witness counts for sync, and not as one of k followers, for it has no documents', () => {
    const holdings = [holding('n1', 9), holding('n2', 5), holding('w1', 9, 'witness')];
    const durability = { commit: asIndex(9), holdings };
    expect(acknowledgeableThrough(semiSync(1), durability)).toBe(5);
    expect(acknowledgeableThrough({ kind: 'sync' }, durability)).toBe(5);
  });

  it('a learner counts for nothing', () => {
    const holdings = [
      holding('n1', 9),
      holding('n2', 5),
      holding('l1', 9, 'learner'),
      holding('l2', 1, 'learner'),
    ];
    const durability = { commit: asIndex(9), holdings };
    expect(acknowledgeableThrough(semiSync(1), durability)).toBe(5);
    expect(acknowledgeableThrough({ kind: 'sync' }, durability)).toBe(5);
  });

  it('more followers than there are is never reached', () => {
    expect(acknowledgeableThrough(semiSync(5), five)).toBe(0);
  });

  it('a stronger policy never allows more than a weaker one', () => {
    const index = fc.nat(20);
    fc.assert(
      fc.property(fc.array(index, { minLength: 1, maxLength: 7 }), index, (durable, commit) => {
        const holdings = durable.map((through, at) => holding(`n${at + 1}`, through));
        const durability = { commit: asIndex(commit), holdings };
        const byStrength = [
          ...durable.map((_, followers) => acknowledgeableThrough(semiSync(followers), durability)),
          acknowledgeableThrough({ kind: 'sync' }, durability),
        ];
        expect(byStrength).toEqual([...byStrength].sort((left, right) => right - left));
        // With every follower asked for, semi-sync is sync.
        expect(byStrength.at(-2)).toBe(byStrength.at(-1));
      }),
    );
  });

  it('a receipt names who had the entry durable', () => {
    const position = { index: asIndex(8), term: asTerm(3) };
    expect(receiptFor(position, majority, five)).toEqual({
      index: 8,
      term: 3,
      policy: majority,
      durableOn: ['n1', 'n2', 'n3'].map((id) => ({ id, kind: 'voter' })),
      committed: true,
    });
  });
});
