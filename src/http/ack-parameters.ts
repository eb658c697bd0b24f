/**
 * When a write is acknowledged, as requests and settings say it: `ack`, `followers`, `on_timeout` and `ack_timeout_ms`, in
 * a query or as members of a JSON object.
 */

import type { AckSettings } from '../database/model.ts';
import { ackDefault } from '../database/replication-default.ts';
import type { AckWish } from '../database/writes.ts';
import { oneOf, type Parameters, queryParameters, wholeNumber } from './parameters.ts';
import type { Query } from './query.ts';

const policies: readonly AckSettings['policy'][] = ['async', 'semi-sync', 'sync'];
const timeoutActions: readonly AckSettings['onTimeout'][] = ['block', 'degrade', 'fail'];
const followersMax = 100;
const timeoutMsMax = 600_000;

/** Members of the JSON form, and parameters of the query. */
export const ackNames: readonly string[] = ['ack', 'followers', 'on_timeout', 'ack_timeout_ms'];

/** What a request wants of its own write; undefined where it says nothing. @throws TercetError `query_parse_error` */
export function ackWish(query: Query): AckWish | undefined {
  if (!ackNames.some((name) => query.has(name))) return undefined;
  const parameters = queryParameters(query);
  const followers = followersOf(parameters);
  const policy = oneOf(parameters, 'ack', policies) ?? (followers === undefined ? undefined : 'semi-sync');
  if (followers !== undefined && policy !== 'semi-sync') {
    throw parameters.complaint('`followers` goes with `ack=semi-sync`.');
  }
  return {
    policy,
    followers,
    onTimeout: oneOf(parameters, 'on_timeout', timeoutActions),
    timeoutMs: wholeNumber(parameters, 'ack_timeout_ms', { max: timeoutMsMax }),
  };
}

/** @throws TercetError as the parameters complain */
export function ackSettings(parameters: Parameters, base: AckSettings = ackDefault): AckSettings {
  return {
    policy: oneOf(parameters, 'ack', policies) ?? base.policy,
    followers: followersOf(parameters) ?? base.followers,
    onTimeout: oneOf(parameters, 'on_timeout', timeoutActions) ?? base.onTimeout,
    timeoutMs: wholeNumber(parameters, 'ack_timeout_ms', { max: timeoutMsMax }) ?? base.timeoutMs,
  };
}

/** As `GET /{db}` and `GET /{db}/_replication` show it. */
export function shownAckSettings(ack: AckSettings): object {
  return {
    ack: ack.policy,
    ...(ack.policy === 'semi-sync' ? { followers: ack.followers } : {}),
    on_timeout: ack.onTimeout,
    ack_timeout_ms: ack.timeoutMs,
  };
}

function followersOf(parameters: Parameters): number | 'majority' | undefined {
  if (parameters.read('followers') === 'majority') return 'majority';
  return wholeNumber(parameters, 'followers', { max: followersMax });
}
