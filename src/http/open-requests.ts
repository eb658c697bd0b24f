/** Which requests of a connection are still without their whole answer: clients may send the next before that. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface OpenRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export class OpenRequests {
  // Answered ones go when the next comes, which costs less than a listener for each.
  readonly #bySocket = new WeakMap<Socket, readonly OpenRequest[]>();

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#bySocket.set(socket, [...this.on(socket), { request, response }]);
  }

  /** The requests without their whole answer, in the order in which they came. */
  on(socket: Socket): readonly OpenRequest[] {
    const known = this.#bySocket.get(socket) ?? [];
    return known.filter(({ response }) => !response.writableFinished && !response.destroyed);
  }
}
