import { describe, expect, test } from 'vitest';
import type { JsonObject, Principal } from '../http/services.ts';
import { hashMembers, hashPassword, hashToMembers } from './password.ts';
import { userDocumentHooks } from './user-documents.ts';

const cheap = { cost: 16, blockSize: 1, parallelization: 1 };
const as = (name: string | undefined, more: Partial<Principal> = {}): Principal => ({
  ...{ name, roles: [], isAdmin: false, isPeer: false, by: 'basic' },
  ...more,
});
const admin = as('root', { isAdmin: true, roles: ['_admin'] });
const peer = as('n2', { isAdmin: true, isPeer: true, by: 'peer' });
const anonymous = as(undefined, { by: 'anonymous' });
const party = as(undefined, { isAdmin: true, by: 'admin-party' });

const anna = { _id: 'org.couchdb.user:anna', name: 'anna', type: 'user', roles: ['staff'] };
const stored = {
  ...anna,
  password_scheme: 'pbkdf2',
  derived_key: 'ab'.repeat(20),
  salt: 'salt',
  iterations: 10,
};

function hooks(...documents: JsonObject[]) {
  const current = (id: string) => documents.find((document) => document._id === id);
  return userDocumentHooks({ current, hash: (password) => hashPassword(password, cheap) });
}

describe('writing', () => {
  test('a password is replaced by its hash', async () => {
    const written = await hooks().beforeEdit({ ...anna, password: 'hunter2', hobby: 'chess' }, admin);
    expect(written).toMatchObject({ ...anna, hobby: 'chess', password_scheme: 'scrypt' });
    expect(written).not.toHaveProperty('password');
    expect(JSON.stringify(written)).not.toContain('hunter2');
  });

  test('a document written back as it was read keeps its password', async () => {
    const read = hooks().afterRead({ ...stored, _rev: '1-a' }, admin);
    const written = await hooks(stored).beforeEdit({ ...read, roles: ['boss'] }, admin);
    expect(written).toEqual({ ...stored, _rev: '1-a', roles: ['boss'] });
  });

  test('anonymous requests are refused unless there is no admin at all', async () => {
    await expect(hooks().beforeEdit({ ...anna, password: 'x' }, anonymous)).rejects.toMatchObject({
      status: 401,
    });
    expect(await hooks().beforeEdit({ ...anna, password: 'x' }, party)).toHaveProperty('derived_key');
  });

  test('users change their own document, but not its roles and not those of others', async () => {
    const own = hooks(stored);
    expect(await own.beforeEdit({ ...anna, password: 'new' }, as('anna'))).toHaveProperty('scrypt_cost', 16);
    await expect(own.beforeEdit({ ...anna, roles: ['boss'] }, as('anna'))).rejects.toMatchObject({
      status: 403,
      reason: 'Only _admin may edit roles',
    });
    await expect(own.beforeEdit({ ...anna, roles: [] }, as('anna'))).rejects.toMatchObject({ status: 403 });
    await expect(own.beforeEdit(anna, as('bela'))).rejects.toMatchObject({ status: 404 });
    await expect(own.beforeEdit({ _id: anna._id, _deleted: true }, as('bela'))).rejects.toMatchObject({
      status: 404,
    });
    expect(await own.beforeEdit({ _id: anna._id, _deleted: true }, as('anna'))).toEqual({
      _id: anna._id,
      _deleted: true,
    });
  });

  test('users cannot choose how costly it is to check them', async () => {
    const written = await hooks(stored).beforeEdit({ ...anna, ...stored, iterations: 4_000_000 }, as('anna'));
    expect(written.iterations).toBe(10);
  });

  test('an admin may bring a hash along, if it can be checked', async () => {
    expect(await hooks().beforeEdit(stored, admin)).toEqual({ ...stored, pbkdf2_prf: 'sha' });
    const broken = hooks().beforeEdit({ ...stored, iterations: 1e12 }, admin);
    await expect(broken).rejects.toMatchObject({ status: 400 });
  });

  test('what another node wrote stays exactly as it is', async () => {
    expect(await hooks().beforeEdit(stored, peer)).toBe(stored);
  });

  test.each([
    [{ type: 'robot' }, 'doc.type must be user'],
    [{ name: undefined }, 'doc.name is required'],
    [{ name: 5 }, 'doc.name is required'],
    [{ name: 'bela' }, 'Doc ID must be of the form org.couchdb.user:name'],
    [{ _id: 'anna' }, 'Doc ID must be of the form org.couchdb.user:name'],
    [{ name: 'a:b', _id: 'org.couchdb.user:a:b' }, 'Character `:` is not allowed in usernames.'],
    [{ roles: undefined }, 'doc.roles must exist'],
    [{ roles: 'staff' }, 'doc.roles must be an array'],
    [{ roles: [1] }, 'doc.roles can only contain strings'],
    [{ roles: ['_admin'] }, 'No system roles (starting with underscore) in users db.'],
  ])('a document with %j is forbidden, even to admins', async (change, reason) => {
    const edit = Object.fromEntries(
      Object.entries({ ...anna, ...change }).filter(([, value]) => value !== undefined),
    );
    await expect(hooks().beforeEdit(edit, admin)).rejects.toMatchObject({ status: 403, reason });
  });

  test.each([[5], [''], [{}], ['x'.repeat(5000)]])('the password %j is refused', async (password) => {
    await expect(hooks().beforeEdit({ ...anna, password }, admin)).rejects.toMatchObject({ status: 400 });
  });

  test('design documents are left alone', async () => {
    const design = { _id: '_design/app', language: 'query' };
    expect(await hooks().beforeEdit(design, admin)).toBe(design);
  });
});

describe('reading', () => {
  test('nobody but another node sees what the password is kept as', async () => {
    const document = { ...stored, ...hashToMembers(await hashPassword('x', cheap)), password_sha: 'old' };
    for (const reader of [admin, party, as('anna')])
      expect(hooks().afterRead(document, reader)).toEqual(anna);
    expect(hooks().afterRead(document, peer)).toBe(document);
    expect(hashMembers.every((member) => !(member in anna))).toBe(true);
  });

  test('other users are not found, and strangers are asked who they are', () => {
    expect(() => hooks().afterRead(stored, as('bela'))).toThrow(expect.objectContaining({ status: 404 }));
    expect(() => hooks().afterRead(stored, anonymous)).toThrow(expect.objectContaining({ status: 401 }));
  });
});
