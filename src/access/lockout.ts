/**
 * Guessing passwords must get slower the longer it goes on, without letting strangers lock a user out: failures count
 * per name and address. A few are free, then each one doubles the time to wait.
 *
 *   failures      1–5    6     7     8    …   15 and more
 *   then wait     0      1 s   2 s   4 s  …   5 min
 *
 * An attempt counts as a failure when it begins and is forgiven when it succeeds; counted only at its end, a thousand
 * guesses made at the same moment would all be free. Memory is bounded: the name heard of longest ago goes first.
 */

import type { Clock } from '../runtime/ports.ts';

const freeFailures = 5;
const firstDelayMs = 1_000;
const delayMsMax = 300_000;
/** A name that nobody tried for this long starts anew. */
const forgetAfterMs = 900_000;
const entriesMax = 10_000;

interface Entry {
  readonly failures: number;
  readonly lastAt: number;
}

export interface Lockout {
  /** Milliseconds still to wait before another attempt is looked at; 0 when it is welcome. */
  remainingMs(name: string, address: string): number;
  begin(name: string, address: string): void;
  forgive(name: string, address: string): void;
  /** Takes back one `begin` whose attempt was refused before anybody looked at its password. */
  withdraw(name: string, address: string): void;
}

export function openLockout(clock: Clock): Lockout {
  const entries = new Map<string, Entry>();
  const keyOf = (name: string, address: string) => `${address} ${name}`;
  const current = (key: string) => {
    const entry = entries.get(key);
    return entry !== undefined && clock.monotonic() - entry.lastAt < forgetAfterMs ? entry : undefined;
  };
  return {
    remainingMs(name, address) {
      const entry = current(keyOf(name, address));
      if (entry === undefined) return 0;
      return Math.max(0, Math.ceil(entry.lastAt + delayMs(entry.failures) - clock.monotonic()));
    },
    begin(name, address) {
      const key = keyOf(name, address);
      const failures = (current(key)?.failures ?? 0) + 1;
      entries.delete(key);
      entries.set(key, { failures, lastAt: clock.monotonic() });
      if (entries.size > entriesMax) entries.delete(entries.keys().next().value!);
    },
    forgive(name, address) {
      entries.delete(keyOf(name, address));
    },
    withdraw(name, address) {
      const key = keyOf(name, address);
      const entry = entries.get(key);
      if (entry === undefined) return;
      if (entry.failures === 1) entries.delete(key);
      else entries.set(key, { ...entry, failures: entry.failures - 1 });
    },
  };
}

function delayMs(failures: number): number {
  if (failures <= freeFailures) return 0;
  return Math.min(delayMsMax, firstDelayMs * 2 ** (failures - freeFailures - 1));
}
