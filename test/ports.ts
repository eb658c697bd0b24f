/**
 * Ports for the servers of tests. A node that is killed comes back at the port that it had, and in between its peers go on
 * dialling it: among the ports that the system gives to outgoing connections, one of those could take it. So these are
 * below them, and each worker of a test run has some of its own.
 */

import { once } from 'node:events';
import { createServer } from 'node:net';

const portMin = 10_000;
const perWorker = 2_000;
const slices = 11;

const worker = Number(process.env.VITEST_POOL_ID ?? 1) % slices;
const firstOfWorker = portMin + worker * perWorker;
// Elsewhere in every file, for the sake of another test run on the same machine.
let given = Math.floor(Math.random() * perWorker);

/** Free ports of 127.0.0.1, not given before; all different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const [port] = next(1) as [number];
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

/** The first of `count` consecutive ports that are free. */
export async function consecutivePorts(count: number): Promise<number> {
  for (;;) {
    const ports = next(count);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return ports[0]!;
  }
}

function next(count: number): readonly number[] {
  if (given + count > perWorker) given = 0;
  given += count;
  return Array.from({ length: count }, (_, index) => firstOfWorker + given - count + index);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, '127.0.0.1');
  const [heard] = await Promise.allSettled([once(probe, 'listening')]);
  await new Promise((resolve) => probe.close(resolve));
  return heard.status === 'fulfilled';
}
