/**
 * How many bytes of request bodies a node may hold in memory at once, all requests together.
 *
 * Each body has a limit of its own, but a few dozen unfinished ones would still be more than the node has. When there is
 * no room left, the body whose sender has been silent for longest makes room: those who open many and send nothing are
 * refused before those who send. Small bodies are left out; connectionsMax bounds them.
 */

import { failure, type TercetError } from '../errors.ts';

/** Up to this a body is not counted: most requests, and no more than the buffers of their sockets. */
const smallBytesMax = 16_384;
const retryAfterSeconds = 1;

/** What one request holds. */
export interface BodyShare {
  /** Says how many bytes there are by now. Calls `giveUp` of whoever has to make room, perhaps of this share itself. */
  holds(bytes: number): void;
  /** The body is complete: nobody can take its room any more. */
  complete(): void;
  release(): void;
}

interface Holding {
  bytes: number;
  readonly giveUp: (error: TercetError) => void;
}

export class BodyMemory {
  readonly #bytesMax: number;
  #bytes = 0;
  /** Bodies on their way in; those that brought nothing for longest come first. */
  readonly #arriving = new Set<Holding>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param giveUp ends the reading of this body; its share is gone then */
  share(giveUp: (error: TercetError) => void): BodyShare {
    const holding: Holding = { bytes: 0, giveUp };
    return {
      holds: (bytes) => {
        if (bytes <= smallBytesMax) return;
        this.#arriving.delete(holding);
        this.#arriving.add(holding);
        this.#hold(holding, bytes);
        this.#makeRoom();
      },
      complete: () => this.#arriving.delete(holding),
      release: () => this.#release(holding),
    };
  }

  /** Counts bytes that are there at once. @throws TercetError `service_unavailable` */
  take(bytes: number): BodyShare {
    let refused: TercetError | undefined;
    const share = this.share((error) => {
      refused = error;
    });
    share.holds(bytes);
    share.complete();
    if (refused !== undefined) throw refused;
    return share;
  }

  #hold(holding: Holding, bytes: number): void {
    this.#bytes += bytes - holding.bytes;
    holding.bytes = bytes;
  }

  #makeRoom(): void {
    for (const silent of this.#arriving) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#release(silent);
      silent.giveUp(noRoom());
    }
  }

  #release(holding: Holding): void {
    this.#arriving.delete(holding);
    this.#hold(holding, 0);
  }
}

function noRoom(): TercetError {
  const reason = 'The node is busy with other large requests. Nothing was written; try again.';
  return failure('service_unavailable', reason, { retryAfterSeconds });
}
