import { describe, expect, it } from 'vitest';
import type { NodeId } from '../src/replication/strategy.ts';
import { asIndex, asTerm, type Membership } from '../src/single-leader/entry.ts';
import { areMajority, type KnownMembership, knownMembership, mayBeInForce } from './known-memberships.ts';

function membershipOf(names: string, lineage = 0): Membership {
  const members = names.split(' ').map((id) => ({ id: id as NodeId, kind: 'voter' as const }));
  return { members, lineage: asTerm(lineage) };
}

function known(index: number, names: string, { committedAt = index, lineage = 0 } = {}): KnownMembership {
  const latest = { index: asIndex(index), membership: membershipOf(names, lineage) };
  return { latest, committedAt: asIndex(committedAt) };
}

function inForce(...all: readonly KnownMembership[]): string[] {
  return mayBeInForce(all).map(({ members }) => members.map(({ id }) => id).join(' '));
}

describe('memberships that may be in force', () => {
  it('are all that differ as long as none is known to be committed', () => {
    const cutOff = known(9, 'n2 n3', { committedAt: 0 });
    expect(inForce(known(0, 'n1 n2 n3'), cutOff)).toEqual(['n1 n2 n3', 'n2 n3']);
  });

  it('do not include what a new disk has got to in the log, if a later one is committed', () => {
    expect(inForce(known(40, 'n1~2 n2 n3'), known(12, 'n1 n2 n3'))).toEqual(['n1~2 n2 n3']);
  });

  it('do not include those that a forced one went on without, however late', () => {
    expect(inForce(known(12, 'n1', { lineage: 7 }), known(40, 'n1 n2 n3'))).toEqual(['n1']);
  });

  it('are known by who has a log', () => {
    const commit = asIndex(9);
    expect(knownMembership({ commit, memberships: [] })).toBeUndefined();
    const memberships = [known(4, 'n1').latest, known(9, 'n1 n2').latest, known(10, 'n1 n2 n3').latest];
    expect(knownMembership({ commit, memberships })).toEqual(known(10, 'n1 n2 n3', { committedAt: 9 }));
  });
});

it('a majority is one of every membership that may be in force', () => {
  const memberships = [membershipOf('n1 n2 n3 n4'), membershipOf('n2 n3 n4')];
  expect(areMajority(['n1', 'n2', 'n3'], memberships)).toBe(true);
  expect(areMajority(['n2', 'n3'], memberships)).toBe(false);
  expect(areMajority([], [])).toBe(true);
});
