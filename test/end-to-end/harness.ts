/**
 * Real `tercet` processes for end-to-end tests: started, waited for, killed by pid, and always cleaned up.
 *
 *   const harness = openHarness();
 *   afterAll(() => harness.close());
 *   const [one, two, three] = await harness.startCluster(3);
 *   await one.kill(); // as `kill -9` would
 *   await one.start(); // the same command again: same port, same data directory
 *
 * Every node listens on 127.0.0.1 and keeps its data in a temporary directory.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../ports.ts';
import { builtMain } from './build.ts';

export interface NodeOptions {
  /** `--node`; default `n1`. */
  readonly name?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: a temporary directory, removed at the end. */
  readonly dataDirectory?: string;
  /** `--peers`, name to URL. */
  readonly peers?: Readonly<Record<string, string>>;
  /** Further flags, for example `['--admin', 'anna:secret']`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface TestNode {
  readonly name: string;
  readonly port: number;
  /** For example `http://127.0.0.1:41234`, without a slash at the end. */
  readonly url: string;
  readonly dataDirectory: string;
  readonly pid: number;
  /** Arguments after the script: `['serve', '--node', …]`. */
  readonly command: readonly string[];
  /** Everything that all runs of this node printed so far, both streams. */
  output(): string;
  /** Starts it again after `kill` or `stop`; resolves when it answers. */
  start(): Promise<void>;
  /** Kills at once (`SIGKILL` unless named); resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Asks it to stop (`SIGTERM`); gives the exit code. */
  stop(): Promise<number | null>;
}

export interface Harness {
  startNode(options?: NodeOptions): Promise<TestNode>;
  /** `count` nodes named n1, n2, … that are peers of each other. */
  startCluster(count: number, options?: Omit<NodeOptions, 'name' | 'port' | 'peers'>): Promise<TestNode[]>;
  /** Any `tercet` command, for example `['dev', '--port', '0']`; it is killed at the end. */
  run(argv: readonly string[], options?: RunOptions): TestProcess;
  temporaryDirectory(): Promise<string>;
  /** Kills what still runs and removes temporary directories. */
  close(): Promise<void>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface TestProcess {
  readonly child: ChildProcess;
  /** Both streams so far. */
  output(): string;
  stdout(): string;
  /** Resolves with the exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
}

const readyDeadlineMs = 20_000;

export function openHarness(): Harness {
  const processes = new Set<TestProcess>();
  const directories: string[] = [];

  const temporaryDirectory = async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tercet-test-'));
    directories.push(directory);
    return directory;
  };
  const run = (argv: readonly string[], options: RunOptions = {}) => {
    const started = runMain(argv, options);
    processes.add(started);
    void started.exited.then(() => processes.delete(started));
    return started;
  };
  const startNode = async (options: NodeOptions = {}) => {
    const dataDirectory = options.dataDirectory ?? (await temporaryDirectory());
    const port = options.port ?? (await freePorts(1))[0]!;
    const node = testNode({ ...options, dataDirectory, port }, run);
    await node.start();
    return node;
  };
  return {
    startNode,
    run,
    temporaryDirectory,
    async startCluster(count, options = {}) {
      const ports = await freePorts(count);
      const peers = Object.fromEntries(
        ports.map((port, index) => [`n${index + 1}`, `http://127.0.0.1:${port}`]),
      );
      const nodes = await Promise.all(
        ports.map((port, index) => startNode({ ...options, name: `n${index + 1}`, port, peers })),
      );
      // Databases can be created once somebody leads, and then this one is there.
      for (const { name, url } of nodes) {
        await waitUntil(`${name} has the users of its cluster`, async () => {
          return ![404, 503].includes((await fetch(`${url}/_users`)).status);
        });
      }
      return nodes;
    },
    async close() {
      const running = [...processes];
      for (const { child } of running) child.kill('SIGKILL');
      await Promise.all(running.map(({ exited }) => exited));
      const removed = directories.splice(0);
      await Promise.all(removed.map((directory) => rm(directory, { recursive: true, force: true })));
    },
  };
}

function runMain(argv: readonly string[], options: RunOptions): TestProcess {
  const child = spawn(process.execPath, [builtMain(), ...argv], {
    cwd: options.cwd,
    // Nothing of the caller's own TERCET_… settings may leak into a test.
    env: { ...withoutTercet(process.env), ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let both = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    both += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    both += text;
  });
  const exited = once(child, 'close').then(() => child.exitCode);
  return { child, output: () => both, stdout: () => stdout, exited };
}

type StartedNode = NodeOptions & { readonly port: number; readonly dataDirectory: string };

function testNode(options: StartedNode, run: Harness['run']): TestNode {
  const name = options.name ?? 'n1';
  const url = `http://127.0.0.1:${options.port}`;
  const command = serveCommand(name, options);
  const runs: TestProcess[] = [];
  const end = async (signal: NodeJS.Signals) => {
    const current = runs.at(-1)!;
    current.child.kill(signal);
    return current.exited;
  };
  const output = () => runs.map((each) => each.output()).join('');
  return {
    name,
    port: options.port,
    url,
    dataDirectory: options.dataDirectory,
    get pid() {
      return runs.at(-1)!.child.pid!;
    },
    command,
    output,
    async start() {
      const started = run(command, { environment: options.environment ?? {} });
      runs.push(started);
      await waitUntilReady(url, started);
    },
    async kill(signal = 'SIGKILL') {
      await end(signal);
    },
    stop: () => end('SIGTERM'),
  };
}

function serveCommand(name: string, options: StartedNode): string[] {
  const peers = Object.entries(options.peers ?? {}).map(([peer, peerUrl]) => `${peer}=${peerUrl}`);
  return [
    'serve',
    ...['--node', name],
    ...['--listen', `127.0.0.1:${options.port}`],
    ...['--data', options.dataDirectory],
    ...(peers.length > 0 ? ['--peers', peers.join(',')] : []),
    ...(options.flags ?? []),
  ];
}

async function waitUntilReady(url: string, started: TestProcess): Promise<void> {
  let exited = false;
  void started.exited.then(() => {
    exited = true;
  });
  await waitUntil(`${url} answers`, async () => {
    if (exited) throw new Error(`the node stopped by itself:\n${started.output()}`);
    const answer = await fetch(`${url}/_up`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.ok === true;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${started.output()}`);
  });
}

/** Polls until `condition` gives something other than false or undefined, and returns it; fails after the deadline. */
export async function waitUntil<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = readyDeadlineMs,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const result = await condition();
    if (result !== false && result !== undefined) return result;
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function withoutTercet(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('TERCET_')));
}
