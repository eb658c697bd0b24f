/**
 * Who may use a database, by its `_security` object; CouchDB's rules and words.
 *
 *   { admins: { names: ['anna'], roles: [] }, members: { names: [], roles: ['staff'] } }
 *
 * Server admins may everything. A database without any member is open to everybody; new ones name the role `_admin`,
 * which only server admins have.
 */

import type { SecurityObject } from '../database/model.ts';
import { failure, type TercetError } from '../errors.ts';
import type { Principal } from '../http/services.ts';

type Group = SecurityObject['admins'];

/** @throws TercetError `unauthorized`, for known users too, as CouchDB does */
export function requireAdmin(principal: Principal): void {
  if (!principal.isAdmin) throw failure('unauthorized', 'You are not a server admin.');
}

/** @throws TercetError `unauthorized` (anonymous) or `forbidden` */
export function requireDatabaseMember(principal: Principal, security: SecurityObject): void {
  if (isPublic(security) || belongs(principal, security.members) || isDatabaseAdmin(principal, security))
    return;
  throw refusal(
    principal,
    'You are not authorized to access this db.',
    'You are not allowed to access this db.',
  );
}

/** @throws TercetError `unauthorized` (anonymous) or `forbidden` */
export function requireDatabaseAdmin(principal: Principal, security: SecurityObject): void {
  const reason = 'You are not a db or server admin.';
  if (!isDatabaseAdmin(principal, security)) throw refusal(principal, reason, reason);
}

function isDatabaseAdmin(principal: Principal, security: SecurityObject): boolean {
  return principal.isAdmin || belongs(principal, security.admins);
}

function isPublic({ members }: SecurityObject): boolean {
  return members.names.length === 0 && members.roles.length === 0;
}

function belongs({ name, roles }: Principal, group: Group): boolean {
  return (
    (name !== undefined && group.names.includes(name)) || roles.some((role) => group.roles.includes(role))
  );
}

function refusal(principal: Principal, toAnonymous: string, toKnown: string): TercetError {
  return principal.name === undefined ? failure('unauthorized', toAnonymous) : failure('forbidden', toKnown);
}
