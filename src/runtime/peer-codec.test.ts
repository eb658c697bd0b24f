import { expect, test } from 'vitest';
import { messageCodec } from './peer-codec.ts';
import { GarbageError } from './peer-frames.ts';

type Greeting = { readonly kind: 'hello'; readonly name: string } | { readonly kind: 'bye' };

const byeCodec = { code: 17, encode: () => new Uint8Array(0), decode: () => ({ kind: 'bye' }) as const };

const codec = messageCodec<Greeting>({
  hello: {
    code: 16,
    encode: ({ name }) => Buffer.from(JSON.stringify(name)),
    decode: (bytes) => ({ kind: 'hello', name: String(JSON.parse(Buffer.from(bytes).toString())) }),
  },
  bye: byeCodec,
});

test('messages come out as they went in', () => {
  for (const message of [{ kind: 'hello', name: 'n1' }, { kind: 'bye' }] as const) {
    const { kind, bytes } = codec.encode(message);
    expect(codec.decode(kind, bytes)).toEqual(message);
  }
});

test("somebody else's kinds are left to them", () => {
  expect(codec.decode(18, new Uint8Array(3))).toBeUndefined();
  expect(codec.decode(255, new Uint8Array(0))).toBeUndefined();
});

test('bytes that are no message are garbage, whatever the decoder threw', () => {
  expect(() => codec.decode(16, Buffer.from('{'))).toThrow(GarbageError);
});

test('two kinds cannot share a code, and none takes one of the transport', () => {
  const hello = {
    code: 17,
    encode: () => new Uint8Array(0),
    decode: () => ({ kind: 'hello', name: '' }) as const,
  };
  expect(() => messageCodec<Greeting>({ hello, bye: byeCodec })).toThrow('used once');
  expect(() => messageCodec<Greeting>({ hello: { ...hello, code: 240 }, bye: byeCodec })).toThrow(
    'within 1 and 239',
  );
});
