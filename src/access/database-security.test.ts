import { describe, expect, test } from 'vitest';
import type { SecurityObject } from '../database/model.ts';
import type { Principal } from '../http/services.ts';
import { requireAdmin, requireDatabaseAdmin, requireDatabaseMember } from './database-security.ts';

const nobody = { names: [], roles: [] };
const onlyAdmins: SecurityObject = {
  admins: { names: [], roles: ['_admin'] },
  members: { names: [], roles: ['_admin'] },
};
const open: SecurityObject = { admins: nobody, members: nobody };
const staffed: SecurityObject = {
  admins: { names: ['anna'], roles: ['boss'] },
  members: { names: ['bela'], roles: ['staff'] },
};

const principal = (name: string | undefined, roles: readonly string[] = [], isAdmin = false): Principal => ({
  ...{ name, roles, isAdmin },
  ...{ isPeer: false, by: 'basic' },
});
const root = principal('root', ['_admin'], true);

function status(check: () => void): number | 'allowed' {
  try {
    check();
    return 'allowed';
  } catch (error) {
    return (error as { status: number }).status;
  }
}

describe('members', () => {
  test.each([
    ['a new database is for server admins', onlyAdmins, principal('bela'), 403],
    ['a new database is for server admins', onlyAdmins, root, 'allowed'],
    ['a database without members is open to strangers', open, principal(undefined), 'allowed'],
    [
      'a database whose admins alone are named is open too',
      { ...staffed, members: nobody },
      principal(undefined),
      'allowed',
    ],
    ['a stranger is asked who they are', staffed, principal(undefined), 401],
    ['a member by name', staffed, principal('bela'), 'allowed'],
    ['a member by role', staffed, principal('carl', ['staff']), 'allowed'],
    ['an admin of the database', staffed, principal('anna'), 'allowed'],
    ['anybody else', staffed, principal('dora', ['guest']), 403],
    ['a server admin', staffed, root, 'allowed'],
  ] as const)('%s (case %#)', (_, security, who, expected) => {
    expect(status(() => requireDatabaseMember(who, security))).toBe(expected);
  });
});

describe('admins', () => {
  test.each([
    ['a member is none', principal('bela', ['staff']), 403],
    ['a stranger is none', principal(undefined), 401],
    ['by name', principal('anna'), 'allowed'],
    ['by role', principal('carl', ['boss']), 'allowed'],
    ['a server admin is one everywhere', root, 'allowed'],
  ] as const)('of a database: %s', (_, who, expected) => {
    expect(status(() => requireDatabaseAdmin(who, staffed))).toBe(expected);
  });

  test('of the server: nobody else, and CouchDB answers 401 to everybody', () => {
    expect(status(() => requireAdmin(root))).toBe('allowed');
    expect(status(() => requireAdmin(principal('anna')))).toBe(401);
    expect(status(() => requireAdmin(principal(undefined)))).toBe(401);
  });
});

test('the reasons are the ones that clients know', () => {
  const reason = (who: Principal) => {
    try {
      return requireDatabaseMember(who, staffed);
    } catch (error) {
      return (error as { reason: string }).reason;
    }
  };
  expect(reason(principal(undefined))).toBe('You are not authorized to access this db.');
  expect(reason(principal('dora'))).toBe('You are not allowed to access this db.');
});
