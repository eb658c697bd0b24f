import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findViolations, rules } from './tidy/find-violations.ts';
import type { SourceText } from './tidy/source-file.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function readTree(): SourceText[] {
  const folders = ['src', 'test', 'bench', 'scripts', 'simulation', 'examples'];
  const present = readdirSync(root, { recursive: false, withFileTypes: true });
  const tops = present.filter((entry) => entry.isDirectory() && folders.includes(entry.name));
  const paths = tops.flatMap(({ name }) =>
    readdirSync(`${root}${name}`, { recursive: true, encoding: 'utf8' }).map((path) => `${name}/${path}`),
  );
  return [...paths, 'vitest.config.ts']
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.(ts|mjs)$/.test(path) && !/(^|\/)(node_modules|dist)\//.test(path))
    .map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') }));
}

describe('tidy', () => {
  const tree = readTree();

  it('reads the whole tree', () => {
    const paths = tree.map((file) => file.path);
    expect(paths).toContain('src/errors.ts');
    expect(paths).toContain('src/document/revision.ts');
    expect(paths).toContain('test/tidy.test.ts');
  });

  const violations = findViolations(tree);

  describe.each(rules)('$name', (rule) => {
    it.each(rule.broken.map((file, index) => ({ index, file })))(
      'is red on broken example $index',
      ({ file }) => {
        expect(findViolations([file]).map((violation) => violation.rule)).toContain(rule.name);
      },
    );

    it.each(rule.allowed.map((file, index) => ({ index, file })))(
      'is green on allowed example $index',
      ({ file }) => {
        expect(findViolations([file]).filter((violation) => violation.rule === rule.name)).toEqual([]);
      },
    );

    it('is green on the tree', () => {
      const found = violations.filter((violation) => violation.rule === rule.name);
      expect(found.map(({ path, line, message }) => `${path}:${line} ${message}`)).toEqual([]);
    });
  });
});
