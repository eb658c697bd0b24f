import { expect, it } from 'vitest';
import { hindranceOf } from './replacing.ts';

type Standings = Readonly<
  Record<string, { readonly members?: readonly string[]; readonly isOwner?: boolean }>
>;

const informed = { members: ['n1', 'n3', 'n4'] };
const all = { n1: informed, n3: informed, n4: informed };

/** n2 of the owners n1, n2 and n3 was removed, and n4 is to take its place. */
function hindrance(standings: Standings) {
  const told = new Map(Object.entries(standings));
  return hindranceOf({ gone: 'n2', by: 'n4', others: ['n1', 'n3'], standings: told });
}

it('nothing is in the way when nobody counts the one that goes as a member any more', () => {
  expect(hindrance(all)).toBeUndefined();
});

it('waits for one that does not answer, or does not tell whom it counts as members', () => {
  expect(hindrance({ n1: informed, n4: informed })).toEqual({ kind: 'silent', node: 'n3' });
  expect(hindrance({ ...all, n1: {} })).toEqual({ kind: 'silent', node: 'n1' });
  expect(hindrance({ n1: informed, n3: informed })).toEqual({ kind: 'silent', node: 'n4' });
});

it('waits for an owner that has not heard of the removal, or of anything', () => {
  const uninformed = { kind: 'uninformed', node: 'n3' };
  expect(hindrance({ ...all, n3: { members: ['n1', 'n2', 'n3', 'n4'] } })).toEqual(uninformed);
  expect(hindrance({ ...all, n3: { members: [] } })).toEqual(uninformed);
});

it('waits for the new one to hear that it is no owner any more', () => {
  expect(hindrance({ ...all, n4: { ...informed, isOwner: true } })).toEqual({
    kind: 'uninformed',
    node: 'n4',
  });
  expect(hindrance({ ...all, n1: { ...informed, isOwner: true } })).toBeUndefined();
});
