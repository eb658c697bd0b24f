/**
 * How nodes speak with each other: messages that may be lost, and requests that are answered.
 *
 *   const transport = createPeerTransport({ self: 'n1', peers, …, onMessage, onRequest });
 *   server.on('upgrade', transport.accept);
 *   transport.start();
 *   transport.send('n2', 16, bytes);                                       // 'sent', or why not
 *   const answer = await transport.request('n2', 17, bytes, { timeoutMs: 1_000 });
 *
 * 1. Messages to one peer arrive in the order in which they were sent, each at most once; a broken stream loses some.
 * 2. Messages and requests to one peer share that order: both go over the one stream that this node dialled.
 * 3. What waits for a peer is bounded; beyond the bound `send` says so and drops.
 * 4. A request that failed as `not_delivered` was not begun by the peer and never will be.
 * 5. Bytes that cannot be understood close the stream they came on, and do nothing else.
 *
 * peer-link.ts is the dialling end, peer-acceptor.ts the other, peer-stream.ts what both have in common, peer-codec.ts
 * turns messages into bytes. Left out: encryption (see src/access/peer-proof.ts), and who is in a group: a peer here is
 * a node's name and address.
 */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from './log.ts';
import { type MessageHandler, PeerAcceptor, type RequestHandler } from './peer-acceptor.ts';
import type { PeerProver } from './peer-handshake.ts';
import { type PeerLimits, peerLimits } from './peer-limits.ts';
import {
  type LinkState,
  type PeerAddress,
  PeerLink,
  PeerRequestError,
  type SendOutcome,
} from './peer-link.ts';
import type { Clock, Random } from './ports.ts';

export interface PeerTransportOptions {
  /** This node's name. */
  readonly self: string;
  /** The cluster's uuid. */
  readonly cluster: string;
  /** Every node but this one. */
  readonly peers: readonly PeerAddress[];
  readonly prover: PeerProver;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next' | 'hex'>;
  readonly log: Log;
  /** May throw GarbageError, which closes the stream. The bytes are a view of what arrived. */
  readonly onMessage: MessageHandler;
  /** May throw PeerRefusal for what it did not begin; anything else it throws is a defect. */
  readonly onRequest: RequestHandler;
  readonly onState?: (peer: string, state: LinkState) => void;
  readonly onDefect: (error: unknown) => void;
  readonly limits?: Partial<PeerLimits>;
}

export interface PeerTransport {
  /** Begins to dial; call it once this node listens itself. */
  start(): void;
  /** For the HTTP server: takes over a connection that asks for a stream between nodes. */
  readonly accept: (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
  /** Also for a peer that is at another address now. */
  addPeer(peer: PeerAddress): void;
  removePeer(name: string): Promise<void>;
  /** Never waits. The bytes must not be changed afterwards. */
  send(peer: string, kind: number, bytes: Uint8Array): SendOutcome;
  /** @throws PeerRequestError, which says whether the peer certainly did not begin it */
  request(
    peer: string,
    kind: number,
    bytes: Uint8Array,
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array>;
  linkState(peer: string): LinkState;
  /** Lets what is queued leave, for a moment. Resolves when no socket or timer is left. */
  close(): Promise<void>;
}

const processBytes = 8;

export function createPeerTransport(options: PeerTransportOptions): PeerTransport {
  const limits = { ...peerLimits, ...options.limits };
  const links = new Map<string, PeerLink>();
  const process = options.random.hex(processBytes);
  const leaving = new Set<Promise<void>>();
  let isStarted = false;
  let isClosed = false;
  const acceptor = new PeerAcceptor({
    ...options,
    limits,
    isPeer: (name) => links.has(name),
    onHeard: (peer) => links.get(peer)?.wake(),
  });
  async function leave(link: PeerLink): Promise<void> {
    const left = link.close();
    leaving.add(left);
    await left;
    leaving.delete(left);
  }
  function addPeer(peer: PeerAddress): void {
    const present = links.get(peer.name);
    if (isClosed || present?.url === peer.url) return;
    if (present !== undefined) void leave(present);
    const link: PeerLink = new PeerLink({
      ...{ ...options, limits, peer, process },
      onState: (state) => {
        if (links.get(peer.name) === link) options.onState?.(peer.name, state);
      },
    });
    links.set(peer.name, link);
    if (isStarted) link.wake();
  }
  for (const peer of options.peers) addPeer(peer);
  return {
    start() {
      isStarted = true;
      for (const link of links.values()) link.wake();
    },
    accept: (request, socket, head) => acceptor.accept(request, socket as Socket, head),
    addPeer,
    async removePeer(name) {
      const link = links.get(name);
      links.delete(name);
      acceptor.drop(name);
      if (link !== undefined) await leave(link);
    },
    send: (peer, kind, bytes) => links.get(peer)?.send(kind, bytes) ?? 'link_down',
    request(peer, kind, bytes, { timeoutMs }) {
      const link = links.get(peer);
      if (link !== undefined) return link.request(kind, bytes, timeoutMs);
      return Promise.reject(new PeerRequestError('link_down', 'not_delivered', `${peer} is no peer`));
    },
    linkState: (peer) => links.get(peer)?.state ?? { kind: 'down', reason: 'no peer', isRefused: false },
    async close() {
      isClosed = true;
      await Promise.all([acceptor.close(), ...leaving, ...[...links.values()].map(leave)]);
    },
  };
}
