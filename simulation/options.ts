/** What `npm run simulate` may be told. */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { plantedBugs } from './canaries.ts';
import { leaderlessBugs } from './leaderless/canaries.ts';
import { leaderlessProfileNames } from './leaderless/profiles.ts';
import { profileNames } from './profiles.ts';

export interface SimulateOptions {
  /** Undefined: one that nobody chose. */
  readonly seed: number | undefined;
  readonly seeds: number;
  /** How many seeds run at once, each in a process of its own. */
  readonly jobs: number;
  /** Simulated seconds of the safety phase. */
  readonly seconds: number;
  readonly profile: string;
  /** Undefined: three and five by turns. */
  readonly nodes: number | undefined;
  readonly canary: string | undefined;
  readonly traceLines: number;
  readonly help: boolean;
}

/** The command line was not understood; the message says what to do. */
export class UsageError extends Error {}

export const secondsDefault = 10;
const traceLinesDefault = 60;

export const usage = `Runs production replication code in a simulated world, breaks that world, and checks what it promised.

  npm run simulate                               one seed that nobody chose
  npm run simulate -- --seeds 200                200 seeds
  npm run simulate -- --seed 42                  seed 42 again, the same events in the same order
  npm run simulate -- --canary stale-read --seeds 20
                                                 with a planted bug: must fail

  --seed N        first seed; the default is drawn
  --seeds COUNT   how many seeds (1)
  --jobs COUNT    how many seeds at once; the default is one for each core
  --time SECONDS  simulated seconds in which everything may break (${secondsDefault}); healing comes after them
  --profile NAME  ${profileNames.join(', ')} (all);
                  without a leader: ${leaderlessProfileNames.join(', ')}
  --nodes 3|5     the default takes turns: three for even seeds, five for odd ones
  --canary NAME   ${Object.keys(plantedBugs).join(', ')};
                  of leaderless profiles ${Object.keys(leaderlessBugs).join(', ')}
  --trace LINES   how much of the trace to print on failure (${traceLinesDefault})
  --help

Exit codes: 0 nothing found · 2 not understood · 10 the code crashed or broke an invariant of its own ·
11 it came to a standstill · 12 it broke a promise to a client.
`;

/** @throws UsageError */
export function parseOptions(argv: readonly string[]): SimulateOptions {
  const values = parsedValues(argv);
  const profile = values.profile ?? 'all';
  const isLeaderless = leaderlessProfileNames.includes(profile);
  if (!isLeaderless && !profileNames.includes(profile)) {
    const names = [...profileNames, ...leaderlessProfileNames];
    throw new UsageError(`There is no profile "${profile}": choose ${names.join(', ')}.`);
  }
  const canary = values.canary;
  const canaries = Object.keys(isLeaderless ? leaderlessBugs : plantedBugs);
  if (canary !== undefined && !canaries.includes(canary)) {
    throw new UsageError(`There is no canary "${canary}" under ${profile}: choose ${canaries.join(', ')}.`);
  }
  const nodes = values.nodes === undefined ? undefined : wholeNumber('--nodes', values.nodes);
  if (nodes !== undefined && nodes !== 3 && nodes !== 5) throw new UsageError('--nodes is 3 or 5.');
  const jobs = values.jobs === undefined ? availableParallelism() : wholeNumber('--jobs', values.jobs);
  if (jobs === 0) throw new UsageError('--jobs is at least 1.');
  return {
    jobs,
    seed: values.seed === undefined ? undefined : wholeNumber('--seed', values.seed),
    seeds: wholeNumber('--seeds', values.seeds ?? '1'),
    seconds: wholeNumber('--time', values.time ?? String(secondsDefault)),
    profile,
    nodes,
    canary,
    traceLines: wholeNumber('--trace', values.trace ?? String(traceLinesDefault)),
    help: values.help === true,
  };
}

function parsedValues(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    ...{
      seed: text,
      seeds: text,
      jobs: text,
      time: text,
      profile: text,
      nodes: text,
      canary: text,
      trace: text,
    },
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(flag: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new UsageError(`${flag} must be a whole number, not "${text}".`);
  }
  return number;
}
