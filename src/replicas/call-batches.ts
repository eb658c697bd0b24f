/**
 * What several requests of one moment ask of one peer, in one frame: a frame costs the same for one document as for a
 * hundred, and so does waiting for its answer.
 *
 *   PUT a ─┐
 *   PUT b ─┼─► [a b c] ─► n2 ─► [kept, kept, lacks_path] ─► each is told its part
 *   PUT c ─┘
 *
 * Where many ask small questions, frames become fewer still: while `framesMax` of them are on their way to a peer, further
 * questions wait for the next answer, and leave together. Who asks alone waits for nobody.
 *
 * Nobody waits for a promise of their own: whoever asks is called back with the answers to what it asked, in order.
 */

import { GarbageError } from '../runtime/peer-frames.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import { atTurnEnd } from '../runtime/turn-end.ts';

/** A question that went unanswered. `not_delivered`: the peer certainly did not begin it. */
export interface Unanswered {
  readonly delivery: 'not_delivered' | 'unknown';
  readonly reason: string;
}

export type Reply<Answer> =
  | { readonly kind: 'answered'; readonly answers: readonly Answer[]; readonly elapsedMs: number }
  | ({ readonly kind: 'unanswered' } & Unanswered);

export interface CallBatchesOptions<Item, Answer> {
  /** Rejects with PeerRequestError; gives as many answers as there are items. */
  readonly send: (peer: string, items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly bytesOf: (item: Item) => number;
  /**
   * When the questions of one moment are complete: at the end of the callback that asks, or of the event loop's turn, in
   * which other connections may ask too.
   */
  readonly gather: 'callback' | 'turn';
  /** Frames on their way to one peer at a time, where a peer answers one after the other anyway; no bound if left out. */
  readonly framesMax?: number;
  readonly now: () => number;
  /** Told of every answer, and of every question without one. */
  readonly onReply: (peer: string, reply: 'answered' | 'unanswered', elapsedMs: number) => void;
  readonly onDefect: (error: unknown) => void;
}

interface Waiting<Item, Answer> {
  readonly items: readonly Item[];
  readonly done: (reply: Reply<Answer>) => void;
}

const frameBytes = 1_000_000;
const frameItemsMax = 1_024;

export class CallBatches<Item, Answer> {
  readonly #options: CallBatchesOptions<Item, Answer>;
  readonly #waiting = new Map<string, Waiting<Item, Answer>[]>();
  /** Frames that are not answered yet, by peer. */
  readonly #underWay = new Map<string, number>();
  #isFlushDue = false;

  constructor(options: CallBatchesOptions<Item, Answer>) {
    this.#options = options;
  }

  /** `done` is called once, never before this returns. */
  ask(peer: string, items: readonly Item[], done: (reply: Reply<Answer>) => void): void {
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      const flush = () => this.#flush();
      if (this.#options.gather === 'callback') queueMicrotask(flush);
      else atTurnEnd(flush);
    }
    const queue = this.#waiting.get(peer);
    if (queue === undefined) this.#waiting.set(peer, [{ items, done }]);
    else queue.push({ items, done });
  }

  #flush(): void {
    this.#isFlushDue = false;
    for (const peer of [...this.#waiting.keys()]) this.#leave(peer);
  }

  /** Sends what waits for a peer, unless enough is on its way there. */
  #leave(peer: string): void {
    const { framesMax = Number.POSITIVE_INFINITY } = this.#options;
    const queue = this.#waiting.get(peer);
    if (queue === undefined || (this.#underWay.get(peer) ?? 0) >= framesMax) return;
    this.#waiting.delete(peer);
    for (const frame of this.#inFrames(queue)) void this.#send(peer, frame);
  }

  /** The items of one question stay together. */
  #inFrames(queue: readonly Waiting<Item, Answer>[]): Waiting<Item, Answer>[][] {
    const frames: Waiting<Item, Answer>[][] = [];
    let bytes = 0;
    let count = 0;
    for (const waiting of queue) {
      const current = frames.at(-1);
      if (current === undefined || bytes >= frameBytes || count >= frameItemsMax) {
        frames.push([waiting]);
        bytes = 0;
        count = 0;
      } else current.push(waiting);
      count += waiting.items.length;
      for (const item of waiting.items) bytes += this.#options.bytesOf(item);
    }
    return frames;
  }

  async #send(peer: string, frame: readonly Waiting<Item, Answer>[]): Promise<void> {
    const items: Item[] = [];
    for (const { items: own } of frame) for (const item of own) items.push(item);
    this.#underWay.set(peer, (this.#underWay.get(peer) ?? 0) + 1);
    const reply = await this.#replyTo(peer, items);
    this.#underWay.set(peer, this.#underWay.get(peer)! - 1);
    this.#leave(peer);
    let at = 0;
    for (const { done, items: own } of frame) {
      if (reply.kind === 'unanswered') done(reply);
      else {
        const answers = reply.answers.slice(at, at + own.length);
        done({ kind: 'answered', answers, elapsedMs: reply.elapsedMs });
      }
      at += own.length;
    }
  }

  async #replyTo(peer: string, items: readonly Item[]): Promise<Reply<Answer>> {
    const { now, onReply, onDefect, send } = this.#options;
    const beganMs = now();
    try {
      const answers = await send(peer, items);
      const elapsedMs = now() - beganMs;
      if (answers.length !== items.length) throw new GarbageError('an answer to other questions');
      onReply(peer, 'answered', elapsedMs);
      return { kind: 'answered', answers, elapsedMs };
    } catch (error) {
      if (!(error instanceof PeerRequestError)) onDefect(error);
      onReply(peer, 'unanswered', now() - beganMs);
      const delivery = error instanceof PeerRequestError ? error.delivery : 'unknown';
      return { kind: 'unanswered', delivery, reason: String(error) };
    }
  }
}
