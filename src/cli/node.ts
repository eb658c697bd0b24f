/** `tercet node list|add|promote|remove`: who belongs to a running cluster's group. */

import { OptionsError } from '../config.ts';
import { type FlagTable, helpText, readFlags, unknown } from './flags.ts';
import { nodeFlags, type RunningNode, RunningNodeError, runningNode } from './running-node.ts';

const story = `Shows and changes the members of the group that carries the single-leader databases, while writes go on. Any node can be
asked; its leader does it.

  list              The members, and how far they are.
  add NAME=URL      Takes a node in as a learner: it gets everything, and counts for nothing yet. Start it first, with
                    --join and an empty data directory.
  promote NAME      Makes a learner that has caught up a voter.
  remove NAME       Takes a member out. Stop it afterwards.`;

const closing = `  tercet serve --node n4 --listen 10.0.0.4:5984 --join http://10.0.0.1:5984 --secret-file secret &
  tercet node add n4=http://10.0.0.4:5984 --url http://10.0.0.1:5984
  tercet node promote n4 --url http://10.0.0.1:5984
  tercet node remove n1 --url http://10.0.0.2:5984`;

const addFlags = {
  learner: { help: 'With add: the same as without.' },
  witness: { help: 'With add: a voter that keeps the order of writes and no documents, and never leads.' },
  ...nodeFlags,
} as const satisfies FlagTable;
const listFlags = {
  ...nodeFlags,
  json: { help: 'With list: print what the node answers, for programs.' },
} as const satisfies FlagTable;
const allFlags = { ...addFlags, ...listFlags } as const satisfies FlagTable;

const usage = 'tercet node list | add NAME=URL [--learner|--witness] | promote NAME | remove NAME [flags]';
/** The leader meets the newcomer first, and a change waits for a majority to have it on disk. */
const changeMsMax = 30_000;
const listMsMax = 5_000;

type Values = ReadonlyMap<string, readonly string[]>;

const actions = { list, add, promote: promoteNode, remove } as const;

/** @returns the exit code @throws OptionsError */
export async function node(argv: readonly string[]): Promise<number> {
  const [action, ...rest] = argv;
  if (action === undefined || argv.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(helpText(usage, story, allFlags, closing));
    return action === undefined ? 2 : 0;
  }
  if (!isAction(action)) throw unknown('node command', `"${action}"`, Object.keys(actions));
  try {
    process.stdout.write(await actions[action](rest));
    return 0;
  } catch (error) {
    if (!(error instanceof RunningNodeError)) throw error;
    process.stderr.write(`tercet: ${error.message}\n`);
    return 1;
  }
}

function isAction(text: string): text is keyof typeof actions {
  return Object.hasOwn(actions, text);
}

interface ShownNodes {
  readonly nodes: readonly {
    readonly name: string;
    readonly kind: string;
    readonly role: string;
    readonly lag_entries: number | null;
    readonly url: string | null;
  }[];
}

async function list(argv: readonly string[]): Promise<string> {
  const { values } = read(listFlags, argv, []);
  const shown = await asked(values).json<ShownNodes>('GET', '/_cluster/nodes', { timeoutMs: listMsMax });
  if (values.has('json')) return `${JSON.stringify(shown, null, 2)}\n`;
  const rows = shown.nodes.map(({ name, kind, lag_entries: lag, role, url }) => [
    ...[name, kind, role === kind ? '-' : role, lag === null ? '-' : String(lag), url ?? '-'],
  ]);
  return tableText(['NODE', 'KIND', 'ROLE', 'LAG', 'URL'], rows);
}

function tableText(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

interface Admission {
  readonly name: string;
  readonly kind: string;
  readonly url: string | null;
}

async function add(argv: readonly string[]): Promise<string> {
  const { operands, values } = read(addFlags, argv, ['NAME=URL']);
  const [, name, url] = /^([^=]+)=(.+)$/.exec(operands[0] ?? '') ?? [];
  if (name === undefined || url === undefined) {
    throw new OptionsError(
      `"${operands[0]}" is no node: write NAME=URL, for example tercet node add n4=http://10.0.0.4:5984.`,
    );
  }
  if (values.has('learner') && values.has('witness')) {
    throw new OptionsError('A node is either a learner or a witness: keep one of --learner and --witness.');
  }
  const kind = values.has('witness') ? 'witness' : 'learner';
  const options = { timeoutMs: changeMsMax, body: { name, url, kind } };
  const added = await asked(values).json<Admission>('POST', '/_cluster/nodes', options);
  const next =
    kind === 'learner' ? `; once it has caught up, make it a voter with: tercet node promote ${name}` : '';
  return `${added.name} is a ${added.kind} at ${added.url ?? url}${next}\n`;
}

async function promoteNode(argv: readonly string[]): Promise<string> {
  const { name, values } = readName(argv);
  const path = `/_cluster/nodes/${encodeURIComponent(name)}/promote`;
  const promoted = await asked(values).json<Admission>('POST', path, { timeoutMs: changeMsMax });
  return `${promoted.name} is a ${promoted.kind}\n`;
}

async function remove(argv: readonly string[]): Promise<string> {
  const { name, values } = readName(argv);
  const path = `/_cluster/nodes/${encodeURIComponent(name)}`;
  await asked(values).json<object>('DELETE', path, { timeoutMs: changeMsMax });
  return `${name} is no member any more; stop it, and take it out of --peers where it is named there\n`;
}

function readName(argv: readonly string[]): { readonly name: string; readonly values: Values } {
  const { operands, values } = read(nodeFlags, argv, ['NAME']);
  return { name: operands[0] ?? '', values };
}

interface Words {
  readonly values: Values;
  readonly operands: readonly string[];
}

function read(table: FlagTable, argv: readonly string[], names: readonly string[]): Words {
  const words = readFlags(table, argv, names);
  // Help was given before.
  return words.kind === 'help' ? { values: new Map(), operands: [] } : words;
}

function asked(values: Values): RunningNode {
  return runningNode(values, process.env);
}
