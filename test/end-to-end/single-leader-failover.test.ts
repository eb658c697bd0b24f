/**
 * The leader of a real cluster dies, is paused, or is cut off, in the middle of a load, again and again: no acknowledged
 * write is lost, the history is linearizable, and who led before comes back as a follower. Wall clocks that jump by hours
 * change none of that.
 *
 * `TERCET_ROUNDS=20` says how often each; from ten on a paused or cut leader is away for ten seconds each time.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkLinearizability } from '../../simulation/checkers/linearizability.ts';
import { type CuttableCluster, startCuttableCluster } from './cuttable-network.ts';
import { openHarness, type TestNode, waitUntil } from './harness.ts';
import { type SettableClocks, settableClocks } from './settable-clock.ts';
import {
  agreedLeader,
  ask,
  branchesOn,
  createLedger,
  type Leading,
  missingOn,
  untilStatus,
  viewOf,
} from './single-leader-cluster.ts';
import { type Load, startLoad } from './single-leader-load.ts';

const rounds = Number(process.env.TERCET_ROUNDS ?? 2);
const awayMs = rounds >= 10 ? 10_000 : 2_000;
/** Acknowledged writes between one event and the next. */
const writesBetween = 60;

const harness = openHarness();
let cluster: CuttableCluster;
let clocks: SettableClocks | undefined;
const gapsMs = new Map<string, number[]>();

beforeAll(async () => {
  clocks = await settableClocks(await harness.temporaryDirectory());
  cluster = await startCuttableCluster(harness, 3, { environment: clocks?.environment ?? {} });
  await createLedger(cluster.nodes);
}, 60_000);
afterAll(async () => {
  for (const [fault, gaps] of gapsMs) {
    const sorted = gaps.map(Math.round).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    console.info(
      `${fault}: ${gaps.length} rounds, longest gap in acknowledged writes: median ${median} ms, ` +
        `maximum ${sorted.at(-1)} ms`,
    );
  }
  await harness.close();
  await cluster.close();
});

interface Fault {
  readonly name: string;
  begin(leader: TestNode): Promise<void> | void;
  end(leader: TestNode): Promise<void> | void;
  readonly lastsMs: number;
}

const faults: readonly Fault[] = [
  { name: 'kill -9', begin: (leader) => leader.kill(), end: (leader) => leader.start(), lastsMs: 0 },
  {
    name: 'pause',
    begin: ({ pid }) => void process.kill(pid, 'SIGSTOP'),
    end: ({ pid }) => void process.kill(pid, 'SIGCONT'),
    lastsMs: awayMs,
  },
  {
    name: 'network cut',
    begin: (leader) => cluster.isolate(leader),
    end: (leader) => cluster.heal(leader),
    lastsMs: awayMs,
  },
];

function moreWrites({ acknowledged }: Load, when: string, count = writesBetween): Promise<unknown> {
  const goal = acknowledged.length + count;
  return waitUntil(`writes are acknowledged ${when}`, () => acknowledged.length >= goal);
}

/** Lets one fault befall the leader of `before`, while the load goes on. */
async function befall(fault: Fault, { leader, term }: Leading, load: Load): Promise<void> {
  await moreWrites(load, 'before the fault');
  const over = performance.now() + fault.lastsMs;
  await fault.begin(leader);
  const others = cluster.nodes.filter((node) => node !== leader);
  const after = await agreedLeader(others);
  expect(after.term).toBeGreaterThan(term);
  await moreWrites(load, `by ${after.leader.name} alone`);
  await waitUntil('the fault has lasted long enough', () => performance.now() >= over);
  await fault.end(leader);
  await waitUntil(`${leader.name} follows whoever leads now`, async () => {
    const view = await viewOf(leader);
    return view?.role === 'follower' && view.term > term && view.leader !== null;
  });
  await moreWrites(load, `after ${leader.name} is back`);
}

async function checkRound(load: Load): Promise<void> {
  expect(load.unexpected).toEqual([]);
  expect(checkLinearizability(load.records)).toEqual([]);
  await agreedLeader(cluster.nodes);
  for (const node of cluster.nodes) {
    expect(await missingOn(node, load.acknowledged), node.name).toEqual({});
    expect(await branchesOn(node), node.name).toEqual([]);
  }
}

describe.each(faults)('a leader of three nodes under load: $name', (fault) => {
  test(
    `${rounds} times, nothing acknowledged is lost, the history is linearizable, the old leader follows`,
    async () => {
      const gaps: number[] = [];
      gapsMs.set(fault.name, gaps);
      for (let round = 0; round < rounds; round += 1) {
        const before = await agreedLeader(cluster.nodes);
        const load = startLoad(cluster.nodes, `${fault.name.replaceAll(' ', '')}-${round}`);
        await befall(fault, before, load).finally(() => load.stop());
        gaps.push(load.longestGapMs());
        await checkRound(load);
      }
    },
    30_000 + rounds * (30_000 + fault.lastsMs),
  );
});

test("a wall clock that jumps by hours under load, the leader's or a follower's, loses nothing", async (context) => {
  if (clocks === undefined)
    return context.skip('the clock of one process is set on Linux, with a C compiler');
  const { leader } = await agreedLeader(cluster.nodes);
  const follower = cluster.nodes.find((node) => node !== leader)!;
  const load = startLoad(cluster.nodes, 'clock');
  const jump = async (node: TestNode, hours: number) => {
    clocks?.set(node, hours);
    await moreWrites(load, `with the clock of ${node.name} off by ${hours} h`, 20);
  };
  try {
    await jump(leader, 5);
    await jump(leader, -5);
    clocks.set(leader, 0);
    await jump(follower, 7);
    // What it takes to the leader as a whole goes by a proof with a time: nobody's password is wrong.
    const now = (await agreedLeader(cluster.nodes)).leader;
    const asked = now === follower ? leader : follower;
    const passedOn = await ask('POST', `${asked.url}/ledger/_bulk_docs`, { docs: [{}] });
    expect([passedOn?.status, passedOn?.headers.get('tercet-write')]).toEqual([503, 'did_not_happen']);
    expect(passedOn?.json.reason).toContain('The clocks of the two nodes differ');
    await jump(follower, -7);
    clocks.set(follower, 0);
    await untilStatus(201, 'POST', `${follower.url}/ledger/_bulk_docs`, { docs: [{}] });
  } finally {
    await load.stop();
  }
  await checkRound(load);
}, 60_000);
