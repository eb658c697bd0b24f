import { expect, it } from 'vitest';
import { Addresses } from './addresses.ts';
import { followMembers } from './followed-members.ts';
import type { GroupStatus } from './group.ts';

function status(names: readonly string[], stopped = false): GroupStatus {
  const members = names.map((name) => ({ name, kind: 'voter', url: `http://${name}:5984` }));
  return { members, stopped } as unknown as GroupStatus;
}

it('keeps the links to members while the own disk has failed', () => {
  const addresses = new Addresses({ self: 'n1', url: 'http://n1:5984', fixed: [], learned: [] });
  const linked = new Set<string>();
  let tell: (now: GroupStatus) => void = () => {};
  const stop = followMembers(
    {
      status: () => status(['n1', 'n2']),
      onChange(listener) {
        tell = listener;
        return () => {};
      },
    },
    {
      addresses,
      transport: {
        addPeer: ({ name }) => void linked.add(name),
        async removePeer(name) {
          linked.delete(name);
        },
      },
    },
  );
  tell(status(['n1', 'n2', 'n3']));
  expect([...linked]).toEqual(['n2', 'n3']);
  expect(addresses.peers().map(({ name }) => name)).toEqual(['n2', 'n3']);
  tell(status([], true));
  expect([...linked]).toEqual(['n2', 'n3']);
  expect(addresses.replicaNodes()).toEqual(['n1', 'n2', 'n3']);
  tell(status(['n1', 'n3']));
  expect(addresses.peers().map(({ name }) => name)).toEqual(['n3']);
  stop();
});
