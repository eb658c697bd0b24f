/**
 * The simulated world: one clock, one queue of events, one seed.
 *
 * Nothing in it waits. Time jumps from event to event, so a minute of a quiet cluster costs what its events cost. Nothing
 * in it depends on the machine: times are whole microseconds, dice are seeded, and there are no promises, whose order
 * would be one more thing to prove.
 *
 *   world.after(500, …)      now = 0      queue: 500
 *   world.runUntil(1_000)    500 runs with now = 500, then now = 1_000
 */

import { EventQueue } from './event-queue.ts';
import { SeededRandom } from './random.ts';
import { Trace } from './trace.ts';

const traceLinesMax = 20_000;

export class World {
  readonly seed: number;
  readonly random: SeededRandom;
  readonly trace = new Trace(traceLinesMax);
  readonly #queue = new EventQueue();
  #now = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
  }

  /** Microseconds since the beginning. */
  now(): number {
    return this.#now;
  }

  /** Runs `event` after so many microseconds; the function returned cancels it. */
  after(delayMicroseconds: number, event: () => void): () => void {
    const scheduled = this.#queue.push(this.#now + Math.max(0, Math.round(delayMicroseconds)), event);
    return () => {
      scheduled.run = undefined;
    };
  }

  /** Notes an event in the trace. `detail` must not be changed afterwards. */
  note(subject: string, what: string, detail?: unknown): void {
    this.trace.add({ at: this.#now, subject, what, detail });
  }

  /** Lets everything happen that is due until then, and stops early once `done` says so after an event. */
  runUntil(end: number, done: () => boolean = () => false): void {
    while (!done()) {
      const next = this.#queue.nextAt();
      if (next === undefined || next > end) {
        this.#now = end;
        return;
      }
      const event = this.#queue.take();
      this.#now = next;
      event?.run?.();
    }
  }
}

export const microsecondsOf = (milliseconds: number): number => Math.round(milliseconds * 1_000);
