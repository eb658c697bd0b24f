/**
 * Contents of attachments: kept once per database, in chunks, under the SHA-256 of the content.
 *
 * Content streams in under a chunk set with a random name, because its digest is known only at its end; then one
 * record ties digest and chunk set together. A content that is here already is recognised then, and the new chunks
 * go. Chunk sets that no record names (an upload that a crash cut off) and blobs that no revision names go at
 * compaction; a blob is pinned from its arrival until then, so that the write that will name it finds it. Where writes
 * come by a log, they go only when nothing has named them for as long as a pin lasts, from one compaction to another.
 */

import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { failure } from '../errors.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { blobOf, chunkSetOf, keyKinds } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';
import type { BlobReference } from './model.ts';

const CHUNK_BYTES = 262_144;
/** How long content waits for the write that names it; longer than any request may take. */
const PIN_MS = 3_600_000;
/**
 * In a database whose writes come by a log: how long nothing must have named content before it goes. An entry that names
 * it may be on its way, however long ago the content came, and one after the other may be applied with a pause between.
 */
const UNNAMED_MS = PIN_MS;
/** Chunks of one upload on their way to the disk at once. */
const COMMITS_IN_FLIGHT_MAX = 4;
const DELETES_PER_BATCH = 1_000;

interface BlobRecord {
  readonly digest: string;
  readonly length: number;
  readonly chunkSet: string;
}

export interface BlobContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether writes come by a log, which may name what nothing here names yet. */
  readonly isLogged?: boolean;
}

export class Blobs {
  readonly #context: BlobContext;
  /** Blob → when its pin ends, in monotonic milliseconds. */
  readonly #pins = new Map<string, number>();
  readonly #uploads = new Set<string>();
  /** Blobs whose records a sweep is deleting right now. */
  readonly #doomed = new Set<string>();
  /** While a sweep runs: chunk sets whose upload ended since it began; it must leave them alone. */
  #finishedInSweep: Set<string> | undefined;
  /** While a sweep runs: blobs that writes have named since it began. */
  #namedInSweep: Set<string> | undefined;
  /** Blobs and chunk sets that no sweep has found named since, and since when; in monotonic milliseconds. */
  #unnamedSince = new Map<string, number>();
  readonly #storing = new Set<Promise<unknown>>();
  #isRetired = false;

  constructor(context: BlobContext) {
    this.#context = context;
  }

  /** @throws TercetError too_large; not_found once the database is gone */
  store(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    const stored = this.#store(content, bytesMax);
    this.#storing.add(stored);
    const done = () => this.#storing.delete(stored);
    stored.then(done, done);
    return stored;
  }

