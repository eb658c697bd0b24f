/**
 * The data directory of a node: who it belongs to, which version wrote it, and what to say when it cannot be opened.
 *
 *   DIR/FORMAT   {"format":1,"created_by":"0.1.0","identity":"…uuid…"}, written once and durable before any data
 *   DIR/level/   the ordered store
 *
 * Every way of not being able to open it is a `DataDirectoryError` that names the kind and tells the operator what to do;
 * in all of them nothing in the directory was changed.
 */

import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** The layout this version reads and writes. */
const format = 1;

export type DataDirectoryErrorKind =
  | 'in_use'
  | 'not_permitted'
  | 'not_a_directory'
  | 'newer_version'
  | 'damaged'
  | 'no_room'
  | 'disk_failure';

/** The data directory cannot be opened. `message` names the path, the cause and the next step. */
export class DataDirectoryError extends Error {
  readonly kind: DataDirectoryErrorKind;

  constructor(kind: DataDirectoryErrorKind, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'DataDirectoryError';
    this.kind = kind;
  }
}

export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  /** Where the ordered store lives; absolute. It may not exist yet. */
  readonly storePath: string;
  /** A uuid made when the directory was first opened: this node's name for itself across renames and moves. */
  readonly identity: string;
}

/**
 * Reads the directory's FORMAT, creating directory and FORMAT where nothing is there yet.
 * @throws DataDirectoryError
 */
export async function openDataDirectory(
  directory: string,
  options: { readonly createdBy: string },
): Promise<DataDirectory> {
  const path = resolve(directory);
  const storePath = join(path, 'level');
  try {
    await createDurably(path);
    const text = await readIfPresent(join(path, 'FORMAT'));
    if (text !== undefined) return { path, storePath, identity: identityIn(text, path) };
    if (await exists(storePath)) {
      throw new DataDirectoryError(
        'damaged',
        `The data directory ${path} holds data but its FORMAT file is missing, so it is not known which version wrote it. ` +
          'Nothing was changed. Put FORMAT back from a backup, or start with an empty directory.',
      );
    }
    return { path, storePath, identity: await writeFormat(path, options.createdBy) };
  } catch (error) {
    throw asDataDirectoryError(error, path);
  }
}

/** Turns an error of the file system into one that says what to do; a DataDirectoryError stays itself. */
export function asDataDirectoryError(error: unknown, path: string): unknown {
  if (error instanceof DataDirectoryError || !(error instanceof Error)) return error;
  const code = 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new DataDirectoryError(
        'not_permitted',
        `The data directory ${path} may not be read and written by this user (${error.message}). ` +
          'Change its owner or permissions, or choose another directory with --data.',
        { cause: error },
      );
    case 'ENOTDIR':
    case 'EEXIST':
      return new DataDirectoryError(
        'not_a_directory',
        `${path} is not a directory. Choose another path with --data, or move the file that is there away.`,
        { cause: error },
      );
    case 'ENOSPC':
    case 'EDQUOT':
      return new DataDirectoryError(
        'no_room',
        `The disk of the data directory ${path} is full. Nothing was lost. Make room and start again.`,
        { cause: error },
      );
    case 'EIO':
      return new DataDirectoryError(
        'disk_failure',
        `The disk of the data directory ${path} failed (${error.message}). Nothing was changed. ` +
          'Check the disk; if it is broken, start this node anew on another one and let it catch up from its peers.',
        { cause: error },
      );
    default:
      return error;
  }
}

const claimed = new Set<string>();

/**
 * Keeps a directory for one store of this process, whatever path leads to it; the function returned gives it back.
 * LevelDB's lock cannot: it is a POSIX lock, which does not hold against its own process, and a second try to open the
 * same database would even drop it for everyone, because closing any descriptor of a file releases its locks.
 * @throws DataDirectoryError in_use
 */
export async function claimDirectory(path: string): Promise<() => void> {
  const { dev, ino } = await stat(path, { bigint: true });
  const file = `${dev}:${ino}`;
  if (claimed.has(file)) throw inUseError(path);
  claimed.add(file);
  return () => claimed.delete(file);
}

export function inUseError(path: string): DataDirectoryError {
  return new DataDirectoryError(
    'in_use',
    `The data directory ${path} is in use by another node. ` +
      'Stop that node first, or give this one a directory of its own with --data.',
  );
}

function identityIn(text: string, path: string): string {
  const parsed = parseFormat(text);
  if (parsed === undefined) {
    throw new DataDirectoryError(
      'damaged',
      `The file FORMAT in the data directory ${path} is damaged. Nothing was changed. ` +
        'Put it back from a backup, or start with an empty directory and let this node catch up from its peers.',
    );
  }
  if (parsed.format > format) {
    throw new DataDirectoryError(
      'newer_version',
      `The data directory ${path} has format ${parsed.format}, written by version ${parsed.createdBy} or a later one; ` +
        `this version reads format ${format}. Nothing was changed. Start it with the newer version.`,
    );
  }
  return parsed.identity;
}

interface Format {
  readonly format: number;
  readonly createdBy: string;
  readonly identity: string;
}

function parseFormat(text: string): Format | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { format: number, created_by: createdBy, identity } = value as Record<string, unknown>;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1) return undefined;
  // A newer format may name its members differently: its number is all that is needed to refuse it.
  if (number > format) {
    return { format: number, createdBy: typeof createdBy === 'string' ? createdBy : 'unknown', identity: '' };
  }
  if (typeof createdBy !== 'string' || typeof identity !== 'string' || identity === '') return undefined;
  return { format: number, createdBy, identity };
}

/** Two processes may come first at once: the file appears whole under its name, and the first one wins. */
async function writeFormat(path: string, createdBy: string): Promise<string> {
  const target = join(path, 'FORMAT');
  const temporary = join(path, `FORMAT.${randomUUID()}`);
  const text = `${JSON.stringify({ format, created_by: createdBy, identity: randomUUID() })}\n`;
  const file = await open(temporary, 'wx');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(temporary, target);
    await unlink(temporary);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') await unlink(temporary);
    // Some file systems have no hard links; there a race of two first starts is left to the store's own lock.
    else await rename(temporary, target);
  }
  await syncDirectory(path);
  return identityIn(await readFile(target, 'utf8'), path);
}

/**
 * Creates a directory for its owner's eyes only, because everybody's documents and the secret that signs cookies are in
 * it. Makes its name durable, and those of the parents that were missing too. One that is there keeps its permissions.
 */
async function createDurably(path: string): Promise<void> {
  const firstParent = await mkdir(dirname(path), { recursive: true });
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  const first = firstParent ?? made;
  if (first === undefined) return;
  for (let name = path; name.length >= first.length; name = dirname(name)) await syncDirectory(dirname(name));
}

/** Makes the names in a directory durable. Windows has no such call and keeps them in its journal. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The operating system's word for an error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
