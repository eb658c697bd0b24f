import type { Clock } from './ports.ts';

/** Resolves after so many milliseconds by the clock. Who must be able to end sooner uses `clock.after` and cancels. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
