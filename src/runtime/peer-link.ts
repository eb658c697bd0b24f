/**
 * This node's own stream to one peer: dialled, kept up, dialled again.
 *
 * Each of two nodes dials the other and sends on the stream that it dialled; only answers come back on it. So there is
 * no question which of two streams counts when both dial at once, and a request's stream is also its answer's: when it
 * breaks, what was on it is known.
 *
 *   request   waiting in the queue ──────► handed to the socket ──────► answered
 *                │ withdrawn                  │ stream lost, or too late
 *                ▼                            ▼
 *             not_delivered                unknown
 */

import type { Log } from './log.ts';
import { type DialOutcome, dialPeer } from './peer-dial.ts';
import { answerKind, type Frame, failedKind, GarbageError, refusedKind } from './peer-frames.ts';
import type { PeerProver } from './peer-handshake.ts';
import type { PeerLimits } from './peer-limits.ts';
import { type Outgoing, PeerStream } from './peer-stream.ts';
import type { Clock, Random } from './ports.ts';

export type LinkState =
  | { readonly kind: 'connecting' }
  /** `sinceMs`: milliseconds since 1970. */
  | { readonly kind: 'up'; readonly sinceMs: number }
  /** `isRefused`: the peer answered, and will not have it; a person has to do something. */
  | { readonly kind: 'down'; readonly reason: string; readonly isRefused: boolean };

/** What became of a message as far as this node can know; a sent one may still be lost. */
export type SendOutcome = 'sent' | 'link_down' | 'queue_full' | 'too_large';

export type RequestFailure =
  | Exclude<SendOutcome, 'sent'>
  /** The peer did not begin it. */
  | 'refused'
  | 'failed_there'
  | 'timed_out'
  | 'link_lost';

export class PeerRequestError extends Error {
  readonly kind: RequestFailure;
  /** `not_delivered`: the peer certainly did not begin it. `unknown`: it may have been done, be on its way, or neither. */
  readonly delivery: 'not_delivered' | 'unknown';

  constructor(kind: RequestFailure, delivery: 'not_delivered' | 'unknown', detail: string) {
    super(detail);
    this.name = 'PeerRequestError';
    this.kind = kind;
    this.delivery = delivery;
  }
}

export interface PeerAddress {
  readonly name: string;
  /** `http://HOST:PORT`, without a slash at the end. */
  readonly url: string;
}

export interface PeerLinkOptions {
  readonly peer: PeerAddress;
  readonly self: string;
  readonly process: string;
  readonly cluster: string;
  readonly prover: PeerProver;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Log;
  readonly limits: PeerLimits;
  readonly onState: (state: LinkState) => void;
  readonly onDefect: (error: unknown) => void;
}

interface Pending {
  readonly stream: PeerStream;
  readonly outgoing: Outgoing;
  readonly cancelTimeout: () => void;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: PeerRequestError) => void;
}

const idMax = 0xffff_ffff;

