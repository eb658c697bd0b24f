/**
 * `tercet dev`: three real nodes on this machine, with sample data kept equal on all of them, and things to try.
 *
 * Everything it shows a person could have typed: the nodes are `tercet serve` processes with their own data directories,
 * and the data goes in through the HTTP API of one of them.
 */

import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { OptionsError } from '../config.ts';
import { plainLine } from '../runtime/pino-log.ts';
import { prepareCarts, sampleCarts } from './dev-carts.ts';
import {
  type DevDirectory,
  emptyDevDirectory,
  findDevDirectory,
  pouchdbCopy,
  prepareDevDirectory,
  recordRun,
} from './dev-directory.ts';
import { guideText, shellWord } from './dev-guide.ts';
import { ledgerEntries, prepareLedger } from './dev-ledger.ts';
import { type DevNode, startDevNode } from './dev-nodes.ts';
import { documentCount, ensureDatabase, loadCalendar, readCalendar, yearsOf } from './dev-sample.ts';
import { stopStrays } from './dev-strays.ts';
import { type FlagTable, helpText, readFlags } from './flags.ts';
import { choosePorts, type PortChoice } from './free-ports.ts';
import { onStopRequest } from './process-signals.ts';
import { type Progress, progressOn } from './progress.ts';

const devFlags = {
  fresh: { help: 'Start over: delete the data of earlier starts.' },
  nodes: { value: 'COUNT', help: 'How many nodes, 1 to 9 (default 3).' },
  data: { value: 'DIR', help: 'Where the nodes keep their data (default .tercet).' },
  port: { value: 'PORT', help: 'First port; taken ones are skipped (default 5984). 0 takes any.' },
} as const satisfies FlagTable;

const story = `Runs a cluster on this machine to try things with: real processes, real data directories, everybody is admin. The
sample database "calendar" holds the public holidays of the world in the years around now and takes writes on every
node; "ledger" has one leader; "carts" has none, and answers once a majority of the replicas did.`;

const equalPollMs = 100;
const stayMs = 60_000;

interface DevOptions {
  readonly isFresh: boolean;
  readonly count: number;
  readonly directory: string;
  readonly port: number;
}

/** @returns the exit code, once it is over @throws OptionsError */
export async function dev(argv: readonly string[]): Promise<number> {
  const read = readFlags(devFlags, argv);
  if (read.kind === 'help') {
    process.stdout.write(helpText('tercet dev [flags]', story, devFlags));
    return 0;
  }
  const options: DevOptions = {
    isFresh: read.values.has('fresh'),
    count: wholeNumber('nodes', read.values.get('nodes')?.[0] ?? '3', { min: 1, max: 9 }),
    directory: read.values.get('data')?.[0] ?? '.tercet',
    port: wholeNumber('port', read.values.get('port')?.[0] ?? '5984', { min: 0, max: 65_535 }),
  };
  const progress = progressOn(process.stdout, () => performance.now());
  const started: Promise<DevNode>[] = [];
  const stopping = new Promise<'stop'>((resolve) => onStopRequest(() => resolve('stop')));
  // Once its nodes are all killed nothing else would keep this process, and it has yet to stop those started by hand.
  const staying = setInterval(() => undefined, stayMs);
  try {
    const running = run(options, started, progress);
    // Nodes that stop make what is still under way fail, and then nobody is interested in that any more.
    running.catch(() => undefined);
    await Promise.race([running, stopping]);
    await stopping;
    progress.print('Stopping…');
  } finally {
    clearInterval(staying);
    const outcomes = await Promise.allSettled(started);
    await Promise.all(outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value.stop()));
    await stopStartedByHand(options.directory, progress);
  }
  progress.print('All nodes have stopped. The next start finds their data.');
  process.exit(0);
}

/** Whoever followed the invitation to start a node again did so in another terminal, which Ctrl-C in this one does not reach. */
async function stopStartedByHand(path: string, progress: Progress): Promise<void> {
  const directory = findDevDirectory(path);
  if (directory?.run?.pid !== process.pid) return;
  await stopStrays(directory, (name, pid) =>
    progress.print(`Stopping ${name} too, which was started by hand (process ${pid})…`),
  );
}

function wholeNumber(flag: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new OptionsError(`--${flag} must be a whole number from ${min} to ${max}, not "${text}".`);
  }
  return value;
}

async function run(options: DevOptions, started: Promise<DevNode>[], progress: Progress): Promise<void> {
  const names = Array.from({ length: options.count }, (_, index) => `n${index + 1}`);
  tellIgnored(progress);
  const directory = await openDirectory(options, names, progress);
  const choice = await choosePorts(options.port, options.count);
  tellTaken(choice, progress);
  const nodes = await startNodes({ names, directory, ports: choice.ports }, started, progress);
  recordRun(directory, { pid: process.pid, nodes: nodes.map(({ name, url, pid }) => ({ name, url, pid })) });
  const filled = await fillAndEqualise(nodes, progress);
  progress.show('Waiting for a leader…');
  const leader = await prepareLedger(nodes[0]!.url);
  if (leader !== undefined) await prepareCarts(nodes[0]!.url, nodes.length);
  const databases = [...filled, ledgerText(leader), ...cartsText(leader, nodes.length)];
  progress.print(`\nTercet is running.\n`);
  progress.print(
    guideText({
      ...{ nodes, leader, databases },
      pouchdb: resolveFrom('pouchdb'),
      pouchdbData: join(directory.path, pouchdbCopy),
      executable: nodeProgram(),
      program: realpathSync(process.argv[1]!),
    }),
  );
}

