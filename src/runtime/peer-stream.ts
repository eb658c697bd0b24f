/**
 * One stream of frames over a socket that is already authenticated; the same at both ends.
 *
 * Outgoing: frames wait in a queue of ours and are handed to the socket once per turn of the event loop, all at once,
 * because a write per frame costs several times as much. While the socket has not taken the last batch, the queue grows, up
 * to a bound; what is still in it when the stream ends certainly did not arrive.
 *
 * Incoming: frames are given on one by one, in order. What cannot be understood ends the stream.
 *
 * Both ends beat. Silence is counted in beats of our own, not in time: a process that was stopped itself for a while does
 * not take its own absence for the peer's.
 */

import type { Socket } from 'node:net';
import { beatKind, type Frame, FrameReader, GarbageError, packFrames } from './peer-frames.ts';
import type { PeerLimits } from './peer-limits.ts';
import type { Clock } from './ports.ts';
import { atTurnEnd } from './turn-end.ts';

/** Charged for every waiting frame beside its body, so that empty ones are bounded too. */
const waitingFrameBytes = 128;

const beat: Frame = { kind: beatKind, id: 0, body: new Uint8Array(0) };

/** A frame on its way out; whoever queued it may look where it is. */
export interface Outgoing extends Frame {
  isHanded: boolean;
}

export interface PeerStreamOptions {
  readonly socket: Socket;
  readonly clock: Clock;
  readonly limits: PeerLimits;
  /** Throws GarbageError for what makes no sense; anything else it throws is a defect of ours. */
  readonly onFrame: (frame: Frame) => void;
  /** Called at every beat after the first: the stream has lasted. */
  readonly onSteady?: () => void;
  /** Called once, when the socket is closed. */
  readonly onClosed: (reason: string) => void;
  readonly onDefect: (error: unknown) => void;
}

export class PeerStream {
  readonly #options: PeerStreamOptions;
  readonly #reader: FrameReader;
  #queue: Outgoing[] = [];
  #queuedBytes = 0;
  #isFlushDue = false;
  #closing: 'no' | 'after_queue' | 'now' = 'no';
  #reason = 'the peer closed the connection';
  #hasHeard = true;
  #silentBeats = 0;
  #cancelBeat: () => void = () => {};
  #cancelGrace: () => void = () => {};

  constructor(options: PeerStreamOptions) {
    this.#options = options;
    this.#reader = new FrameReader(options.limits.frameBytesMax);
  }

  /** @param head what arrived together with the end of the handshake */
  start(head: Uint8Array): void {
    const { socket } = this.#options;
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.on('error', (error) => this.#setReason(error.message));
    if (socket.closed) queueMicrotask(() => this.#onSocketClosed());
    else socket.on('close', () => this.#onSocketClosed());
    socket.on('end', () => socket.destroy());
    socket.on('drain', () => this.#flush());
    socket.on('data', (chunk) => this.#read(chunk));
    if (head.length > 0) this.#read(head);
    this.#setBeat();
  }

  /** No word from the peer for half the time after which it is given up. */
  get isSilent(): boolean {
    return 2 * this.#silentBeats >= this.#options.limits.silentBeatsMax;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Undefined when the frame does not fit, or the stream is ending. The body must not be changed afterwards. */
  offer(frame: Frame): Outgoing | undefined {
    const cost = costOf(frame);
    const fits = this.#queuedBytes === 0 || this.#queuedBytes + cost <= this.#options.limits.queueBytesMax;
    return fits ? this.push(frame) : undefined;
  }

  /** As `offer`, without the bound: for answers, which are there anyway and whose number is bounded elsewhere. */
  push({ kind, id, body }: Frame): Outgoing | undefined {
    if (this.#closing !== 'no') return undefined;
    const outgoing: Outgoing = { kind, id, body, isHanded: false };
    this.#queue.push(outgoing);
    this.#queuedBytes += costOf(outgoing);
    if (!this.#options.socket.writableNeedDrain) this.#scheduleFlush();
    return outgoing;
  }

  /** Takes a frame back. False when it is on its way already. */
  withdraw(outgoing: Outgoing): boolean {
    const at = outgoing.isHanded ? -1 : this.#queue.indexOf(outgoing);
    if (at < 0) return false;
    this.#queue.splice(at, 1);
    this.#queuedBytes -= costOf(outgoing);
    return true;
  }

  /** Lets what is queued leave, for a moment, then closes. */
  end(reason: string): void {
    if (this.#closing !== 'no') return;
    this.#setReason(reason);
    this.#closing = 'after_queue';
    const { clock, limits } = this.#options;
    this.#cancelGrace = clock.after(limits.closeMsMax, () => this.destroy(reason));
    this.#flush();
  }

  destroy(reason: string): void {
    if (this.#closing === 'now') return;
    this.#setReason(reason);
    this.#closing = 'now';
    this.#options.socket.destroy();
  }

  /** The first reason is the one that matters. */
  #setReason(reason: string): void {
    if (this.#closing === 'no') this.#reason = reason;
  }

  #onSocketClosed(): void {
    this.#closing = 'now';
    this.#cancelBeat();
    this.#cancelGrace();
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#options.onClosed(this.#reason);
  }

  #read(chunk: Uint8Array): void {
    this.#hasHeard = true;
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (this.#closing === 'now') return;
        if (frame.kind !== beatKind) this.#options.onFrame(frame);
      }
    } catch (error) {
      if (!(error instanceof GarbageError)) this.#options.onDefect(error);
      this.destroy(
        error instanceof GarbageError ? `the peer sent ${error.message}` : 'a defect in this node',
      );
    }
  }

  #scheduleFlush(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    atTurnEnd(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDue = false;
    const { socket } = this.#options;
    if (this.#closing === 'now' || socket.writableNeedDrain) return;
    const batch = this.#takeBatch();
    socket.cork();
    for (const piece of packFrames(batch)) socket.write(piece);
    socket.uncork();
    if (this.#queue.length === 0) {
      if (this.#closing === 'after_queue') socket.end();
    } else if (!socket.writableNeedDrain) {
      this.#scheduleFlush();
    }
  }

  #takeBatch(): readonly Outgoing[] {
    let bytes = 0;
    const taken = this.#queue.findIndex((outgoing) => {
      const isFull = bytes >= this.#options.limits.flushBytesMax;
      bytes += outgoing.body.length;
      return isFull;
    });
    const batch = taken < 0 ? this.#queue : this.#queue.slice(0, taken);
    this.#queue = taken < 0 ? [] : this.#queue.slice(taken);
    for (const outgoing of batch) {
      outgoing.isHanded = true;
      this.#queuedBytes -= costOf(outgoing);
    }
    return batch;
  }

  #setBeat(): void {
    const { clock, limits } = this.#options;
    this.#beat();
    this.#cancelBeat = clock.after(limits.beatMs, () => {
      this.#silentBeats = this.#hasHeard ? 0 : this.#silentBeats + 1;
      this.#hasHeard = false;
      if (this.#silentBeats >= limits.silentBeatsMax) {
        return this.destroy(`no word from the peer for ${limits.beatMs * limits.silentBeatsMax} ms`);
      }
      this.#options.onSteady?.();
      this.#setBeat();
    });
  }

  /** Where something waits already, that speaks for us. */
  #beat(): void {
    if (this.#queue.length === 0 && !this.#options.socket.writableNeedDrain) this.push(beat);
  }
}

function costOf({ body }: Frame): number {
  return body.length + waitingFrameBytes;
}
