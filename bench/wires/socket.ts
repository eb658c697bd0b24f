import { connect, type Socket } from 'node:net';
import type { Address } from '../http-connection.ts';

/** Finds whole answers in what has arrived: how many bytes the first takes, undefined while it is not whole. */
type Measure = (bytes: Buffer) => number | undefined;

/** A socket with one request on its way, for protocols whose answers tell where they end. */
export class AnsweringSocket {
  readonly #socket: Socket;
  readonly #measure: Measure;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve: (answer: Buffer) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, measure: Measure) {
    this.#socket = socket;
    this.#measure = measure;
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the other side closed the connection')));
  }

  static open({ host, port }: Address, measure: Measure): Promise<AnsweringSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new AnsweringSocket(socket, measure));
      });
    });
  }

  ask(request: Buffer | string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    const length = this.#measure(this.#received);
    if (length === undefined) return;
    const answer = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
