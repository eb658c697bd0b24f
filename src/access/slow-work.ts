/**
 * Hashing a password takes memory and a thread of the pool that the store needs too. So only a few run at once, a
 * bounded number waits, and the rest is refused: a flood of logins makes logins slow, not the node.
 *
 * Nor may a flood shut out the others. Who signed in from the same address before goes first, in a queue that strangers
 * cannot fill. Strangers take turns by address, and each address has few places; when all places are taken, the address
 * with the most gives one up for an address with fewer.
 *
 *   familiar     anna bela           → served first
 *   strangers    10.0.0.1 x1 x2 x3   → then one of each address in turn: x1 y1 x2 x3
 *                10.0.0.2 y1
 *
 * What is left out: a stranger from the very address that the flood comes from must be lucky, because nothing tells the
 * two apart without telling everybody which names exist.
 */

import { failure, type TercetError } from '../errors.ts';

export type Asker =
  | { readonly kind: 'familiar' }
  /** Never signed in from there under this name, as far as is known. */
  | { readonly kind: 'stranger'; readonly address: string };

export interface SlowWorkLimits {
  readonly runningMax: number;
  /** Of the familiar and of strangers each. */
  readonly waitingMax: number;
  readonly waitingPerAddressMax: number;
}

export interface SlowWork {
  /** @throws TercetError `too_many_requests` when too many wait already */
  run<T>(asker: Asker, work: () => Promise<T>): Promise<T>;
}

interface Waiter {
  start(): void;
  refuse(error: TercetError): void;
}

const retryAfterSeconds = 2;

export function boundedSlowWork({ runningMax, waitingMax, waitingPerAddressMax }: SlowWorkLimits): SlowWork {
  const familiar: Waiter[] = [];
  const strangers = openTurns({ waitingMax, waitingPerAddressMax });
  let running = 0;
  const line = (asker: Asker, waiter: Waiter) => {
    if (asker.kind === 'stranger') strangers.add(asker.address, waiter);
    else if (familiar.length < waitingMax) familiar.push(waiter);
    else waiter.refuse(tooMany());
  };
  return {
    async run(asker, work) {
      if (running < runningMax) running += 1;
      // Who finishes hands the place over, so `running` stays as it is.
      else await new Promise<void>((start, refuse) => line(asker, { start, refuse }));
      try {
        return await work();
      } finally {
        const next = familiar.shift() ?? strangers.next();
        if (next === undefined) running -= 1;
        else next.start();
      }
    },
  };
}

/** Waiting strangers, by address in the order of their turns. */
function openTurns({ waitingMax, waitingPerAddressMax }: Omit<SlowWorkLimits, 'runningMax'>) {
  const byAddress = new Map<string, Waiter[]>();
  let waiting = 0;
  /** Makes a place at the cost of an address that has more than `own`. */
  const makePlace = (own: number): boolean => {
    if (waiting < waitingMax) return true;
    const [longest] = [...byAddress.values()].sort((left, right) => right.length - left.length);
    if (longest === undefined || longest.length <= own + 1) return false;
    longest.pop()?.refuse(tooMany());
    waiting -= 1;
    return true;
  };
  return {
    add(address: string, waiter: Waiter): void {
      const queue = byAddress.get(address) ?? [];
      if (queue.length >= waitingPerAddressMax || !makePlace(queue.length)) {
        waiter.refuse(tooMany());
        return;
      }
      queue.push(waiter);
      byAddress.set(address, queue);
      waiting += 1;
    },
    next(): Waiter | undefined {
      const [turn] = byAddress;
      if (turn === undefined) return undefined;
      const [address, queue] = turn;
      byAddress.delete(address);
      const waiter = queue.shift();
      if (queue.length > 0) byAddress.set(address, queue);
      waiting -= 1;
      return waiter;
    },
  };
}

function tooMany(): TercetError {
  const reason = 'Too many logins at once; wait a moment and try again.';
  return failure('too_many_requests', reason, { retryAfterSeconds });
}
