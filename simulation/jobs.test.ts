import { expect, it } from 'vitest';
import { runInJobs } from './jobs.ts';
import { parseOptions } from './options.ts';
import { reportOfSeed, type SeedReport } from './seed-report.ts';

async function inJobs(argv: string): Promise<{ failed: SeedReport | undefined; reports: SeedReport[] }> {
  const options = parseOptions(argv.split(' '));
  const reports: SeedReport[] = [];
  const failed = await runInJobs(options, options.seed ?? 0, (report) => reports.push(report));
  return { failed, reports: reports.toSorted((a, b) => a.seed - b.seed) };
}

it('finds in several processes what it finds in one', async () => {
  const argv = '--seed 7 --seeds 4 --time 1 --jobs 2';
  const { failed, reports } = await inJobs(argv);
  expect(failed).toBeUndefined();
  expect(reports).toEqual([7, 8, 9, 10].map((seed) => reportOfSeed(parseOptions(argv.split(' ')), seed)));
});

it('begins no seed after one has failed, and tells how to run it again', async () => {
  const { failed, reports } = await inJobs('--seed 1 --seeds 500 --time 5 --jobs 2 --canary stale-read');
  expect(reports.length).toBeLessThan(500);
  expect(failed?.seed).toBe(reports.find(({ failure }) => failure !== undefined)?.seed);
  expect(failed?.failure).toMatchObject({ exitCode: 12 });
  expect(failed?.failure?.text).toContain(`npm run simulate -- --seed ${failed?.seed} --time 5`);
});
