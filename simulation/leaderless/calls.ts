/** Questions of a simulated node to its peers, and their answers. Patience is the caller's: a reply may never come. */

import type { PeerMessage, PeerReply, PeerRequest } from './messages.ts';

export interface CallsOptions {
  /** Different for every life of a process, so that answers to an earlier one are not taken for a later one's. */
  readonly life: string;
  readonly send: (to: string, message: PeerMessage) => void;
  /** Others are not asked, and what they answer late does not count. */
  readonly isMember: (node: string) => boolean;
  readonly after: (delayMs: number, run: () => void) => () => void;
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #open = new Map<string, { readonly to: string; readonly onReply: (reply: PeerReply) => void }>();
  #last = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  ask(to: string, request: PeerRequest, onReply: (reply: PeerReply) => void): void {
    const { after, isMember, send } = this.#options;
    if (!isMember(to)) {
      after(0, () => onReply({ kind: 'refused' }));
      return;
    }
    this.#last += 1;
    const call = `${this.#options.life}.${this.#last}`;
    this.#open.set(call, { to, onReply });
    send(to, { kind: 'request', call, request });
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
    const asked = this.#open.get(call);
    if (asked === undefined) return;
    this.#open.delete(call);
    asked.onReply(this.#options.isMember(asked.to) ? reply : { kind: 'unconfirmed' });
  }
}
