/** `/_session`: signing in with a name and a password, who one is, signing out. */

import { failure } from '../../errors.ts';
import { readBody } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member, parseJson } from '../json-guard.ts';
import { parseQuery } from '../query.ts';
import { sendJson } from '../respond.ts';
import type { Principal } from '../services.ts';

const signInBytesMax = 8_192;
const signInDepthMax = 4;

/** How CouchDB's clients know the ways of proving who one is. */
const handlerNames: Readonly<Record<Principal['by'], string | undefined>> = {
  'admin-party': 'default',
  anonymous: undefined,
  basic: 'default',
  cookie: 'cookie',
  peer: 'peer',
};

export function showSession(exchange: Exchange): void {
  const { principal } = exchange;
  const authenticated = handlerNames[principal.by];
  sendJson(exchange, 200, {
    ok: true,
    userCtx: { name: principal.name ?? null, roles: shownRoles(principal) },
    info: {
      authentication_handlers: ['cookie', 'default'],
      ...(authenticated === undefined ? {} : { authenticated }),
    },
  });
}

export async function openSession(exchange: Exchange): Promise<void> {
  const bytes = await readBody(exchange, signInBytesMax);
  const { name, password } = credentialsOf(exchange.header('content-type'), bytes);
  const remoteAddress = exchange.request.socket.remoteAddress ?? '';
  const { principal, setCookie } = await exchange.services.access.openSession(name, password, remoteAddress);
  const body = { ok: true, name: principal.name ?? null, roles: shownRoles(principal) };
  sendJson(exchange, 200, body, ['Set-Cookie', setCookie]);
}

export function closeSession(exchange: Exchange): void {
  sendJson(exchange, 200, { ok: true }, ['Set-Cookie', exchange.services.access.closedSessionCookie()]);
}

function credentialsOf(contentType: string | undefined, bytes: Buffer): { name: string; password: string } {
  const isForm = contentType?.toLowerCase().startsWith('application/x-www-form-urlencoded') === true;
  const [name, password] = isForm ? formCredentials(bytes) : jsonCredentials(bytes);
  if (typeof name !== 'string' || typeof password !== 'string') {
    throw failure('bad_request', 'The sign-in needs a `name` and a `password`, both strings.');
  }
  return { name, password };
}

function formCredentials(bytes: Buffer): [unknown, unknown] {
  const form = parseQuery(bytes.toString('utf8'));
  return [form.get('name') ?? form.get('username'), form.get('password')];
}

function jsonCredentials(bytes: Buffer): [unknown, unknown] {
  const object = asObject(parseJson(bytes, signInDepthMax));
  return [member(object, 'name') ?? member(object, 'username'), member(object, 'password')];
}

function shownRoles(principal: Principal): readonly string[] {
  return principal.isAdmin && !principal.roles.includes('_admin')
    ? ['_admin', ...principal.roles]
    : principal.roles;
}
