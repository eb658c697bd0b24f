/**
 * The shape of a replication core: events in, effects out.
 *
 * A core never waits, looks at a clock, rolls dice or touches a disk. A driver tells it what happened, the core answers
 * what should happen next, and the driver does it. The same core therefore runs in production, in the simulator and in
 * a browser page, and the same events always give the same effects.
 *
 *     driver                                   core
 *     tick, received, persisted, request  ──►  step
 *     persist, send, apply, notices       ◄──  effects
 *
 * What the driver owes the core:
 * 1. One event at a time, and the effects of one step begin, in list order, before the next event.
 * 2. `persist` effects become durable in the order of their tickets, each as a whole or not at all. `persisted` with a
 *    ticket says that this one and all before it are durable. The work itself may go on while other events come.
 * 3. `send` may leave at once, may be lost, repeated and overtaken. Whatever must not be said before the disk has it
 *    is held back inside the core until `persisted` says so: a driver cannot get "persist before send" wrong.
 * 4. `apply` is done in order, and its result becomes durable after every `persist` that came before it.
 * 5. Ticks count monotonic time, not calls: before any other event the driver tells the tick that is due. A process
 *    that slept for ten seconds learns this before it answers anything. Several ticks may be told as one.
 * 6. After a failed `persist` the driver stops this core: nobody knows what its disk holds. It starts a new one from
 *    what it reads there.
 */

declare const nodeIdBrand: unique symbol;

/**
 * Names one replica's disk, not a machine: a node whose disk was wiped comes back under another id, so that it cannot
 * vote as who it was.
 */
export type NodeId = string & { readonly [nodeIdBrand]: true };

export interface Tick {
  readonly kind: 'tick';
  /** Ticks of monotonic time since any fixed moment; never less than before. */
  readonly now: number;
  /**
   * How many of the ticks since the last one passed without this process doing anything, as after a pause or under load:
   * it heard nobody in them, which says nothing about others. Undefined: 0.
   */
  readonly missed?: number;
  /** Uniform in [0, 1), fresh with every tick: the core's only source of chance. */
  readonly random: number;
}

/** What happens to a core. `Request` is what the node around it asks for. */
export type CoreEvent<Message, Request> =
  | Tick
  | { readonly kind: 'received'; readonly from: NodeId; readonly message: Message }
  | { readonly kind: 'persisted'; readonly ticket: number }
  | Request;

/** What a core wants done. `Notice` is what it has to tell the node around it. */
export type CoreEffect<Message, Write, Entry, Notice> =
  | { readonly kind: 'persist'; readonly ticket: number; readonly write: Write }
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: Message }
  /** These entries cannot be lost any more: make them visible. They follow on those of the effect before. */
  | { readonly kind: 'apply'; readonly entries: readonly Entry[] }
  | Notice;

/** A core as a driver holds it. */
export interface Core<Event, Effect> {
  step(event: Event): readonly Effect[];
  /** Throws when the core broke a rule of its own. */
  checkInvariants(): void;
}
