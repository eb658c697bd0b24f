/**
 * A cluster whose nodes reach each other only through proxies, so that a test can cut any of them off:
 *
 *   n1 ──► proxy n1→n2 ──► n2          every ordered pair has its own proxy; clients go to the nodes directly
 *
 * A cut link behaves as one whose cable is out: nothing is closed, nothing answers, new connections lead nowhere. What
 * was on its way comes late, once the link heals, as TCP's repetitions would bring it.
 */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePorts } from '../ports.ts';
import type { Harness, NodeOptions, TestNode } from './harness.ts';

interface Link {
  readonly port: number;
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

export interface CuttableCluster {
  readonly nodes: readonly TestNode[];
  /** Cuts all links between this node and the others, both ways. */
  isolate(node: TestNode): void;
  heal(node: TestNode): void;
  close(): Promise<void>;
}

/** `count` nodes named n1, n2, … that are peers of each other. */
export async function startCuttableCluster(
  harness: Harness,
  count: number,
  options: Omit<NodeOptions, 'name' | 'port' | 'peers'> = {},
): Promise<CuttableCluster> {
  const ports = await freePorts(count);
  const names = ports.map((_, index) => `n${index + 1}`);
  const links = new Map<string, Link>();
  const starting = names.map(async (name, from) => {
    const peers: Record<string, string> = { [name]: `http://127.0.0.1:${ports[from]}` };
    for (const [to, peer] of names.entries()) {
      if (peer === name) continue;
      const link = await openLink(ports[to]!);
      links.set(`${name} ${peer}`, link);
      peers[peer] = `http://127.0.0.1:${link.port}`;
    }
    return harness.startNode({ ...options, name, port: ports[from]!, peers });
  });
  const nodes = await Promise.all(starting);
  const linksOf = ({ name }: TestNode) =>
    [...links].filter(([ends]) => ends.split(' ').includes(name)).map(([, link]) => link);
  return {
    nodes,
    isolate: (node) => {
      for (const link of linksOf(node)) link.cut();
    },
    heal: (node) => {
      for (const link of linksOf(node)) link.heal();
    },
    close: async () => {
      await Promise.all([...links.values()].map((link) => link.close()));
    },
  };
}

async function openLink(target: number): Promise<Link> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const waiting = new Set<Socket>();
  let isCut = false;
  const join = (incoming: Socket) => {
    const outgoing = connect({ port: target, host: '127.0.0.1' });
    const pair = [incoming, outgoing] as const;
    pairs.add(pair);
    for (const [one, other] of [pair, [outgoing, incoming] as const]) {
      // Whatever breaks one side breaks the other: all that a socket's error can mean here.
      one.on('error', () => other.destroy());
      one.on('close', () => {
        pairs.delete(pair);
        other.destroy();
      });
      one.pipe(other);
    }
  };
  const server = createServer((incoming) => {
    incoming.setNoDelay(true);
    if (!isCut) join(incoming);
    else {
      waiting.add(incoming.pause());
      incoming.on('error', () => waiting.delete(incoming)).on('close', () => waiting.delete(incoming));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    cut: () => {
      isCut = true;
      for (const [incoming, outgoing] of pairs) {
        incoming.unpipe().pause();
        outgoing.unpipe().pause();
      }
    },
    heal: () => {
      isCut = false;
      for (const [incoming, outgoing] of pairs) {
        incoming.pipe(outgoing);
        outgoing.pipe(incoming);
      }
      for (const incoming of waiting) {
        waiting.delete(incoming);
        join(incoming);
      }
    },
    close: () => closeLink(server, [...[...pairs].flat(), ...waiting]),
  };
}

async function closeLink(server: Server, sockets: readonly Socket[]): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  for (const socket of sockets) socket.destroy();
  await closed;
}
