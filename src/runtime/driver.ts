/**
 * The driver of a replication core: it makes what the core wants happen, and tells the core what happened.
 *
 *     event ──► core.step ──► persist   one batch on its way to the disk, the rest gathers for the next
 *                             send      at once
 *                             apply     once everything persisted before it is durable, one after the other
 *                             notice    at once, to the node around it: the reply
 *
 * It decides nothing about the protocol, and reaches the world through ports only, so the simulator runs this file as it is.
 * It keeps what src/replication/strategy.ts says a driver owes its core; the numbers below are those of that list.
 *
 * There are no promises in it. Ports call back, each in a later event than the call, so the order of what happens is the
 * order in which the ports call, and nothing else.
 *
 * Left out: what a write, an entry or a notice is. Bytes on the disk are driver-log.ts's part.
 */

import { assert } from '../errors.ts';
import type { Core, CoreEffect, CoreEvent, NodeId } from '../replication/strategy.ts';
import type { Clock, Random } from './ports.ts';

/** `error` is undefined when everything became durable. */
export type Settled = (error: Error | undefined) => void;

export interface DriverPorts<Message, Write, Entry, Notice> {
  readonly clock: Clock;
  readonly random: Random;
  readonly send: (to: NodeId, message: Message) => void;
  /** Makes all of it durable in this order, as one batch. Is not called again before it has settled. */
  readonly persist: (writes: readonly Write[], settled: Settled) => void;
  /** Makes entries visible, durably. Is not called again before it has settled. */
  readonly apply: (entries: readonly Entry[], settled: Settled) => void;
  /** Called in the order of the effects, before the ports are called for those that follow it. */
  readonly notice: (notice: Notice) => void;
  /** The disk failed, so the driver has stopped: what the disk holds is to be read again by a new core. */
  readonly failed: (error: Error) => void;
}

export interface DriverOptions<Message, Request, Write, Entry, Notice> {
  readonly core: Core<CoreEvent<Message, Request>, CoreEffect<Message, Write, Entry, Notice>>;
  readonly ports: DriverPorts<Message, Write, Entry, Notice>;
  /** Milliseconds of monotonic time in one tick of the core. */
  readonly tickMs: number;
}

interface Told<Event, Write> {
  readonly event: Event;
  readonly write: Write | undefined;
}

interface Applying<Entry> {
  /** How many writes there were before these entries: applied state must not be durable before them (4). */
  readonly afterWrites: number;
  readonly entries: readonly Entry[];
}

type OwnEffect<Message, Write, Entry> = CoreEffect<Message, Write, Entry, never>;

export class Driver<
  Message,
  Request extends { readonly kind: string },
  Write,
  Entry,
  Notice extends { readonly kind: string },
