/**
 * Who a member is: its node's name, and the disk that its vote and log are on.
 *
 *     n1#0a1b2c3d
 *
 * A wiped disk gets another uuid, so what comes back under the same name cannot vote as who it was.
 */

import { assert } from '../errors.ts';
import type { NodeId } from '../replication/strategy.ts';

/** Hex digits of the disk's uuid that are part of an id. */
export const diskDigits = 8;

const pattern = /^[\w.-]{1,63}#[0-9a-f]{8}$/;

export function nodeIdOf(name: string, diskUuid: string): NodeId {
  const id = `${name}#${diskUuid.replaceAll('-', '').slice(0, diskDigits).toLowerCase()}`;
  assert(isNodeId(id), `${id} is a name and a disk`);
  return id;
}

export function isNodeId(value: unknown): value is NodeId {
  return typeof value === 'string' && pattern.test(value);
}

export function nameOf(id: NodeId): string {
  return id.slice(0, -diskDigits - 1);
}

/** @param id a {@link NodeId}, also as a status shows it */
export function diskOf(id: string): string {
  return id.slice(-diskDigits);
}

/** As options give it: `http://HOST:PORT` without a slash at the end. Dialling anything else would throw. */
export function isPeerUrl(value: unknown): value is string {
  return typeof value === 'string' && /^https?:\/\/[^/\s]+$/.test(value) && URL.canParse(value);
}
