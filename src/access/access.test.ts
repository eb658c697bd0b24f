import { describe, expect, test } from 'vitest';
import type { DocumentRevision } from '../database/model.ts';
import type { Revision } from '../document/revision.ts';
import type { Credentials, Principal } from '../http/services.ts';
import { createAccess } from './access.ts';
import { hashPassword, hashToMembers } from './password.ts';
import { provePeer } from './peer-proof.ts';
import { testClock } from './test-clock.ts';

const scrypt = { cost: 16, blockSize: 1, parallelization: 1 };
const secret = 'the secret of the cluster';
const nothing: Credentials = {
  ...{ authorization: undefined, cookie: undefined, peerProof: undefined },
  ...{ method: 'GET', target: '/', remoteAddress: '10.0.0.9' },
};
const basic = (name: string, password: string): Credentials => ({
  ...nothing,
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});
const cookieOf = (setCookie: string): Credentials => ({ ...nothing, cookie: setCookie.split(';')[0] });

async function openAccess(admins: Record<string, string> = { root: 'toor' }) {
  const clock = testClock();
  const users = new Map<string, DocumentRevision>();
  let writes = 0;
  const access = await createAccess({
    admins: new Map(Object.entries(admins)),
    readUser: (id) => users.get(id),
    cookieSecret: Buffer.from('cookies'),
    secret,
    clock,
    scrypt,
  });
  const setUser = async (name: string, password: string, roles: readonly string[] = []) => {
    const id = `org.couchdb.user:${name}`;
    const document = { name, type: 'user', roles, ...hashToMembers(await hashPassword(password, scrypt)) };
    writes += 1;
    const body = Buffer.from(JSON.stringify(document));
    users.set(id, { id, revision: `${writes}-a` as Revision, deleted: false, body, attachments: [] });
  };
  const login = async (credentials: Credentials) => access.authenticate(credentials);
  return { access, clock, users, setUser, login };
}

const shortly = ({ name, isAdmin, by }: Principal) => ({ name, isAdmin, by });

describe('a node without admins', () => {
  test('takes everybody for an admin', async () => {
    const { login } = await openAccess({});
    expect(shortly(await login(nothing))).toEqual({ name: undefined, isAdmin: true, by: 'admin-party' });
  });

  test('still refuses a wrong password', async () => {
    const { login, setUser } = await openAccess({});
    await setUser('anna', 'right');
    await expect(login(basic('anna', 'wrong'))).rejects.toMatchObject({ status: 401 });
    expect(shortly(await login(basic('anna', 'right')))).toEqual({
      name: 'anna',
      isAdmin: false,
      by: 'basic',
    });
  });
});

describe('Basic auth', () => {
  test('knows admins and users by their password', async () => {
    const { login, setUser } = await openAccess();
    await setUser('anna', 'pass:word ü', ['staff']);
    expect(await login(basic('root', 'toor'))).toMatchObject({
      name: 'root',
      isAdmin: true,
      roles: ['_admin'],
    });
    expect(await login(basic('anna', 'pass:word ü'))).toMatchObject({
      name: 'anna',
      isAdmin: false,
      roles: ['staff'],
    });
  });

  test.each([
    ['a wrong password', 'root', 'wrong'],
    ['an unknown name', 'nobody', 'toor'],
    ['an empty password', 'root', ''],
    ['an endless password', 'root', 'x'.repeat(10_000)],
    ['a name from the object prototype', '__proto__', 'x'],
  ])('refuses %s with the words that clients know', async (_, name, password) => {
    const { login } = await openAccess();
    await expect(login(basic(name, password))).rejects.toMatchObject({
      status: 401,
      reason: 'Name or password is incorrect.',
    });
  });

  test.each(['Basic', 'Basic !!', 'Basic bm9jb2xvbg==', 'Bearer x', 'Basic OnBhc3N3b3Jk', ''])(
    'takes the malformed header "%s" for none',
    async (authorization) => {
      const { login } = await openAccess();
      expect(await login({ ...nothing, authorization })).toMatchObject({ by: 'anonymous', isAdmin: false });
    },
  );

  test('answers at once, without a promise, for a login that it remembers', async () => {
    const { access, login, clock } = await openAccess();
    expect(access.authenticate(basic('root', 'toor'))).toBeInstanceOf(Promise);
    await login(basic('root', 'toor'));
    expect(access.authenticate(basic('root', 'toor'))).toMatchObject({ name: 'root' });
    clock.advance(300_000);
    expect(access.authenticate(basic('root', 'toor'))).toBeInstanceOf(Promise);
  });

  test('notices a new password, new roles and a deleted user at once', async () => {
    const { login, setUser, users } = await openAccess();
    await setUser('anna', 'old');
    await login(basic('anna', 'old'));
    await setUser('anna', 'new', ['boss']);
    await expect(login(basic('anna', 'old'))).rejects.toMatchObject({ status: 401 });
    expect(await login(basic('anna', 'new'))).toMatchObject({ roles: ['boss'] });
    users.clear();
    await expect(login(basic('anna', 'new'))).rejects.toMatchObject({ status: 401 });
  });

  test('gives no user the role of an admin, whatever their document says', async () => {
    const { login, setUser } = await openAccess();
    await setUser('anna', 'x', ['_admin', 'staff']);
    expect(await login(basic('anna', 'x'))).toMatchObject({ roles: ['staff'], isAdmin: false });
  });
});

