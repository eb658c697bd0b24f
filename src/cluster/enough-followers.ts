/**
 * Whether as many followers as a write wants to be confirmed by are there at all: with fewer it could only wait.
 *
 * Followers that are away count, because they may come back in time. Who asks for too many is told so at once: in a request,
 * and when a database is created or configured. A database whose cluster has shrunk since keeps its setting, and its
 * `on_timeout` says what is wanted then: waiting for a voter in the place of the one that went, or settling for less. Only
 * a write that would have failed in the end fails at once, while it is certain that nothing was written.
 */

import type { AckSettings, ReplicationChoice } from '../database/model.ts';
import type { AckWish } from '../database/writes.ts';
import { failure } from '../errors.ts';
import type { MemberStatus } from './group.ts';

type Members = readonly Pick<MemberStatus, 'kind'>[];

/** Asked on the leader, whose membership counts. @throws TercetError `bad_request`, `service_unavailable`: nothing was done */
export function mustHaveFollowers(settings: AckSettings, ack: AckWish | undefined, members: Members): void {
  const lacking = tooMany(ack?.policy ?? settings.policy, ack?.followers ?? settings.followers, members);
  if (lacking === undefined) return;
  if (ack?.followers !== undefined) throw failure('bad_request', lacking);
  if ((ack?.onTimeout ?? settings.onTimeout) !== 'fail') return;
  throw failure(
    'service_unavailable',
    `The database is set so. ${lacking} Add voters, or lower \`followers\` by PUT /{db}/_replication. The write did not happen.`,
  );
}

/** Before it becomes a setting; one that was there before the cluster shrank may stay. @throws TercetError `bad_request` */
export function mustBeConfirmable(
  wanted: ReplicationChoice,
  present: ReplicationChoice | undefined,
  members: Members,
): void {
  if (wanted.strategy !== 'single-leader') return;
  const { followers, policy } = wanted.ack;
  const before = present?.strategy === wanted.strategy ? present.ack : undefined;
  if (before?.policy === policy && before.followers === followers) return;
  const lacking = tooMany(policy, followers, members);
  if (lacking !== undefined) throw failure('bad_request', lacking);
}

/** Undefined: there are enough. Witnesses have no copy to confirm, and learners are not waited for. */
function tooMany(
  policy: AckSettings['policy'],
  followers: AckSettings['followers'],
  members: Members,
): string | undefined {
  // Without members this node has just lost its part in the group: that is another failure, which is told elsewhere.
  if (policy !== 'semi-sync' || followers === 'majority' || members.length === 0) return undefined;
  const present = Math.max(0, members.filter(({ kind }) => kind === 'voter').length - 1);
  if (followers <= present) return undefined;
  return `\`followers\` is ${followers}, but beside the leader the cluster has ${present === 1 ? 'one voter' : `${present} voters`}.`;
}
