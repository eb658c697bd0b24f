/**
 * Opening LevelDB: how it is tuned, and what its errors mean.
 *
 * Resident memory is what the tuning is about: LevelDB maps its table files into memory, and pages of a mapped file count.
 */

import { dirname } from 'node:path';
import { ClassicLevel, type Iterator } from 'classic-level';
import { asDataDirectoryError, DataDirectoryError, inUseError } from './data-directory.ts';

export type Level = ClassicLevel<Uint8Array, Uint8Array>;
/** Without values (`keysOnly`) the second of a pair is undefined, which classic-level's types leave out. */
export type LevelIterator = Iterator<Level, Uint8Array, Uint8Array | undefined>;

/** The key under which every batch puts its number. Callers' keys have at least one byte. */
export const commitNumberKey = new Uint8Array(0);

/**
 * Measured with a million documents as three million entries (190 MB on disk): opened 0.2 s after a kill; resident 215 to
 * 270 MB while loading, scanning everything and reading 100,000 at random, of which 85 MB are Node and its loader.
 */
export const levelTuning = {
  /**
   * LevelDB's memtable, and so its log. Two may live at once, and opening checks and replays up to two logs of this size.
   * Half of it makes twice the level-0 tables to merge in a bulk load.
   */
  writeBufferBytes: 16_777_216,
  /** Uncompressed blocks of tables. More gained nothing: the operating system caches the mapped tables. */
  blockCacheBytes: 16_777_216,
  /** The least that LevelDB takes: it keeps ten of these for itself and maps tables into memory with the other 64. */
  openFilesMax: 74,
  /**
   * Bounds the mapped memory at about 64 times this, 100 MB. Tables of 1 MiB save 30 MB but triple the time of random reads
   * over a million documents, because LevelDB then opens a table for most of them.
   */
  tableBytesMax: 1_572_864,
} as const;

/**
 * Opens the database, creating it in an empty place.
 * @throws DataDirectoryError
 */
export async function openLevel(
  storePath: string,
  options: { readonly writeBufferBytes: number },
): Promise<Level> {
  const level: Level = new ClassicLevel<Uint8Array, Uint8Array>(storePath, {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  try {
    await level.open({
      writeBufferSize: options.writeBufferBytes,
      cacheSize: levelTuning.blockCacheBytes,
      maxOpenFiles: levelTuning.openFilesMax,
      maxFileSize: levelTuning.tableBytesMax,
    });
  } catch (error) {
    throw openingError(error, storePath);
  }
  return level;
}

/** Whether another process has the database open. Changes nothing but LevelDB's LOG file. */
export async function isInUse(storePath: string): Promise<boolean> {
  const level = new ClassicLevel(storePath);
  try {
    // LevelDB takes its lock before it refuses an existing database.
    await level.open({ errorIfExists: true, createIfMissing: false });
    await level.close();
    return false;
  } catch (error) {
    const found = openingError(error, storePath);
    return found instanceof DataDirectoryError && found.kind === 'in_use';
  }
}

/** LevelDB passes on the words of the operating system, never its error numbers. */
export function isDiskFull(message: string): boolean {
  return /no space left|quota exceeded|file too large|not enough space/i.test(message);
}

function openingError(error: unknown, storePath: string): unknown {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return error;
  const { message } = cause;
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'LEVEL_LOCKED') return inUseError(dirname(storePath));
  if (code === 'LEVEL_CORRUPTION') return damagedError(storePath, message, cause);
  if (/permission denied|not permitted|read-only file/i.test(message)) {
    return asDataDirectoryError(Object.assign(new Error(message), { code: 'EACCES' }), storePath);
  }
  if (isDiskFull(message)) {
    return asDataDirectoryError(Object.assign(new Error(message), { code: 'ENOSPC' }), storePath);
  }
  if (code === 'LEVEL_IO_ERROR') {
    return asDataDirectoryError(Object.assign(new Error(message), { code: 'EIO' }), storePath);
  }
  return asDataDirectoryError(cause, storePath);
}

export function damagedError(storePath: string, what: string, cause?: unknown): DataDirectoryError {
  return new DataDirectoryError(
    'damaged',
    `The data in ${storePath} is damaged: ${what}. Nothing was changed. ` +
      'Put the directory back from a backup, or move it away and let this node catch up from its peers.',
    { cause },
  );
}
