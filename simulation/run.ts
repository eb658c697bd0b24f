/**
 * One run from one seed: safety, liveness, agreement.
 *
 *     safety      every fault of the profile; nothing wrong may be said, however little is done
 *     liveness    a majority is mended, the others stay broken: writes must go on
 *     agreement   all is mended, the clients stop: all nodes must come to hold the same
 *
 * The kinds of failure have an order: a crash of the code hides what comes after it, and a wrong answer weighs more than
 * no answer.
 */

import { raftDefaults } from '../src/single-leader/state.ts';
import type { Canary } from './canaries.ts';
import { checkConvergence } from './checkers/convergence.ts';
import { checkDurability } from './checkers/durability.ts';
import { checkLateWrites } from './checkers/late-writes.ts';
import { checkLinearizability } from './checkers/linearizability.ts';
import { checkLiveness } from './checkers/liveness.ts';
import { checkSessions } from './checkers/session.ts';
import { Cluster } from './cluster.ts';
import type { ClientRecord, Violation } from './history.ts';
import { Nemesis } from './nemesis.ts';
import { Operator } from './operator.ts';
import { drawFaults, type FaultKind, type Profile } from './profiles.ts';
import type { ReplicaSettings } from './replica.ts';
import { Workload } from './workload.ts';
import { microsecondsOf, World } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly profile: Profile;
  readonly canary: Canary;
  /** Simulated seconds of the safety phase; the others are fixed. */
  readonly seconds: number;
}

export type FailureKind = 'crash' | 'correctness' | 'liveness';

/** What there is to tell of a run, whatever strategy it was about. */
export interface RunSummary {
  readonly seed: number;
  readonly world: World;
  readonly failure: { readonly kind: FailureKind; readonly violations: readonly Violation[] } | undefined;
  readonly records: readonly unknown[];
  /** How much time passed in the world, in seconds. */
  readonly simulatedSeconds: number;
}

export interface RunResult extends RunSummary {
  readonly records: readonly ClientRecord[];
}

const livenessSeconds = 6;
const livenessWritesMin = 3;
/** What comes back comes little by little, with the smallest limits a few entries in a third of a second. */
const agreementSecondsMax = 30;
const stuckCheckers = new Set(['liveness', 'catching-up']);

/** Three nodes for even seeds, five for odd ones. */
export function nodesOfSeed(seed: number): number {
  return seed % 2 === 0 ? 3 : 5;
}

interface Running {
  readonly world: World;
  readonly cluster: Cluster;
  readonly operator: Operator;
  readonly workload: Workload;
  readonly nemesis: Nemesis;
}

export function run(options: RunOptions): RunResult {
  const running = prepare(options);
  const { world, workload } = running;
  let violations: Violation[];
  try {
    violations = runPhases(running, options.seconds);
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    violations = [{ checker: 'crash', message }];
  }
  const simulatedSeconds = world.now() / 1_000_000;
  return {
    seed: options.seed,
    world,
    failure: failureOf(violations),
    records: workload.records(),
    simulatedSeconds,
  };
}

function prepare({ seed, nodes, profile, canary }: RunOptions): Running {
  const world = new World(seed);
  const faults = drawFaults(profile, world.random.fork('faults'));
  const settings = settingsFrom(world, faults);
  const { driftMillionthsMax } = profile;
  const cluster = new Cluster({
    ...{ world, nodes, settings, canary, driftMillionthsMax },
    hasWitness: faults.includes('witness'),
  });
  const operator = new Operator({ world, cluster, appointsLeaders: faults.includes('appointed') });
  const random = world.random.fork('workload');
  const workload = new Workload({
    world,
    cluster,
    clients: random.between(2, 6),
    documents: random.between(1, 4),
    thinkMsMax: random.pick([20, 60, 200]),
  });
  const nemesis = new Nemesis({ world, cluster, operator, profile, faults });
  return { world, cluster, operator, workload, nemesis };
}

/** Small limits, drawn anew for each run, so that what is rare in production is usual here. */
function settingsFrom(world: World, faults: readonly FaultKind[]): ReplicaSettings {
  const random = world.random.fork('settings');
  return {
    tickMs: 25,
    // What the losing side of a forced membership has is brought back from its log.
    logEntriesKept: faults.includes('force') ? 100_000 : random.pick([5, 20, 200]),
    recoveredOfferMs: 300,
    raft: {
      ...raftDefaults,
      leaderChoice: faults.includes('appointed') ? 'appointed' : 'elected',
      leaseTicks: random.pick([0, 8]),
      appendBytesMax: random.pick([1, 1, 300, 1_000_000]),
      inflightAppendsMax: random.pick([1, 4, 64]),
      uncommittedBytesMax: random.pick([600, 64_000_000]),
      promotionLagEntriesMax: random.pick([5, 1_000]),
      stateTransferTicksMax: 20,
    },
  };
}

function runPhases({ world, cluster, operator, workload, nemesis }: Running, seconds: number): Violation[] {
  cluster.start();
  operator.start();
  workload.start();
  nemesis.start();
  world.runUntil(microsecondsOf(seconds * 1_000));
  workload.probe(nemesis.healMajority());
  const healedAt = world.now();
  const dueAt = healedAt + microsecondsOf(livenessSeconds * 1_000);
  world.runUntil(dueAt);
  nemesis.healAll();
  workload.stop();
  const end = world.now() + microsecondsOf(agreementSecondsMax * 1_000);
  settle(world, cluster, end);
  cluster.seeEnd();
  const records = cluster.truth().binding(workload.records());
  const applied = cluster.appliedWrites();
  return [
    ...cluster.fencing.finish(records),
    ...checkLinearizability(records),
    ...checkDurability({ records, applied, recovered: cluster.recoveredValues() }),
    ...checkSessions({ records, applied }),
    ...checkLateWrites(applied),
    ...checkConvergence(cluster.finalStates()),
    ...checkLiveness({ records, healedAt, dueAt, writesMin: livenessWritesMin }),
  ];
}

/** Lets the nodes come to agree, and looks for a while longer if they stay so. */
function settle(world: World, cluster: Cluster, end: number): void {
  const stepMicroseconds = microsecondsOf(500);
  for (let calm = 0; calm < 4 && world.now() < end; ) {
    world.runUntil(Math.min(end, world.now() + stepMicroseconds));
    const isCalm = !cluster.isHandingOver() && checkConvergence(cluster.finalStates()).length === 0;
    calm = isCalm ? calm + 1 : 0;
  }
}

function failureOf(violations: readonly Violation[]): RunResult['failure'] {
  if (violations.length === 0) return undefined;
  if (violations.some(({ checker }) => checker === 'crash')) return { kind: 'crash', violations };
  const isStuck = violations.every(({ checker }) => stuckCheckers.has(checker));
  return { kind: isStuck ? 'liveness' : 'correctness', violations };
}
