import { describe, expect, it } from 'vitest';
import { plantedBugs } from './canaries.ts';
import { parseOptions, UsageError, usage } from './options.ts';
import { profileNamed, profileNames } from './profiles.ts';
import { renderFailure } from './report.ts';
import { run } from './run.ts';

const command = { seed: 1, seconds: 2, profile: 'calm', nodes: 3, canary: 'acknowledged-early' };

function resultWith(canary: string) {
  const profile = profileNamed('calm');
  const bug = plantedBugs[canary];
  if (profile === undefined || bug === undefined) throw new Error('unknown profile or canary');
  return run({ seed: 1, nodes: 3, seconds: 2, profile, canary: bug.canary });
}

describe('what is printed of a failure', () => {
  const result = resultWith('acknowledged-early');
  const text = renderFailure({ result, command, commit: 'abc1234', traceLines: 5 }) ?? '';

  it('says what was broken and how to run it again', () => {
    expect(text).toMatch(/^seed 1: it broke a promise/);
    expect(text).toMatch(
      / {2}durability: semi-sync write \d+ of d\d .* was acknowledged while on the disk of/,
    );
    expect(text).toContain(
      'at commit abc1234:\n  npm run simulate -- --seed 1 --time 2 --profile calm --nodes 3 --canary acknowledged-early',
    );
  });

  it('shows the events right before it, not the last of the run', () => {
    const events = text.split('\n').filter((line) => / s {2}\S/.test(line));
    expect(events).toHaveLength(5);
    const ends = Number(/^ *([\d.]+) s/.exec(events.at(-1) ?? '')?.[1]);
    expect(ends).toBeLessThan(1);
  });
});

describe('options', () => {
  it('have defaults', () => {
    const defaults = { seeds: 1, seconds: 10, profile: 'all', nodes: undefined, canary: undefined };
    expect(parseOptions([])).toMatchObject({ seed: undefined, ...defaults, traceLines: 60, help: false });
  });

  it('are read', () => {
    const argv =
      '--seed 7 --seeds 3 --jobs 2 --time 4 --profile crash --nodes 5 --canary stale-read --trace 9 --help';
    expect(parseOptions(argv.split(' '))).toEqual({
      ...{ seed: 7, seeds: 3, jobs: 2, seconds: 4, profile: 'crash', nodes: 5, canary: 'stale-read' },
      ...{ traceLines: 9, help: true },
    });
  });

  it.each([
    ['--seed x', /--seed must be a whole number, not "x"/],
    ['--seed 1.5', /whole number/],
    ['--seed 9007199254740993', /whole number/],
    ['--profile stormy', /no profile "stormy": choose all, calm/],
    ['--canary yellow', /no canary "yellow" under all: choose ack-before-fsync/],
    ['--nodes 4', /3 or 5/],
    ['--jobs 0', /at least 1/],
    ['--sed 1', /sed/],
    ['extra', /extra/],
  ])('refuse %s', (argv, message) => {
    expect(() => parseOptions(argv.split(' '))).toThrow(UsageError);
    expect(() => parseOptions(argv.split(' '))).toThrow(message);
  });

  it('are all in the help', () => {
    for (const name of [...profileNames, ...Object.keys(plantedBugs)]) expect(usage).toContain(name);
  });
});
