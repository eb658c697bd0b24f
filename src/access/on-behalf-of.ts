/**
 * How a node that forwards a request says whom it has authenticated. The header counts only beside a peer's proof, which
 * covers it: from anybody else it is as if it were not there.
 */

import type { Principal } from '../http/services.ts';

export const onBehalfOfHeader = 'tercet-on-behalf-of';

const ways: Readonly<Record<Principal['by'], true>> = {
  'admin-party': true,
  anonymous: true,
  basic: true,
  cookie: true,
  peer: true,
};

/** Most requests are made by few, and one that goes on says the same for each of them. */
const formatted = new WeakMap<Principal, string>();

/** URL-safe characters only, whatever names and roles hold. */
export function formatOnBehalfOf(principal: Principal): string {
  const known = formatted.get(principal);
  if (known !== undefined) return known;
  const { name, roles, isAdmin, isPeer, by } = principal;
  const text = Buffer.from(JSON.stringify({ name, roles, isAdmin, isPeer, by })).toString('base64url');
  formatted.set(principal, text);
  return text;
}

/** Undefined for what no node would write. */
export function parseOnBehalfOf(text: string): Principal | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const { name, roles, isAdmin, isPeer, by } = value;
  const isWhole =
    (name === undefined || typeof name === 'string') &&
    Array.isArray(roles) &&
    roles.every((role) => typeof role === 'string') &&
    typeof isAdmin === 'boolean' &&
    typeof isPeer === 'boolean' &&
    isWay(by);
  return isWhole ? { name, roles, isAdmin, isPeer, by } : undefined;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not JSON: told as what it is, nobody's name.
    return undefined;
  }
}

function isWay(by: unknown): by is Principal['by'] {
  return typeof by === 'string' && Object.hasOwn(ways, by);
}
