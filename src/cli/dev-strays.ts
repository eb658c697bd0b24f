/**
 * Nodes that outlive their `tercet dev`: one of the things to try starts a node by hand, and a node in another terminal
 * does not hear the Ctrl-C in this one. It would keep its data directory from the next start, and lose what it acknowledges
 * if its directory were deleted under it.
 *
 * A directory says that it is in use by the store's lock. Who uses it is asked over HTTP, where its node listens or
 * listened: only what names itself as that node of this very cluster, whose uuid is random, is asked to stop, at the pid
 * that it gives. Anything else is left alone and told.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OptionsError } from '../config.ts';
import { isInUse } from '../store/level-open.ts';
import type { DevDirectory } from './dev-directory.ts';

const answerMsMax = 2_000;
/** A node that has just been started holds its directory for a moment before it answers. */
const unknownMsMax = 5_000;
/** Longer than a node takes to close. */
const stopMsMax = 30_000;
const pollMs = 100;

/**
 * Resolves once no process uses the data of any node; `onStray` hears of each node that is asked to stop.
 * @throws OptionsError when another `tercet dev` runs here, or something holds a directory that is not known to be a node
 */
export async function stopStrays(
  directory: DevDirectory,
  onStray: (name: string, pid: number) => void,
): Promise<void> {
  for (const name of directory.nodes) await release(directory, name, onStray);
}

async function release(
  directory: DevDirectory,
  name: string,
  onStray: (name: string, pid: number) => void,
): Promise<void> {
  const data = join(directory.path, name);
  const foundAt = performance.now();
  let asked: number | undefined;
  while (await holdsData(data)) {
    const pid = asked ?? (await pidOf(directory, name));
    if (pid !== undefined && pid !== asked) {
      refuseIfTended(directory, pid);
      onStray(name, pid);
      askToStop(pid);
      asked = pid;
    }
    if (performance.now() - foundAt > (asked === undefined ? unknownMsMax : stopMsMax)) {
      const who = asked === undefined ? 'a process that does not answer as its node' : `process ${asked}`;
      throw new OptionsError(`${data} is in use by ${who}: stop that first. Nothing was deleted.`);
    }
    await sleep(pollMs);
  }
}

function askToStop(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    // It may have ended by itself meanwhile; whether it did is seen by its lock.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function holdsData(data: string): Promise<boolean> {
  const store = join(data, 'level');
  return existsSync(store) && (await isInUse(store));
}

/** A node that its own, living `tercet dev` started is no stray. */
function refuseIfTended({ path, run }: DevDirectory, pid: number): void {
  if (run === undefined || run.pid === process.pid || !run.nodes.some((node) => node.pid === pid)) return;
  if (!isAlive(run.pid)) return;
  throw new OptionsError(
    `"tercet dev" runs in ${path} already (process ${run.pid}): stop it with Ctrl-C, or choose another directory ` +
      'with --data DIR.',
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // It exists, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The process of the node, if what answers where it should be is that node. */
async function pidOf({ cluster, run }: DevDirectory, name: string): Promise<number | undefined> {
  const url = run?.nodes.find((node) => node.name === name)?.url;
  if (url === undefined) return undefined;
  try {
    const welcome = await ask(url);
    const node = await ask(`${url}/_node/_local`);
    if (welcome.uuid !== cluster || node.name !== name) return undefined;
    const { pid } = await ask(`${url}/_node/_local/_system`);
    return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    // Nobody there, or nobody we know: then the directory's user stays unknown, which the caller reports.
    return undefined;
  }
}

async function ask(url: string): Promise<Readonly<Record<string, unknown>>> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(answerMsMax), redirect: 'error' });
  return (await answer.json()) as Readonly<Record<string, unknown>>;
}
