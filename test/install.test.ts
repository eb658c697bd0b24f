import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

// skip: the npm that fails here is a shell script
describe.skipIf(process.platform === 'win32')('installing on a bare checkout', () => {
  let checkout: string;
  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'tercet-install-'));
    mkdirSync(join(checkout, 'scripts'));
    copyFileSync(join(root, 'scripts/install.mjs'), join(checkout, 'scripts/install.mjs'));
    writeFileSync(join(checkout, 'package-lock.json'), '{}');
  });
  afterEach(() => rmSync(checkout, { recursive: true }));

  function install(npm: string) {
    writeFileSync(join(checkout, 'npm'), `#!/bin/sh\n${npm}\n`);
    chmodSync(join(checkout, 'npm'), 0o755);
    const script = join(checkout, 'scripts/install.mjs');
    return spawnSync(process.execPath, [script], { env: { PATH: checkout }, encoding: 'utf8' });
  }

  test('says what to do when npm fails, and ends as npm did', () => {
    const { status, stderr } = install('exit 7');
    expect(status).toBe(7);
    expect(stderr).toContain('run "npm install" once');
  });

  test('says so when there is no npm', () => {
    const script = join(checkout, 'scripts/install.mjs');
    const { status, stderr } = spawnSync(process.execPath, [script], {
      env: { PATH: checkout },
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('ENOENT');
  });

  test('asks npm for the locked packages, and advises nothing when that works', () => {
    const { status, stderr } = install('echo "$@" >&2');
    expect([status, stderr]).toEqual([0, 'Installing packages (npm ci)…\nci --no-audit --no-fund\n']);
  });

  test('leaves packages alone that are newer than the lock', () => {
    mkdirSync(join(checkout, 'node_modules'));
    writeFileSync(join(checkout, 'node_modules/.package-lock.json'), '{}');
    const { status, stderr } = install('exit 7');
    expect([status, stderr]).toEqual([0, '']);
  });
});

interface LockedPackage {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

test('the lock names the optional packages of every platform, so that any machine can install', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const missing = Object.entries(lock.packages).flatMap(([place, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !isLocked(lock.packages, place, name))
      .map((name) => `${name} of ${place}`),
  );
  expect(missing).toEqual([]);
});

/** As Node resolves: beside the package's own files, or beside any folder above it. */
function isLocked(packages: Readonly<Record<string, unknown>>, place: string, name: string): boolean {
  if (`${place === '' ? '' : `${place}/`}node_modules/${name}` in packages) return true;
  if (place === '') return false;
  const parent = place.lastIndexOf('/node_modules/');
  return isLocked(packages, parent < 0 ? '' : place.slice(0, parent), name);
}
