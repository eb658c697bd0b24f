import { expect, test } from 'vitest';
import type { Access, Principal } from '../http/services.ts';
import { createAccess } from './access.ts';
import { formatOnBehalfOf, parseOnBehalfOf } from './on-behalf-of.ts';
import { provePeer } from './peer-proof.ts';
import { testClock } from './test-clock.ts';

const secret = 'the secret of the cluster';
const request = { method: 'PUT', target: '/ledger/entry' };
const anna: Principal = {
  name: 'anna',
  roles: ['editors', 'größe'],
  isAdmin: false,
  isPeer: false,
  by: 'basic',
};
const clock = testClock();

function openAccess(withSecret: string | undefined): Promise<Access> {
  return createAccess({
    admins: new Map([['root', 'secret']]),
    readUser: () => undefined,
    cookieSecret: Buffer.from('for tests'),
    secret: withSecret,
    clock,
    scrypt: { cost: 16, blockSize: 8, parallelization: 1 },
  });
}

function credentials(onBehalfOf: string, peerProof: string | undefined) {
  const nothing = { authorization: undefined, cookie: undefined, remoteAddress: '127.0.0.1' };
  return { ...request, ...nothing, onBehalfOf, peerProof };
}

test('a principal comes out as it went in', () => {
  expect(parseOnBehalfOf(formatOnBehalfOf(anna))).toEqual(anna);
  const nobody: Principal = { name: undefined, roles: [], isAdmin: false, isPeer: false, by: 'anonymous' };
  expect(parseOnBehalfOf(formatOnBehalfOf(nobody))).toEqual(nobody);
});

test.each(['', 'e30', 'bnVsbA', '!!', Buffer.from('{"roles":[1]}').toString('base64url')])(
  '%j names nobody',
  (text) => {
    expect(parseOnBehalfOf(text)).toBeUndefined();
  },
);

test('a proved peer asks on behalf of whom it has authenticated', async () => {
  const access = await openAccess(secret);
  const onBehalfOf = formatOnBehalfOf(anna);
  const proof = provePeer(secret, 'n2', { ...request, onBehalfOf }, clock.now());
  expect(await access.authenticate(credentials(onBehalfOf, proof))).toEqual(anna);
});

test('without the proof of a peer the header says nothing', async () => {
  const admin = formatOnBehalfOf({ ...anna, isAdmin: true });
  const anonymous = { name: undefined, roles: [], isAdmin: false, isPeer: false, by: 'anonymous' };
  for (const known of [secret, undefined]) {
    const access = await openAccess(known);
    expect(await access.authenticate(credentials(admin, undefined))).toEqual(anonymous);
  }
  const withoutPeers = await openAccess(undefined);
  expect(await withoutPeers.authenticate(credentials(admin, 'n2 0 forged'))).toEqual(anonymous);
});

test('the proof holds for no other name than the one it was made with', async () => {
  const access = await openAccess(secret);
  const promoted = formatOnBehalfOf({ ...anna, isAdmin: true });
  const ask = (onBehalfOf: string, proved: string | undefined) =>
    access.authenticate(
      credentials(onBehalfOf, provePeer(secret, 'n2', { ...request, onBehalfOf: proved }, clock.now())),
    );
  expect(() => ask(promoted, formatOnBehalfOf(anna))).toThrow(/not valid/);
  expect(() => ask(promoted, undefined)).toThrow(/not valid/);
  expect(() => ask('e30', 'e30')).toThrow(/on whose behalf/);
});
