/**
 * Who is asking, and are they who they say: the node's one answer to both.
 *
 * A request may carry a peer's proof, a name and password (Basic), or a session cookie, looked at in this order; one that
 * carries none is anonymous, or an admin while the node has no admins at all. Wrong credentials are refused, not taken
 * for none; a cookie that is expired or forged is taken for none, as in CouchDB, so that signing in again works.
 *
 * Passwords are checked slowly on purpose. What keeps that from being a weapon against the node: right ones are
 * remembered, equal ones in flight are checked once, few are checked at a time, those who signed in before go first, and
 * wrong ones bring a growing delay.
 */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { failure, type TercetError } from '../errors.ts';
import type { Access, Credentials, Principal } from '../http/services.ts';
import type { Clock } from '../runtime/ports.ts';
import { type Account, type AccountsContext, openAccounts } from './accounts.ts';
import { requireAdmin, requireDatabaseAdmin, requireDatabaseMember } from './database-security.ts';
import { openFamiliarPlaces } from './familiar-places.ts';
import { openLockout } from './lockout.ts';
import { parseOnBehalfOf } from './on-behalf-of.ts';
import {
  hashPassword,
  type PasswordHash,
  passwordBytesMax,
  scryptDefault,
  verifyPassword,
} from './password.ts';
import { type PeerProofs, peerProofs } from './peer-proof.ts';
import { type SessionCookies, sessionCookies } from './session-cookie.ts';
import { type Asker, boundedSlowWork } from './slow-work.ts';
import { userDocumentHooks } from './user-documents.ts';
import { openVerifiedLogins } from './verified-logins.ts';

export interface AccessContext extends Omit<AccountsContext, 'scrypt'> {
  /** The secret that the nodes of the cluster share. */
  readonly secret: string | undefined;
  readonly clock: Clock;
  /**
   * Resolves once what was written anywhere before the call can be read here, as far as that can be had; never rejects.
   * Without: what is here is all there is.
   */
  readonly catchUp?: () => Promise<void>;
  /** What a new password hash costs; tests take less. */
  readonly scrypt?: AccountsContext['scrypt'];
}

/** Half of libuv's threads, so that the store always finds one. */
const hashesRunningMax = 2;
const hashesWaitingMax = 100;
/** An address may be that of a proxy with many people behind it. */
const hashesWaitingPerAddressMax = 40;

const anonymous: Principal = { name: undefined, roles: [], isAdmin: false, isPeer: false, by: 'anonymous' };
const adminParty: Principal = {
  name: undefined,
  roles: ['_admin'],
  isAdmin: true,
  isPeer: false,
  by: 'admin-party',
};

/** Hashes the admins' passwords, so it takes a moment. */
export async function createAccess(context: AccessContext): Promise<Access> {
  const { clock } = context;
  const scrypt = context.scrypt ?? scryptDefault;
  const slowWork = boundedSlowWork({
    runningMax: hashesRunningMax,
    waitingMax: hashesWaitingMax,
    waitingPerAddressMax: hashesWaitingPerAddressMax,
  });
  const accounts = await openAccounts({ ...context, scrypt });
  // Unknown names are checked against this, so that the time of an answer does not tell which names exist.
  const nobodysHash: PasswordHash = {
    ...{ kind: 'scrypt', salt: randomBytes(16).toString('hex'), derivedKey: randomBytes(32) },
    ...scrypt,
  };
  const logins = openLogins({
    clock,
    find: accounts.find,
    catchUp: context.catchUp,
    nobodysHash,
    verify: (asker, password, hash) => slowWork.run(asker, () => verifyPassword(password, hash)),
  });
  const cookies = sessionCookies(context.cookieSecret);
  const proofs = context.secret === undefined ? undefined : peerProofs(context.secret, clock);
  const withoutCredentials = accounts.hasAdmins ? anonymous : adminParty;
  const hooks = userDocumentHooks({
    current: (id) => {
      const stored = context.readUser(id);
      return stored && JSON.parse(Buffer.from(stored.body).toString());
    },
    // Whoever may write a user document has signed in.
    hash: (password) => slowWork.run({ kind: 'familiar' }, () => hashPassword(password, scrypt)),
  });
  const byCookie = (credentials: Credentials) => accountOfCookie(credentials, cookies, accounts.find, clock);
  return {
    authenticate(credentials) {
      if (credentials.peerProof !== undefined && proofs !== undefined) return provenPeer(credentials, proofs);
      const basic = parseBasic(credentials.authorization);
      if (basic !== undefined) return logins.check(basic, credentials.remoteAddress, 'basic');
      const session = byCookie(credentials);
      return session === undefined ? withoutCredentials : principalOf(session.account, 'cookie');
    },
    async openSession(name, password, remoteAddress) {
      const principal = await logins.check({ name, password }, remoteAddress, 'cookie');
      const tag = accounts.find(name)?.sessionTag ?? '';
      return { principal, setCookie: cookies.issue(name, tag, clock.now()) };
    },
    closedSessionCookie: cookies.closed,
    renewedSessionCookie(credentials) {
      const session = byCookie(credentials);
      if (session === undefined || !cookies.isWorn(session, clock.now())) return undefined;
      return cookies.issue(session.account.name, session.account.sessionTag, clock.now());
    },
    requireAdmin,
    requireDatabaseMember,
    requireDatabaseAdmin,
    documentHooks: (databaseName) => (databaseName === '_users' ? hooks : undefined),
  };
}

interface Login {
  readonly name: string;
  readonly password: string;
}

