/** What the fault tests do to a store from outside: small disks, processes to kill, a disk whose fsync fails. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'tercet-store-'));
}

/** Polls until the condition holds. */
export async function until(what: string, condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(10);
  }
}

export interface SmallDisk {
  readonly path: string;
  readonly remove: () => Promise<void>;
}

/** A disk of its own in memory, or the reason why there is none. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk | string> {
  if (process.platform !== 'linux') return 'a small disk is mounted on Linux only';
  const path = await temporaryDirectory();
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tercet-test', path]);
  } catch (error) {
    await rm(path, { recursive: true });
    return `mounting a small disk needs root: ${String(error)}`;
  }
  const remove = async (): Promise<void> => {
    await run('umount', [path]);
    await rm(path, { recursive: true });
  };
  return { path, remove };
}

/** A library that makes fsync and its kin fail on LevelDB's logs while a file named by FAULTS holds their names. */
const faultySource = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int faulty(int fd, const char *call) {
  char link[64], path[4096], faults[256];
  const char *name = getenv("FAULTS");
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (name == NULL || length < 4 || memcmp(path + length - 4, ".log", 4) != 0) return 0;
  FILE *file = fopen(name, "r");
  if (file == NULL) return 0;
  size_t count = fread(faults, 1, sizeof faults - 1, file);
  fclose(file);
  faults[count] = 0;
  return strstr(faults, call) != NULL;
}

int fdatasync(int fd) {
  if (faulty(fd, "<fdatasync>")) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

int fsync(int fd) {
  if (faulty(fd, "<fsync>")) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
`;

/** Environment for a process whose disk fails on demand, or the reason why there is none. */
export async function buildFailingDisk(directory: string): Promise<FailingDisk | string> {
  if (process.platform !== 'linux') return 'a failing disk is simulated on Linux only';
  const source = join(directory, 'faulty.c');
  const library = join(directory, 'faulty.so');
  const faults = join(directory, 'faults');
  await writeFile(source, faultySource);
  try {
    await run('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl']);
  } catch (error) {
    return `a failing disk needs a C compiler: ${String(error)}`;
  }
  return {
    environment: { LD_PRELOAD: library, FAULTS: faults },
    fail: (calls) => writeFile(faults, calls.map((call) => `<${call}>`).join('')),
    heal: () => rm(faults),
  };
}

export interface FailingDisk {
  readonly environment: Readonly<Record<string, string>>;
  readonly fail: (calls: readonly ('fsync' | 'fdatasync')[]) => Promise<void>;
  readonly heal: () => Promise<void>;
}

/** What the committing process of store-faults-child.ts has said so far. */
export interface Writer {
  readonly done: ReadonlySet<number>;
  /** Error codes by number of the batch. */
  readonly failed: ReadonlyMap<number, string>;
  readonly health: () => string;
  /** Ends it without warning; resolves when it is gone. */
  readonly kill: () => Promise<void>;
}

export function startWriter(directory: string, environment: Readonly<Record<string, string>> = {}): Writer {
  const script = join(import.meta.dirname, 'store-faults-child.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, directory], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const done = new Set<number>();
  const failed = new Map<number, string>();
  let health = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, second = '', third = ''] = line.split(' ');
    if (word === 'done') done.add(Number(second));
    else if (word === 'failed') failed.set(Number(second), third);
    else health = second;
  });
  return { done, failed, health: () => health, kill: () => killed(child) };
}

async function killed(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await closed;
}
