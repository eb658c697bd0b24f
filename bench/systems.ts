/** The measured systems, each as a real process with its own data directory. */

import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address } from './http-connection.ts';
import { cachedPackage } from './npm-cache.ts';
import { freePort, startProcess, stopProcess, waitUntilAnswers } from './processes.ts';
import type { SystemName } from './rows.ts';

export interface RunningNode {
  readonly url: string;
  readonly address: Address;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

export interface System {
  readonly name: SystemName;
  /** How it was run, for the report. */
  readonly description: string;
  /** Resolves as soon as the node answers; `askFor` is the path it must answer. */
  start(directory: string, askFor?: string): Promise<RunningNode>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const startSecondsMax = 120;

async function run(directory: string, askFor: string, commandLine: (port: number) => readonly string[]) {
  const port = await freePort();
  await mkdir(directory, { recursive: true });
  const { child, printed } = startProcess(process.execPath, commandLine(port), { cwd: directory });
  const url = `http://127.0.0.1:${port}`;
  try {
    await waitUntilAnswers(`${url}/${askFor}`, child, startSecondsMax);
  } catch (error) {
    await stopProcess(child);
    throw new Error(`${(error as Error).message}; it printed:\n${printed()}`);
  }
  return { url, address: { host: '127.0.0.1', port }, process: child, stop: () => stopProcess(child) };
}

/** The built program, as `npx tercet serve` would run it. */
export function tercet(profileDirectory: string | undefined): System {
  const main = join(root, 'dist/src/main.js');
  if (!existsSync(main)) throw new Error(`${main} is missing; run npm run build`);
  const profiling =
    profileDirectory === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', resolve(profileDirectory)];
  return {
    name: 'tercet',
    description: 'tercet serve, one node, fsync before every answer',
    start: (directory, askFor = '') =>
      run(directory, askFor, (port) => {
        const flags = ['--node', 'n1', '--listen', `127.0.0.1:${port}`, '--data', join(directory, 'data')];
        return [...profiling, main, 'serve', ...flags];
      }),
  };
}

const peerVersion = '4.2.0';

/** pouchdb-server on LevelDB, which comes prebuilt with it. */
export function pouchdbServer(): System {
  const home = cachedPackage('pouchdb-server', peerVersion);
  const main = join(home, 'node_modules/pouchdb-server/bin/pouchdb-server');
  return {
    name: 'pouchdb-server',
    description: `pouchdb-server ${peerVersion} on LevelDB, its request log off, no fsync before an answer`,
    start: async (directory, askFor = '') => {
      const data = join(directory, 'data');
      await mkdir(data, { recursive: true });
      await writeFile(join(directory, 'config.json'), JSON.stringify({ log: { level: 'none' } }));
      return run(directory, askFor, (port) => {
        return [
          main,
          '--port',
          String(port),
          '--dir',
          data,
          '--config',
          join(directory, 'config.json'),
          '-n',
        ];
      });
    },
  };
}
