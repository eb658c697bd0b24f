import { expect, it } from 'vitest';
import { selfTimes } from './profiles.ts';

it('sums up the time of each function over all its samples, without idle time', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 });
  const nodes = [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('parse', 'file:///somewhere/dist/src/http/body.js') },
    { id: 3, callFrame: frame('', 'node:internal/streams') },
  ];
  const profile = { nodes, samples: [1, 2, 3, 2], timeDeltas: [5_000, 1_000, 500, 2_000] };
  expect([...selfTimes(profile)]).toEqual([
    ['parse http/body.js:10', 3],
    ['(anonymous) node:internal/streams:10', 0.5],
  ]);
});
