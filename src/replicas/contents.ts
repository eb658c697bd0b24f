/**
 * Contents of attachments from replica to replica, in the chunks in which the sender keeps them: what a receiver lacks must
 * be there before a revision that names it counts as kept.
 *
 *   u8 0: a chunk   utf8 identity │ utf8 chunk set │ u32 index │ bytes
 *   u8 1: the end   utf8 identity │ utf8 chunk set │ utf8 blob │ utf8 digest │ f64 length
 */

import type { Database } from '../database/database.ts';
import { TercetError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../runtime/message-bytes.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { GarbageError } from '../runtime/peer-frames.ts';
import { PeerRequestError } from '../runtime/peer-link.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import { contentKind } from './replica-kinds.ts';

const chunkMsMax = 10_000;
const chunkPart = 0;
const endPart = 1;
const nothing = new Uint8Array(0);

/** The part of a replica set that contents need. */
interface Source {
  readonly identity: string;
  readonly database: Database;
}

export class ContentSender {
  readonly #transport: Pick<PeerTransport, 'request'>;
  readonly #onDefect: (error: unknown) => void;

  constructor(transport: Pick<PeerTransport, 'request'>, onDefect: (error: unknown) => void) {
    this.#transport = transport;
    this.#onDefect = onDefect;
  }

  /** Calls back when the contents are there, or could not be brought: what is asked then tells. */
  bring(to: string, source: Source, blobs: readonly string[], then: () => void): void {
    if (blobs.length === 0) then();
    else void this.#bring(to, source, blobs).then(then);
  }

  async #bring(to: string, source: Source, blobs: readonly string[]): Promise<void> {
    try {
      for (const blob of new Set(blobs)) await this.#bringOne(to, source, blob);
    } catch (error) {
      // Gone there, or here by now.
      if (!(error instanceof PeerRequestError || error instanceof TercetError)) this.#onDefect(error);
    }
  }

  async #bringOne(to: string, { identity, database }: Source, blob: string): Promise<void> {
    const { chunkSet, count, digest, length } = database.blobs.chunksOf(blob);
    for (let index = 0; index < count; index += 1) {
      const bytes = database.blobs.chunk(chunkSet, index);
      const frame = new ByteWriter(16 + 3 * (identity.length + chunkSet.length) + bytes.length);
      frame.u8(chunkPart).utf8(identity).utf8(chunkSet).u32(index).bytes(bytes);
      await this.#transport.request(to, contentKind, frame.written(), { timeoutMs: chunkMsMax });
    }
    const texts = [identity, chunkSet, blob, digest];
    const end = new ByteWriter(24 + texts.reduce((sum, text) => sum + 3 * text.length, 0));
    end.u8(endPart);
    for (const text of texts) end.utf8(text);
    await this.#transport.request(to, contentKind, end.f64(length).written(), { timeoutMs: chunkMsMax });
  }
}

/** Takes one part of a content. Answers when it is durable. @throws GarbageError, PeerRefusal */
export async function takeContent(
  bytes: Uint8Array,
  databaseOf: (identity: string) => Database | undefined,
): Promise<Uint8Array> {
  const reader = new ByteReader(bytes);
  const part = reader.u8();
  const database = databaseOf(reader.utf8());
  if (database === undefined) throw new PeerRefusal('the database is not here');
  const chunkSet = reader.utf8();
  if (part === chunkPart) {
    const index = reader.u32();
    // Kept until it is written: not a view of what arrived.
    await database.blobs.installChunk(chunkSet, index, reader.rest().slice());
  } else if (part === endPart) {
    const [blob, digest] = [reader.utf8(), reader.utf8()];
    await database.blobs.installRecord({ blob, digest, length: reader.f64() }, chunkSet);
  } else throw new GarbageError(`part ${part} of a content`);
  return nothing;
}
