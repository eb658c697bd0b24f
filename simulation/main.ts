/** `npm run simulate`: runs seeds, as many at once as there are jobs, and stops at the first that fails. */

import { runInJobs } from './jobs.ts';
import { parseOptions, type SimulateOptions, UsageError, usage } from './options.ts';
import { renderTotals, type Totals } from './report.ts';
import { reportOfSeed, type SeedReport } from './seed-report.ts';

const usageExitCode = 2;
const progressEveryMs = 5_000;

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const firstSeed = options.seed ?? Math.floor(Math.random() * 0xffff_ffff);
  const startedAt = performance.now();
  let totals: Totals = { seeds: 0, failed: 0, operations: 0, events: 0, simulatedSeconds: 0, wallSeconds: 0 };
  let toldAt = startedAt;
  const onReport = (report: SeedReport): void => {
    totals = added(totals, report, (performance.now() - startedAt) / 1_000);
    if (report.failure !== undefined || performance.now() - toldAt < progressEveryMs) return;
    toldAt = performance.now();
    process.stderr.write(`seed ${report.seed} passed · ${renderTotals(totals)}\n`);
  };
  const isAlone = options.jobs === 1 || options.seeds === 1;
  const failed = isAlone
    ? runHere(options, firstSeed, onReport)
    : await runInJobs(options, firstSeed, onReport);
  if (failed?.failure !== undefined) {
    process.stdout.write(`${failed.failure.text}\n\n${renderTotals(totals)}\n`);
    return failed.failure.exitCode;
  }
  process.stdout.write(`seeds ${firstSeed} to ${firstSeed + options.seeds - 1}: ${renderTotals(totals)}\n`);
  return 0;
}

/** One seed after the other; gives the first that failed. */
function runHere(
  options: SimulateOptions,
  firstSeed: number,
  onReport: (report: SeedReport) => void,
): SeedReport | undefined {
  for (let seed = firstSeed; seed < firstSeed + options.seeds; seed += 1) {
    const report = reportOfSeed(options, seed);
    onReport(report);
    if (report.failure !== undefined) return report;
  }
  return undefined;
}

function added(totals: Totals, report: SeedReport, wallSeconds: number): Totals {
  return {
    seeds: totals.seeds + 1,
    failed: totals.failed + (report.failure === undefined ? 0 : 1),
    operations: totals.operations + report.operations,
    events: totals.events + report.events,
    simulatedSeconds: totals.simulatedSeconds + report.simulatedSeconds,
    wallSeconds,
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\nTry: npm run simulate -- --help\n`);
  process.exitCode = usageExitCode;
}
