/** `npm run simulate`: runs seeds one after the other and stops at the first that fails. */

import { execFileSync } from 'node:child_process';
import { noCanary, plantedBugs } from './canaries.ts';
import { leaderlessBugs, noLeaderlessCanary } from './leaderless/canaries.ts';
import { leaderlessProfileNamed } from './leaderless/profiles.ts';
import { runLeaderless } from './leaderless/run.ts';
import { parseOptions, type SimulateOptions, UsageError, usage } from './options.ts';
import { profileNamed } from './profiles.ts';
import { exitCodes, renderFailure, renderTotals, type Totals } from './report.ts';
import { nodesOfSeed, type RunSummary, run } from './run.ts';

const usageExitCode = 2;
const progressEveryMs = 5_000;

function main(argv: readonly string[]): number {
  const options = parseOptions(argv);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const firstSeed = options.seed ?? Math.floor(Math.random() * 0xffff_ffff);
  const startedAt = performance.now();
  let totals: Totals = { seeds: 0, failed: 0, operations: 0, events: 0, simulatedSeconds: 0, wallSeconds: 0 };
  let toldAt = startedAt;
  for (let seed = firstSeed; seed < firstSeed + options.seeds; seed += 1) {
    const result = runSeed(options, seed);
    totals = added(totals, result, (performance.now() - startedAt) / 1_000);
    if (result.failure !== undefined) {
      process.stdout.write(`${failureText(options, result)}\n\n${renderTotals(totals)}\n`);
      return exitCodes[result.failure.kind];
    }
    if (performance.now() - toldAt < progressEveryMs) continue;
    toldAt = performance.now();
    process.stderr.write(`seed ${seed} passed · ${renderTotals(totals)}\n`);
  }
  process.stdout.write(`seeds ${firstSeed} to ${firstSeed + options.seeds - 1}: ${renderTotals(totals)}\n`);
  return 0;
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

function added(totals: Totals, result: RunSummary, wallSeconds: number): Totals {
  return {
    seeds: totals.seeds + 1,
    failed: totals.failed + (result.failure === undefined ? 0 : 1),
    operations: totals.operations + result.records.length,
    events: totals.events + result.world.trace.count(),
    simulatedSeconds: totals.simulatedSeconds + result.simulatedSeconds,
    wallSeconds,
  };
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

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\nTry: npm run simulate -- --help\n`);
  process.exitCode = usageExitCode;
}
