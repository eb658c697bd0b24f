import { type ExecFileOptions, execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSample } from './end-to-end/sample.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a program; a failure shows what it printed. */
async function execute(command: string, parameters: readonly string[], options: ExecFileOptions = {}) {
  try {
    return await promisify(execFile)(command, [...parameters], { ...options, encoding: 'utf8' });
  } catch (error) {
    const { message, stdout, stderr } = error as Error & {
      readonly stdout?: string;
      readonly stderr?: string;
    };
    throw new Error(`${message}\n${stdout}\n${stderr}`, { cause: error });
  }
}

interface PackageManifest {
  readonly version: string;
  readonly bin: { readonly tercet: string };
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
}

/**
 * What a build needs; the copy is built afresh, so that nothing left over in dist/ gets in. Only the sample is brought along:
 * it takes many seconds to make, and whether it is the right one the build sees by itself.
 */
const sources = ['src', 'scripts', 'dist/sample', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Packs the project as `npm publish` would and unpacks it; gives the paths inside the package. */
async function packInto(directory: string, manifest: PackageManifest): Promise<string[]> {
  const pages = manifest.files.filter((path) => !path.startsWith('dist/'));
  for (const path of [...sources, ...pages])
    await cp(join(root, path), join(directory, path), { recursive: true });
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'), 'junction');
  const pack = ['pack', '--json', '--silent'];
  const { stdout } = await execute('npm', pack, { cwd: directory, shell: process.platform === 'win32' });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as {
    readonly filename: string;
    readonly files: readonly { readonly path: string }[];
  }[];
  await execute('tar', ['-xzf', packed?.filename ?? ''], { cwd: directory });
  return (packed?.files ?? []).map((file) => file.path);
}

/** Gives the unpacked package the packages it may use, and no others. */
async function linkDependencies(directory: string, manifest: PackageManifest): Promise<void> {
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(directory, 'package/node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, 'node_modules', name), link, 'junction');
  }
}

describe('the published package', () => {
  let directory: string;
  let paths: readonly string[];
  let manifest: PackageManifest;

  beforeAll(async () => {
    manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as PackageManifest;
    directory = await mkdtemp(join(tmpdir(), 'tercet-package-'));
    await makeSample();
    paths = await packInto(directory, manifest);
    await linkDependencies(directory, manifest);
  }, 120_000);

  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('holds every file that its manifest names', () => {
    const entries = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : [entry.types, entry.default],
    );
    const named = [...entries, ...Object.values(manifest.bin)].map((path) => path.replace(/^\.\//, ''));
    expect(named.filter((path) => !paths.includes(path))).toEqual([]);
  });

  it('holds its licence, notice and readmes', () => {
    expect(paths).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'NOTICE',
        'README.md',
        'README.ko.md',
        'CHANGELOG.md',
        'package.json',
      ]),
    );
  });

  it('holds no tests and no sources', () => {
    const surplus = paths.filter(
      (path) =>
        /\.test\.|\/test-/.test(path) ||
        (/\.ts$/.test(path) && !path.endsWith('.d.ts')) ||
        /^(src|test|bench|simulation)\//.test(path),
    );
    expect(surplus).toEqual([]);
  });

  it('runs with nothing but the packages it depends on', async () => {
    const main = join(directory, 'package', manifest.bin.tercet);
    expect((await readFile(main, 'utf8')).startsWith('#!/usr/bin/env node\n')).toBe(true);
    const { stdout } = await execute(process.execPath, [main, '--version']);
    expect(stdout).toContain(manifest.version);
  });

  it('can be imported', async () => {
    const program = "import('tercet').then((tercet) => console.log(Object.keys(tercet).join()))";
    const { stdout } = await execute(process.execPath, ['-e', program], { cwd: join(directory, 'package') });
    expect(stdout.trim().split(',')).toContain('openNode');
  });
});

describe('the lock file', () => {
  interface LockedPackage {
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }

  it('names every package for every platform, or `npm ci` refuses it', async () => {
    const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, LockedPackage>>;
    };
    const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          !(`node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages),
      ),
    );
    expect(missing).toEqual([]);
  });
});
