/**
 * Requests that ask to leave HTTP. One between nodes is handed over; any other goes on as if it had not asked, which is
 * what HTTP wants of one who does not know the protocol asked for (RFC 9110 §7.8): curl asks for HTTP/2 like this.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { asksForPeerStream } from '../runtime/peer-handshake.ts';

export type AcceptPeer = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface Upgrades {
  readonly acceptPeer: AcceptPeer;
  /** The last answer that was begun on a connection. */
  readonly answerOn: (socket: Duplex) => ServerResponse | undefined;
}

export function attachUpgrades(server: Server, { acceptPeer, answerOn }: Upgrades): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (asksForPeerStream(request.headers.upgrade)) {
      acceptPeer(request, socket, head);
      return;
    }
    const earlier = answerOn(socket);
    if (earlier === undefined || earlier.writableFinished) {
      startOver(server, request, socket, head);
      return;
    }
    // The client did not wait for the answer before this one, which must be out first. Nobody else listens meanwhile.
    const onError = () => socket.destroy();
    socket.on('error', onError);
    earlier.once('finish', () => {
      socket.off('error', onError);
      startOver(server, request, socket, head);
    });
  });
}

/** Node has taken its parser off the connection: the request is put back without the header, and read once more. */
function startOver(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at] ?? '';
    if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${request.rawHeaders[at + 1]}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}
