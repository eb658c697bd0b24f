/**
 * Where a node's options come from: flags, then `TERCET_…` environment, then a config file, then defaults; the first
 * that names an option wins it. Pure but for reading the files that the options name, which is an argument.
 *
 *   tercet serve --node n1 --config node.json      with TERCET_ADMIN=anna:secret in the environment
 */

import type { AdjustableLimits, NodeOptions } from '../config.ts';
import { adjustableLimits, followerWays, leaderChoices, logLevels, OptionsError } from '../config.ts';
import { type FlagTable, nearest, readFlags, unknown } from './flags.ts';

export const serveFlags = {
  node: { value: 'NAME', help: 'Name of this node, unique in its cluster (default n1).' },
  listen: { value: 'HOST:PORT', help: 'Where to listen (default 127.0.0.1:5984); port 0 takes a free one.' },
  data: { value: 'DIR', help: 'Directory for the data, made when absent (default ./data).' },
  peers: {
    value: 'N1=URL,N2=URL',
    help: 'Every node of the cluster, this one too: the same list on all of them.',
  },
  join: {
    value: 'URL',
    help: 'In place of --peers: a node of a running cluster. This one becomes a member once\n"tercet node add" says so there.',
  },
  advertise: {
    value: 'URL',
    help: 'Where other nodes reach this one (default: its URL in --peers, or where it listens).',
  },
  'leader-choice': {
    value: 'CHOICE',
    help: 'elected (default): whoever misses the leader stands. appointed: only "tercet promote"\nmakes another one. The same on all nodes.',
  },
  'follower-writes': {
    value: 'WAY',
    help: 'What a follower does with writes of single-leader databases: forward (default),\nor refuse, with the address of the leader.',
  },
  'read-lease': {
    value: 'SWITCH',
    help: 'on: a leader that a majority has just confirmed reads without\nasking again. It trusts clocks: see docs/single-leader.md. The same on all nodes.',
  },
  region: { value: 'NAME', help: 'The datacenter this node is in.' },
  cluster: {
    value: 'NAME',
    help: 'Name of the cluster, equal on all nodes; fixes the uuid that clients see.\nDefault: made from the names of the peers.',
  },
  admin: {
    value: 'USER:PASSWORD',
    repeatable: true,
    help: 'A server admin. Without one everybody is admin and only loopback can connect.\nBetter as TERCET_ADMIN or in the config file: others may see command lines.',
  },
  'secret-file': {
    value: 'FILE',
    help: 'File with the secret by which nodes know each other; needed when a peer is\nnot on this machine. TERCET_SECRET carries the secret itself.',
  },
  'cors-origins': {
    value: 'URL,URL',
    help: 'Origins whose pages may call this node from a browser; * for all.',
  },
  'log-level': { value: 'LEVEL', help: `One of ${logLevels.join(', ')} (default info).` },
  config: { value: 'FILE', help: 'JSON file with any of these, without dashes in front, and "limits".' },
} as const satisfies FlagTable;

type ServeFlag = keyof typeof serveFlags;
const flagNames = Object.keys(serveFlags) as ServeFlag[];

export interface OptionSources {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gives a file's text; throws when it cannot. */
  readonly readFile: (path: string) => string;
}

export type ServeOptionsRead =
  | { readonly kind: 'help' }
  | { readonly kind: 'options'; readonly options: NodeOptions };

type Settings = { readonly [Name in ServeFlag]?: readonly string[] };
interface FileSettings {
  readonly settings: Settings;
  readonly limits: Partial<AdjustableLimits>;
}

/** @throws OptionsError whose message says what to do next */
export function readServeOptions({ argv, environment, readFile }: OptionSources): ServeOptionsRead {
  const read = readFlags(serveFlags, argv);
  if (read.kind === 'help') return read;
  const fromFlags: Settings = Object.fromEntries(read.values);
  const fromEnvironment = readEnvironment(environment);
  const path = (fromFlags.config ?? fromEnvironment.config)?.[0];
  const file: FileSettings =
    path === undefined ? { settings: {}, limits: {} } : readConfigFile(path, readFile);
  const settings: Settings = { ...file.settings, ...fromEnvironment, ...fromFlags };
  const secret = readSecret(fromFlags, environment, settings, readFile);
  return { kind: 'options', options: toOptions(settings, file.limits, secret) };
}

function toOptions(
  settings: Settings,
  limits: Partial<AdjustableLimits>,
  secret: string | undefined,
): NodeOptions {
  const one = (name: ServeFlag) => settings[name]?.[0];
  const present = {
    name: one('node'),
    listen: one('listen'),
    peers: settings.peers && parsePeers(settings.peers.join(',')),
    join: one('join'),
    advertise: one('advertise'),
    leaderChoice: oneOf('leader-choice', one('leader-choice'), leaderChoices),
    followerWrites: oneOf('follower-writes', one('follower-writes'), followerWays),
    readLease: readSwitch('read-lease', one('read-lease')),
    region: one('region'),
    cluster: one('cluster'),
    admins: settings.admin && Object.fromEntries(settings.admin.map(parseAdmin)),
    secret,
    corsOrigins: settings['cors-origins'] && splitList(settings['cors-origins'].join(',')),
    logLevel: oneOf('log-level', one('log-level'), logLevels),
  };
  const given = Object.entries(present).filter(([, value]) => value !== undefined);
  return { dataDirectory: one('data') ?? 'data', limits, ...Object.fromEntries(given) };
}

