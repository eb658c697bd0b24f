import { describe, expect, it } from 'vitest';
import { Addresses, type PeerChange } from './addresses.ts';

const at = (name: string, port: number) => ({ name, url: `http://127.0.0.1:${port}` });

function open(learned: readonly ReturnType<typeof at>[] = []) {
  const addresses = new Addresses({ self: 'n1', url: undefined, fixed: [at('n2', 2)], learned });
  const changes: PeerChange[] = [];
  addresses.onChange((change) => changes.push(change));
  return { addresses, changes };
}

describe('addresses of nodes', () => {
  it('are those that an operator named, wherever the group believes them to be', () => {
    const { addresses, changes } = open();
    addresses.setMembers([at('n1', 1), at('n2', 99), at('n4', 4), { name: 'n5' }]);
    expect(addresses.peers()).toEqual(expect.arrayContaining([at('n2', 2), at('n4', 4)]));
    expect(addresses.peers()).toHaveLength(2);
    expect(changes).toEqual([{ added: [at('n4', 4)], removed: [] }]);
  });

  it('follow a member that moves, and forget one that leaves', () => {
    const { addresses, changes } = open();
    addresses.setMembers([at('n4', 4)]);
    addresses.setMembers([at('n4', 5)]);
    addresses.setMembers([at('n4', 5)]);
    addresses.setMembers([]);
    expect(changes.slice(1)).toEqual([
      { added: [at('n4', 5)], removed: [] },
      { added: [], removed: [at('n4', 5)] },
    ]);
  });

  it('are those of the cluster to join until there are members', () => {
    const { addresses } = open([at('n1', 1), at('n7', 7)]);
    expect(addresses.urlOf('n7')).toBe(at('n7', 7).url);
    addresses.setMembers([at('n1', 1), at('n3', 3)]);
    expect(addresses.peers().map(({ name }) => name)).toEqual(['n3', 'n2']);
  });

  it('tell apart who may hold documents: members, this node among them, but no witness and nobody invited', () => {
    const { addresses } = open();
    addresses.invite(at('n4', 4));
    const members = [
      { ...at('n1', 1), kind: 'voter' },
      { ...at('n2', 2), kind: 'witness' },
    ] as const;
    addresses.setMembers(members);
    const nodes = addresses.replicaNodes();
    expect(nodes).toEqual(['n1']);
    addresses.setMembers([...members]);
    expect(addresses.replicaNodes()).toBe(nodes);
  });

  it('last for an invited node until it is a member, or nothing came of it', () => {
    const { addresses } = open();
    addresses.invite(at('n4', 4));
    expect(addresses.urlOf('n4')).toBe(at('n4', 4).url);
    addresses.withdraw('n4');
    expect(addresses.urlOf('n4')).toBeUndefined();
    addresses.invite(at('n5', 5));
    addresses.setMembers([at('n5', 5)]);
    addresses.setMembers([at('n6', 6)]);
    expect(addresses.urlOf('n5')).toBeUndefined();
  });

  it('of the node itself is what it was told, or where it listens', () => {
    const { addresses } = open();
    addresses.listensAt('http://127.0.0.1:1');
    addresses.listensAt('http://127.0.0.1:9');
    expect(addresses.urlOf('n1')).toBe('http://127.0.0.1:1');
  });
});