  /** Ends uploads; resolves when none is left, so that nothing is written behind a sweep of the whole database. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    await Promise.allSettled([...this.#storing]);
  }

  /**
   * Told that a write is about to name the blob; false when it is not here. A sweep that is running spares it then,
   * although it has looked for names already.
   */
  willBeNamed(blob: string): boolean {
    if (this.#doomed.has(blob) || this.#record(blob) === undefined) return false;
    this.#namedInSweep?.add(blob);
    return true;
  }

  async #store(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference> {
    const chunkSet = this.#context.random.hex(8);
    this.#uploads.add(chunkSet);
    const upload = new Upload(this.#context, chunkSet, bytesMax);
    try {
      for await (const bytes of content) {
        if (this.#isRetired) throw failure('not_found', 'Database does not exist.');
        await upload.write(bytes);
      }
      return await this.#finish(await upload.end(), chunkSet);
    } catch (cause) {
      await upload.discard();
      throw cause;
    } finally {
      this.#uploads.delete(chunkSet);
    }
  }

  /** The chunks of a blob, to be installed elsewhere under the same names. */
  chunksOf(blob: string): BlobRecord & { readonly count: number } {
    const record = this.#record(blob);
    if (record === undefined) throw failure('not_found', 'The content of the attachment is not here.');
    return { ...record, count: Math.ceil(record.length / CHUNK_BYTES) };
  }

  chunk(chunkSet: string, index: number): Uint8Array {
    const chunk = this.#context.store.get(this.#context.keys.chunk(chunkSet, index));
    if (chunk === undefined) throw new Error(`chunk ${index} of chunk set ${chunkSet} is missing`);
    return chunk;
  }

  /** Takes a chunk that another replica cut; {@link installRecord} must follow before the next sweep sees it. */
  async installChunk(chunkSet: string, index: number, value: Uint8Array): Promise<void> {
    const { keys, store } = this.#context;
    const key = keys.chunk(chunkSet, index);
    this.#uploads.add(chunkSet);
    // The replica that cut it has it; so has one that applies its log again after a crash.
    if (store.get(key) === undefined) await store.commit([{ kind: 'put', key, value }]);
  }

  async installRecord({ blob, digest, length }: BlobReference, chunkSet: string): Promise<void> {
    const { clock, keys, store } = this.#context;
    this.#pins.set(blob, clock.monotonic() + PIN_MS);
    this.#finishedInSweep?.add(chunkSet);
    this.#uploads.delete(chunkSet);
    const record: BlobRecord = { digest, length, chunkSet };
    await store.commit([{ kind: 'put', key: keys.blob(blob), value: Buffer.from(JSON.stringify(record)) }]);
  }

  async *read(
    blob: string,
    range?: { readonly start: number; readonly end: number },
  ): AsyncIterable<Uint8Array> {
    const record = this.#record(blob);
    if (record === undefined) throw failure('not_found', 'The content of the attachment is not here.');
    const { keys, store } = this.#context;
    const end = Math.min(range?.end ?? record.length, record.length);
    let at = range?.start ?? 0;
    while (at < end) {
      const index = Math.floor(at / CHUNK_BYTES);
      const chunk = store.get(keys.chunk(record.chunkSet, index));
      if (chunk === undefined) throw new Error(`chunk ${index} of blob ${blob} is missing`);
      const chunkStart = index * CHUNK_BYTES;
      const part = chunk.subarray(at - chunkStart, Math.min(end - chunkStart, chunk.length));
      at += part.length;
      yield part;
    }
  }

  /** Deletes what nothing names: blobs outside what `findNamed` gives, and chunk sets outside every record. */
  async sweep(findNamed: () => Promise<ReadonlySet<string>>): Promise<void> {
    this.#finishedInSweep = new Set();
    this.#namedInSweep = new Set();
    const before = this.#unnamedSince;
    this.#unnamedSince = new Map();
    const isRipe = (content: string) => this.#isRipe(content, before);
    try {
      await this.#sweepChunks(await this.#sweepRecords(await findNamed(), isRipe), isRipe);
    } finally {
      this.#doomed.clear();
      this.#finishedInSweep = undefined;
      this.#namedInSweep = undefined;
    }
  }

  /** Whether what is unnamed now may go. */
  #isRipe(content: string, before: ReadonlyMap<string, number>): boolean {
    if (this.#context.isLogged !== true) return true;
    const now = this.#context.clock.monotonic();
    const since = before.get(content) ?? now;
    this.#unnamedSince.set(content, since);
    return now - since >= UNNAMED_MS;
  }

  /** Deletes the records of blobs that nothing names; gives the chunk sets of the others. */
  async #sweepRecords(
    named: ReadonlySet<string>,
    isRipe: (content: string) => boolean,
  ): Promise<ReadonlySet<string>> {
    const { clock, keys, store } = this.#context;
    for (const [blob, until] of this.#pins) if (until < clock.monotonic()) this.#pins.delete(blob);
    const chunkSets = new Set<string>();
    const doomed: string[] = [];
    for await (const entries of store.scan(keys.range(keyKinds.blob))) {
      for (const { key, value } of entries) {
        const blob = blobOf(key);
        if (named.has(blob) || this.#pins.has(blob) || !isRipe(blob)) chunkSets.add(decode(value).chunkSet);
        else doomed.push(blob);
      }
    }
    // Since the scan a blob may have been named, or stored again and pinned; from here on `#finish` writes it anew.
    for (const blob of doomed) {
      if (!this.#pins.has(blob) && this.#namedInSweep?.has(blob) !== true) this.#doomed.add(blob);
    }
    await this.#delete([...this.#doomed].map((blob) => keys.blob(blob)));
    this.#doomed.clear();
    for (const blob of doomed) {
      const record = this.#record(blob);
      if (record !== undefined) chunkSets.add(record.chunkSet);
    }
    return chunkSets;
  }

  async #sweepChunks(named: ReadonlySet<string>, isRipe: (content: string) => boolean): Promise<void> {
    const { keys, store } = this.#context;
    const uploading = new Set(this.#uploads);
    let doomed: Uint8Array[] = [];
    for await (const entries of store.scan(keys.range(keyKinds.chunk), { keysOnly: true })) {
      for (const { key } of entries) {
        const chunkSet = chunkSetOf(key);
        const alive = named.has(chunkSet) || uploading.has(chunkSet) || this.#finishedInSweep?.has(chunkSet);
        if (alive !== true && isRipe(chunkSet)) doomed.push(key);
      }
      await this.#delete(doomed);
      doomed = [];
    }
  }

  async #finish(content: { readonly blob: string; readonly record: BlobRecord }, chunkSet: string) {
    const { clock, keys, store } = this.#context;
    const { blob, record } = content;
    this.#pins.set(blob, clock.monotonic() + PIN_MS);
    const existing = this.#doomed.has(blob) ? undefined : this.#record(blob);
    if (existing === undefined) {
      this.#finishedInSweep?.add(chunkSet);
      await store.commit([{ kind: 'put', key: keys.blob(blob), value: Buffer.from(JSON.stringify(record)) }]);
    } else {
      const count = Math.ceil(record.length / CHUNK_BYTES);
      await this.#delete(Array.from({ length: count }, (_, index) => keys.chunk(chunkSet, index)));
    }
    return { blob, digest: record.digest, length: record.length };
  }

  async #delete(doomed: readonly Uint8Array[]): Promise<void> {
    for (let at = 0; at < doomed.length; at += DELETES_PER_BATCH) {
      const part = doomed.slice(at, at + DELETES_PER_BATCH);
      await this.#context.store.commit(part.map((key) => ({ kind: 'delete', key })));
    }
  }

  #record(blob: string): BlobRecord | undefined {
    const bytes = this.#context.store.get(this.#context.keys.blob(blob));
    return bytes === undefined ? undefined : decode(bytes);
  }
}

/** One content on its way in: cut into chunks, digested, committed with a few chunks in flight. */
class Upload {
  readonly #context: BlobContext;
  readonly #chunkSet: string;
  readonly #bytesMax: number;
  readonly #sha256: Hash = createHash('sha256');
  readonly #md5: Hash = createHash('md5');
  readonly #commits: Promise<void>[] = [];
  #buffered: Uint8Array[] = [];
  #bufferedBytes = 0;
  #length = 0;
  #chunks = 0;

