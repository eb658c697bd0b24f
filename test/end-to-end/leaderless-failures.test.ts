/**
 * A minority of the replicas dies in the middle of a load: the others write on, nothing acknowledged is lost, and who was
 * away is brought what it missed. Nothing fails over, so there is nothing to wait for; the longest time without an
 * acknowledged write is printed.
 *
 * `TERCET_ROUNDS=10` says how often.
 */

import { performance } from 'node:perf_hooks';
import { afterAll, describe, expect, test } from 'vitest';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import {
  createLeaderless,
  lackedBy,
  startWriting,
  untilCaughtUp,
  type WriteLoad,
} from './leaderless-cluster.ts';

const rounds = Number(process.env.TERCET_ROUNDS ?? 1);
const writesBetween = 100;

const harness = openHarness();
afterAll(() => harness.close());

function moreWrites({ acknowledged }: WriteLoad, when: string): Promise<unknown> {
  const goal = acknowledged.length + writesBetween;
  return waitUntil(`writes are acknowledged ${when}`, () => acknowledged.length >= goal);
}

/** Another minority in every round. */
function minorityOf(nodes: readonly TestNode[], round: number): readonly TestNode[] {
  const count = Math.ceil(nodes.length / 2) - 1;
  return Array.from({ length: count }, (_, index) => nodes[(round + index) % nodes.length]!);
}

async function lackedByAll(
  nodes: readonly TestNode[],
  database: string,
  { acknowledged }: WriteLoad,
): Promise<readonly string[]> {
  const lacked = await Promise.all(nodes.map((node) => lackedBy(node, database, acknowledged)));
  return lacked.reduce((all, some) => all.filter((id) => some.includes(id)));
}

function told(what: string, gapsMs: readonly number[]): string {
  const sorted = gapsMs.map(Math.round).toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  return `${what}: ${sorted.length} rounds, longest pause of acknowledged writes: median ${median} ms, maximum ${sorted.at(-1)} ms`;
}

describe.each([3, 5])('%i replicas under load', (count) => {
  test(
    `${rounds} times a minority is killed: writes go on, nothing acknowledged is lost, hints bring back the rest`,
    async () => {
      const nodes = await harness.startCluster(count);
      const database = `carts-${count}`;
      // So that hints alone can have done it.
      await createLeaderless(nodes, database, `n=${count}&anti_entropy=false`);
      const gapsMs: number[] = [];
      // What a busy machine does to the same clients when nothing happens.
      const quietGapsMs: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const dying = minorityOf(nodes, round);
        const load = startWriting(nodes, database, `round-${round}`);
        try {
          await moreWrites(load, 'before anything is measured');
          const begunAt = performance.now();
          await moreWrites(load, 'before the fault');
          const killedAt = performance.now();
          await Promise.all(dying.map((node) => node.kill()));
          await moreWrites(load, 'without a minority');
          gapsMs.push(load.longestGapMs(killedAt));
          quietGapsMs.push(load.longestGapMs(begunAt, killedAt));
        } finally {
          await load.stop();
        }
        expect(load.unexpected).toEqual([]);
        const living = nodes.filter((node) => !dying.includes(node));
        expect(await lackedByAll(living, database, load)).toEqual([]);
        await Promise.all(dying.map((node) => node.start()));
        // What a node was killed over it had no time to keep hints for; what the others coordinated is owed to it.
        const owed = load.acknowledged.filter(({ by }) => living.includes(by));
        for (const node of dying) await untilCaughtUp(node, database, owed);
      }
      console.info(told(`kill -9 of ${minorityOf(nodes, 0).length} of ${count}`, gapsMs));
      console.info(told('before that, with all of them', quietGapsMs));
      await Promise.all(nodes.map((node) => node.kill()));
    },
    60_000 + rounds * 60_000,
  );
});
