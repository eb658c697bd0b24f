/** Nodes for tests of the transport: each a real HTTP server on a free port, with a transport behind it. */

import { createServer } from 'node:http';
import {
  type AddressInfo,
  createConnection,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { expect, vi } from 'vitest';
import { peerProofs, provePeer } from '../access/peer-proof.ts';
import type { PeerProver } from './peer-handshake.ts';
import type { PeerLimits } from './peer-limits.ts';
import type { LinkState } from './peer-link.ts';
import { createPeerTransport, type PeerTransport, type PeerTransportOptions } from './peer-transport.ts';
import { systemClock } from './system-clock.ts';
import { systemRandom } from './system-random.ts';

export const cluster = 'c'.repeat(32);

/** Quick to retry, slow to take silence for death. */
const testLimits: Partial<PeerLimits> = { retryMsMin: 5, retryMsMax: 20, silentBeatsMax: 1_000 };

export interface Received {
  readonly from: string;
  readonly kind: number;
  readonly text: string;
}

export interface TestNode {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  readonly transport: PeerTransport;
  readonly received: Received[];
  readonly states: string[];
  readonly logged: { readonly level: string; readonly message: string; readonly reason: unknown }[];
  readonly defects: unknown[];
  /** The server's ends of all connections so far. */
  readonly sockets: Socket[];
  close(): Promise<void>;
}

export interface TestNodeOptions extends Partial<Omit<PeerTransportOptions, 'self' | 'peers'>> {
  readonly secret?: string;
  readonly port?: number;
  readonly peers?: readonly string[];
}

const nodes = new Set<TestNode>();
const closers: (() => Promise<void>)[] = [];

/** For `afterEach`. */
export async function closeTestNodes(): Promise<void> {
  for (const close of closers.splice(0)) await close();
  for (const node of [...nodes]) await node.close();
}

export function proverOf(name: string, secret = 'the secret of the cluster'): PeerProver {
  const proofs = peerProofs(secret, systemClock);
  return { prove: (request) => provePeer(secret, name, request, systemClock.now()), check: proofs.check };
}

/** Listens, and knows `peers` by name; {@link link} tells it where they are. */
export async function startNode(name: string, options: TestNodeOptions = {}): Promise<TestNode> {
  const { secret, port = 0, peers = [], limits, ...overrides } = options;
  const {
    received,
    states,
    logged,
    defects,
    sockets,
  }: Pick<TestNode, 'received' | 'states' | 'logged' | 'defects' | 'sockets'> = {
    received: [],
    states: [],
    logged: [],
    defects: [],
    sockets: [],
  };
  const logAs = (level: string) => (fields: object, message: string) =>
    logged.push({ level, message, reason: (fields as { reason?: unknown }).reason });
  const transport = createPeerTransport({
    ...{
      self: name,
      cluster,
      prover: proverOf(name, secret),
      clock: systemClock,
      random: { next: () => 0.5, hex: systemRandom.hex },
    },
    peers: peers.map((peer) => ({ name: peer, url: 'http://127.0.0.1:1' })),
    log: { info: logAs('info'), warn: logAs('warn'), error: logAs('error') },
    onMessage: (from, kind, bytes) => received.push({ from, kind, text: Buffer.from(bytes).toString() }),
    onRequest: (_from, _kind, bytes) => bytes,
    onState: (peer: string, state: LinkState) => states.push(`${peer} ${state.kind}`),
    onDefect: (error) => defects.push(error),
    ...overrides,
    limits: { ...testLimits, ...limits },
  });
  const server = createServer((_request, response) => response.writeHead(404).end());
  server.on('upgrade', transport.accept);
  server.on('connection', (socket) => sockets.push(socket));
  const at = await listen(server, port);
  const close = async () => {
    nodes.delete(node);
    const closed = new Promise((resolve) => server.close(resolve));
    await transport.close();
    server.closeAllConnections();
    await closed;
  };
  const url = `http://127.0.0.1:${at}`;
  const node = { name, url, port: at, transport, received, states, logged, defects, sockets, close };
  nodes.add(node);
  return node;
}

/** Makes every node dial every other. */
export function link(...linked: readonly TestNode[]): void {
  for (const { name, transport } of linked) {
    for (const peer of linked) if (peer.name !== name) transport.addPeer({ name: peer.name, url: peer.url });
  }
  for (const { transport } of linked) transport.start();
}

export async function untilUp(from: TestNode, to: TestNode): Promise<void> {
  await until(() => expect(from.transport.linkState(to.name).kind).toBe('up'));
}

/** Two nodes with links in both directions. */
export async function startPair(
  options: { readonly n1?: TestNodeOptions; readonly n2?: TestNodeOptions } = {},
) {
  const [n1, n2] = [await startNode('n1', options.n1), await startNode('n2', options.n2)];
  link(n1, n2);
  await untilUp(n1, n2);
  await untilUp(n2, n1);
  return { n1, n2 };
}

export function until(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 20_000, interval: 5 });
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text);
}

/** A way to a port that can be stopped: bytes stay where they are, as on the way to a process that does not run. */
export async function startProxy(port: number) {
  const sockets: Socket[] = [];
  let isStalled = false;
  const server = createTcpServer((near) => {
    const far = createConnection({ host: '127.0.0.1', port });
    for (const socket of [near, far]) {
      sockets.push(socket);
      socket.on('error', () => socket.destroy());
    }
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk) => to.write(chunk));
      from.on('close', () => to.destroy());
      if (isStalled) from.pause();
    }
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return {
    url: `http://127.0.0.1:${await listen(server, 0)}`,
    setStalled(stalled: boolean): void {
      isStalled = stalled;
      for (const socket of sockets) {
        if (stalled) socket.pause();
        else socket.resume();
      }
    },
  };
}

async function listen(server: TcpServer, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}
