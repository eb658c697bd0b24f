/**
 * Replicas speak with members of the cluster only. A node that was taken out may still run, and `--peers` may still name
 * it: its place may be another's by then (docs/decisions/0029), and what it acknowledged or answered would count for two.
 */

import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';

type Transport = Pick<PeerTransport, 'send' | 'request' | 'linkState'>;

const reason = 'it is no member of the cluster';

/** What is answered after a node was taken out does not count either. */
export function membersOnly(transport: Transport, isMember: (node: string) => boolean): Transport {
  return {
    send: (peer, kind, bytes) => (isMember(peer) ? transport.send(peer, kind, bytes) : 'link_down'),
    request: async (peer, kind, bytes, options) => {
      if (!isMember(peer)) throw new PeerRequestError('link_down', 'not_delivered', `${peer}: ${reason}`);
      const answer = await transport.request(peer, kind, bytes, options);
      if (!isMember(peer)) throw new PeerRequestError('link_lost', 'unknown', `${peer}: ${reason}`);
      return answer;
    },
    linkState: (peer) =>
      isMember(peer) ? transport.linkState(peer) : { kind: 'down', reason, isRefused: true },
  };
}

/** @throws PeerRefusal */
export function mustBeMember(node: string, isMember: (node: string) => boolean): void {
  if (!isMember(node)) throw new PeerRefusal(`${node}: ${reason}`);
}