  constructor(context: BlobContext, chunkSet: string, bytesMax: number) {
    this.#context = context;
    this.#chunkSet = chunkSet;
    this.#bytesMax = bytesMax;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#length += bytes.length;
    if (this.#length > this.#bytesMax) {
      throw failure('too_large', `The attachment is larger than ${this.#bytesMax} bytes.`);
    }
    this.#sha256.update(bytes);
    this.#md5.update(bytes);
    this.#buffered.push(bytes);
    this.#bufferedBytes += bytes.length;
    while (this.#bufferedBytes >= CHUNK_BYTES) await this.#cut();
  }

  async end(): Promise<{ readonly blob: string; readonly record: BlobRecord }> {
    if (this.#bufferedBytes > 0) await this.#cut();
    await Promise.all(this.#commits);
    const digest = `md5-${this.#md5.digest('base64')}`;
    const record = { digest, length: this.#length, chunkSet: this.#chunkSet };
    return { blob: this.#sha256.digest('hex'), record };
  }

  /** Takes an unfinished upload back; where the disk refuses even that, compaction finds the chunks. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.#commits);
    const operations: Operation[] = Array.from({ length: this.#chunks }, (_, index) => ({
      kind: 'delete',
      key: this.#context.keys.chunk(this.#chunkSet, index),
    }));
    if (operations.length > 0) await Promise.allSettled([this.#context.store.commit(operations)]);
  }

  async #cut(): Promise<void> {
    const all = this.#buffered.length === 1 ? this.#buffered[0]! : Buffer.concat(this.#buffered);
    const value = all.subarray(0, CHUNK_BYTES);
    const rest = all.subarray(CHUNK_BYTES);
    this.#buffered = rest.length > 0 ? [rest] : [];
    this.#bufferedBytes = rest.length;
    const key = this.#context.keys.chunk(this.#chunkSet, this.#chunks);
    this.#chunks += 1;
    const commit = this.#context.store.commit([{ kind: 'put', key, value }]);
    commit.catch(() => {}); // Seen again, and thrown, when the commit is awaited.
    this.#commits.push(commit);
    if (this.#commits.length >= COMMITS_IN_FLIGHT_MAX) await this.#commits.shift();
  }
}

function decode(bytes: Uint8Array): BlobRecord {
  return JSON.parse(Buffer.from(bytes).toString()) as BlobRecord;
}
