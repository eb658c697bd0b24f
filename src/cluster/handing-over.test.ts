import { expect, it } from 'vitest';
import type { TransferOutcome } from '../single-leader/events.ts';
import type { Group } from './group.ts';
import { handOver } from './handing-over.ts';

const kinds = { n1: 'voter', n2: 'voter', n3: 'learner', n4: 'witness' } as const;
const members = Object.entries(kinds).map(([name, kind]) => ({ id: `${name}#0a`, name, kind }));

function groupOf(outcome: TransferOutcome) {
  const asked: (string | undefined)[] = [];
  const group = {
    status: () => ({ self: 'n1', leader: 'n1', members }),
    transferLeadership: async (to: string | undefined) => {
      asked.push(to);
      return outcome;
    },
  };
  return { group: group as unknown as Group, asked };
}

it('a leader hands over to the voter that is named, or to any', async () => {
  const { group, asked } = groupOf('done');
  const done = { ok: true, outcome: 'done' };
  for (const to of ['n2', 'n2#0a', undefined]) expect(await handOver(group, to)).toEqual(done);
  expect(asked).toEqual(['n2', 'n2#0a', undefined]);
});

it.each([
  ['n9', 'not_found', '"n9" is no member; there are n1, n2, n3, n4.'],
  ['n3', 'precondition_failed', 'n3 is a learner, which cannot lead: name a voter.'],
  ['n4', 'precondition_failed', 'n4 is a witness, which cannot lead: name a voter.'],
  ['n1', 'conflict', 'n1 leads already.'],
])('it is not handed over to %s, and nothing is begun: %s', async (to, code, reason) => {
  const { group, asked } = groupOf('done');
  await expect(handOver(group, to)).rejects.toMatchObject({ code, reason });
  expect(asked).toEqual([]);
});

it.each([
  ['no_such_voter', 'precondition_failed', 'No other voter is in touch that could lead; n1 leads on.'],
  ['already_transferring', 'service_unavailable', 'n1 is handing over already; nothing was changed.'],
  ['not_leader', 'no_leader', 'Nobody leads at the moment; nothing was changed.'],
  [
    'timed_out',
    'write_outcome_unknown',
    'n2 did not take over in time, and may still do so: see who leads before you try again.',
  ],
] as const)('what came of it is told as a failure where it is one: %s', async (outcome, code, reason) => {
  const { group } = groupOf(outcome);
  await expect(handOver(group, outcome === 'timed_out' ? 'n2' : undefined)).rejects.toMatchObject({
    code,
    reason,
  });
});
