/**
 * A session is a signed cookie, not something a node remembers: every node of a cluster with the same secret takes it.
 *
 *   AuthSession=<name in base64url>.<issued, ms in base 36>.<tag>.<signature>
 *
 * `tag` is made from what the user's password is kept as, so that a new password ends all sessions of the old one. A
 * cookie cannot be taken back one by one: who signs out elsewhere keeps a copy that is good until it expires.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';

const sessionCookieName = 'AuthSession';
const sessionMsDefault = 600_000;

const nameLengthMax = 1_024;

export interface Session {
  readonly name: string;
  readonly issuedAt: number;
  readonly tag: string;
}

export interface SessionCookies {
  /** The Set-Cookie value of a new session. */
  issue(name: string, tag: string, now: number): string;
  /** The session of a Cookie header, if it is genuine and not expired. Whether `tag` still holds is the caller's check. */
  read(cookieHeader: string | undefined, now: number): Session | undefined;
  /** Ends the session in the browser. */
  closed(): string;
  /** Whether more than half of the time is used, so that an active client should get a new cookie. */
  isWorn(session: Session, now: number): boolean;
}

export function sessionCookies(secret: Uint8Array, sessionMs = sessionMsDefault): SessionCookies {
  const sign = (text: string) => createHmac('sha256', secret).update(text).digest();
  const attributes = (expires: number, seconds: number) =>
    `Version=1; Expires=${new Date(expires).toUTCString()}; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Strict`;
  return {
    issue(name, tag, now) {
      const payload = `${Buffer.from(name).toString('base64url')}.${now.toString(36)}.${tag}`;
      const value = `${payload}.${sign(payload).toString('base64url')}`;
      return `${sessionCookieName}=${value}; ${attributes(now + sessionMs, Math.floor(sessionMs / 1000))}`;
    },
    read(cookieHeader, now) {
      const value = cookieValue(cookieHeader);
      const match = /^([\w-]+)\.([0-9a-z]{1,11})\.([\w-]+)\.([\w-]{43})$/.exec(value ?? '');
      if (match === null || value === undefined || value.length > 2 * nameLengthMax) return undefined;
      const [, name = '', issued = '', tag = '', signature = ''] = match;
      const given = Buffer.from(signature, 'base64url');
      if (!timingSafeEqual(sign(`${name}.${issued}.${tag}`), given)) return undefined;
      const issuedAt = Number.parseInt(issued, 36);
      return now - issuedAt < sessionMs
        ? { name: Buffer.from(name, 'base64url').toString(), issuedAt, tag }
        : undefined;
    },
    closed: () => `${sessionCookieName}=; ${attributes(0, 0)}`,
    isWorn: (session, now) => now - session.issuedAt > sessionMs / 2,
  };
}

function cookieValue(header: string | undefined): string | undefined {
  const prefix = `${sessionCookieName}=`;
  const found = header?.split(';').find((part) => part.trimStart().startsWith(prefix));
  return found?.trim().slice(prefix.length).replace(/^"|"$/g, '');
}
