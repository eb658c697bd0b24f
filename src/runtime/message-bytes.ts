/** Numbers, texts and bytes one after the other, big endian; a reader never looks beyond what is there. */

import { GarbageError } from './peer-frames.ts';

export class ByteWriter {
  readonly #buffer: Buffer;
  #at = 0;

  /** `bytesMax`: at most so much will be written. */
  constructor(bytesMax: number) {
    this.#buffer = Buffer.allocUnsafe(bytesMax);
  }

  u8(value: number): this {
    this.#at = this.#buffer.writeUInt8(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#at = this.#buffer.writeUInt32BE(value, this.#at);
    return this;
  }

  u48(value: number): this {
    this.#at = this.#buffer.writeUIntBE(value, this.#at, 6);
    return this;
  }

  /** A number that 48 bits may not hold. */
  f64(value: number): this {
    this.#at = this.#buffer.writeDoubleBE(value, this.#at);
    return this;
  }

  /** One byte for each character: ASCII only. */
  text(value: string): this {
    this.#at += this.#buffer.write(value, this.#at, 'latin1');
    return this;
  }

  /** Two digits make a byte. */
  hex(digits: string): this {
    this.#at += this.#buffer.write(digits, this.#at, 'hex');
    return this;
  }

  u16(value: number): this {
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
    return this;
  }

  /** Any text, in front of it how many bytes it takes; at most three for each UTF-16 unit. */
  utf8(value: string): this {
    const at = this.#at + 2;
    const length = this.#buffer.write(value, at, 'utf8');
    this.#buffer.writeUInt16BE(length, this.#at);
    this.#at = at + length;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  written(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }
}

/** Every method throws GarbageError when there is less than it should read. */
export class ByteReader {
  readonly #buffer: Buffer;
  #at = 0;

  /** What is read are views of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  f64(): number {
    return asInteger(this.#buffer.readDoubleBE(this.#take(8)));
  }

  u48(): number {
    return asInteger(this.#buffer.readUIntBE(this.#take(6), 6));
  }

  /** In lowercase, two digits for each byte. */
  hex(bytes: number): string {
    const at = this.#take(bytes);
    return this.#buffer.toString('hex', at, at + bytes);
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  utf8(): string {
    const length = this.u16();
    const at = this.#take(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  /** So many as {@link utf8} reads. */
  utf8s(count: number): string[] {
    const texts: string[] = [];
    while (texts.length < count) texts.push(this.utf8());
    return texts;
  }

  text(length: number): string {
    const at = this.#take(length);
    return this.#buffer.toString('latin1', at, at + length);
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#buffer.length;
  }

  rest(): Uint8Array {
    return this.bytes(this.#buffer.length - this.#at);
  }

  /** Asserts that nothing is left. */
  end(): void {
    if (this.#at !== this.#buffer.length) throw new GarbageError('bytes after the end of a message');
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#buffer.length) throw new GarbageError('a message that ends too early');
    this.#at += length;
    return at;
  }
}

/** The same number. What is read as a float stays one for V8, and objects that hold floats are others to it than those with integers. */
function asInteger(value: number): number {
  const integer = value | 0;
  return integer === value ? integer : value;
}
