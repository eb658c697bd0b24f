import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { noCanary, type PlantedBug, plantedBugs } from '../../simulation/canaries.ts';
import { secondsDefault } from '../../simulation/options.ts';
import { profileNamed } from '../../simulation/profiles.ts';
import { type FailureReport, renderFailure } from '../../simulation/report.ts';
import { nodesOfSeed, type RunResult, run } from '../../simulation/run.ts';

const seedsInAll = 100;
const seedsInOne = 5;
const secondsShort = 4;

interface Chosen {
  readonly seed: number;
  readonly nodes: number;
  readonly seconds: number;
  readonly profile: string;
}

function runChosen({ seed, nodes, seconds, profile }: Chosen, bug?: PlantedBug): RunResult {
  const found = profileNamed(profile);
  if (found === undefined) throw new Error(`no profile ${profile}`);
  return run({ seed, nodes, seconds, profile: found, canary: bug?.canary ?? noCanary });
}

/** What to read when a seed fails: the report that the command line prints. */
function failureOf(chosen: Chosen): string | undefined {
  const result = runChosen(chosen);
  const report: FailureReport = {
    result,
    command: { ...chosen, canary: undefined },
    commit: 'this',
    traceLines: 30,
  };
  return renderFailure(report);
}

/** `seed nodes seconds profile # cause` a line. */
function keptSeeds(): (Chosen & { readonly cause: string })[] {
  const path = new URL('../../simulation/seeds.txt', import.meta.url);
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line) => {
    const match = /^(\d+) ([35]) (\d+) (\S+) +# (.+)$/.exec(line);
    if (match === null) return [];
    const [, seed, nodes, seconds, profile = '', cause = ''] = match;
    return [{ seed: Number(seed), nodes: Number(nodes), seconds: Number(seconds), profile, cause }];
  });
}

describe('simulation: three and five nodes under every fault', () => {
  const blocks = Array.from({ length: seedsInAll / seedsInOne }, (_, index) => index * seedsInOne + 1);

  it.each(blocks)('keeps every promise in five seeds from %i on', (first) => {
    for (let seed = first; seed < first + seedsInOne; seed += 1) {
      const nodes = nodesOfSeed(seed);
      expect(failureOf({ seed, nodes, seconds: secondsShort, profile: 'all' })).toBeUndefined();
    }
  });

  it.each(keptSeeds())('seed $seed of $nodes nodes under $profile: $cause', (chosen) => {
    expect(failureOf(chosen)).toBeUndefined();
  });
});

describe('simulation: one seed is one run', () => {
  const chosen = { seed: 7, nodes: 5, seconds: secondsShort, profile: 'all' };

  it('has the same events in the same order when it is run again', () => {
    const [first, second] = [runChosen(chosen), runChosen(chosen)];
    expect(second.world.trace.fingerprint()).toBe(first.world.trace.fingerprint());
    expect(second.world.trace.last(20_000)).toEqual(first.world.trace.last(20_000));
    expect(second.records).toEqual(first.records);
  });

  it('has other events under another seed', () => {
    const other = runChosen({ ...chosen, seed: 8 });
    expect(other.world.trace.fingerprint()).not.toBe(runChosen(chosen).world.trace.fingerprint());
  });

  it('does what it is there to do: clients are answered, leaders change, nodes crash', () => {
    const { records, world } = runChosen(chosen);
    const results = new Set(records.map(({ result }) => result.kind));
    expect([...results].sort()).toEqual(expect.arrayContaining(['acknowledged', 'answered', 'conflict']));
    const happened = new Set(world.trace.last(20_000).map(({ what }) => what));
    expect([...happened]).toEqual(expect.arrayContaining(['role', 'strikes', 'heals', 'received']));
  });
});

describe('simulation: a planted bug is caught', () => {
  it.each(Object.entries(plantedBugs))('%s, within its number of seeds', (_name, bug) => {
    let caughtBy: number | undefined;
    const { seedFirst = 1, seedsMax } = bug;
    for (let seed = seedFirst; seed < seedFirst + seedsMax && caughtBy === undefined; seed += 1) {
      const chosen = { seed, nodes: nodesOfSeed(seed), seconds: secondsDefault, profile: bug.profile };
      if (runChosen(chosen, bug).failure !== undefined) caughtBy = seed;
    }
    expect(
      caughtBy,
      `${bug.explanation}: not caught by ${seedsMax} seeds from ${seedFirst} on`,
    ).toBeDefined();
  });
});
