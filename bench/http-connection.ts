import { connect, type Socket } from 'node:net';
import { type Response, ResponseReader } from './response-reader.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** One kept-alive connection with at most one request on its way. */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #reader: ResponseReader;
  #waiting: { resolve: (response: Response) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, keepBodies: boolean) {
    this.#socket = socket;
    this.#reader = new ResponseReader(keepBodies);
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the other side closed the connection')));
  }

  static open({ host, port }: Address, keepBodies = false): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new HttpConnection(socket, keepBodies));
      });
    });
  }

  /** Sends a whole request; rejects when the connection ends before the whole response is there. */
  send(request: string): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request, 'utf8');
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    try {
      const response = this.#reader.push(bytes);
      if (response === undefined) return;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve(response);
    } catch (error) {
      this.#fail(error as Error);
      this.#socket.destroy();
    }
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** The bytes of a request as a string; the body must be ASCII, so that its length in characters is that in bytes. */
export function requestText(method: string, path: string, body?: string): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n`;
  if (body === undefined) return `${head}\r\n`;
  return `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
