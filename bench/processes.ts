/** Starts and ends processes; none outlives the benchmark, however it ends. */

import { type ChildProcess, fork, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ClusterJob } from './cluster-client.ts';
import type { LoadJob, LoadResult } from './load-client.ts';
import type { SyncJob, SyncResult } from './pouchdb-client.ts';

const running = new Set<ChildProcess>();

function remember(child: ChildProcess): ChildProcess {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** Ends what still runs; called at the end of the benchmark and when it is interrupted. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

process.once('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(130));
}

/** Starts a program and keeps the end of what it prints, to show when it fails. */
export function startProcess(command: string, parameters: readonly string[], options: SpawnOptions) {
  const child = remember(spawn(command, parameters, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }));
  let printed = '';
  const keep = (bytes: Buffer) => {
    printed = (printed + bytes.toString('utf8')).slice(-4_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return { child, printed: () => printed };
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const deadline = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(deadline);
}

/** Runs one of this folder's clients in a process of its own. */
async function runClient<Result>(file: string, job: object): Promise<Result> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = remember(
    fork(path, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  );
  const answer = new Promise<{ result?: Result; error?: string }>((resolve) => {
    child.once('message', (message) => resolve(message as { result?: Result; error?: string }));
    child.once('error', (error) => resolve({ error: error.message }));
    child.once('exit', (code) => resolve({ error: `${file} ended early with code ${code}` }));
  });
  child.send(job);
  const { result, error } = await answer;
  await stopProcess(child);
  if (result === undefined) throw new Error(error ?? `${file} gave no result`);
  return result;
}

export function load(job: LoadJob): Promise<LoadResult> {
  return runClient('./load-client.ts', job);
}

export function loadCluster(job: ClusterJob): Promise<LoadResult> {
  return runClient('./cluster-client.ts', job);
}

export function syncPouch(job: SyncJob): Promise<SyncResult> {
  return runClient('./pouchdb-client.ts', job);
}

/** A port that nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

/** Asks again and again until the URL answers with a success; gives the milliseconds that took. */
export async function waitUntilAnswers(
  url: string,
  child: ChildProcess,
  secondsMax: number,
): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    const elapsedMs = performance.now() - startedAt;
    if (answer !== undefined) {
      await answer.arrayBuffer();
      if (answer.ok) return elapsedMs;
    }
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error('the process ended before it answered');
    if (elapsedMs > secondsMax * 1000) throw new Error(`${url} gave no answer within ${secondsMax} s`);
    await pause(5);
  }
}

/** CPU time that the threads of a process took so far; undefined where there is no /proc. */
export function cpuMicroseconds(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    );
    return nanoseconds.reduce((sum, one) => sum + one, 0) / 1000;
  } catch {
    return undefined;
  }
}

/** Resident memory of a process now and at its peak; undefined where there is no /proc. */
export function residentBytes(pid: number): { readonly now: number; readonly peak: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
    return { now: kilobytes('VmRSS') * 1024, peak: kilobytes('VmHWM') * 1024 };
  } catch {
    return undefined;
  }
}