> {
  readonly #core: DriverOptions<Message, Request, Write, Entry, Notice>['core'];
  readonly #ports: DriverPorts<Message, Write, Entry, Notice>;
  readonly #tickMs: number;
  #events: Told<CoreEvent<Message, Request>, Write>[] = [];
  #isStepping = false;
  #isStopped = false;
  #tick = -1;
  #cancelTimer: () => void = () => {};
  #writes: Write[] = [];
  #isPersistBusy = false;
  #writesQueued = 0;
  #writesDurable = 0;
  #lastTicket = 0;
  #applying: Applying<Entry>[] = [];
  #isApplyBusy = false;

  constructor({ core, ports, tickMs }: DriverOptions<Message, Request, Write, Entry, Notice>) {
    this.#core = core;
    this.#ports = ports;
    this.#tickMs = tickMs;
  }

  /** Begins to tick. */
  start(): void {
    this.#drain();
    this.#setTimer();
  }

  /** Ends at once: no port is called any more, and what still settles is ignored. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
    this.#events = [];
  }

  /** Tells the core that a peer said something. */
  receive(from: NodeId, message: Message): void {
    this.#tell({ kind: 'received', from, message });
  }

  /**
   * Asks the core for something; its answers are notices. A `write` of the node's own becomes durable in one batch with
   * what the core wants written for this request, if anything, and before all that comes later.
   */
  request(request: Request, write?: Write): void {
    this.#tell(request, write);
  }

  #tell(event: CoreEvent<Message, Request>, write?: Write): void {
    if (this.#isStopped) return;
    this.#events.push({ event, write });
    // A port that is called during a step may tell something: it waits for the step's end (1).
    if (!this.#isStepping) this.#drain();
  }

  #drain(): void {
    this.#isStepping = true;
    let isWhole = false;
    try {
      do {
        this.#stepDueTick();
        const told = this.#events.shift();
        if (told !== undefined) this.#step(told.event, told.write);
      } while (this.#events.length > 0);
      isWhole = true;
    } finally {
      this.#isStepping = false;
      // A core that threw broke an invariant: it must not say another word.
      if (!isWhole) this.stop();
    }
  }

  /** Time that passed comes first (5): a process that was stopped must know before it answers anything. */
  #stepDueTick(): void {
    const tick = this.#dueTick();
    if (tick <= this.#tick) return;
    // The timer tells every tick, so those between were not lived through.
    const missed = this.#tick < 0 ? 0 : tick - this.#tick - 1;
    this.#tick = tick;
    this.#step({ kind: 'tick', now: tick, missed, random: this.#ports.random.next() });
  }

  #dueTick(): number {
    return Math.floor(this.#ports.clock.monotonic() / this.#tickMs);
  }

  #setTimer(): void {
    if (this.#isStopped) return;
    const nextAt = (this.#dueTick() + 1) * this.#tickMs;
    const delayMs = Math.max(nextAt - this.#ports.clock.monotonic(), 0);
    this.#cancelTimer = this.#ports.clock.after(delayMs, () => {
      this.#drain();
      this.#setTimer();
    });
  }

  #step(event: CoreEvent<Message, Request>, write?: Write): void {
    if (write !== undefined) this.#queue(write);
    for (const effect of this.#core.step(event)) {
      if (this.#isStopped) return;
      this.#begin(effect);
    }
    this.#persistNext();
    this.#applyNext();
  }

  #begin(effect: CoreEffect<Message, Write, Entry, Notice>): void {
    if (!isOwn<Message, Write, Entry, Notice>(effect)) {
      this.#ports.notice(effect);
      return;
    }
    switch (effect.kind) {
      case 'send':
        this.#ports.send(effect.to, effect.message);
        return;
      case 'persist':
        assert(effect.ticket > this.#lastTicket, 'tickets grow');
        this.#lastTicket = effect.ticket;
        this.#queue(effect.write);
        return;
      case 'apply':
        this.#applying.push({ afterWrites: this.#writesQueued, entries: effect.entries });
        return;
    }
  }

  #queue(write: Write): void {
    this.#writes.push(write);
    this.#writesQueued += 1;
  }

  /**
   * One batch at a time (2). Were the next handed over before the last is known to be durable, the disk might refuse the
   * first and take the second, and the log would have a hole.
   */
  #persistNext(): void {
    if (this.#isPersistBusy || this.#isStopped || this.#writes.length === 0) return;
    const writes = this.#writes;
    const [queued, ticket] = [this.#writesQueued, this.#lastTicket];
    this.#writes = [];
    this.#isPersistBusy = true;
    this.#ports.persist(writes, (error) => {
      if (this.#isStopped) return;
      if (error !== undefined) return this.#fail(error);
      this.#isPersistBusy = false;
      this.#writesDurable = queued;
      this.#tell({ kind: 'persisted', ticket });
    });
  }

  #applyNext(): void {
    const firstEarly = this.#applying.findIndex(({ afterWrites }) => afterWrites > this.#writesDurable);
    const count = firstEarly < 0 ? this.#applying.length : firstEarly;
    if (this.#isApplyBusy || this.#isStopped || count === 0) return;
    const entries: Entry[] = [];
    for (const applying of this.#applying.splice(0, count)) {
      for (const entry of applying.entries) entries.push(entry);
    }
    this.#isApplyBusy = true;
    this.#ports.apply(entries, (error) => {
      if (this.#isStopped) return;
      if (error !== undefined) return this.#fail(error);
      this.#isApplyBusy = false;
      this.#applyNext();
    });
  }

  /** (6) */
  #fail(error: Error): void {
    this.stop();
    this.#ports.failed(error);
  }
}

function isOwn<Message, Write, Entry, Notice extends { readonly kind: string }>(
  effect: CoreEffect<Message, Write, Entry, Notice>,
): effect is OwnEffect<Message, Write, Entry> {
  return effect.kind === 'send' || effect.kind === 'persist' || effect.kind === 'apply';
}
