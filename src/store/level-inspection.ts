/**
 * Looking at LevelDB's files without LevelDB: is everything there, and where must the log be cut.
 *
 * LevelDB as classic-level opens it forgives too much. It skips damaged log records in silence, takes a log that it cannot
 * read for an empty one, and makes a new database where CURRENT is missing, throwing away the tables beside it. So its files are
 * inspected first:
 *
 * 1. CURRENT names a MANIFEST that can be read, or there is no data at all.
 * 2. Every table of the MANIFEST is there with its size.
 * 3. The logs not yet in tables hold commits numbered without a gap. Broken bytes may only follow the last commit: a
 *    commit begins once the one before it is durable, so whatever is torn at the very end was never acknowledged.
 *
 *   commits 7 8 9 ~~~~      torn tail: a power cut during commit 10; LevelDB drops it, and rightly
 *   commits 7 ~~~~ 9        damage: commit 8 was acknowledged; refused
 *
 * What this cannot tell: damage to the very last commit looks like a torn tail; and damage inside a table is found only when
 * the block is read, as far as decompression fails on it, since checking all tables would take too long at every start.
 * A table that cannot be read at all ends the process with SIGBUS, since LevelDB maps tables into memory.
 */

import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from './data-directory.ts';
import { type LogRecord, readLog } from './level-log.ts';
import { type Manifest, readManifest } from './level-manifest.ts';
import { damagedError } from './level-open.ts';

/**
 * Reads only; see above for what is checked.
 * @throws DataDirectoryError `damaged`, naming the file; errors of the file system
 */
export async function inspectLevel(storePath: string): Promise<void> {
  const names = await namesIn(storePath);
  const manifest = await currentManifest(storePath, names);
  if (manifest === undefined) return;
  await checkTables(storePath, names, manifest);
  await checkLogs(storePath, names, manifest);
}

/**
 * Cuts the newest log behind commit `lastCommit` and makes that durable, so that nothing later can come back at the next start.
 * The database must not write meanwhile.
 */
export async function cutLog(storePath: string, lastCommit: bigint): Promise<void> {
  const newest = logsIn(await namesIn(storePath)).at(-1);
  if (newest === undefined) return;
  const path = join(storePath, newest.name);
  const bytes = await readFile(path);
  const kept = readLog(bytes).records.filter(
    (record) => (commitNumberIn(record) ?? lastCommit + 1n) <= lastCommit,
  );
  const file = await open(path, 'r+');
  try {
    await file.truncate(kept.at(-1)?.end ?? 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function currentManifest(storePath: string, names: readonly string[]): Promise<Manifest | undefined> {
  if (!names.includes('CURRENT')) {
    for (const name of names.filter((one) => /\.(ldb|sst|log)$/.test(one))) {
      if ((await stat(join(storePath, name))).size === 0) continue;
      throw damagedError(storePath, `the file CURRENT is missing beside ${name}`);
    }
    return undefined;
  }
  const name = (await readFile(join(storePath, 'CURRENT'), 'latin1')).trimEnd();
  if (!/^MANIFEST-\d+$/.test(name))
    throw damagedError(storePath, 'the file CURRENT does not name a MANIFEST');
  if (!names.includes(name)) throw damagedError(storePath, `the file ${name} is missing`);
  const manifest = readManifest(await readFile(join(storePath, name)));
  if (manifest === undefined) throw damagedError(storePath, `the file ${name} cannot be read`);
  return manifest;
}

async function checkTables(storePath: string, names: readonly string[], manifest: Manifest): Promise<void> {
  const sizes = new Map(names.map((name) => [name, undefined]));
  for (const [number, bytes] of manifest.tables) {
    const padded = String(number).padStart(6, '0');
    const name = [`${padded}.ldb`, `${padded}.sst`].find((one) => sizes.has(one));
    if (name === undefined) throw damagedError(storePath, `the file ${padded}.ldb is missing`);
    const { size } = await stat(join(storePath, name));
    if (size !== bytes)
      throw damagedError(storePath, `the file ${name} has ${size} bytes instead of ${bytes}`);
  }
}

async function checkLogs(storePath: string, names: readonly string[], manifest: Manifest): Promise<void> {
  const logs = logsIn(names).filter(({ number }) => number >= manifest.firstLogNumber);
  if (manifest.firstLogNumber > 0 && logs[0]?.number !== manifest.firstLogNumber) {
    const padded = String(manifest.firstLogNumber).padStart(6, '0');
    throw damagedError(storePath, `the file ${padded}.log is missing`);
  }
  let previous: bigint | undefined;
  let previousName = '';
  for (const { name } of logs) {
    for (const record of readLog(await readFile(join(storePath, name))).records) {
      const number = commitNumberIn(record);
      if (record.brokenBefore !== undefined || number === undefined) {
        throw damagedError(
          storePath,
          `the file ${name} is damaged at byte ${record.brokenBefore ?? record.start}`,
        );
      }
      if (previous !== undefined && number !== previous + 1n) {
        const gap = `commits ${previous + 1n} to ${number - 1n}`;
        throw damagedError(
          storePath,
          `${gap} are missing from the end of ${previousName} or the start of ${name}`,
        );
      }
      previous = number;
      previousName = name;
    }
  }
}

/**
 * The number of the commit in a record of the log: the first operation of every batch puts it under the empty key.
 * A batch is `sequence (8) count (4)` and its operations, here `put (1) key length (0) value length (8) number`.
 */
function commitNumberIn({ data }: LogRecord): bigint | undefined {
  const isCommit = data.length >= 23 && data[12] === 1 && data[13] === 0 && data[14] === 8;
  return isCommit ? new DataView(data.buffer, data.byteOffset).getBigUint64(15) : undefined;
}

function logsIn(names: readonly string[]): { readonly name: string; readonly number: number }[] {
  return names
    .filter((name) => /^\d+\.log$/.test(name))
    .map((name) => ({ name, number: Number.parseInt(name, 10) }))
    .sort((left, right) => left.number - right.number);
}

async function namesIn(storePath: string): Promise<string[]> {
  try {
    return await readdir(storePath);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
