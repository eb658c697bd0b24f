import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Guide, guideText, shellWord, thingsToTry } from './dev-guide.ts';

const node = (index: number) => ({
  name: `n${index}`,
  url: `http://127.0.0.1:${5983 + index}`,
  pid: 1000 + index,
  data: `/home/anna's files/.tercet/n${index}`,
  command: ['node', '/opt/tercet main.js', 'serve', '--node', `n${index}`],
});
const guide: Guide = {
  nodes: [node(1), node(2), node(3)],
  leader: 'n2',
  databases: ['calendar (10 events)', 'notes (empty)'],
  pouchdb: undefined,
  pouchdbData: '/tmp/copy',
  executable: 'node',
  program: '/opt/tercet main.js',
};

test('the table has a row for each node, its columns aligned', () => {
  expect(guideText(guide).split('\n').slice(0, 3)).toEqual([
    'node  URL                    pid   ledger   data',
    "n1    http://127.0.0.1:5984  1001  follows  /home/anna's files/.tercet/n1",
    "n2    http://127.0.0.1:5985  1002  leads    /home/anna's files/.tercet/n2",
  ]);
});

test('there are seven things to try, and none breaks a shell', () => {
  const things = thingsToTry(guide);
  expect(things).toHaveLength(7);
  for (const { lines } of things) {
    const { status, stderr } = spawnSync('bash', ['-n', '-c', lines.join('\n')], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  }
});

test('where PouchDB is not installed the line installs it first', () => {
  const sync = (pouchdb: string | undefined) => thingsToTry({ ...guide, pouchdb })[2]!.lines[0]!;
  expect(sync(undefined)).toMatch(/^npm install pouchdb && node -e/);
  expect(sync('/opt/pouchdb.js')).toMatch(/^node -e .*require\("\/opt\/pouchdb\.js"\)/);
});

test('one node alone can be tried too', () => {
  expect(guideText({ ...guide, nodes: [node(1)] })).toContain('kill -9 1001');
});

test('no leader is killed where nobody leads, or where no majority would be left', () => {
  const text = guideText({ ...guide, leader: undefined });
  expect(text).toContain('1001  nobody leads');
  expect(text).toContain('Four things to try');
  expect(thingsToTry({ ...guide, nodes: [node(1), node(2)] })).toHaveLength(4);
});

test('a word reaches the program as it was, whatever is in it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (word) => {
      fc.pre(!word.includes('\0'));
      const { stdout } = spawnSync('bash', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
      expect(stdout).toBe(word);
    }),
    { numRuns: 50, examples: [['']], seed: 1 },
  );
});
