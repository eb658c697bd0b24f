import { describe, expect, it } from 'vitest';
import { decideFounding, type FoundingFacts } from './group-founding.ts';
import { nodeIdOf } from './group-node-id.ts';

const names = ['n1', 'n2', 'n3'];
const [n1, n2, n3] = [nodeIdOf('n1', 'aaaaaaaa'), nodeIdOf('n2', 'bbbbbbbb'), nodeIdOf('n3', 'cccccccc')];
const hello2 = { id: n2, names, founders: undefined };
const hello3 = { id: n3, names, founders: undefined };

function decide(facts: Omit<FoundingFacts, 'mayFound'>) {
  return decideFounding({ mayFound: true, ...facts });
}

describe('founding a group', () => {
  it('is done by the first by name, once all others have said that they know none', () => {
    expect(decide({ self: n1, names, hellos: [hello3, hello2] })).toEqual({
      kind: 'found',
      record: { founders: [n1, n2, n3], isJoining: false },
    });
  });

  it('waits while a peer is silent, for that one may know a group', () => {
    const decision = decide({ self: n1, names, hellos: [hello3] });
    expect(decision).toEqual({ kind: 'wait', reason: 'n2 does not answer' });
  });

  it('is left to the first by the others', () => {
    const hello1 = { id: n1, names, founders: undefined };
    const decision = decide({ self: n2, names, hellos: [hello1, hello3] });
    expect(decision).toEqual({ kind: 'wait', reason: 'n1 founds the group' });
  });

  it('waits while nodes were told of different others, who could each be the first', () => {
    const odd = { id: n3, names: ['n0', 'n3'], founders: undefined };
    const decision = decide({ self: n1, names, hellos: [hello2, odd] });
    expect(decision).toEqual({ kind: 'wait', reason: 'n3 was told of other nodes: n0, n3' });
  });

  it('is not for a node that was told to join one', () => {
    const decision = decideFounding({ self: n1, names, hellos: [hello2, hello3], mayFound: false });
    expect(decision).toMatchObject({ kind: 'wait' });
    const known = decideFounding({
      ...{ self: n1, names, mayFound: false },
      hellos: [{ ...hello2, founders: [n2] }],
    });
    expect(known).toEqual({ kind: 'belong', record: { founders: [n2], isJoining: true } });
  });

  it('is not done by a founder with a new disk that hears of its group: it joins', () => {
    const wiped = nodeIdOf('n1', 'dddddddd');
    const founders = [n1, n2, n3];
    const decision = decide({ self: wiped, names, hellos: [{ ...hello2, founders }] });
    expect(decision).toEqual({ kind: 'belong', record: { founders, isJoining: true } });
  });

  it('makes a founder of one that comes late with the disk it was counted with', () => {
    const founders = [n1, n2, n3];
    const decision = decide({ self: n3, names, hellos: [{ ...hello2, founders }] });
    expect(decision).toEqual({ kind: 'belong', record: { founders, isJoining: false } });
  });

  it('chooses no side between peers of different groups', () => {
    const hellos = [
      { ...hello2, founders: [n2] },
      { ...hello3, founders: [n3] },
    ];
    expect(decide({ self: n1, names, hellos })).toEqual({
      kind: 'wait',
      reason: 'the peers belong to different groups',
    });
  });
});
