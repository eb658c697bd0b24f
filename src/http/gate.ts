/**
 * Who may do what: the one place that knows. The routing table names a level for every endpoint, and the level is
 * checked before its handler runs; document handlers add what depends on the document.
 *
 * A database whose documents have rules of their own (`documentHooks`, so `_users`) lets everybody through to a single
 * document, where the hooks decide; its lists are for admins.
 */

import { onBehalfOfHeader } from '../access/on-behalf-of.ts';
import { peerProofHeader } from '../access/peer-proof.ts';
import type { Database } from '../database/database.ts';
import { requireLoopbackHost } from './browser-guard.ts';
import type { Exchange } from './exchange.ts';
import type { Credentials, DocumentHooks, Principal } from './services.ts';

export type ServerLevel =
  /** Not even credentials are looked at: signing in, signing out. */
  'nobody_asked' | 'anyone' | 'admin';

export type DatabaseLevel =
  /** Reads and writes of documents: members, or whom the hooks let through. */
  | 'document'
  /** Whatever shows many documents: members, or admins where hooks hide documents from each other. */
  | 'list'
  | 'database_admin'
  | 'server_admin';

/** Finds out who is asking. Without a promise where that is known at once. */
export function authenticate(exchange: Exchange): Promise<Principal> | Principal {
  return exchange.services.access.authenticate(credentialsOf(exchange));
}

function credentialsOf(exchange: Exchange): Credentials {
  const { headers, socket, url } = exchange.request;
  return {
    authorization: headers.authorization,
    cookie: headers.cookie,
    peerProof: exchange.header(peerProofHeader),
    onBehalfOf: exchange.header(onBehalfOfHeader),
    method: exchange.method,
    target: url ?? '/',
    remoteAddress: socket.remoteAddress ?? '',
  };
}

/** Settles who is asking. A session in use is renewed, so that a live sync does not end with its cookie. @throws TercetError `forbidden` */
export function admitPrincipal(exchange: Exchange, principal: Principal): void {
  const isOpenPeer = principal.by === 'peer' && exchange.services.node.isOpen === true;
  if (principal.by === 'admin-party' || isOpenPeer) requireLoopbackHost(exchange);
  exchange.principal = principal;
  if (principal.by !== 'cookie') return;
  exchange.renewedCookie = exchange.services.access.renewedSessionCookie?.(credentialsOf(exchange));
}

/** @throws TercetError `unauthorized`, `forbidden` */
export function requireServerLevel(exchange: Exchange, level: ServerLevel): void {
  if (level === 'admin') exchange.services.access.requireAdmin(exchange.principal);
}

/** @throws TercetError `unauthorized`, `forbidden` */
export function requireDatabaseLevel(exchange: Exchange, database: Database, level: DatabaseLevel): void {
  const { principal } = exchange;
  const { access } = exchange.services;
  if (principal.isAdmin) return;
  if (level === 'server_admin') access.requireAdmin(principal);
  else if (level === 'database_admin') access.requireDatabaseAdmin(principal, database.security());
  else if (documentHooks(exchange, database) === undefined) {
    access.requireDatabaseMember(principal, database.security());
  } else if (level === 'list') access.requireAdmin(principal);
}

/**
 * A local document passes no hook, and what one user keeps there another can read: where documents are hidden from each
 * other it is for admins, as lists are. @throws TercetError `unauthorized`, `forbidden`
 */
export function requireLocalDocuments(exchange: Exchange, database: Database): void {
  requireDatabaseLevel(exchange, database, 'list');
}

/** Design documents steer a database, so only its admins write them. @throws TercetError `unauthorized`, `forbidden` */
export function requireDocumentWrite(exchange: Exchange, database: Database, id: string): void {
  if (exchange.principal.isAdmin || !id.startsWith('_design/')) return;
  exchange.services.access.requireDatabaseAdmin(exchange.principal, database.security());
}

export function documentHooks(exchange: Exchange, database: Database): DocumentHooks | undefined {
  return exchange.services.access.documentHooks?.(database.name);
}
