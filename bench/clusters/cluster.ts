import { spawnSync } from 'node:child_process';
import type { Address } from '../http-connection.ts';
import { startProcess, stopProcess } from '../processes.ts';
import type { ClusterName } from '../rows.ts';
import type { Protocol } from '../wires/wire.ts';

export interface RunningCluster {
  /** Where clients connect, in turn. */
  readonly addresses: readonly Address[];
  /** The one that orders the writes. */
  readonly leader: Address;
  stop(): Promise<void>;
}

export interface ClusterSystem {
  readonly name: ClusterName;
  readonly protocol: Protocol;
  /** How it was run, for the report. */
  readonly description: string;
  start(directory: string): Promise<RunningCluster>;
}

export interface Program {
  readonly command: string;
  readonly parameters: readonly string[];
  readonly directory: string;
  /** Of the user that it runs as. */
  readonly uid?: number;
  readonly gid?: number;
}

const startSecondsMax = 30;

/** Starts the programs, then waits until `isReady`; when that fails all of them are ended. */
export async function startAll<Found>(
  programs: readonly Program[],
  isReady: () => Promise<Found | undefined>,
): Promise<{ readonly found: Found; readonly stop: () => Promise<void> }> {
  const started = programs.map(({ command, parameters, directory, uid, gid }) =>
    startProcess(command, parameters, { cwd: directory, ...(uid !== undefined && { uid, gid }) }),
  );
  const stop = async () => {
    await Promise.all(started.map(({ child }) => stopProcess(child)));
  };
  try {
    return { found: await until('it is ready', isReady, startSecondsMax), stop };
  } catch (error) {
    await stop();
    const printed = started.map((each) => each.printed()).join('\n');
    throw new Error(`${(error as Error).message}; printed was:\n${printed}`);
  }
}

const pollMs = 20;
const waitSecondsMax = 300;

/** Asks again and again for something that is there in the end. */
export async function until<Found>(
  what: string,
  probe: () => Promise<Found | undefined>,
  secondsMax = waitSecondsMax,
): Promise<Found> {
  const deadline = performance.now() + secondsMax * 1000;
  for (;;) {
    // What refuses connections is not ready yet.
    const found = await probe().catch(() => undefined);
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${secondsMax} s until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** The first line that a program prints about itself. @throws Error when it is not installed */
export function versionOf(command: string, parameters: readonly string[]): string {
  const { status, stdout } = spawnSync(command, parameters, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} is not installed`);
  return stdout.split('\n')[0] ?? '';
}

export function local(port: number): Address {
  return { host: '127.0.0.1', port };
}
