/**
 * Reads one HTTP/1.1 response at a time from the chunks of a socket. It knows only what the two measured systems send
 * (Content-Length or chunked bodies, no trailers, no 1xx), because a complete client would be slower than the nodes it
 * measures.
 */

export interface Response {
  readonly status: number;
  readonly bodyBytes: number;
  /** Present when bodies are kept. */
  readonly body: string | undefined;
}

type State =
  | { kind: 'head' }
  | { kind: 'body'; remaining: number }
  | { kind: 'chunk_size' }
  | { kind: 'chunk'; remaining: number };

const nothing = Buffer.alloc(0);

export class ResponseReader {
  readonly #keepBody: boolean;
  #state: State = { kind: 'head' };
  /** Bytes of a head or chunk size that is not whole yet. */
  #rest: Buffer = nothing;
  #status = 0;
  #bodyBytes = 0;
  #pieces: Buffer[] = [];

  constructor(keepBody: boolean) {
    this.#keepBody = keepBody;
  }

  /** Takes the next bytes of the socket; gives the response once it is whole. */
  push(received: Buffer): Response | undefined {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, received]) : received;
    this.#rest = nothing;
    for (;;) {
      const state = this.#state;
      if (state.kind === 'body' || state.kind === 'chunk') {
        const taken = Math.min(state.remaining, bytes.length);
        this.#take(bytes, taken, state.kind === 'chunk');
        bytes = bytes.subarray(taken);
        state.remaining -= taken;
        if (state.remaining > 0) return undefined;
        if (state.kind === 'body') return this.#finish();
        this.#state = { kind: 'chunk_size' };
      } else {
        const ended = state.kind === 'head' ? this.#readHead(bytes) : this.#readChunkSize(bytes);
        if (ended === undefined) {
          this.#rest = bytes;
          return undefined;
        }
        if (ended === 'whole') return this.#finish();
        bytes = bytes.subarray(ended);
      }
    }
  }

  /** Bytes that the head took, or undefined while it is not whole. */
  #readHead(bytes: Buffer): number | undefined {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = bytes.toString('latin1', 0, end);
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length !== undefined) this.#state = { kind: 'body', remaining: Number(length) };
    else if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#state = { kind: 'chunk_size' };
    else throw new Error(`a response of unknown length:\n${head}`);
    return end + 4;
  }

  #readChunkSize(bytes: Buffer): number | 'whole' | undefined {
    const end = bytes.indexOf('\r\n');
    if (end < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', 0, end), 16);
    // The last chunk is empty, and an empty line follows it; a data chunk's own line end is counted with its data.
    if (size === 0) return bytes.length < end + 4 ? undefined : 'whole';
    this.#state = { kind: 'chunk', remaining: size + 2 };
    return end + 2;
  }

  #take(bytes: Buffer, length: number, isChunk: boolean): void {
    const remaining = this.#state.kind === 'chunk' ? this.#state.remaining : 0;
    const content = isChunk ? Math.max(0, Math.min(length, remaining - 2)) : length;
    this.#bodyBytes += content;
    if (this.#keepBody && content > 0) this.#pieces.push(Buffer.from(bytes.subarray(0, content)));
  }

  #finish(): Response {
    const body = this.#keepBody ? Buffer.concat(this.#pieces).toString('utf8') : undefined;
    const response = { status: this.#status, bodyBytes: this.#bodyBytes, body };
    this.#state = { kind: 'head' };
    this.#bodyBytes = 0;
    this.#pieces = [];
    return response;
  }
}
