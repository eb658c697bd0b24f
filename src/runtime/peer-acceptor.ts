/**
 * The other end of the peers' links: accepts their streams, gives their messages on, serves their requests.
 *
 * A peer has one stream; a second one that it dials replaces the first, which it must have lost. So messages of an old
 * stream never come after those of a new one. Another process of its name is refused as long as the first is heard.
 */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Log } from './log.ts';
import {
  answerKind,
  callerKindMax,
  type Frame,
  failedKind,
  GarbageError,
  refusedKind,
} from './peer-frames.ts';
import {
  acceptanceHead,
  answerToProve,
  type Judgement,
  judge,
  type PeerProver,
  proofHeader,
  refusalAnswer,
} from './peer-handshake.ts';
import type { PeerLimits } from './peer-limits.ts';
import { PeerStream } from './peer-stream.ts';
import type { Clock } from './ports.ts';

/** Thrown by a handler that did not begin the request: the peer learns that it certainly did not happen. */
export class PeerRefusal extends Error {
  override readonly name = 'PeerRefusal';
}

export type MessageHandler = (from: string, kind: number, bytes: Uint8Array) => void;
export type RequestHandler = (
  from: string,
  kind: number,
  bytes: Uint8Array,
) => Uint8Array | Promise<Uint8Array>;

export interface PeerAcceptorOptions {
  readonly self: string;
  readonly cluster: string;
  readonly prover: PeerProver;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: PeerLimits;
  readonly isPeer: (name: string) => boolean;
  readonly onMessage: MessageHandler;
  readonly onRequest: RequestHandler;
  /** The peer is there: it has just opened a stream. */
  readonly onHeard: (peer: string) => void;
  readonly onDefect: (error: unknown) => void;
}

interface Accepted {
  readonly peer: string;
  readonly process: string;
  readonly address: string;
  readonly stream: PeerStream;
  readonly closed: Promise<void>;
  requests: number;
  requestBytes: number;
}

export class PeerAcceptor {
  readonly #options: PeerAcceptorOptions;
  readonly #accepted = new Map<string, Accepted>();
  #loggedRefusal = '';
  #isClosed = false;

  constructor(options: PeerAcceptorOptions) {
    this.#options = options;
  }

  accept(request: IncomingMessage, socket: Socket, head: Uint8Array): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const { method = '', url: target = '', headers } = request;
    const proof = headers[proofHeader];
    const judgement = judge(
      { method, target, upgrade: headers.upgrade, proof: typeof proof === 'string' ? proof : undefined },
      { ...this.#options, otherCalled: (name, process) => this.#otherCalled(name, process) },
    );
    if (judgement.kind === 'refused') this.#refuse(socket, judgement);
    else this.#welcome(judgement, socket, head);
  }

  drop(peer: string): void {
    this.#accepted.get(peer)?.stream.end('no peer any more');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#accepted.values()];
    for (const { stream } of all) stream.end('closed');
    await Promise.all(all.map(({ closed }) => closed));
  }

  #otherCalled(name: string, process: string): string | undefined {
    const present = this.#accepted.get(name);
    if (present === undefined || process === '' || present.process === '') return undefined;
    return present.process === process || present.stream.isSilent ? undefined : present.address;
  }

  #refuse(socket: Socket, judgement: Extract<Judgement, { kind: 'refused' }>): void {
    const { clock, limits, log } = this.#options;
    const line = `${socket.remoteAddress} ${judgement.reason}`;
    // One line for one who keeps trying, and no memory for those who come once.
    if (line !== this.#loggedRefusal)
      log.warn({ address: socket.remoteAddress, reason: judgement.reason }, 'refused a peer');
    this.#loggedRefusal = line;
    socket.on('error', () => socket.destroy());
    socket.resume();
    const cancel = clock.after(limits.closeMsMax, () => socket.destroy());
    socket.on('close', cancel);
    socket.end(refusalAnswer(judgement));
  }

  #welcome(
    { peer, process, version, proof }: Extract<Judgement, { kind: 'accepted' }>,
    socket: Socket,
    head: Uint8Array,
  ): void {
    this.#accepted.get(peer)?.stream.destroy('replaced by a newer stream');
    socket.write(acceptanceHead(version, this.#options.prover.prove(answerToProve(proof))));
    this.#open({ peer, process }, socket, head);
    this.#options.onHeard(peer);
  }

  #open({ peer, process }: Pick<Accepted, 'peer' | 'process'>, socket: Socket, head: Uint8Array): void {
    const { clock, limits, onDefect } = this.#options;
    const { promise: closed, resolve } = withResolver();
    const stream = new PeerStream({
      ...{ socket, clock, limits, onDefect },
      onFrame: (frame) => this.#onFrame(accepted, frame),
      onClosed: (reason) => {
        if (this.#accepted.get(peer) === accepted) this.#accepted.delete(peer);
        this.#options.log.info({ peer, reason }, 'the stream of a peer ended');
        resolve();
      },
    });
    const address = socket.remoteAddress ?? 'an address that is not known';
    const accepted: Accepted = { peer, process, address, stream, closed, requests: 0, requestBytes: 0 };
    this.#accepted.set(peer, accepted);
    stream.start(head);
  }

  #onFrame(accepted: Accepted, { kind, id, body }: Frame): void {
    if (kind === 0 || kind > callerKindMax)
      throw new GarbageError(`a frame of kind ${kind}, which nobody asked for`);
    if (id === 0) this.#options.onMessage(accepted.peer, kind, body);
    else this.#serve(accepted, { kind, id, body });
  }

  #serve(accepted: Accepted, { kind, id, body }: Frame): void {
    const { limits, onRequest } = this.#options;
    const { peer, stream } = accepted;
    const held = accepted.requestBytes + stream.queuedBytes;
    const isFull =
      accepted.requests >= limits.requestsMax || (held > 0 && held + body.length > limits.servingBytesMax);
    if (isFull) {
      this.#answerRefused(stream, id, 'it has too much to do for this peer already');
      return;
    }
    accepted.requests += 1;
    accepted.requestBytes += body.length;
    new Promise<Uint8Array>((resolve) => resolve(onRequest(peer, kind, body)))
      .finally(() => {
        accepted.requests -= 1;
        accepted.requestBytes -= body.length;
      })
      .then(
        (answer) => this.#answer(stream, id, answer),
        (error: unknown) => this.#answerError(stream, id, error),
      );
  }

  #answer(stream: PeerStream, id: number, body: Uint8Array): void {
    if (body.length <= this.#options.limits.frameBytesMax) stream.push({ kind: answerKind, id, body });
    else this.#answerError(stream, id, new Error(`an answer of ${body.length} bytes to a peer is too large`));
  }

  #answerError(stream: PeerStream, id: number, error: unknown): void {
    if (error instanceof PeerRefusal) {
      this.#answerRefused(stream, id, error.message);
      return;
    }
    this.#options.onDefect(error);
    stream.push({ kind: failedKind, id, body: new Uint8Array(0) });
  }

  #answerRefused(stream: PeerStream, id: number, reason: string): void {
    if (stream.offer({ kind: refusedKind, id, body: Buffer.from(reason) }) === undefined)
      stream.destroy('the peer does not read its answers');
  }
}

function withResolver(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
