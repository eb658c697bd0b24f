/**
 * Basic auth repeats the password with every request, and checking it is slow on purpose. So what was checked once is
 * remembered for a while: under an HMAC with a key that only this process has, so memory holds no passwords, and
 * together with the state of the account, so a changed password or role is seen at once.
 */

import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../runtime/ports.ts';

const rememberedMs = 300_000;
const entriesMax = 10_000;

interface Entry {
  /** What the account was when the password was checked; see {@link VerifiedLogins.knows}. */
  readonly state: string;
  readonly checkedAt: number;
}

export interface VerifiedLogins {
  /** The key of a name and password; says nothing about either. */
  keyOf(name: string, password: string): string;
  /** Whether this login was right while the account was in `state`. */
  knows(key: string, state: string): boolean;
  remember(key: string, state: string): void;
}

export function openVerifiedLogins(clock: Clock): VerifiedLogins {
  const secret = randomBytes(32);
  const entries = new Map<string, Entry>();
  return {
    keyOf: (name, password) =>
      createHmac('sha256', secret)
        .update(`${Buffer.byteLength(name)}:${name}${password}`)
        .digest('base64'),
    knows(key, state) {
      const entry = entries.get(key);
      if (entry === undefined) return false;
      if (entry.state === state && clock.monotonic() - entry.checkedAt < rememberedMs) return true;
      entries.delete(key);
      return false;
    },
    remember(key, state) {
      entries.delete(key);
      entries.set(key, { state, checkedAt: clock.monotonic() });
      if (entries.size > entriesMax) entries.delete(entries.keys().next().value!);
    },
  };
}