function ledgerText(leader: string | undefined): string {
  return leader === undefined
    ? 'ledger (nobody leads: a majority of the nodes that it was made with is not here)'
    : `ledger (${ledgerEntries().length} sample payments, single-leader: ${leader} leads, the others forward writes to it)`;
}

/** They are made by whoever leads, and need nobody afterwards. */
function cartsText(leader: string | undefined, nodes: number): readonly string[] {
  if (leader === undefined) return [];
  const quorum = `${Math.floor(nodes / 2) + 1} of ${nodes} replicas answer for all`;
  return [`carts (${sampleCarts().length} sample carts, leaderless: ${quorum})`];
}

async function openDirectory(
  { directory, isFresh }: DevOptions,
  names: readonly string[],
  progress: Progress,
): Promise<DevDirectory> {
  const found = findDevDirectory(directory);
  if (found !== undefined) {
    await stopStrays(found, (name, pid) =>
      progress.print(`${name} still runs since an earlier start (process ${pid}); stopping it…`),
    );
  }
  if (!isFresh || found === undefined) return prepareDevDirectory(directory, names, found);
  emptyDevDirectory(found);
  return prepareDevDirectory(directory, names, undefined);
}

function tellIgnored(progress: Progress): void {
  const ignored = Object.keys(process.env).filter((name) => name.startsWith('TERCET_'));
  if (ignored.length > 0) progress.print(`Not used here, only by "tercet serve": ${ignored.join(', ')}.`);
}

function tellTaken({ taken, ports }: PortChoice, progress: Progress): void {
  if (taken.length === 0) return;
  const what = taken.length === 1 ? 'Port' : 'Ports';
  const verb = taken.length === 1 ? 'is' : 'are';
  progress.print(`${what} ${taken.join(', ')} ${verb} taken by other programs; using ${ports.join(', ')}.`);
}

interface Cluster {
  readonly names: readonly string[];
  readonly ports: readonly number[];
  readonly directory: DevDirectory;
}

async function startNodes(
  { names, ports, directory }: Cluster,
  started: Promise<DevNode>[],
  progress: Progress,
): Promise<DevNode[]> {
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const peers = names.map((name, index) => `${name}=${urls[index]}`).join(',');
  progress.show(`Starting ${names.length} nodes…`);
  for (const [index, name] of names.entries()) {
    const data = join(directory.path, name);
    const command = [
      ...[
        nodeProgram(),
        realpathSync(process.argv[1]!),
        'serve',
        '--node',
        name,
        '--listen',
        `127.0.0.1:${ports[index]}`,
      ],
      ...['--data', data, '--peers', peers, '--cluster', directory.cluster, '--log-level', 'warn'],
    ];
    const node = startDevNode({
      ...{ name, data, command, url: urls[index]! },
      onLog: (line) => progress.print(readable(line, name)),
      onEnd: (how) => {
        progress.print(
          `\n${name} ${how}. Start it again with:\n\n   ${command.map(shellWord).join(' ')} &\n`,
        );
      },
    });
    started.push(node);
  }
  try {
    return await Promise.all(started);
  } catch (error) {
    throw new OptionsError((error as Error).message);
  }
}

/** `node`, if that is what it finds, because people read these lines; else the path of the Node that runs this. */
function nodeProgram(): string {
  const directories = (process.env.PATH ?? '').split(delimiter);
  const found = directories.map((directory) => join(directory, 'node')).find((path) => existsSync(path));
  return found !== undefined && realpathSync(found) === realpathSync(process.execPath)
    ? 'node'
    : process.execPath;
}

function readable(line: string, name: string): string {
  return line.startsWith('{') ? plainLine(line).trimEnd() : `${name}: ${line}`;
}

/** Loads the sample data on the first node and waits until all nodes have it. @returns how the databases are described */
async function fillAndEqualise(nodes: readonly DevNode[], progress: Progress): Promise<string[]> {
  const events = readCalendar(sampleFile(), new Date().getFullYear());
  const first = nodes[0]!;
  for (const database of ['calendar', 'notes']) {
    await ensureDatabase(`${first.url}/${database}`, 'multi-leader');
  }
  const total = events.length.toLocaleString('en');
  const years = yearsOf(events);
  const period = `${years[0]} to ${years.at(-1)}`;
  await loadCalendar(`${first.url}/calendar`, events, (done) => {
    progress.show(
      `Loading ${period} on ${first.name}: ${done.toLocaleString('en')} of ${total} public holidays`,
    );
  });
  await untilEqual(nodes, progress);
  const countries = new Set(events.map(({ country }) => country)).size;
  return [`calendar (${total} public holidays of ${countries} countries, ${period})`, 'notes (empty)'];
}

/** A node that was killed meanwhile is not waited for. */
async function untilEqual(nodes: readonly DevNode[], progress: Progress): Promise<void> {
  for (;;) {
    const alive = nodes.filter((node) => node.isAlive());
    const counts = await Promise.all(alive.map((node) => documentCount(`${node.url}/calendar`)));
    if (new Set(counts).size <= 1) return;
    const shown = alive.map(({ name }, index) => `${name} ${counts[index]?.toLocaleString('en') ?? 'away'}`);
    progress.show(`Replicating: ${shown.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, equalPollMs));
  }
}

function sampleFile(): string {
  const manifest = resolveFrom('tercet/package.json') ?? '';
  return join(dirname(manifest), 'dist', 'sample', 'calendar.ndjson.gz');
}

function resolveFrom(specifier: string): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(specifier);
  } catch {
    // Not installed here, which is a normal state for what is optional.
    return undefined;
  }
}
