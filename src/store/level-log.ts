/**
 * Reading LevelDB's log format, which its write-ahead logs (NNNNNN.log) and its MANIFEST share.
 *
 * A file is a row of 32 KiB blocks, a block a row of fragments, each `checksum (4) length (2) type (1) data`. A record is one
 * `full` fragment, or `first middle… last` over several blocks; under 7 bytes at the end of a block are filler.
 *
 *   | full | first……… | middle……………… | last | full |          records: 3
 *   | full | first……… |~~~~~~damaged~~~~| last | full |         records: 2, and a broken stretch before the second
 *
 * Damage is stepped over as LevelDB's own reader does, to the next block; but LevelDB, opened without its paranoid checks
 * (which classic-level cannot set), does so in silence. Here every broken stretch is told, and the caller judges.
 * Reference: leveldb/doc/log_format.md, db/log_reader.cc.
 */

const blockBytes = 32_768;
const headerBytes = 7;

const fragmentType = { full: 1, first: 2, middle: 3, last: 4 } as const;

export interface LogRecord {
  /** Offset of the record's first header. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
  readonly data: Uint8Array;
  /** Where bytes between this record and the one before it make no record; undefined where it follows directly. */
  readonly brokenBefore: number | undefined;
}

export interface Log {
  readonly records: readonly LogRecord[];
  /** Where the bytes behind the last record begin if they make no record: a torn tail. */
  readonly brokenAt: number | undefined;
}

interface Fragment {
  readonly type: number;
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array;
}

export function readLog(bytes: Uint8Array): Log {
  const records: LogRecord[] = [];
  let parts: Fragment[] = [];
  let broken: number | undefined;
  const breakAt = (offset: number): void => {
    broken ??= parts[0]?.start ?? offset;
    parts = [];
  };
  for (const fragment of fragments(bytes)) {
    if (fragment instanceof BrokenStretch) {
      breakAt(fragment.start);
      continue;
    }
    const opens = fragment.type === fragmentType.full || fragment.type === fragmentType.first;
    if (opens !== (parts.length === 0)) breakAt(fragment.start);
    if (!opens && parts.length === 0) continue;
    parts.push(fragment);
    if (fragment.type === fragmentType.first || fragment.type === fragmentType.middle) continue;
    records.push({ start: parts[0]!.start, end: fragment.end, data: joined(parts), brokenBefore: broken });
    parts = [];
    broken = undefined;
  }
  return { records, brokenAt: broken ?? parts[0]?.start };
}

class BrokenStretch {
  readonly start: number;

  constructor(start: number) {
    this.start = start;
  }
}

function* fragments(bytes: Uint8Array): Generator<Fragment | BrokenStretch> {
  for (let block = 0; block < bytes.length; block += blockBytes) {
    const blockEnd = Math.min(block + blockBytes, bytes.length);
    let start = block;
    while (blockEnd - start >= headerBytes) {
      const fragment = fragmentAt(bytes, start, blockEnd);
      if (fragment === undefined) break;
      yield fragment;
      start = fragment.end;
    }
    const isFiller = block + blockBytes - start < headerBytes;
    if (!isFiller && start < blockEnd) yield new BrokenStretch(start);
  }
}

function fragmentAt(bytes: Uint8Array, start: number, blockEnd: number): Fragment | undefined {
  const checksum =
    bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24);
  const length = bytes[start + 4]! | (bytes[start + 5]! << 8);
  const type = bytes[start + 6]!;
  const end = start + headerBytes + length;
  if (type < fragmentType.full || type > fragmentType.last || end > blockEnd) return undefined;
  if (maskedCrc32c(bytes, start + 6, end) !== checksum) return undefined;
  return { type, start, end, data: bytes.subarray(start + headerBytes, end) };
}

function joined(parts: readonly Fragment[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only.data;
  return Buffer.concat(parts.map(({ data }) => data));
}

const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C, rotated and shifted as LevelDB stores it: a checksum of data that itself holds checksums is weak. */
function maskedCrc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1;
  for (let index = from; index < to; index += 1) crc = crcTable[(crc ^ bytes[index]!) & 0xff]! ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) | 0;
}
