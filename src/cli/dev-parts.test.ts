import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { emptyDevDirectory, findDevDirectory, prepareDevDirectory, recordRun } from './dev-directory.ts';
import { nearestYears, readCalendar } from './dev-sample.ts';
import { choosePorts } from './free-ports.ts';
import { progressOn } from './progress.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tercet-dev-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the directory', () => {
  const at = () => join(directory, 'dev');
  const open = (names: readonly string[] = ['n1', 'n2']) =>
    prepareDevDirectory(at(), names, findDevDirectory(at()));
  const put = (name: string) => {
    mkdirSync(join(at(), name), { recursive: true });
    writeFileSync(join(at(), name, 'data'), 'x');
  };
  const has = (name: string) => existsSync(join(at(), name, 'data'));

  test('is made, and keeps its cluster and all nodes it ever had', () => {
    const { cluster, path } = open(['n1', 'n2', 'n3']);
    put('n1');
    expect(path).toBe(at());
    expect(open()).toEqual({ path, cluster, nodes: ['n1', 'n2', 'n3'], run: undefined });
    expect(has('n1')).toBe(true);
  });

  test('remembers the latest start until the next', () => {
    const run = { pid: 7, nodes: [{ name: 'n1', url: 'http://127.0.0.1:5984', pid: 8 }] };
    recordRun(open(), run);
    expect(findDevDirectory(at())?.run).toEqual(run);
    open();
    expect(findDevDirectory(at())?.run).toBeUndefined();
  });

  test("is emptied of the data of any node it ever had and PouchDB's copy, and of nothing else", () => {
    open(['n1', 'n2', 'n3']);
    for (const name of ['n1', 'n3', 'pouchdb-calendar', 'mine']) put(name);
    emptyDevDirectory(open());
    expect(['n1', 'n3', 'pouchdb-calendar', 'mine'].map(has)).toEqual([false, false, false, true]);
  });

  test('is refused when something else made it', () => {
    put('n1');
    expect(() => findDevDirectory(at())).toThrow('was not made by "tercet dev"');
  });

  test.each(['{', '{}', '{"createdBy":"tercet dev","cluster":"x","nodes":[]}'])(
    'with the marker %j is refused',
    (text) => {
      open();
      writeFileSync(join(at(), 'dev.json'), text);
      expect(() => findDevDirectory(at())).toThrow('is damaged');
    },
  );

  test('deletes nothing outside of itself, whatever its marker says', () => {
    const { cluster } = open();
    const marker = { createdBy: 'tercet dev', cluster, nodes: ['../victim'] };
    writeFileSync(join(at(), 'dev.json'), JSON.stringify(marker));
    expect(() => findDevDirectory(at())).toThrow('is damaged');
  });

  test('that is a file is refused', () => {
    writeFileSync(at(), 'a file');
    expect(() => findDevDirectory(at())).toThrow('--data DIR');
  });
});

describe('ports', () => {
  test('that are taken are skipped and told', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const { port } = blocker.address() as { port: number };
    const choice = await choosePorts(port, 2);
    blocker.close();
    expect(choice.taken).toContain(port);
    expect(choice.ports).toHaveLength(2);
    expect(choice.ports.every((chosen) => chosen > port)).toBe(true);
  });

  test('from 0 on any do, all different', async () => {
    const { ports, taken } = await choosePorts(0, 5);
    expect(new Set(ports).size).toBe(5);
    expect(taken).toEqual([]);
  });

  test('that do not exist are not offered', async () => {
    await expect(choosePorts(65_535, 3)).rejects.toThrow('--port PORT');
  });
});

describe('the sample', () => {
  test('covers the years around now, or the nearest that there are', () => {
    expect(nearestYears([2025, 2026, 2027, 2028, 2029], 2027)).toEqual([2026, 2027, 2028]);
    expect(nearestYears([2029, 2025, 2026, 2028, 2027], 2040)).toEqual([2027, 2028, 2029]);
    expect(nearestYears([2026], 2027)).toEqual([2026]);
  });

  test('is read from its file, and its absence is told with what to do', () => {
    const file = join(directory, 'calendar.gz');
    expect(() => readCalendar(file, 2027)).toThrow('npm run build');
    const events = ['2020-01-01', '2026-01-01', '2027-01-01', '2028-01-01'].map((date) => ({
      _id: date,
      date,
      country: 'KR',
    }));
    writeFileSync(file, gzipSync(events.map((event) => JSON.stringify(event)).join('\n')));
    expect(readCalendar(file, 2027).map(({ _id }) => _id)).toEqual([
      '2026-01-01',
      '2027-01-01',
      '2028-01-01',
    ]);
  });
});

describe('progress', () => {
  const record = (isTTY: boolean) => {
    let text = '';
    let now = 0;
    const output = { isTTY, write: (more: string) => (text += more) };
    return { progress: progressOn(output, () => now), text: () => text, wait: (ms: number) => (now += ms) };
  };

  test('rewrites one line at a terminal, and clears what it leaves', () => {
    const { progress, text } = record(true);
    progress.show('loading 10');
    progress.show('done');
    progress.print('Ready.');
    expect(text()).toBe('\rloading 10\rdone      \r    \rReady.\n');
  });

  test('elsewhere prints whole lines, not too many', () => {
    const { progress, text, wait } = record(false);
    progress.show('1');
    progress.show('2');
    wait(2_000);
    progress.show('3');
    progress.print('Ready.');
    expect(text()).toBe('1\n3\nReady.\n');
  });
});
