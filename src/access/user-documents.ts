/**
 * The rules of the `_users` database: who may write and see a user document, and what becomes of the password in it.
 *
 *   PUT /_users/org.couchdb.user:anna   { "name": "anna", "type": "user", "roles": ["staff"], "password": "…" }
 *   GET by anna                         { "name": "anna", "type": "user", "roles": ["staff"] }
 *
 * Rules and words are CouchDB 3's: admins may everything, users may read and change their own document but not its
 * roles. Unlike CouchDB, nobody but other nodes is shown the hash of a password; a document that is written back without
 * password and hash keeps the hash it had, so that reading a document, changing it and writing it is safe.
 */

import { failure } from '../errors.ts';
import type { DocumentHooks, JsonObject, Principal } from '../http/services.ts';
import { hashMembers, hashToMembers, type PasswordHash, parseHash, passwordBytesMax } from './password.ts';

export const userIdPrefix = 'org.couchdb.user:';

export interface UserDocumentsContext {
  /** The stored document with this id, hashes included; undefined when there is none. */
  readonly current: (id: string) => JsonObject | undefined;
  readonly hash: (password: string) => Promise<PasswordHash>;
}

export function userDocumentHooks(context: UserDocumentsContext): DocumentHooks {
  return {
    async beforeEdit(edit, principal) {
      // Another node's revisions were checked where they were made, and must stay what they are.
      if (principal.isPeer) return edit;
      const id = String(edit._id);
      requireOwn(id, principal);
      if (id.startsWith('_design/')) return edit;
      const current = context.current(id);
      if (edit._deleted === true) return edit;
      checkUserDocument(edit, principal, current);
      return withHash(edit, principal, current, context);
    },
    beforeRead: requireOwn,
    afterRead(document, principal) {
      if (principal.isPeer) return document;
      requireOwn(String(document._id), principal);
      return without(document, hashMembers);
    },
  };
}

/** Looks at nothing but the id, so that its answer is the same for users who exist and who do not. */
function requireOwn(id: string, principal: Principal): void {
  if (principal.isAdmin) return;
  if (principal.name === undefined) throw failure('unauthorized');
  if (id !== `${userIdPrefix}${principal.name}`) throw failure('not_found');
}

/** @throws TercetError `forbidden` with CouchDB's reasons */
function checkUserDocument(edit: JsonObject, principal: Principal, current: JsonObject | undefined): void {
  const { name, roles } = edit;
  const refuse = (reason: string) => failure('forbidden', reason);
  if (edit.type !== 'user') throw refuse('doc.type must be user');
  if (typeof name !== 'string' || name === '') throw refuse('doc.name is required');
  if (!Array.isArray(roles))
    throw refuse(roles === undefined ? 'doc.roles must exist' : 'doc.roles must be an array');
  if (!roles.every((role) => typeof role === 'string')) throw refuse('doc.roles can only contain strings');
  if (edit._id !== `${userIdPrefix}${name}`) throw refuse('Doc ID must be of the form org.couchdb.user:name');
  if (name.includes(':')) throw refuse('Character `:` is not allowed in usernames.');
  if (roles.some((role) => role.startsWith('_'))) {
    throw refuse('No system roles (starting with underscore) in users db.');
  }
  if (!principal.isAdmin && !sameRoles(roles, current?.roles)) throw refuse('Only _admin may edit roles');
}

function sameRoles(roles: readonly string[], current: unknown): boolean {
  const before: readonly unknown[] = Array.isArray(current) ? current : [];
  return roles.length === before.length && roles.every((role) => before.includes(role));
}

async function withHash(
  edit: JsonObject,
  principal: Principal,
  current: JsonObject | undefined,
  { hash }: UserDocumentsContext,
): Promise<JsonObject> {
  const { password } = edit;
  const bare = without(edit, ['password', ...hashMembers]);
  if (password !== undefined && password !== null) {
    if (typeof password !== 'string' || password === '') {
      throw failure('bad_request', 'A password must be a string that is not empty.');
    }
    if (Buffer.byteLength(password) > passwordBytesMax) {
      throw failure('bad_request', `A password has at most ${passwordBytesMax} bytes.`);
    }
    return { ...bare, ...hashToMembers(await hash(password)) };
  }
  // An admin may bring a hash along, as when users move here from CouchDB; nobody else chooses how costly a login is.
  if (principal.isAdmin && edit.derived_key !== undefined) {
    const brought = parseHash(edit);
    if (brought === undefined) {
      throw failure(
        'bad_request',
        'This password hash cannot be checked: use scrypt or pbkdf2, or send a password.',
      );
    }
    return { ...bare, ...hashToMembers(brought) };
  }
  return { ...bare, ...only(current ?? {}, hashMembers) };
}

function without(document: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(document).filter(([member]) => !members.includes(member)));
}

function only(document: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(document).filter(([member]) => members.includes(member)));
}
