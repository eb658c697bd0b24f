/** Who is known here: the admins of the options, and the users of the `_users` database as it is now. */

import { createHmac } from 'node:crypto';
import type { DocumentRevision } from '../database/model.ts';
import type { JsonObject } from '../http/services.ts';
import { hashPassword, type PasswordHash, parseHash, type ScryptParameters } from './password.ts';
import { userIdPrefix } from './user-documents.ts';

export interface Account {
  readonly name: string;
  readonly roles: readonly string[];
  readonly isAdmin: boolean;
  readonly hash: PasswordHash;
  /** Changes whenever anything about the account does. */
  readonly state: string;
  /** Goes into session cookies; changes with the password, and is the same on every node. */
  readonly sessionTag: string;
}

export interface Accounts {
  /** @throws TercetError for anybody but admins, where users are not known */
  find(name: string): Account | undefined;
  readonly hasAdmins: boolean;
}

export interface AccountsContext {
  /** Name → password. */
  readonly admins: ReadonlyMap<string, string>;
  /** The winning revision of a document of `_users`. @throws TercetError where users are not known */
  readonly readUser: (id: string) => DocumentRevision | undefined;
  readonly cookieSecret: Uint8Array;
  readonly scrypt: ScryptParameters;
}

const cachedMax = 10_000;

export async function openAccounts(context: AccountsContext): Promise<Accounts> {
  const { cookieSecret, readUser } = context;
  const admins = new Map<string, Account>();
  for (const [name, password] of context.admins) {
    const hash = await hashPassword(password, context.scrypt);
    const sessionTag = tagOf(cookieSecret, `admin ${name.length} ${name} ${password}`);
    admins.set(name, { name, roles: ['_admin'], isAdmin: true, hash, state: 'admin', sessionTag });
  }
  // Reading a document's bytes as JSON for every request would cost more than the rest of authentication.
  const users = new Map<string, Account>();
  return {
    hasAdmins: admins.size > 0,
    find(name) {
      const admin = admins.get(name);
      if (admin !== undefined) return admin;
      const stored = readUser(`${userIdPrefix}${name}`);
      const cached = users.get(name);
      if (cached !== undefined && cached.state === stored?.revision) return cached;
      users.delete(name);
      const account = stored && userAccount(name, stored, cookieSecret);
      if (account !== undefined) {
        users.set(name, account);
        if (users.size > cachedMax) users.delete(users.keys().next().value!);
      }
      return account;
    },
  };
}

function userAccount(name: string, stored: DocumentRevision, cookieSecret: Uint8Array): Account | undefined {
  const document = JSON.parse(Buffer.from(stored.body).toString()) as JsonObject;
  const hash = parseHash(document);
  if (hash === undefined || document.name !== name) return undefined;
  const roles = Array.isArray(document.roles) ? document.roles : [];
  const sessionTag = tagOf(cookieSecret, `user ${hash.salt} ${hash.derivedKey.toString('hex')}`);
  return { name, roles: roles.filter(isGrantable), isAdmin: false, hash, state: stored.revision, sessionTag };
}

/** A document that was replicated in may name `_admin`; only the node's own options make admins. */
function isGrantable(role: unknown): role is string {
  return typeof role === 'string' && !role.startsWith('_');
}

function tagOf(secret: Uint8Array, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url').slice(0, 22);
}
