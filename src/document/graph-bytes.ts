/** The alphabet of graph-codec.ts: bytes, whole numbers in groups of seven bits (low first), digests. */

import { assert } from '../errors.ts';
import { parseRevision, type Revision } from './revision.ts';

/** What a disk gave is not what was written to it. */
export class DamagedGraphError extends Error {
  constructor(detail: string) {
    super(`damaged revision graph: ${detail}`);
    this.name = 'DamagedGraphError';
  }
}

const hexDigits = '0123456789abcdef';
const dash = 45;
const notHex = 255;
/** Value of a lowercase hex digit by its character code. */
const hexValues = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = hexDigits.indexOf(String.fromCharCode(code));
  return value < 0 ? notHex : value;
});
const hexCodes = Uint8Array.from(hexDigits, (digit) => digit.charCodeAt(0));
const latin1 = new TextDecoder('latin1');

/** Most graphs are small, and what is written is copied out: they share one place to be written in. */
const scratch = new Uint8Array(4_096);

export class ByteWriter {
  readonly #bytes: Uint8Array;
  #length = 0;

  /** One writer at a time: the next one may write over it. */
  constructor(bytesMax: number) {
    this.#bytes = bytesMax <= scratch.length ? scratch : new Uint8Array(bytesMax);
  }

  /** Where the next byte goes. */
  get place(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  /** Adds bits to a byte that was written before. */
  addBits(place: number, bits: number): void {
    this.#bytes[place]! |= bits;
  }

  /** A whole number from 0 to 2^53; one byte below 128. */
  number(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  /** ASCII text with its length. */
  text(value: string): void {
    this.number(value.length);
    for (let i = 0; i < value.length; i++) this.byte(value.charCodeAt(i));
  }

  /** The rest of `text` from `from` on as 16 bytes; false, and nothing written, unless it is 32 lowercase hex digits. */
  tryHex(text: string, from: number): boolean {
    if (text.length !== from + 32) return false;
    const bytes = this.#bytes;
    let place = this.#length;
    for (let i = from; i < text.length; i += 2) {
      const high = hexValues[text.charCodeAt(i)]!;
      const low = hexValues[text.charCodeAt(i + 1)]!;
      if (high === notHex || low === notHex) return false;
      bytes[place++] = (high << 4) | low;
    }
    this.#length = place;
    return true;
  }

  /** A copy of exactly what was written. */
  written(): Uint8Array {
    assert(this.#length <= this.#bytes.length, 'a graph takes no more bytes than reckoned');
    return this.#bytes.slice(0, this.#length);
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#offset++];
    if (value === undefined) throw new DamagedGraphError('bytes end too early');
    return value;
  }

  number(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
    throw new DamagedGraphError('a number too long');
  }

  /** A revision that was written as text. */
  revision(): Revision {
    const text = latin1.decode(this.take(this.number()));
    const revision = parseRevision(text);
    if (revision === undefined) throw new DamagedGraphError('a revision that is none');
    return revision;
  }

  take(bytes: number): Uint8Array {
    this.#offset += bytes;
    if (this.#offset > this.#bytes.length) throw new DamagedGraphError('bytes end too early');
    return this.#bytes.subarray(this.#offset - bytes, this.#offset);
  }

  /** Puts the next 16 bytes into `texts` as hex digits. */
  hexInto(texts: RevisionTexts): void {
    const end = this.#offset + 16;
    if (end > this.#bytes.length) throw new DamagedGraphError('bytes end too early');
    texts.hex(this.#bytes, this.#offset);
    this.#offset = end;
  }
}

/**
 * Texts of many revisions, gathered as character codes and made strings at once: one decoding and a cut for each is
 * several times faster than as many small strings put together.
 */
export class RevisionTexts {
  readonly #codes: Uint8Array;
  readonly #starts: number[] = [];
  #length = 0;

  constructor(codesMax: number) {
    this.#codes = new Uint8Array(codesMax);
  }

  /** Begins a revision; its digest comes next. */
  begin(generation: number): void {
    this.#starts.push(this.#length);
    const digits = String(generation);
    for (let i = 0; i < digits.length; i++) this.#codes[this.#length++] = digits.charCodeAt(i);
    this.#codes[this.#length++] = dash;
  }

  text(codes: Uint8Array): void {
    this.#codes.set(codes, this.#length);
    this.#length += codes.length;
  }

  hex(bytes: Uint8Array, offset: number): void {
    const codes = this.#codes;
    let place = this.#length;
    for (let i = offset; i < offset + 16; i++) {
      const value = bytes[i]!;
      codes[place++] = hexCodes[value >> 4]!;
      codes[place++] = hexCodes[value & 15]!;
    }
    this.#length = place;
  }

  /** All revisions in the order in which they were begun. */
  strings(): string[] {
    const codes = this.#codes.subarray(0, this.#length);
    // Below some hundred characters the decoder's set-up costs more than it saves.
    const all = this.#length < 200 ? String.fromCharCode(...codes) : latin1.decode(codes);
    return this.#starts.map((start, i) => all.slice(start, this.#starts[i + 1] ?? this.#length));
  }
}
