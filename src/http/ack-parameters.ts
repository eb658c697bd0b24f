/**
 * When a write is acknowledged, as requests and settings say it: `ack`, `followers`, `on_timeout` and `ack_timeout_ms`, in
 * a query or as members of a JSON object.
 */

import type { AckSettings } from '../database/model.ts';
import type { AckWish } from '../database/writes.ts';
import { failure, type TercetError } from '../errors.ts';
import type { Query } from './query.ts';
import type { JsonObject } from './services.ts';

/** A majority, and an error of unknown outcome rather than an acknowledgement that promises less. */
const ackDefault: AckSettings = {
  policy: 'semi-sync',
  followers: 'majority',
  onTimeout: 'fail',
  timeoutMs: 5_000,
};
const policies: readonly AckSettings['policy'][] = ['async', 'semi-sync', 'sync'];
const timeoutActions: readonly AckSettings['onTimeout'][] = ['block', 'degrade', 'fail'];
const followersMax = 100;
const timeoutMsMax = 600_000;

/** `query_parse_error` for a URL, `bad_request` for a body. */
type Complaint = (reason: string) => TercetError;

/** What a request wants of its own write; undefined where it says nothing. @throws TercetError `query_parse_error` */
export function ackWish(query: Query): AckWish | undefined {
  if (!query.has('ack') && !query.has('on_timeout') && !query.has('ack_timeout_ms')) return undefined;
  const complain: Complaint = (reason) => failure('query_parse_error', reason);
  return {
    policy: oneOf('ack', query.get('ack'), policies, complain),
    onTimeout: oneOf('on_timeout', query.get('on_timeout'), timeoutActions, complain),
    timeoutMs: wholeNumber('ack_timeout_ms', query.get('ack_timeout_ms'), timeoutMsMax, complain),
  };
}

/** @throws TercetError `query_parse_error` */
export function ackSettingsOfQuery(query: Query, base: AckSettings = ackDefault): AckSettings {
  return ackSettings(
    (name) => query.get(name),
    base,
    (reason) => failure('query_parse_error', reason),
  );
}

/** @throws TercetError `bad_request` */
export function ackSettingsOfObject(object: JsonObject, base: AckSettings = ackDefault): AckSettings {
  const read = (name: string): unknown => (Object.hasOwn(object, name) ? object[name] : undefined);
  return ackSettings(read, base, (reason) => failure('bad_request', reason));
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

function ackSettings(read: (name: string) => unknown, base: AckSettings, complain: Complaint): AckSettings {
  return {
    policy: oneOf('ack', read('ack'), policies, complain) ?? base.policy,
    followers: followersOf(read('followers'), complain) ?? base.followers,
    onTimeout: oneOf('on_timeout', read('on_timeout'), timeoutActions, complain) ?? base.onTimeout,
    timeoutMs:
      wholeNumber('ack_timeout_ms', read('ack_timeout_ms'), timeoutMsMax, complain) ?? base.timeoutMs,
  };
}

function followersOf(value: unknown, complain: Complaint): number | 'majority' | undefined {
  return value === 'majority' ? value : wholeNumber('followers', value, followersMax, complain);
}

function oneOf<Word extends string>(
  name: string,
  value: unknown,
  words: readonly Word[],
  complain: Complaint,
): Word | undefined {
  if (value === undefined) return undefined;
  const known = words.find((word) => word === value);
  if (known === undefined) throw complain(`\`${name}\` must be one of ${words.join(', ')}.`);
  return known;
}

/** From 1 to `max`; in a query it is text. */
function wholeNumber(name: string, value: unknown, max: number, complain: Complaint): number | undefined {
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > max) {
    throw complain(`\`${name}\` must be a whole number from 1 to ${max}.`);
  }
  return number;
}
