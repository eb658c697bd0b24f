/**
 * What LevelDB's MANIFEST says should be there: which tables, of which size, and the first log not yet in a table.
 *
 * A MANIFEST is a log of edits, each a row of tagged fields; the state is what all of them leave.
 * Reference: leveldb/db/version_edit.cc.
 */

import { type Log, readLog } from './level-log.ts';

export interface Manifest {
  /** Logs below this number are in tables already. */
  readonly firstLogNumber: number;
  /** Bytes by table number. */
  readonly tables: ReadonlyMap<number, number>;
}

/** Undefined where the bytes make no manifest. */
export function readManifest(bytes: Uint8Array): Manifest | undefined {
  const log = readLog(bytes);
  if (log.records.some(({ brokenBefore }) => brokenBefore !== undefined)) return undefined;
  return stateAfter(log);
}

function stateAfter({ records }: Log): Manifest | undefined {
  const tables = new Map<number, number>();
  let firstLogNumber = 0;
  for (const { data } of records) {
    const fields = new FieldReader(data);
    while (fields.remaining()) {
      switch (fields.varint()) {
        case 1: // comparator
          fields.skipBytes();
          break;
        case 2:
          firstLogNumber = fields.varint();
          break;
        case 3: // next file number
        case 4: // last sequence
        case 9: // previous log number, not used any more
          fields.varint();
          break;
        case 5: // where the next compaction of a level starts
          fields.varint();
          fields.skipBytes();
          break;
        case 6: {
          fields.varint();
          tables.delete(fields.varint());
          break;
        }
        case 7: {
          fields.varint();
          const number = fields.varint();
          tables.set(number, fields.varint());
          fields.skipBytes();
          fields.skipBytes();
          break;
        }
        default:
          return undefined;
      }
    }
    if (fields.overrun()) return undefined;
  }
  return { firstLogNumber, tables };
}

class FieldReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  remaining(): boolean {
    return this.#at < this.#bytes.length;
  }

  /** True once more was read than there was. */
  overrun(): boolean {
    return this.#at > this.#bytes.length;
  }

  /** Seven bits a byte, lowest first. Sequence numbers stay far below 2^53. */
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 128) return value;
    }
  }

  skipBytes(): void {
    const length = this.varint();
    this.#at += length;
  }
}
