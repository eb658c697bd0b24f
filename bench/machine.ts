/** What the benchmark ran on: figures mean nothing without it. */

import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { percentile } from './load-client.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  /** Processes that were waiting for a core when the benchmark began; above 1, something else was running. */
  readonly loadAverage: number;
  readonly disk: { readonly fileSystem: string; readonly fsyncMsMedian: number; readonly fsyncMsP99: number };
}

export interface Commit {
  readonly id: string;
  /** Files differ from the commit. */
  readonly modified: boolean;
}

export function describeMachine(directory: string): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    loadAverage: loadavg()[0] ?? Number.NaN,
    disk: { fileSystem: fileSystemOf(directory), ...measureFsync(directory) },
  };
}

/** Time to append 4 KiB to a file and wait until the disk has it. */
function measureFsync(directory: string): { fsyncMsMedian: number; fsyncMsP99: number } {
  const path = join(directory, 'fsync-probe');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(4_096, 'x');
  const times: number[] = [];
  for (let i = 0; i < 220; i++) {
    const startedAt = performance.now();
    writeSync(file, page);
    fdatasyncSync(file);
    if (i >= 20) times.push(performance.now() - startedAt);
  }
  closeSync(file);
  rmSync(path);
  times.sort((a, b) => a - b);
  return { fsyncMsMedian: percentile(times, 0.5), fsyncMsP99: percentile(times, 0.99) };
}

const knownFileSystems: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x01021994, 'tmpfs (in memory: an fsync costs nothing)'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlayfs'],
]);

function fileSystemOf(directory: string): string {
  const { type } = statfsSync(directory);
  return knownFileSystems.get(type) ?? `type 0x${type.toString(16)}`;
}

export function describeCommit(root: string): Commit {
  try {
    const git = (...parameters: string[]) =>
      execFileSync('git', parameters, { cwd: root, encoding: 'utf8' }).trim();
    return { id: git('rev-parse', '--short', 'HEAD'), modified: git('status', '--porcelain', 'src') !== '' };
  } catch {
    return { id: 'unknown', modified: false };
  }
}
