/**
 * Runs seeds in several processes at once. A seed's run is its own whatever runs beside it, so what is found is the same; of
 * several seeds that fail the lowest is the one told.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { JobRequest } from './job.ts';
import type { SimulateOptions } from './options.ts';
import type { SeedReport } from './seed-report.ts';

const program = fileURLToPath(new URL('./job.ts', import.meta.url));

/**
 * @param onReport told of every seed, in the order in which they end
 * @returns the lowest seed that failed; no seed is begun after one did
 * @throws Error when a process ends before it has answered, after it said why
 */
export async function runInJobs(
  options: SimulateOptions,
  firstSeed: number,
  onReport: (report: SeedReport) => void,
): Promise<SeedReport | undefined> {
  const end = firstSeed + options.seeds;
  const failed: SeedReport[] = [];
  let next = firstSeed;
  const work = async (): Promise<void> => {
    const job = fork(program, { execArgv: ['--import', 'tsx'] });
    try {
      while (next < end && failed.length === 0) {
        const report = await answerOf(job, { options, seed: next++ });
        onReport(report);
        if (report.failure !== undefined) failed.push(report);
      }
    } finally {
      if (job.connected) job.disconnect();
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, options.seeds) }, work));
  return failed.toSorted((a, b) => a.seed - b.seed)[0];
}

function answerOf(job: ChildProcess, request: JobRequest): Promise<SeedReport> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error(`the process that ran seed ${request.seed} ended`));
    job.once('exit', onExit);
    job.once('message', (report) => {
      job.off('exit', onExit);
      resolve(report as SeedReport);
    });
    job.send(request);
  });
}
