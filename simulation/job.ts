/** One of several processes that run seeds: is told a seed, answers with its report, and so on. See jobs.ts. */

import type { SimulateOptions } from './options.ts';
import { reportOfSeed } from './seed-report.ts';

export interface JobRequest {
  readonly options: SimulateOptions;
  readonly seed: number;
}

// It ends when whoever started it closes the channel.
process.on('message', ({ options, seed }: JobRequest) => {
  process.send?.(reportOfSeed(options, seed));
});
