/** Questions of a simulated node to its peers, and their answers. Patience is the caller's: a reply may never come. */

import type { PeerMessage, PeerReply, PeerRequest } from './messages.ts';

export interface CallsOptions {
  /** Different for every life of a process, so that answers to an earlier one are not taken for a later one's. */
  readonly life: string;
  readonly send: (to: string, message: PeerMessage) => void;
  readonly after: (delayMs: number, run: () => void) => () => void;
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #open = new Map<string, (reply: PeerReply) => void>();
  #last = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  ask(to: string, request: PeerRequest, onReply: (reply: PeerReply) => void): void {
    this.#last += 1;
    const call = `${this.#options.life}.${this.#last}`;
    this.#open.set(call, onReply);
    this.#options.send(to, { kind: 'request', call, request });
  }

  /** As {@link ask}; undefined when no reply came in time. */
  askWithin(
    timeoutMs: number,
    to: string,
    request: PeerRequest,
    onReply: (reply: PeerReply | undefined) => void,
  ): void {
    let isOver = false;
    const finish = (reply: PeerReply | undefined) => {
      if (isOver) return;
      isOver = true;
      cancel();
      onReply(reply);
    };
    const cancel = this.#options.after(timeoutMs, () => finish(undefined));
    this.ask(to, request, finish);
  }

  replied(call: string, reply: PeerReply): void {
    this.#open.get(call)?.(reply);
    this.#open.delete(call);
  }
}
