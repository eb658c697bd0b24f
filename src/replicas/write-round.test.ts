import { expect, it } from 'vitest';
import { settingsFrom } from '../leaderless/presets.ts';
import { systemClock } from '../runtime/system-clock.ts';
import type { DeliveryOutcome } from './delivery.ts';
import { WriteRound, type WriteRoundContext } from './write-round.ts';

/** Five owners of which three are enough; n1 coordinates. */
function begun(isMember: (node: string) => boolean) {
  const owners = ['n1', 'n2', 'n3', 'n4', 'n5'];
  const settings = settingsFrom({ n: 5, r: 3, w: 3, quorum: 'strict' }, 5);
  const answers = new Map<string, (outcome: DeliveryOutcome) => void>();
  const hinted: string[] = [];
  const decided: unknown[] = [];
  const context = {
    ...{ self: 'n1', clock: systemClock, isMember },
    delivery: {
      send: ({ to }: { to: string }, done: (outcome: DeliveryOutcome) => void) => answers.set(to, done),
    },
    liveness: { isSuspected: () => false, patienceMs: () => 100 },
    keepHints: (owner: string) => hinted.push(owner),
  } as unknown as WriteRoundContext;
  const asked = { set: { owners, standIns: [] }, settings } as unknown as ConstructorParameters<
    typeof WriteRound
  >[1];
  const round = new WriteRound(context, asked, ({ kind, receipt }) => decided.push([kind, receipt.owners]));
  round.begin([]);
  round.settledHere('durable');
  return { decided, hinted, durableOn: (node: string) => answers.get(node)!('durable') };
}

it('is decided as soon as W replicas have it', () => {
  const { decided, durableOn } = begun(() => true);
  durableOn('n2');
  expect(decided).toEqual([]);
  durableOn('n3');
  expect(decided).toEqual([['met', ['n1', 'n2', 'n3']]]);
  for (const node of ['n4', 'n5']) durableOn(node);
});

it('does not count what one confirmed that was taken out of the cluster before the others did', () => {
  const out = new Set<string>();
  const { decided, durableOn, hinted } = begun((node) => !out.has(node));
  durableOn('n2');
  // From here on another one may be filled in its place, from n3, n4 and n5, before these take the write.
  out.add('n2');
  durableOn('n3');
  expect(decided).toEqual([]);
  durableOn('n4');
  expect(decided).toEqual([['met', ['n1', 'n3', 'n4']]]);
  expect(hinted).toEqual(['n2']);
  durableOn('n5');
});