interface LoginsContext {
  readonly clock: Clock;
  readonly find: (name: string) => Account | undefined;
  readonly catchUp: AccessContext['catchUp'];
  readonly nobodysHash: PasswordHash;
  readonly verify: (asker: Asker, password: string, hash: PasswordHash) => Promise<boolean>;
}

function openLogins({ catchUp, clock, find, nobodysHash, verify }: LoginsContext) {
  const verified = openVerifiedLogins(clock);
  const lockout = openLockout(clock);
  const places = openFamiliarPlaces();
  const inFlight = new Map<string, Promise<boolean>>();

  const attempt = async ({ name, password }: Login, address: string, account: Account | undefined) => {
    const waitMs = lockout.remainingMs(name, address);
    if (waitMs > 0) throw lockedOut(waitMs);
    lockout.begin(name, address);
    const asker: Asker = places.has(name, address) ? { kind: 'familiar' } : { kind: 'stranger', address };
    const isRight = await verify(asker, password, account?.hash ?? nobodysHash).catch((error: unknown) => {
      // It was never looked at, so it was no wrong guess.
      lockout.withdraw(name, address);
      throw error;
    });
    if (!isRight || account === undefined) return false;
    lockout.forgive(name, address);
    places.add(name, address);
    return true;
  };
  const checkSlowly = async (login: Login, address: string, key: string, account: Account | undefined) => {
    const flight = `${key} ${address} ${account?.state}`;
    let outcome = inFlight.get(flight);
    if (outcome === undefined) {
      outcome = attempt(login, address, account).finally(() => inFlight.delete(flight));
      inFlight.set(flight, outcome);
    }
    if (!(await outcome) || account === undefined) return undefined;
    verified.remember(key, account.state);
    return account;
  };
  /** Who signed up, or has a new password, a moment ago at another node is known here after catching up. */
  const checkTwice = async (login: Login, address: string, key: string, account: Account | undefined) => {
    const checked = await checkSlowly(login, address, key, account);
    if (checked !== undefined || catchUp === undefined) return checked;
    await catchUp();
    const now = find(login.name);
    return now?.state === account?.state ? undefined : checkSlowly(login, address, key, now);
  };
  return {
    /** Without a promise where the login is remembered. */
    check(login: Login, address: string, by: 'basic' | 'cookie'): Promise<Principal> | Principal {
      if (Buffer.byteLength(login.password) > passwordBytesMax) throw wrongLogin();
      const account = find(login.name);
      const key = verified.keyOf(login.name, login.password);
      if (account !== undefined && verified.knows(key, account.state)) return principalOf(account, by);
      return checkTwice(login, address, key, account).then((checked) => {
        if (checked === undefined) throw wrongLogin();
        return principalOf(checked, by);
      });
    },
  };
}

function wrongLogin(): TercetError {
  return failure('unauthorized', 'Name or password is incorrect.');
}

function lockedOut(waitMs: number): TercetError {
  const seconds = Math.ceil(waitMs / 1000);
  const reason = `Too many failed logins; wait ${seconds} s and try again.`;
  return failure('too_many_requests', reason, { retryAfterSeconds: seconds });
}

function principalOf({ name, roles, isAdmin }: Account, by: 'basic' | 'cookie'): Principal {
  return { name, roles, isAdmin, isPeer: false, by };
}

/** @throws TercetError `unauthorized`; `service_unavailable` where only the clocks are wrong: who is behind the peer may be well known */
function provenPeer(credentials: Credentials, proofs: PeerProofs): Principal {
  const { peerProof = '', method, target, onBehalfOf } = credentials;
  const outcome = proofs.check(peerProof, { method, target, onBehalfOf });
  switch (outcome.kind) {
    case 'proven':
      if (onBehalfOf !== undefined) return principalOnBehalfOf(onBehalfOf);
      return { name: outcome.node, roles: ['_admin'], isAdmin: true, isPeer: true, by: 'peer' };
    case 'clocks_differ': {
      const seconds = Math.round(Math.abs(outcome.differenceMs) / 1000);
      const reason = `The clocks of the two nodes differ by ${seconds} s: set them (NTP).`;
      throw failure('service_unavailable', reason);
    }
    case 'before_start': {
      const seconds = Math.ceil(outcome.waitMs / 1000);
      const reason = `This node has just started, and the peer's clock is ${seconds} s behind: it will be taken after that.`;
      throw failure('service_unavailable', reason, { retryAfterSeconds: seconds });
    }
    case 'refused':
      throw failure('unauthorized', 'The proof of this peer is not valid: the nodes need the same secret.');
  }
}

function principalOnBehalfOf(text: string): Principal {
  const principal = parseOnBehalfOf(text);
  if (principal === undefined)
    throw failure('unauthorized', 'The peer does not say on whose behalf it asks.');
  return principal;
}

/** The name and password of a Basic header; undefined for anything else, which counts as no credentials. */
function parseBasic(authorization: string | undefined): Login | undefined {
  const encoded = /^basic +([\w+/-]+={0,2}) *$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 1 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function accountOfCookie(
  { cookie }: Credentials,
  cookies: SessionCookies,
  find: (name: string) => Account | undefined,
  clock: Clock,
) {
  const session = cookies.read(cookie, clock.now());
  const account = session && find(session.name);
  if (session === undefined || account === undefined) return undefined;
  const given = Buffer.from(session.tag);
  const wanted = Buffer.from(account.sessionTag);
  const isCurrent = given.length === wanted.length && timingSafeEqual(given, wanted);
  return isCurrent ? { ...session, account } : undefined;
}
