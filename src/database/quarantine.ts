/**
 * Quarantine: revisions that would bring the dead back (replication/graves.ts), kept aside until somebody decides.
 *
 * They are no part of any document, and nobody replicates them. Accepting one merges it with the tombstone, so that on
 * every replica it counts as made from there. Bounded: what does not fit is refused and not kept.
 *
 * Record: u32 length of the header · header (JSON) · body
 */

import type { AttachmentStub, RevisionPath } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import type { Stamp } from '../document/stamp.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import { after, bodyKeyParts, keyKinds } from '../store/keys.ts';
import type { Operation, Store } from '../store/store.ts';

const QUARANTINE_REVISIONS_MAX = 10_000;
const QUARANTINE_BYTES_MAX = 67_108_864;

export interface QuarantinedRevision {
  readonly id: string;
  readonly revision: Revision;
  readonly path: RevisionPath;
  readonly deleted: boolean;
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentStub[];
  readonly parents?: readonly Revision[] | undefined;
  readonly stamp?: Stamp | undefined;
  /** Wall-clock milliseconds when it came. */
  readonly sinceMs: number;
}

type Header = Omit<QuarantinedRevision, 'id' | 'revision' | 'body'>;

export interface QuarantineContext {
  readonly store: Store;
  readonly keys: DatabaseKeys;
}

function encodeQuarantined({ id, revision, body, ...header }: QuarantinedRevision): Uint8Array {
  const text = Buffer.from(JSON.stringify(header satisfies Header));
  const bytes = Buffer.allocUnsafe(4 + text.length + body.length);
  bytes.writeUInt32BE(text.length);
  bytes.set(text, 4);
  bytes.set(body, 4 + text.length);
  return bytes;
}

export function decodeQuarantined(key: Uint8Array, record: Uint8Array): QuarantinedRevision {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const end = 4 + bytes.readUInt32BE();
  const { id, revision } = bodyKeyParts(key);
  const header = JSON.parse(bytes.toString('utf8', 4, end)) as Header;
  return { id, revision: revision as Revision, ...header, body: bytes.subarray(end) };
}

/** In the order of ids and revisions, at most `limit`, those behind `start` if it is given. */
export async function listQuarantine(
  { keys, store }: QuarantineContext,
  limit: number,
  start?: { readonly id: string; readonly revision: string },
): Promise<QuarantinedRevision[]> {
  const from = start && after(keys.quarantined(start.id, start.revision));
  const listed: QuarantinedRevision[] = [];
  for await (const entries of store.scan(keys.range(keyKinds.quarantine, from), { limit })) {
    for (const { key, value } of entries) listed.push(decodeQuarantined(key, value));
  }
  return listed;
}

interface QuarantineCounters {
  readonly quarantined: number;
  readonly quarantinedBytes: number;
}

interface Change {
  readonly key: Uint8Array;
  readonly committed: Uint8Array | undefined;
  record: Uint8Array | undefined;
}

/** What one turn changes in quarantine. */
export class TurnQuarantine {
  readonly #context: QuarantineContext;
  readonly #changes = new Map<string, Change>();
  #count: number;
  #bytes: number;
  #mutations = 0;

  constructor(context: QuarantineContext, counters: QuarantineCounters) {
    this.#context = context;
    this.#count = counters.quarantined;
    this.#bytes = counters.quarantinedBytes;
  }

  get mutations(): number {
    return this.#mutations;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get(id: string, revision: string): QuarantinedRevision | undefined {
    const { key, record } = this.#change(id, revision);
    return record === undefined ? undefined : decodeQuarantined(key, record);
  }

  /** False: there is no room. One that is there already stays as it came first. */
  add(revision: QuarantinedRevision): boolean {
    const change = this.#change(revision.id, revision.revision);
    if (change.record !== undefined) return true;
    const record = encodeQuarantined(revision);
    const fits =
      this.#count < QUARANTINE_REVISIONS_MAX && this.#bytes + record.length <= QUARANTINE_BYTES_MAX;
    if (fits) this.#set(change, record);
    return fits;
  }

  /** False: it was not there. */
  remove(id: string, revision: string): boolean {
    const change = this.#change(id, revision);
    if (change.record === undefined) return false;
    this.#set(change, undefined);
    return true;
  }

  finish(operations: Operation[]): QuarantineCounters {
    for (const { key, committed, record } of this.#changes.values()) {
      if (record === committed) continue;
      operations.push(record === undefined ? { kind: 'delete', key } : { kind: 'put', key, value: record });
    }
    return { quarantined: this.#count, quarantinedBytes: this.#bytes };
  }

  #set(change: Change, record: Uint8Array | undefined): void {
    this.#mutations += 1;
    this.#count += (record === undefined ? 0 : 1) - (change.record === undefined ? 0 : 1);
    this.#bytes += (record?.length ?? 0) - (change.record?.length ?? 0);
    change.record = record;
  }

  #change(id: string, revision: string): Change {
    const name = `${revision} ${id}`;
    let change = this.#changes.get(name);
    if (change === undefined) {
      const key = this.#context.keys.quarantined(id, revision);
      const committed = this.#context.store.get(key);
      change = { key, committed, record: committed };
      this.#changes.set(name, change);
    }
    return change;
  }
}