describe('guessing', () => {
  test('is refused after a few wrong passwords, even if the next one is right', async () => {
    const { login, clock } = await openAccess();
    for (let guess = 0; guess < 6; guess += 1) {
      await expect(login(basic('root', `guess ${guess}`))).rejects.toMatchObject({ status: 401 });
    }
    await expect(login(basic('root', 'toor'))).rejects.toMatchObject({
      status: 429,
      reason: 'Too many failed logins; wait 1 s and try again.',
    });
    clock.advance(1_000);
    expect(await login(basic('root', 'toor'))).toMatchObject({ name: 'root' });
  });

  test('many guesses at the same moment are not better than one after the other', async () => {
    const { login } = await openAccess();
    const guesses = Array.from({ length: 50 }, (_, guess) => login(basic('root', `guess ${guess}`)));
    const statuses = (await Promise.allSettled(guesses)).map(
      (each) => each.status === 'rejected' && each.reason.status,
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(6);
    expect(statuses.filter((status) => status === 429)).toHaveLength(44);
  });

  test('under made-up names keeps nobody out who signed in there before, nor strangers elsewhere', async () => {
    const { access, login, setUser, clock } = await openAccess();
    await setUser('anna', 'right');
    await login(basic('anna', 'right'));
    // What is remembered of the password itself is forgotten.
    clock.advance(300_000);
    const flood = Array.from({ length: 160 }, (_, index) => login(basic(`nobody ${index}`, 'x')));
    const outcomes = Promise.allSettled(flood);
    const [anna, elsewhere] = await Promise.all([
      login(basic('anna', 'right')),
      access.authenticate({ ...basic('root', 'toor'), remoteAddress: '10.0.0.10' }),
    ]);
    expect([anna.name, elsewhere.name]).toEqual(['anna', 'root']);
    const refused = (await outcomes).filter(
      (each) => each.status === 'rejected' && each.reason.code === 'too_many_requests',
    );
    expect(refused).toHaveLength(160 - 42);
    expect((refused[0] as PromiseRejectedResult).reason.retryAfterSeconds).toBeGreaterThan(0);
  });

  test('a login that is refused because too many wait does not count as a wrong guess', async () => {
    const { login } = await openAccess();
    for (let round = 0; round < 7; round += 1) {
      const flood = Array.from({ length: 42 }, (_, index) => login(basic(`nobody ${round} ${index}`, 'x')));
      const outcomes = Promise.allSettled(flood);
      await expect(login(basic('root', 'toor'))).rejects.toMatchObject({
        reason: 'Too many logins at once; wait a moment and try again.',
      });
      await outcomes;
    }
    expect(await login(basic('root', 'toor'))).toMatchObject({ name: 'root' });
  });

  test('does not disturb those who are signed in already', async () => {
    const { access, login } = await openAccess();
    const { setCookie } = await access.openSession('root', 'toor', 'a');
    for (let guess = 0; guess < 10; guess += 1)
      await login(basic('root', `guess ${guess}`)).catch(() => undefined);
    expect(await login(basic('root', 'toor'))).toMatchObject({ name: 'root' });
    expect(await login(cookieOf(setCookie))).toMatchObject({ name: 'root' });
  });

  test('one right login sent many times at once counts as one', async () => {
    const { login } = await openAccess();
    const all = await Promise.all(Array.from({ length: 200 }, () => login(basic('root', 'toor'))));
    expect(all.every(({ name }) => name === 'root')).toBe(true);
  });
});

describe('sessions', () => {
  test('a cookie stands for the name it was issued to, on every node with the same secret', async () => {
    const { access, setUser } = await openAccess();
    await setUser('anna', 'x', ['staff']);
    const { principal, setCookie } = await access.openSession('anna', 'x', 'a');
    expect(shortly(principal)).toEqual({ name: 'anna', isAdmin: false, by: 'cookie' });
    expect(access.authenticate(cookieOf(setCookie))).toMatchObject({
      name: 'anna',
      roles: ['staff'],
      by: 'cookie',
    });
    const { setCookie: ofAdmin } = await access.openSession('root', 'toor', 'a');
    const { access: elsewhere } = await openAccess();
    expect(elsewhere.authenticate(cookieOf(ofAdmin))).toMatchObject({ name: 'root', isAdmin: true });
  });

  test('a new password or a deleted user ends it', async () => {
    const { access, setUser, users } = await openAccess();
    await setUser('anna', 'old');
    const { setCookie } = await access.openSession('anna', 'old', 'a');
    await setUser('anna', 'new');
    expect(access.authenticate(cookieOf(setCookie))).toMatchObject({ by: 'anonymous' });
    const { setCookie: next } = await access.openSession('anna', 'new', 'a');
    users.clear();
    expect(access.authenticate(cookieOf(next))).toMatchObject({ by: 'anonymous' });
    const { access: changed } = await openAccess({ root: 'another' });
    const { setCookie: ofAdmin } = await access.openSession('root', 'toor', 'a');
    expect(changed.authenticate(cookieOf(ofAdmin))).toMatchObject({ by: 'anonymous' });
  });

  test('wrong passwords open none', async () => {
    const { access } = await openAccess();
    await expect(access.openSession('root', 'x', 'a')).rejects.toMatchObject({ status: 401 });
  });

  test('it is renewed for who is active, once more than half is used', async () => {
    const { access, clock } = await openAccess();
    const { setCookie } = await access.openSession('root', 'toor', 'a');
    expect(access.renewedSessionCookie?.(cookieOf(setCookie))).toBeUndefined();
    clock.advance(400_000);
    const renewed = access.renewedSessionCookie?.(cookieOf(setCookie));
    clock.advance(400_000);
    expect(access.authenticate(cookieOf(setCookie))).toMatchObject({ by: 'anonymous' });
    expect(access.authenticate(cookieOf(renewed!))).toMatchObject({ name: 'root' });
  });
});

describe('peers', () => {
  test('a node with the secret is an admin that is a peer', async () => {
    const { access, clock } = await openAccess();
    const request = { method: 'GET', target: '/_users/_changes' };
    const credentials = { ...nothing, ...request, peerProof: provePeer(secret, 'n2', request, clock.now()) };
    expect(access.authenticate(credentials)).toMatchObject({
      name: 'n2',
      isAdmin: true,
      isPeer: true,
      by: 'peer',
    });
  });

  test('others are refused with what to mend', async () => {
    const { access, login, clock } = await openAccess();
    const other = { ...nothing, peerProof: provePeer('another secret', 'n2', nothing, clock.now()) };
    await expect(login(other)).rejects.toMatchObject({
      status: 401,
      reason: expect.stringContaining('same secret'),
    });
    const behind = { ...nothing, peerProof: provePeer(secret, 'n2', nothing, clock.now() - 20_000) };
    await expect(login(behind)).rejects.toMatchObject({ status: 503, retryAfterSeconds: 20 });
    const late = { ...nothing, peerProof: provePeer(secret, 'n2', nothing, clock.now() - 120_000) };
    // No 401: a client whose request the peer takes here would believe that its password is wrong.
    await expect(login(late)).rejects.toMatchObject({
      status: 503,
      reason: expect.stringContaining('differ by 120 s'),
    });
    expect(access.documentHooks?.('calendar')).toBeUndefined();
    expect(access.documentHooks?.('_users')).toBeDefined();
  });
});