export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #pending = new Map<number, Pending>();
  #state: LinkState = { kind: 'down', reason: 'not started', isRefused: false };
  #stream: PeerStream | undefined;
  #lastId = 0;
  #failures = 0;
  #loggedReason: string | undefined;
  /** Ends what the link is waiting for: a dial, or the time until the next. */
  #cancelWait: () => void = () => {};
  #isClosed = false;
  #whenClosed: () => void = () => {};

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  get url(): string {
    return this.#options.peer.url;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Dials now, unless it is doing so or connected: at the start, and when the peer was heard from. */
  wake(): void {
    if (this.#isClosed || this.#state.kind !== 'down') return;
    this.#cancelWait();
    const { peer, self, process, cluster, prover, clock, limits } = this.#options;
    this.#setState({ kind: 'connecting' });
    const invitation = { from: self, to: peer.name, cluster, process };
    this.#cancelWait = dialPeer(
      { url: peer.url, invitation, prover, clock, connectMsMax: limits.connectMsMax },
      (outcome) => this.#onDialled(outcome),
    );
  }

  send(kind: number, body: Uint8Array): SendOutcome {
    const outgoing = this.#offer({ kind, id: 0, body });
    return typeof outgoing === 'string' ? outgoing : 'sent';
  }

  request(kind: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const isFull = this.#pending.size >= this.#options.limits.requestsMax;
      const id = this.#nextId();
      const outgoing = isFull ? 'queue_full' : this.#offer({ kind, id, body });
      const stream = this.#stream;
      if (typeof outgoing === 'string' || stream === undefined) {
        const failed = typeof outgoing === 'string' ? outgoing : 'link_down';
        reject(new PeerRequestError(failed, 'not_delivered', `${this.#options.peer.name}: ${failed}`));
        return;
      }
      const cancelTimeout = this.#options.clock.after(timeoutMs, () => this.#fail(id, 'timed_out'));
      this.#pending.set(id, { stream, outgoing, cancelTimeout, resolve, reject });
    });
  }

  /** Lets what is queued leave, for a moment. Requests without an answer fail. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#cancelWait();
    const stream = this.#stream;
    if (stream === undefined) {
      this.#setState({ kind: 'down', reason: 'closed', isRefused: false });
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#whenClosed = resolve;
      stream.end('closed');
    });
  }

  #offer(frame: Frame): Outgoing | Exclude<SendOutcome, 'sent'> {
    if (frame.body.length > this.#options.limits.frameBytesMax) return 'too_large';
    if (this.#stream === undefined || this.#state.kind !== 'up' || this.#isClosed) return 'link_down';
    return this.#stream.offer(frame) ?? 'queue_full';
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % idMax) + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #onDialled(outcome: DialOutcome): void {
    if (outcome.kind === 'open') this.#onOpen(outcome);
    else this.#onDown(outcome.reason, outcome.kind === 'refused');
  }

  #onOpen({ socket, head }: Extract<DialOutcome, { kind: 'open' }>): void {
    const { clock, limits, log, peer, onDefect } = this.#options;
    const stream = new PeerStream({
      ...{ socket, clock, limits, onDefect },
      onFrame: (frame) => this.#onFrame(frame),
      onSteady: () => {
        this.#failures = 0;
      },
      onClosed: (reason) => this.#onStreamClosed(reason),
    });
    this.#stream = stream;
    this.#loggedReason = undefined;
    log.info({ peer: peer.name, url: peer.url }, 'linked to a peer');
    stream.start(head);
    this.#setState({ kind: 'up', sinceMs: clock.now() });
  }

  #onStreamClosed(reason: string): void {
    this.#stream = undefined;
    for (const id of [...this.#pending.keys()]) this.#fail(id, 'link_lost');
    this.#onDown(reason, false);
    this.#whenClosed();
  }

  #onDown(reason: string, isRefused: boolean): void {
    const { peer, clock, limits, log, random } = this.#options;
    if (!this.#isClosed) {
      // The same reason again and again is one line.
      if (reason !== this.#loggedReason)
        log[isRefused ? 'warn' : 'info']({ peer: peer.name, url: peer.url, reason }, 'no link to a peer');
      this.#loggedReason = reason;
      const delayMs = Math.min(limits.retryMsMin * 2 ** this.#failures, limits.retryMsMax);
      this.#failures += 1;
      // Half of it by chance, so that nodes that lost each other at once do not return at once.
      this.#cancelWait = clock.after(delayMs * (0.5 + random.next() / 2), () => this.wake());
    }
    this.#setState({ kind: 'down', reason, isRefused });
  }

  #onFrame({ kind, id, body }: Frame): void {
    if (kind !== answerKind && kind !== refusedKind && kind !== failedKind)
      throw new GarbageError(`a frame of kind ${kind}, which is no answer`);
    const pending = this.#pending.get(id);
    // An answer that came too late: whoever asked has been told.
    if (pending === undefined) return;
    if (kind === answerKind) {
      this.#forget(id, pending);
      pending.resolve(body);
    } else if (kind === refusedKind) {
      this.#fail(id, 'refused', Buffer.from(body).toString());
    } else {
      this.#fail(id, 'failed_there');
    }
  }

  #fail(id: number, kind: RequestFailure, detail: string = kind): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#forget(id, pending);
    const isHere = !pending.outgoing.isHanded;
    if (isHere) pending.stream.withdraw(pending.outgoing);
    const delivery = isHere || kind === 'refused' ? 'not_delivered' : 'unknown';
    pending.reject(new PeerRequestError(kind, delivery, `${this.#options.peer.name}: ${detail}`));
  }

  #forget(id: number, { cancelTimeout }: Pending): void {
    cancelTimeout();
    this.#pending.delete(id);
  }

  #setState(state: LinkState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
