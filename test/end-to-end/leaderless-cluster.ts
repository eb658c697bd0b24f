/** What tests of leaderless databases ask of running nodes, and clients that write to them without waiting. */

import { performance } from 'node:perf_hooks';
import { type TestNode, waitUntil } from './harness.ts';
import { type Acknowledged, ask, createDatabase, untilStatus } from './single-leader-cluster.ts';

export function createLeaderless(nodes: readonly TestNode[], name: string, query: string): Promise<void> {
  return createDatabase(nodes, name, `strategy=leaderless&${query}`);
}

/** Waits until the node reaches all three replicas: after a start the links between nodes come a moment later. */
export function untilAllAnswer(node: TestNode, database: string): Promise<unknown> {
  return waitUntil(`all replicas of ${database} answer ${node.name}`, async () => {
    const reply = await ask('GET', `${node.url}/${database}/nobody-has-this?r=3`);
    return reply?.headers.get('tercet-consistency') === 'quorum; r=3/3; n1,n2,n3';
  });
}

/** Which of these revisions the node's own replica lacks. */
export async function lackedBy(
  node: TestNode,
  database: string,
  acknowledged: readonly Acknowledged[],
): Promise<readonly string[]> {
  const asked = Object.fromEntries(acknowledged.map(({ id, rev }) => [id, [rev]]));
  const { json } = await untilStatus(200, 'POST', `${node.url}/${database}/_revs_diff`, asked);
  return Object.keys(json);
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
