/**
 * A node's own clock: it runs a little fast or slow, and its wall time may jump.
 *
 * `rate` is how many of the node's seconds pass in one of the world's. Monotonic time and timers drift with it and never
 * jump; wall time jumps too, as after a correction by an operator or NTP.
 */

import type { Clock } from '../src/runtime/ports.ts';
import type { World } from './world.ts';

const wallMsAtStart = 1_700_000_000_000;

export class SimulatedClock implements Clock {
  readonly #world: World;
  readonly #rate: number;
  #jumpedMs = 0;

  constructor(world: World, rate: number) {
    this.#world = world;
    this.#rate = rate;
  }

  now(): number {
    return wallMsAtStart + Math.floor(this.monotonic()) + this.#jumpedMs;
  }

  monotonic(): number {
    return (this.#world.now() * this.#rate) / 1_000;
  }

  after(delayMs: number, callback: () => void): () => void {
    // Never at once: a timer that is a rounding error early would be set again and again, and time would stand still.
    return this.#world.after(Math.max(1, Math.ceil((delayMs * 1_000) / this.#rate)), callback);
  }

  /** Moves the wall time forth or back. */
  jump(milliseconds: number): void {
    this.#jumpedMs += milliseconds;
  }
}
