import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  leaderlessBugs,
  noLeaderlessCanary,
  type PlantedLeaderlessBug,
} from '../../simulation/leaderless/canaries.ts';
import { leaderlessProfileNamed, leaderlessProfileNames } from '../../simulation/leaderless/profiles.ts';
import { type LeaderlessRunResult, runLeaderless } from '../../simulation/leaderless/run.ts';
import { renderFailure } from '../../simulation/report.ts';
import { nodesOfSeed } from '../../simulation/run.ts';

const secondsShort = 3;

interface Chosen {
  readonly seed: number;
  readonly nodes: number;
  readonly seconds: number;
  readonly profile: string;
}

function runChosen(
  { seed, nodes, seconds, profile }: Chosen,
  bug?: PlantedLeaderlessBug,
): LeaderlessRunResult {
  const found = leaderlessProfileNamed(profile);
  if (found === undefined) throw new Error(`no profile ${profile}`);
  return runLeaderless({ seed, nodes, seconds, profile: found, canary: bug?.canary ?? noLeaderlessCanary });
}

/** What to read when a seed fails: the report that the command line prints. */
function failureOf(chosen: Chosen): string | undefined {
  const result = runChosen(chosen);
  const command = { ...chosen, canary: undefined };
  return renderFailure({ result, command, commit: 'this', traceLines: 30 });
}

function expectToHold(profile: string, from: number, to: number): void {
  for (let seed = from; seed <= to; seed += 1) {
    expect(failureOf({ seed, nodes: nodesOfSeed(seed), seconds: secondsShort, profile })).toBeUndefined();
  }
}

describe('simulation without a leader', () => {
  it.each([1, 7, 13, 19])('keeps every promise under every fault in six seeds from %i on', (first) => {
    expectToHold('leaderless', first, first + 5);
  });

  it.each(leaderlessProfileNames.filter((name) => name !== 'leaderless'))(
    'keeps every promise under %s, where one way of repair may be all there is',
    (profile) => expectToHold(profile, 1, 4),
  );

  const lines = readFileSync(new URL('../../simulation/leaderless/seeds.txt', import.meta.url), 'utf8').split(
    '\n',
  );
  const kept = lines.flatMap((line) => {
    const match = /^(\d+) ([35]) (\d+) (\S+) +# (.+)$/.exec(line);
    if (match === null) return [];
    const [, seed, nodes, seconds, profile = '', cause = ''] = match;
    return [{ seed: Number(seed), nodes: Number(nodes), seconds: Number(seconds), profile, cause }];
  });

  it.each(kept)('seed $seed of $nodes nodes under $profile: $cause', (chosen) => {
    expect(failureOf(chosen)).toBeUndefined();
  });

  it('has the same events in the same order when a seed is run again', () => {
    const chosen = { seed: 3, nodes: 5, seconds: secondsShort, profile: 'leaderless' };
    const [first, second] = [runChosen(chosen), runChosen(chosen)];
    expect(second.world.trace.fingerprint()).toBe(first.world.trace.fingerprint());
    expect(second.records).toEqual(first.records);
  });

  it('does what it is there to do: clients meet every outcome, disks are lost, tombstones forgotten', () => {
    const results = [1, 3, 5, 8, 10].map((seed) =>
      runChosen({ seed, nodes: nodesOfSeed(seed), seconds: secondsShort, profile: 'leaderless' }),
    );
    const kinds = new Set(results.flatMap(({ records }) => records.map(({ answer }) => answer.kind)));
    expect([...kinds]).toEqual(
      expect.arrayContaining(['met', 'partial', 'conflict', 'answered', 'unreached']),
    );
    const happened = new Set(
      results.flatMap(({ world }) => world.trace.last(20_000).map(({ what }) => what)),
    );
    expect([...happened]).toEqual(expect.arrayContaining(['wiped', 'forgot', 'round', 'crashed']));
  });
});

it('owners are destroyed, replaced by others that are filled, and taken in again where they were not dead', () => {
  const events = [1, 2, 4, 6].flatMap((seed) =>
    runChosen({ seed, nodes: 3, seconds: secondsShort, profile: 'leaderless-replace' }).world.trace.last(
      20_000,
    ),
  );
  const happened = new Set(events.map(({ what }) => what));
  const all = ['destroyed', 'removed', 'replaced', 'takes everything', 'is whole', 'taken in again'];
  expect([...happened]).toEqual(expect.arrayContaining(all));
});

describe('simulation without a leader: a planted bug is caught', () => {
  it.each(Object.entries(leaderlessBugs))('%s, within its number of seeds', (_name, bug) => {
    const first = bug.seedFirst ?? 1;
    let caughtBy: number | undefined;
    for (let seed = first; seed < first + bug.seedsMax && caughtBy === undefined; seed += 1) {
      const chosen = { seed, nodes: nodesOfSeed(seed), seconds: secondsShort, profile: bug.profile };
      if (runChosen(chosen, bug).failure !== undefined) caughtBy = seed;
    }
    expect(caughtBy, `${bug.explanation}: not caught from seed ${first} on`).toBeDefined();
  });
});
