/**
 * Real processes are started from compiled code in one file, because these tests start many: `tsx` costs every process half
 * a second, and reading hundreds of modules as much again. `test/package.test.ts` runs what is published, module by module.
 * The build is kept under the digest of the sources, so unchanged sources are compiled once, and a test run never pulls the
 * code away from under another one that is still going.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '');

const builds = join(root, 'dist', 'test');
const keptMs = 60 * 60 * 1000;
let built: string | undefined;

/** The compiled `src/main.js` of the present sources; compiles them first when needed. */
export function builtMain(): string {
  built ??= build();
  return built;
}

function build(): string {
  const directory = join(builds, sourceDigest());
  const main = join(directory, 'main.js');
  if (existsSync(main)) return main;
  removeOldBuilds();
  const unfinished = `${directory}.${process.pid}`;
  mkdirSync(unfinished);
  const { errors } = bundler().buildSync({
    entryPoints: [join(root, 'src', 'main.ts')],
    outfile: join(unfinished, 'main.js'),
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external' },
    ...{ keepNames: true, logLevel: 'error' },
  });
  if (errors.length > 0) throw new Error(`the build failed: ${JSON.stringify(errors)}`);
  try {
    renameSync(unfinished, directory);
  } catch (error) {
    // Another test run finished the same build first; its result is as good.
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(main)) throw error;
  }
  return main;
}

interface Bundler {
  buildSync(options: Readonly<Record<string, unknown>>): { readonly errors: readonly unknown[] };
}

/** The one that `tsx` brings along and runs every other TypeScript of this project by. */
function bundler(): Bundler {
  const tsx = createRequire(import.meta.url).resolve('tsx/package.json');
  return createRequire(tsx)('esbuild') as Bundler;
}

function sourceDigest(): string {
  const hash = createHash('sha256');
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts')).sort()) {
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(root, 'src', file)))
      .update('\0');
  }
  return hash.digest('hex').slice(0, 16);
}

function removeOldBuilds(): void {
  mkdirSync(builds, { recursive: true });
  for (const name of readdirSync(builds)) {
    const directory = join(builds, name);
    if (Date.now() - statSync(directory).mtimeMs > keptMs)
      rmSync(directory, { recursive: true, force: true });
  }
}
