import { pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hashPassword, hashToMembers, parseHash, verifyPassword } from './password.ts';

const cheap = { cost: 16, blockSize: 1, parallelization: 1 };

// CouchDB before 3.4 used SHA-1 and did not name it.
const couchdb33 = {
  password_scheme: 'pbkdf2',
  iterations: 10,
  derived_key: '6cca23b9fd7bb4ee1d5d4c2ba1b4d6d1d8b0a5a0',
  salt: 'b6e2b0a2e3a4f9d5c1e7f80912345678',
};

describe('hashing', () => {
  test('a hash accepts its password and nothing else', async () => {
    const hash = await hashPassword('señor 🔑', cheap);
    expect(await verifyPassword('señor 🔑', hash)).toBe(true);
    for (const wrong of ['', 'senor 🔑', 'señor 🔑 ', 'señor'])
      expect(await verifyPassword(wrong, hash)).toBe(false);
  });

  test('equal passwords get different hashes', async () => {
    const [one, other] = await Promise.all([hashPassword('same', cheap), hashPassword('same', cheap)]);
    expect(one.derivedKey.equals(other.derivedKey)).toBe(false);
  });

  test('a document remembers how its hash was made', async () => {
    const hash = await hashPassword('secret', cheap);
    const members = hashToMembers(hash);
    expect(members).toMatchObject({ password_scheme: 'scrypt', scrypt_cost: 16, scrypt_block_size: 1 });
    expect(JSON.stringify(members)).not.toContain('secret');
    expect(await verifyPassword('secret', parseHash(JSON.parse(JSON.stringify(members)))!)).toBe(true);
  });

  test('the default is as slow as OWASP asks', async () => {
    expect(hashToMembers(await hashPassword('x'))).toMatchObject({
      scrypt_cost: 16_384,
      scrypt_parallelization: 5,
    });
  });
});

describe('documents from CouchDB', () => {
  test('pbkdf2 with SHA-1 is checked as CouchDB made it', async () => {
    const derived = pbkdf2Sync('relax', couchdb33.salt, 10, 20, 'sha1').toString('hex');
    const hash = parseHash({ ...couchdb33, derived_key: derived })!;
    expect(await verifyPassword('relax', hash)).toBe(true);
    expect(await verifyPassword('stress', hash)).toBe(false);
    expect(hashToMembers(hash)).toEqual({ ...couchdb33, derived_key: derived, pbkdf2_prf: 'sha' });
  });

  test('pbkdf2 with a named function is checked with that one', async () => {
    const derived = pbkdf2Sync('relax', couchdb33.salt, 1000, 32, 'sha256').toString('hex');
    const hash = parseHash({ ...couchdb33, iterations: 1000, pbkdf2_prf: 'sha256', derived_key: derived })!;
    expect(await verifyPassword('relax', hash)).toBe(true);
  });

  test.each([
    ['no scheme', { password_scheme: undefined }],
    ['the scheme simple', { password_scheme: 'simple' }],
    ['no salt', { salt: undefined }],
    ['an empty key, which would match anything', { derived_key: '' }],
    ['a key that is not hex', { derived_key: 'zz'.repeat(20) }],
    ['more iterations than a node would survive', { iterations: 1e12 }],
    ['no iterations', { iterations: 0 }],
    ['an unknown function', { pbkdf2_prf: '__proto__' }],
  ])('a hash with %s is none', (_, change) => {
    expect(parseHash({ ...couchdb33, ...change })).toBeUndefined();
  });

  test.each([
    ['more memory than a node would survive', { scrypt_cost: 2 ** 30 }],
    ['a cost that is no power of two', { scrypt_cost: 1000 }],
    ['a huge block', { scrypt_block_size: 1e6 }],
    ['a fraction', { scrypt_parallelization: 1.5 }],
    ['nothing said of its cost', { scrypt_cost: undefined }],
  ])('a scrypt hash with %s is none', async (_, change) => {
    const members = hashToMembers(await hashPassword('x', cheap));
    expect(parseHash(members)).toBeDefined();
    expect(parseHash({ ...members, ...change })).toBeUndefined();
  });
});
