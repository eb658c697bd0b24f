import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { serveFlags } from '../src/cli/serve-options.ts';
import { adjustableLimits, limits } from '../src/config.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const pages = ['.', 'docs', 'docs/decisions'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
);

/** Cells of the table rows whose first cell is one word in backquotes: name → the other cells. */
function rowsByName(text: string): ReadonlyMap<string, readonly string[]> {
  const rows = [...text.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)];
  return new Map(rows.map(([, name = '', rest = '']) => [name, rest.split('|').map((cell) => cell.trim())]));
}

describe('links in the pages', () => {
  it.each(pages)('%s leads to files that exist', (page) => {
    const targets = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) =>
      target.replace(/#.*/, ''),
    );
    const files = targets.filter((target) => target !== '' && !/^[a-z]+:/.test(target));
    expect(files.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  const rows = rowsByName(read('docs/operations.md'));

  it.each(Object.entries(limits))('states the limit %s and its default', (name, value) => {
    expect(rows.get(name)?.[0]).toBe(value.toLocaleString('en-US'));
  });

  it.each(Object.keys(limits))('says of the limit %s if it can be set', (name) => {
    expect(rows.get(name)?.[2] === 'yes').toBe(adjustableLimits.some((adjustable) => adjustable === name));
  });

  it.each(Object.entries(serveFlags))('states the flag --%s and its variable', (name, flag) => {
    const row = rows.get(`--${name} ${flag.value}`);
    expect(row?.[0]).toContain(`\`TERCET_${name.replaceAll('-', '_').toUpperCase()}\``);
  });

  it('names no flag or limit that does not exist', () => {
    const known = [
      ...Object.keys(limits),
      ...Object.entries(serveFlags).map(([name, { value }]) => `--${name} ${value}`),
    ];
    expect([...rows.keys()].filter((name) => !name.includes('/') && !known.includes(name))).toEqual([]);
  });
});

describe('the two readmes', () => {
  const shapeOf = (path: string) => ({
    headings: [...read(path).matchAll(/^#+ /gm)].map(([marks]) => marks),
    code: [...read(path).matchAll(/^```[\s\S]*?^```/gm)].map(([block]) => block),
    tableRows: [...read(path).matchAll(/^\|/gm)].length,
    links: [...read(path).matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target).slice(1),
  });

  it('say the same things in the same order', () => {
    expect(shapeOf('README.ko.md')).toEqual(shapeOf('README.md'));
  });
});
