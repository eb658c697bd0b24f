/** What tests of leaderless databases ask of running nodes, and clients that write to them without waiting. */

import { performance } from 'node:perf_hooks';
import { type TestNode, waitUntil } from './harness.ts';
import { type Acknowledged, ask } from './single-leader-cluster.ts';

/** Asks again until somebody leads the catalog, then until all nodes have heard of it. */
export async function createLeaderless(
  nodes: readonly TestNode[],
  name: string,
  query: string,
): Promise<void> {
  await waitUntil(`${name} exists`, async () => {
    const reply = await ask('PUT', `${nodes[0]!.url}/${name}?strategy=leaderless&${query}`);
    return reply?.status === 201 || reply?.status === 412;
  });
  for (const node of nodes) {
    await waitUntil(
      `${node.name} has ${name}`,
      async () => (await ask('GET', `${node.url}/${name}`))?.status === 200,
    );
  }
}

/** Which of these revisions the node's own replica lacks. */
export async function lackedBy(
  node: TestNode,
  database: string,
  acknowledged: readonly Acknowledged[],
): Promise<readonly string[]> {
  const asked = Object.fromEntries(acknowledged.map(({ id, rev }) => [id, [rev]]));
  const reply = await ask('POST', `${node.url}/${database}/_revs_diff`, asked);
  if (reply?.status !== 200) throw new Error(`${node.name} does not say what it lacks`);
  return Object.keys(reply.json);
}

/** Waits until the node's own replica has all of it. */
export function untilCaughtUp(
  node: TestNode,
  database: string,
  acknowledged: readonly Acknowledged[],
): Promise<unknown> {
  return waitUntil(
    `${node.name} has all ${acknowledged.length} acknowledged writes`,
    async () => (await lackedBy(node, database, acknowledged)).length === 0,
    60_000,
  );
}

interface AcknowledgedBy extends Acknowledged {
  /** The node that coordinated it. */
  readonly by: TestNode;
}

export interface WriteLoad {
  readonly acknowledged: AcknowledgedBy[];
  /** Answers that no dead node may cause. */
  readonly unexpected: string[];
  /** The longest time without an acknowledged write from then on, or up to a later time. */
  longestGapMs(sinceMs: number, untilMs?: number): number;
  stop(): Promise<void>;
}

const everyMs = 4;

/**
 * Writes a new document every few milliseconds, at the nodes in turn, whether or not earlier ones are answered. Nobody
 * moves to another node: what goes to a dead one is lost, and the others must not feel it.
 */
export function startWriting(nodes: readonly TestNode[], database: string, prefix: string): WriteLoad {
  const acknowledged: AcknowledgedBy[] = [];
  const acknowledgedAt: number[] = [];
  const unexpected: string[] = [];
  let isStopped = false;
  const write = async (number: number) => {
    const node = nodes[number % nodes.length]!;
    const id = `${prefix}-${number}`;
    const reply = await ask('PUT', `${node.url}/${database}/${id}`, { number });
    if (reply?.status === 201) {
      acknowledged.push({ id, rev: String(reply.json.rev), by: node });
      acknowledgedAt.push(performance.now());
    } else if (reply !== undefined) {
      unexpected.push(`${node.name}: ${reply.status} ${JSON.stringify(reply.json)}`);
    }
  };
  const running = (async () => {
    const asked: Promise<void>[] = [];
    for (let number = 0; !isStopped; number++) {
      asked.push(write(number));
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    await Promise.all(asked);
  })();
  return {
    acknowledged,
    unexpected,
    longestGapMs(sinceMs, untilMs = Number.POSITIVE_INFINITY) {
      const times = [sinceMs, ...acknowledgedAt.filter((at) => at > sinceMs && at <= untilMs)];
      return Math.max(...times.slice(1).map((time, index) => time - times[index]!));
    },
    async stop() {
      isStopped = true;
      await running;
    },
  };
}
