import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Addresses } from './addresses.ts';
import type { Group, GroupStatus } from './group.ts';

export interface MemberFollowers {
  readonly addresses: Addresses;
  /** Undefined for a node that speaks with nobody. */
  readonly transport: Pick<PeerTransport, 'addPeer' | 'removePeer'> | undefined;
}

/**
 * Keeps links to those whom the group names as members; the function returned ends that. A group whose disk has failed
 * names nobody: whom it named before is still there.
 */
export function followMembers(
  group: Pick<Group, 'status' | 'onChange'>,
  { addresses, transport }: MemberFollowers,
): () => void {
  const stop = addresses.onChange(({ added, removed }) => {
    for (const peer of added) transport?.addPeer(peer);
    for (const { name } of removed) void transport?.removePeer(name);
  });
  const learn = ({ members, stopped }: GroupStatus): void => {
    if (!stopped) addresses.setMembers(members);
  };
  learn(group.status());
  group.onChange(learn);
  return stop;
}
