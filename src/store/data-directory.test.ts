import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataDirectory } from './data-directory.ts';
import { openLevelStore } from './level-store.ts';

const options = { createdBy: '1.2.3' } as const;

let parent: string;
let directory: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'tercet-directory-'));
  directory = join(parent, 'deep', 'data');
});

afterEach(async () => {
  await rm(parent, { recursive: true });
});

test('a new directory gets a format, the version that made it, and an identity that stays', async () => {
  const first = await openDataDirectory(directory, options);
  const second = await openDataDirectory(directory, { createdBy: '9.9.9' });
  expect(first.identity).toMatch(/^[0-9a-f-]{36}$/);
  expect(second).toEqual(first);
  const format: unknown = JSON.parse(await readFile(join(directory, 'FORMAT'), 'utf8'));
  expect(format).toEqual({ format: 1, created_by: '1.2.3', identity: first.identity });
});

// skip: Windows has no permission bits
test.skipIf(process.platform === 'win32')(
  'a new directory is for its owner alone; one that is there stays as it is',
  async () => {
    const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
    await openDataDirectory(directory, options);
    expect(await modeOf(directory)).toBe(0o700);
    expect(await modeOf(join(parent, 'deep'))).toBe(0o777 & ~process.umask());
    await chmod(directory, 0o750);
    await openDataDirectory(directory, options);
    expect(await modeOf(directory)).toBe(0o750);
  },
);

test('processes that come first at once agree on one identity', async () => {
  const opened = await Promise.all(Array.from({ length: 8 }, () => openDataDirectory(directory, options)));
  expect(new Set(opened.map(({ identity }) => identity)).size).toBe(1);
});

test('a directory in use is said to be, by this process and by another, while its store goes on', async () => {
  const store = await openLevelStore(directory, options);
  const inUse = { kind: 'in_use', message: expect.stringContaining('Stop that node first') };
  await expect(openLevelStore(directory, options)).rejects.toMatchObject(inUse);
  expect(await openingElsewhere()).toContain('in_use');
  await store.commit([{ kind: 'put', key: Uint8Array.of(1), value: Uint8Array.of(2) }]);
  await store.close();
  const reopened = await openLevelStore(directory, options);
  expect(reopened.identity).toBe(store.identity);
  expect([...reopened.get(Uint8Array.of(1))!]).toEqual([2]);
  await reopened.close();
});

async function openingElsewhere(): Promise<string> {
  const script = `
    import { openLevelStore } from ${JSON.stringify(join(import.meta.dirname, 'level-store.ts'))};
    openLevelStore(${JSON.stringify(directory)}, { createdBy: '1.2.3' }).catch((error) => console.log(error.kind));`;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}

test('a file in the place of the directory is said to be none', async () => {
  await writeFile(join(parent, 'deep'), '');
  await expect(openLevelStore(directory, options)).rejects.toMatchObject({ kind: 'not_a_directory' });
  await expect(openLevelStore(join(parent, 'deep'), options)).rejects.toMatchObject({
    kind: 'not_a_directory',
  });
});

test('a directory that may not be read is said to be so', async (context) => {
  if (process.getuid?.() === 0) return context.skip('root may read everything');
  await openDataDirectory(directory, options);
  await chmod(directory, 0o000);
  await expect(openLevelStore(directory, options)).rejects.toMatchObject({ kind: 'not_permitted' });
  await chmod(directory, 0o700);
});

test('a directory of a newer version is refused, naming that version', async () => {
  const store = await openLevelStore(directory, options);
  await store.close();
  await writeFile(join(directory, 'FORMAT'), '{"format":2,"created_by":"7.0.0"}');
  await expect(openLevelStore(directory, options)).rejects.toMatchObject({
    kind: 'newer_version',
    message: expect.stringContaining('7.0.0'),
  });
});

test.each([
  '',
  'nonsense',
  '[]',
  'null',
  '{"format":0}',
  '{"format":1}',
  '{"format":"1","created_by":"1","identity":"x"}',
])('a FORMAT that reads %j is said to be damaged', async (text) => {
  await openDataDirectory(directory, options);
  await writeFile(join(directory, 'FORMAT'), text);
  await expect(openLevelStore(directory, options)).rejects.toMatchObject({ kind: 'damaged' });
  expect(await readFile(join(directory, 'FORMAT'), 'utf8')).toBe(text);
});

test('data without a FORMAT is said to be damaged', async () => {
  const store = await openLevelStore(directory, options);
  await store.close();
  await unlink(join(directory, 'FORMAT'));
  await expect(openLevelStore(directory, options)).rejects.toMatchObject({
    kind: 'damaged',
    message: expect.stringContaining('FORMAT file is missing'),
  });
});
