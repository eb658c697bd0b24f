/**
 * One run of a leaderless database from one seed: everything may break, then all is mended, the clients stop, and what of
 * repair the run has must make the replicas equal again.
 */

import { settingsFrom } from '../../src/leaderless/presets.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import type { Violation } from '../history.ts';
import type { RunSummary } from '../run.ts';
import { microsecondsOf, World } from '../world.ts';
import type { LeaderlessCanary } from './canaries.ts';
import {
  checkAges,
  checkEquality,
  checkLosses,
  checkMonotonic,
  checkReads,
  checkSiblings,
  checkTombstones,
  type LeaderlessEvidence,
} from './checkers.ts';
import { LeaderlessCluster } from './cluster.ts';
import type { LeaderlessRecord } from './history.ts';
import { withoutStrays } from './losses.ts';
import { LeaderlessNemesis } from './nemesis.ts';
import { Operator } from './operator.ts';
import { hintsSuffice, type LeaderlessProfile } from './profiles.ts';
import { LeaderlessWorkload } from './workload.ts';

export interface LeaderlessRunOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly profile: LeaderlessProfile;
  readonly canary: LeaderlessCanary;
  /** Simulated seconds in which everything may break. */
  readonly seconds: number;
}

export interface LeaderlessRunResult extends RunSummary {
  readonly records: readonly LeaderlessRecord[];
  readonly settings: LeaderlessSettings;
}

const settleSecondsMax = 20;

export function runLeaderless({
  seed,
  nodes,
  profile,
  canary,
  seconds,
}: LeaderlessRunOptions): LeaderlessRunResult {
  const world = new World(seed);
  const settings = settingsOfSeed(world, nodes, profile);
  world.note('run', 'settings', settings);
  const isReplacing = profile.spares > 0;
  const cluster = new LeaderlessCluster({
    ...{ world, settings, canary, isReplacing },
    nodes: nodes + profile.spares,
  });
  const random = world.random.fork('workload');
  const workload = new LeaderlessWorkload({
    world,
    cluster,
    clients: random.between(2, 4),
    documents: random.between(1, profile.documentsMax),
    deletions: profile.deletions,
    oldEdits: profile.oldEdits,
    thinkMsMax: random.pick([60, 150, 300]),
  });
  const nemesis = new LeaderlessNemesis(world, cluster, profile);
  const operator = new Operator(world, cluster);
  let violations: Violation[];
  try {
    cluster.start();
    workload.start();
    nemesis.start();
    if (isReplacing) operator.start();
    world.runUntil(microsecondsOf(seconds * 1_000));
    operator.stop();
    nemesis.healAll();
    workload.stop();
    settle(world, { cluster, operator, workload });
    violations = judged(
      {
        records: withoutStrays(workload.records(), cluster.oracle),
        finals: cluster.finals(),
        oracle: cluster.oracle,
      },
      settings,
      profile,
    );
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    violations = [{ checker: 'crash', message }];
  }
  return {
    ...{ seed, world, settings, records: workload.records(), simulatedSeconds: world.now() / 1_000_000 },
    failure: failureOf(violations),
  };
}

/** Counts that overlap more often than not, and every way of repair switched off in some runs. */
function settingsOfSeed(world: World, nodes: number, profile: LeaderlessProfile): LeaderlessSettings {
  const random = world.random.fork('settings');
  const n = nodes === 3 ? 3 : random.pick([3, 3, 5]);
  const majority = Math.floor(n / 2) + 1;
  const counts = random.chance(0.75)
    ? random.pick([
        { r: majority, w: majority },
        { r: majority, w: majority },
        { r: 1, w: n },
        { r: n, w: 1 },
      ])
    : random.pick([
        { r: 1, w: 1 },
        { r: 1, w: majority },
      ]);
  const quorum = random.chance(0.7) ? 'strict' : 'sloppy';
  return settingsFrom(
    {
      ...{ n, ...counts, quorum },
      resolver: random.pick(['siblings', 'siblings', 'siblings', 'last-write-wins', 'merge']),
      hints: random.chance(0.7),
      readRepair: random.pick(['off', 'async', 'blocking']),
      antiEntropy: random.chance(0.75),
      readTimeoutMs: 400,
      writeTimeoutMs: 500,
      hintWindowMs: quorum === 'strict' ? random.pick([1_000, 600_000]) : 600_000,
      tombstoneHorizonMs: random.pick([1_500, 1_500, 60_000]),
      ...profile.settings,
      ...random.pick(profile.variants),
    },
    nodes,
  );
}

interface Settling {
  readonly cluster: LeaderlessCluster;
  readonly operator: Operator;
  readonly workload: LeaderlessWorkload;
}

function settle(world: World, { cluster, operator, workload }: Settling): void {
  const { readRepair } = cluster.settings;
  const end = world.now() + microsecondsOf(settleSecondsMax * 1_000);
  // What is on its way arrives, and writes whose time is not up come to their ends.
  world.runUntil(world.now() + microsecondsOf(2_500));
  const isSettled = () => operator.isIdle() && isWhole(cluster);
  world.runUntil(end, () => isSettled() && (!cluster.settings.antiEntropy || cluster.isEqual()));
  if (readRepair === 'off') return;
  const ids = [...new Set(workload.records().map(({ id }) => id))];
  let isRead = false;
  workload.readAll([...ids, ...ids], () => {
    isRead = true;
  });
  world.runUntil(end, () => isRead);
  world.runUntil(world.now() + microsecondsOf(500));
}

function isWhole(cluster: LeaderlessCluster): boolean {
  return cluster.owners.every((node) => node.isWhole());
}

function judged(
  evidence: LeaderlessEvidence,
  settings: LeaderlessSettings,
  profile: LeaderlessProfile,
): Violation[] {
  const violations = [
    ...checkLosses(evidence),
    ...checkReads(evidence),
    ...checkMonotonic(evidence),
    ...checkSiblings(evidence),
    ...checkTombstones(evidence),
    ...checkAges(evidence, settings),
  ];
  const { antiEntropy, hints, readRepair, resolver } = settings;
  if (antiEntropy || readRepair !== 'off') violations.push(...checkEquality(evidence));
  else if (hints && resolver === 'siblings' && hintsSuffice(profile)) {
    violations.push(...checkEquality(evidence, evidence.oracle.unhinted));
  }
  return violations;
}

function failureOf(violations: readonly Violation[]): RunSummary['failure'] {
  if (violations.length === 0) return undefined;
  const isCrash = violations.some(({ checker }) => checker === 'crash');
  const isStuck = violations.every(({ checker }) => checker === 'convergence');
  return { kind: isCrash ? 'crash' : isStuck ? 'liveness' : 'correctness', violations };
}
