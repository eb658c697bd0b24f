import { describe, expect, it } from 'vitest';
import type { LeaderlessPreset } from '../replication/leaderless-settings.ts';
import { overlaps, presets, settingsFrom, settingsOfRequest } from './presets.ts';

describe('presets', () => {
  it.each(Object.keys(presets) as LeaderlessPreset[])('%s keeps three copies and asks for two', (preset) => {
    expect(settingsFrom({ preset }, 5)).toMatchObject({ n: 3, r: 2, w: 2, hints: true });
  });

  it('differ in what they are known for', () => {
    expect(settingsFrom({ preset: 'dynamo' }, 3)).toMatchObject({ quorum: 'sloppy', resolver: 'siblings' });
    expect(settingsFrom({ preset: 'riak' }, 3)).toMatchObject({ quorum: 'sloppy', resolver: 'siblings' });
    expect(settingsFrom({ preset: 'cassandra' }, 3)).toMatchObject({
      quorum: 'strict',
      resolver: 'last-write-wins',
      readRepair: 'blocking',
    });
    expect(settingsFrom({ preset: 'voldemort' }, 3)).toMatchObject({ antiEntropy: false, hints: true });
  });
});

describe('settings of a database', () => {
  it('follow the number of nodes up to three replicas', () => {
    expect(settingsFrom({}, 1)).toMatchObject({ n: 1, r: 1, w: 1 });
    expect(settingsFrom({}, 2)).toMatchObject({ n: 2, r: 2, w: 2 });
    expect(settingsFrom({}, 7)).toMatchObject({ n: 3, r: 2, w: 2 });
    expect(settingsFrom({ n: 5 }, 7)).toMatchObject({ n: 5, r: 3, w: 3 });
  });

  it('take every wish over the preset, and nothing for a wish that is undefined', () => {
    const wishes = { preset: 'cassandra', readRepair: 'off', hintWindowMs: 1, pw: 2 } as const;
    expect(settingsFrom(wishes, 3)).toMatchObject({ ...wishes, resolver: 'last-write-wins' });
  });

  it.each([{ n: 4 }, { n: 0 }, { r: 4 }, { w: 0 }, { pw: -1 }, { pr: 1.5 }, { hintWindowMs: 0 }])(
    'refuse %j in a cluster of three',
    (wishes) => {
      expect(() => settingsFrom(wishes, 3)).toThrow(expect.objectContaining({ code: 'bad_request' }));
    },
  );
});

describe('a request', () => {
  const settings = settingsFrom({}, 3);

  it('may ask for more and for less', () => {
    expect(settingsOfRequest(settings, { r: 1, w: 3 })).toMatchObject({ r: 1, w: 3, n: 3 });
    expect(settingsOfRequest(settings, {})).toEqual(settings);
  });

  it('may not ask for other owners, or for more of them than there are', () => {
    expect(() => settingsOfRequest(settings, { n: 2 })).toThrow(/n=3/);
    expect(() => settingsOfRequest(settings, { r: 4 })).toThrow(/n=3/);
  });

  it('overlaps with every acknowledged write only where owners do', () => {
    expect(overlaps({ ...settings, quorum: 'strict' })).toBe(true);
    expect(overlaps({ ...settings, quorum: 'strict', r: 1 })).toBe(false);
    expect(overlaps(settings)).toBe(false);
    expect(overlaps({ ...settings, pr: 2, pw: 2 })).toBe(true);
  });
});
