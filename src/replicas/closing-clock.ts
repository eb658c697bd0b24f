/** A clock whose timers can all be cancelled at once: what waits for answers must not outlive the node. */

import type { Clock } from '../runtime/ports.ts';

export interface ClosingClock {
  readonly clock: Clock;
  /** Nothing is called back afterwards. */
  close(): void;
}

export function closingClock(clock: Clock): ClosingClock {
  const open = new Set<() => void>();
  let isClosed = false;
  return {
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, callback) => {
        if (isClosed) return () => {};
        const cancel = clock.after(delayMs, () => {
          open.delete(cancel);
          callback();
        });
        open.add(cancel);
        return () => {
          open.delete(cancel);
          cancel();
        };
      },
    },
    close() {
      isClosed = true;
      for (const cancel of open) cancel();
      open.clear();
    },
  };
}
