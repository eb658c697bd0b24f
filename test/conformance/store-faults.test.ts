/** The LevelDB store on disks that fill up and fail, and in processes that are killed. */

import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TercetError } from '../../src/errors.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import type { Store } from '../../src/store/store.ts';
import { batchOf, presenceOf } from './store-faults-batches.ts';
import {
  buildFailingDisk,
  mountSmallDisk,
  startWriter,
  temporaryDirectory,
  until,
  type Writer,
} from './store-faults-world.ts';

const options = { createdBy: '0.0.0', writeBufferBytes: 65_536, retryMsMax: 300 } as const;

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('a full disk', () => {
  test('refuses writes, goes on reading, and takes writes again once there is room', async (context) => {
    const disk = await mountSmallDisk(16);
    if (typeof disk === 'string') return context.skip(disk);
    try {
      const ballast = join(disk.path, 'ballast');
      await writeFile(ballast, Buffer.alloc(8_000_000, 1));
      const store = await openLevelStore(join(disk.path, 'data'), options);
      const answers = await commitUntilRefused(store, 0);
      expect(store.health()).toMatchObject({ kind: 'read_only', cause: 'disk_full' });
      expect(answers.refused.every((code) => code === 'insufficient_storage')).toBe(true);
      expect(presences(store, answers.done)).toEqual(['whole']);

      await truncate(ballast, 0);
      await until('the store is writable', () => store.health().kind === 'writable');
      expect(presences(store, answers.done)).toEqual(['whole']);
      await store.commit(batchOf(100_000));
      await store.close();

      const reopened = await openLevelStore(join(disk.path, 'data'), options);
      expect(presences(reopened, [...answers.done, 100_000])).toEqual(['whole']);
      expect(presences(reopened, answers.refusedNumbers)).toEqual(['absent']);
      await reopened.close();
    } finally {
      await disk.remove();
    }
  });

  test('loses nothing when the process is killed on it, and brings nothing refused back', async (context) => {
    const disk = await mountSmallDisk(16);
    if (typeof disk === 'string') return context.skip(disk);
    try {
      const ballast = join(disk.path, 'ballast');
      await writeFile(ballast, Buffer.alloc(8_000_000, 1));
      const writer = startWriter(join(disk.path, 'data'));
      await until('writes are refused', () => writer.failed.size >= 3);
      await writer.kill();
      await truncate(ballast, 0);
      await expectKept(writer, join(disk.path, 'data'));
    } finally {
      await disk.remove();
    }
  });

  test('is told from a damaged directory when a node starts on it', async (context) => {
    const disk = await mountSmallDisk(16);
    if (typeof disk === 'string') return context.skip(disk);
    try {
      const store = await openLevelStore(join(disk.path, 'data'), options);
      await store.commit(batchOf(1));
      await store.close();
      const ballast = join(disk.path, 'ballast');
      await writeFile(ballast, Buffer.alloc(32_000_000, 1)).catch(() => {});
      await expect(openLevelStore(join(disk.path, 'data'), options)).rejects.toMatchObject({
        kind: 'no_room',
      });
      await truncate(ballast, 0);
      const reopened = await openLevelStore(join(disk.path, 'data'), options);
      expect(presenceOf(reopened, 1)).toBe('whole');
      await reopened.close();
    } finally {
      await disk.remove();
    }
  });
});

describe('a disk whose fsync fails', () => {
  test('refuses the write as not happened where the log could be cut, and recovers', async (context) => {
    const disk = await buildFailingDisk(directory);
    if (typeof disk === 'string') return context.skip(disk);
    const writer = startWriter(join(directory, 'data'), disk.environment);
    await until('some commits are done', () => writer.done.size >= 5);
    await disk.fail(['fdatasync']);
    await until('writes are refused', () => writer.failed.size >= 3);
    expect(new Set(writer.failed.values())).toEqual(new Set(['disk_failure']));
    await disk.heal();
    const before = writer.done.size;
    await until('the store is writable again', () => writer.done.size > before + 5);
    await writer.kill();
    await expectKept(writer, join(directory, 'data'));
  });

  test('says that the outcome is unknown where not even the cut is certain', async (context) => {
    const disk = await buildFailingDisk(directory);
    if (typeof disk === 'string') return context.skip(disk);
    const writer = startWriter(join(directory, 'data'), disk.environment);
    await until('some commits are done', () => writer.done.size >= 5);
    await disk.fail(['fdatasync', 'fsync']);
    await until('writes are refused', () => writer.failed.size >= 3);
    const [first, ...later] = writer.failed.values();
    expect(first).toBe('write_outcome_unknown');
    // What came behind the failed write never reached the disk.
    expect(new Set(later)).toEqual(new Set(['disk_failure']));
    await disk.heal();
    const before = writer.done.size;
    await until('the store is writable again', () => writer.done.size > before + 5);
    await writer.kill();
    await expectKept(writer, join(directory, 'data'));
  });
});

describe('a killed process', () => {
  test.each([1, 40, 150])('loses no acknowledged commit when killed after %i of them', async (count) => {
    const writer = startWriter(directory);
    await until('enough commits are done', () => writer.done.size >= count);
    await writer.kill();
    await expectKept(writer, directory);
  });
});

/** All that was acknowledged is whole; what definitely did not happen is absent; anything else is whole or absent. */
async function expectKept(writer: Writer, path: string): Promise<void> {
  const store = await openLevelStore(path, options);
  expect(presences(store, writer.done)).toEqual(['whole']);
  const refused = [...writer.failed].filter(([, code]) => code !== 'write_outcome_unknown');
  const unknown = [...writer.failed].filter(([, code]) => code === 'write_outcome_unknown');
  const refusedNumbers = refused.map(([number]) => number);
  if (refusedNumbers.length > 0) expect(presences(store, refusedNumbers)).toEqual(['absent']);
  const unanswered = Math.max(...writer.done, ...writer.failed.keys()) + 1;
  for (const number of [unanswered, ...unknown.map(([one]) => one)]) {
    expect(presenceOf(store, number)).not.toBe('half');
  }
  await store.close();
}

function presences(store: Store, numbers: Iterable<number>): string[] {
  return [...new Set([...numbers].map((number) => presenceOf(store, number)))];
}

interface Answers {
  readonly done: readonly number[];
  readonly refused: readonly string[];
  readonly refusedNumbers: readonly number[];
}

/** Commits batches, several at once, until the disk refuses them. */
async function commitUntilRefused(store: Store, first: number): Promise<Answers> {
  const done: number[] = [];
  const refused: string[] = [];
  const refusedNumbers: number[] = [];
  for (let start = first; refused.length === 0; start += 4) {
    await Promise.all(
      [0, 1, 2, 3].map(async (index) => {
        try {
          await store.commit(batchOf(start + index));
          done.push(start + index);
        } catch (error) {
          if (!(error instanceof TercetError)) throw error;
          refused.push(error.code);
          refusedNumbers.push(start + index);
        }
      }),
    );
  }
  return { done, refused, refusedNumbers };
}