/** `TERCET_SECRET_FILE` for `secret-file`. */
function environmentName(flag: string): string {
  return `TERCET_${flag.replaceAll('-', '_').toUpperCase()}`;
}

const environmentNames = ['TERCET_SECRET', ...flagNames.map(environmentName)];

function readEnvironment(environment: OptionSources['environment']): Settings {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('TERCET_') || environmentNames.includes(name)) continue;
    // Only an evident slip is refused: orchestrators put names like TERCET_SERVICE_HOST there by themselves.
    const isSlip = nearest(name, environmentNames, 1) !== undefined;
    if (isSlip) throw unknown('environment variable', name, environmentNames);
  }
  const entries = flagNames.flatMap((flag) => {
    const value = environment[environmentName(flag)];
    return value === undefined || value === '' ? [] : [[flag, [value]] as const];
  });
  return Object.fromEntries(entries);
}

function readConfigFile(path: string, readFile: OptionSources['readFile']): FileSettings {
  const text = readNamed(path, 'config file (--config)', readFile);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new OptionsError(`The config file ${path} is not JSON: ${(error as Error).message}.`);
  }
  if (!isObject(parsed))
    throw new OptionsError(`The config file ${path} must hold a JSON object: {"node": "n1"}.`);
  const { limits = {}, ...rest } = parsed;
  const settings = Object.entries(rest).map(([key, value]) => [key, fileValue(key, value)] as const);
  return { settings: Object.fromEntries(settings), limits: fileLimits(limits) };
}

function fileValue(key: string, value: unknown): readonly string[] {
  const known = flagNames.filter((name) => name !== 'config');
  if (!known.some((name) => name === key))
    throw unknown('config key', `"${key}"`, [...known, 'limits'].map(quoted));
  if (key === 'peers' && isObject(value))
    return Object.entries(value).map(([name, url]) => `${name}=${String(url)}`);
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((item) => typeof item === 'string')) {
    throw new OptionsError(
      `The config key "${key}" must be a string, or a list of strings where several make sense.`,
    );
  }
  const isList = key === 'admin' || key === 'peers' || key === 'cors-origins';
  if (list.length !== 1 && !isList) throw new OptionsError(`The config key "${key}" takes one string.`);
  return list;
}

function fileLimits(value: unknown): Partial<AdjustableLimits> {
  if (!isObject(value))
    throw new OptionsError('The config key "limits" must be an object: {"jsonDepthMax": 100}.');
  for (const [name, limit] of Object.entries(value)) {
    if (!adjustableLimits.some((known) => known === name))
      throw unknown('limit', `"${name}"`, adjustableLimits.map(quoted));
    if (typeof limit !== 'number') throw new OptionsError(`The limit "${name}" must be a number.`);
  }
  return value;
}

/** A flag's file beats the environment's secret, and that beats files named in the environment or the config file. */
function readSecret(
  fromFlags: Settings,
  environment: OptionSources['environment'],
  settings: Settings,
  readFile: OptionSources['readFile'],
): string | undefined {
  const direct = environment.TERCET_SECRET;
  if (fromFlags['secret-file'] === undefined && direct !== undefined && direct !== '') return direct;
  const path = settings['secret-file']?.[0];
  if (path === undefined) return undefined;
  const secret = readNamed(path, 'secret file (--secret-file)', readFile).trim();
  if (secret === '')
    throw new OptionsError(`The secret file ${path} is empty: openssl rand -hex 32 > ${path}`);
  return secret;
}

function readNamed(path: string, what: string, readFile: OptionSources['readFile']): string {
  try {
    return readFile(path);
  } catch (error) {
    throw new OptionsError(`Cannot read the ${what} ${path}: ${(error as Error).message}.`);
  }
}

function parsePeers(text: string): Readonly<Record<string, string>> {
  const peers = new Map<string, string>();
  for (const item of splitList(text)) {
    const [, name, url] = /^([^=]+)=(.+)$/.exec(item) ?? [];
    if (name === undefined || url === undefined) {
      throw new OptionsError(
        `"${item}" is no peer: write NAME=URL, for example --peers n1=http://10.0.0.1:5984,n2=…`,
      );
    }
    if (peers.has(name)) throw new OptionsError(`The peer ${name} is in --peers twice: keep one.`);
    peers.set(name, url);
  }
  return Object.fromEntries(peers);
}

function parseAdmin(text: string): readonly [string, string] {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) {
    throw new OptionsError('An admin needs a name and a password: write --admin USER:PASSWORD.');
  }
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function oneOf<Choice extends string>(
  flag: ServeFlag,
  text: string | undefined,
  choices: readonly Choice[],
): Choice | undefined {
  if (text === undefined) return undefined;
  const choice = choices.find((known) => known === text);
  if (choice === undefined) throw unknown(flag.replaceAll('-', ' '), text, choices);
  return choice;
}

function readSwitch(flag: ServeFlag, text: string | undefined): boolean | undefined {
  const choice = oneOf(flag, text, ['on', 'off']);
  return choice && choice === 'on';
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function quoted(name: string): string {
  return `"${name}"`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
