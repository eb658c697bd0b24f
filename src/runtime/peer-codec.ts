/**
 * Messages as values on one side, frames on the other.
 *
 * A core says messages; the simulated network carries them as they are, the real transport as bytes. What turns one into
 * the other is given per kind of message by whoever knows the messages:
 *
 *   const codec = messageCodec<Greeting>({
 *     hello: { code: 16, encode: ({ name }) => utf8(name), decode: (bytes) => ({ kind: 'hello', name: text(bytes) }) },
 *     bye:   { code: 17, encode: () => nothing,            decode: () => ({ kind: 'bye' }) },
 *   });
 *   const { kind, bytes } = codec.encode({ kind: 'bye' });
 *   transport.send('n2', kind, bytes);
 */

import { assert } from '../errors.ts';
import { callerKindMax, GarbageError } from './peer-frames.ts';

interface Kinded {
  readonly kind: string;
}

export interface KindCodec<Message> {
  /** The frame's kind on the wire, 1 … 239; never reused for something else within a version. */
  readonly code: number;
  readonly encode: (message: Message) => Uint8Array;
  /** Throws whatever it likes when the bytes are not such a message. */
  readonly decode: (bytes: Uint8Array) => Message;
}

export type KindCodecs<Message extends Kinded> = {
  readonly [Kind in Message['kind']]: KindCodec<Extract<Message, { readonly kind: Kind }>>;
};

export interface MessageCodec<Message> {
  encode(message: Message): { readonly kind: number; readonly bytes: Uint8Array };
  /**
   * Undefined for a kind that belongs to somebody else.
   * @throws GarbageError when the bytes are no such message
   */
  decode(kind: number, bytes: Uint8Array): Message | undefined;
}

export function messageCodec<Message extends Kinded>(codecs: KindCodecs<Message>): MessageCodec<Message> {
  const byKind = new Map<string, KindCodec<Message>>();
  const byCode: (KindCodec<Message> | undefined)[] = [];
  for (const [kind, codec] of Object.entries(codecs) as [string, KindCodec<Message>][]) {
    assert(
      codec.code > 0 && codec.code <= callerKindMax,
      `the code of ${kind} is within 1 and ${callerKindMax}`,
    );
    assert(byCode[codec.code] === undefined, `the code ${codec.code} is used once`);
    byKind.set(kind, codec);
    byCode[codec.code] = codec;
  }
  return {
    encode(message) {
      const codec = byKind.get(message.kind);
      assert(codec !== undefined, `messages of kind ${message.kind} have a codec`);
      return { kind: codec.code, bytes: codec.encode(message) };
    },
    decode(kind, bytes) {
      const codec = byCode[kind];
      if (codec === undefined) return undefined;
      try {
        return codec.decode(bytes);
      } catch (error) {
        throw new GarbageError(`a message of kind ${kind} that cannot be read: ${String(error)}`, {
          cause: error,
        });
      }
    },
  };
}
