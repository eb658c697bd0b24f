/** An operator wants the leader to hand over: why it does not, in the operator's words. What takes over is in promotion.ts. */

import { failure, type TercetError } from '../errors.ts';
import type { TransferOutcome } from '../single-leader/events.ts';
import type { Group, GroupStatus } from './group.ts';

/**
 * On the leader. `to`: a member by name; undefined: whoever is furthest.
 * @throws TercetError `not_found`, `conflict`, `precondition_failed`, `service_unavailable`, `write_outcome_unknown`
 */
export async function handOver(group: Group, to: string | undefined): Promise<object> {
  const status = group.status();
  const obstacle = to === undefined ? undefined : whyNotTo(status, to);
  if (obstacle !== undefined) throw obstacle;
  const outcome = await group.transferLeadership(to);
  if (outcome !== 'done') throw refusal(outcome, status.self, to);
  return { ok: true, outcome };
}

function whyNotTo(
  { leader, members }: Pick<GroupStatus, 'leader' | 'members'>,
  to: string,
): TercetError | undefined {
  const member = members.find(({ id, name }) => name === to || id === to);
  if (member === undefined) {
    const names = members.map(({ name }) => name).toSorted();
    return failure('not_found', `${JSON.stringify(to)} is no member; there are ${names.join(', ')}.`);
  }
  const { kind, name } = member;
  if (kind !== 'voter')
    return failure('precondition_failed', `${name} is a ${kind}, which cannot lead: name a voter.`);
  return name === leader ? failure('conflict', `${name} leads already.`) : undefined;
}

function refusal(outcome: Exclude<TransferOutcome, 'done'>, self: string, to = 'The successor'): TercetError {
  switch (outcome) {
    case 'no_such_voter':
      return failure('precondition_failed', `No other voter is in touch that could lead; ${self} leads on.`);
    case 'already_transferring':
      return failure('service_unavailable', `${self} is handing over already; nothing was changed.`, {
        retryAfterSeconds: 1,
      });
    case 'not_leader':
      return failure('no_leader', 'Nobody leads at the moment; nothing was changed.');
    case 'timed_out':
      return failure(
        'write_outcome_unknown',
        `${to} did not take over in time, and may still do so: see who leads before you try again.`,
      );
  }
}
