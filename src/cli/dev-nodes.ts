/**
 * The node processes of `tercet dev`. Each is an ordinary `tercet serve`, tied to this process by a channel: when this
 * process dies, however it dies, they notice and stop. One that is killed stays dead, because killing it is what people
 * are invited to do; its command line is printed instead.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ShownNode } from './dev-guide.ts';

export interface DevNode extends ShownNode {
  isAlive(): boolean;
  /** Asks it to stop and waits until it is gone. */
  stop(): Promise<void>;
}

export interface DevNodeOptions {
  readonly name: string;
  readonly url: string;
  readonly data: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Gets what the node logs, a line at a time. */
  readonly onLog: (line: string) => void;
  /** Called when it ends without having been asked to. */
  readonly onEnd: (how: string) => void;
}

/** Resolves when the node answers. @throws Error with what the node said, when it ends before that */
export async function startDevNode(options: DevNodeOptions): Promise<DevNode> {
  const { name, url, data, command, onLog, onEnd } = options;
  const [program, ...argv] = command;
  const child = spawn(program!, argv, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: plainEnvironment(),
  });
  const lines: string[] = [];
  let state: 'starting' | 'running' | 'stopping' = 'starting';
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (state === 'starting') lines.push(line);
    else onLog(line);
  });
  const gone = once(child, 'close').then(() => {
    if (state === 'running') onEnd(howItEnded(child));
  });
  const isReady = await Promise.race([once(child, 'message').then(() => true), gone.then(() => false)]);
  if (!isReady) throw new Error(`${name} did not start: ${lines.join('\n') || howItEnded(child)}`);
  state = 'running';
  return {
    ...{ name, url, data, command, pid: child.pid! },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      state = 'stopping';
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function howItEnded(child: ChildProcess): string {
  return child.signalCode === null ? `ended with code ${child.exitCode}` : `was ended by ${child.signalCode}`;
}

/** What is set for a node of its own would make these three differ from what is printed about them. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TERCET_')));
}
