/** Runs one seed and says what came of it, in words and numbers that can go from one process to another. */

import { execFileSync } from 'node:child_process';
import { noCanary, plantedBugs } from './canaries.ts';
import { leaderlessBugs, noLeaderlessCanary } from './leaderless/canaries.ts';
import { leaderlessProfileNamed } from './leaderless/profiles.ts';
import { runLeaderless } from './leaderless/run.ts';
import { type SimulateOptions, UsageError } from './options.ts';
import { profileNamed } from './profiles.ts';
import { exitCodes, renderFailure } from './report.ts';
import { nodesOfSeed, type RunSummary, run } from './run.ts';

export interface SeedReport {
  readonly seed: number;
  readonly operations: number;
  readonly events: number;
  readonly simulatedSeconds: number;
  /** Undefined: nothing was found. */
  readonly failure: { readonly text: string; readonly exitCode: number } | undefined;
}

/** @throws UsageError for a profile that there is not */
export function reportOfSeed(options: SimulateOptions, seed: number): SeedReport {
  const result = runSeed(options, seed);
  const { failure, records, simulatedSeconds, world } = result;
  return {
    ...{ seed, simulatedSeconds, operations: records.length, events: world.trace.count() },
    failure: failure && { text: failureText(options, result), exitCode: exitCodes[failure.kind] },
  };
}

function runSeed({ nodes, profile, canary, seconds }: SimulateOptions, seed: number): RunSummary {
  const leaderless = leaderlessProfileNamed(profile);
  if (leaderless !== undefined) {
    const bug = canary === undefined ? undefined : leaderlessBugs[canary];
    const planted = bug?.canary ?? noLeaderlessCanary;
    return runLeaderless({
      seed,
      nodes: nodes ?? nodesOfSeed(seed),
      profile: leaderless,
      canary: planted,
      seconds,
    });
  }
  const chosen = profileNamed(profile);
  if (chosen === undefined) throw new UsageError(`There is no profile "${profile}".`);
  const planted = canary === undefined ? noCanary : (plantedBugs[canary]?.canary ?? noCanary);
  return run({ seed, nodes: nodes ?? nodesOfSeed(seed), profile: chosen, canary: planted, seconds });
}

function failureText(
  { nodes, profile, canary, seconds, traceLines }: SimulateOptions,
  result: RunSummary,
): string {
  const { seed } = result;
  const command = { seed, seconds, profile, nodes: nodes ?? nodesOfSeed(seed), canary };
  return renderFailure({ result, command, commit: currentCommit(), traceLines }) ?? '';
}

function currentCommit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    return 'unknown (not a git checkout)';
  }
}
