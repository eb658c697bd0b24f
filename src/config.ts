/**
 * Limits, and what a node may be told: its options, their defaults and the rules between them.
 *
 * Units are in the names; docs/operations.md explains each. Reading flags, environment and files is src/cli/'s part;
 * this file is for them and for programs that embed a node alike.
 */

export const limits = {
  documentBytesMax: 8_000_000,
  requestBodyBytesMax: 64_000_000,
  /** Of all requests together; at least one body of the largest size fits. Small bodies are not counted. */
  bodyMemoryBytesMax: 128_000_000,
  attachmentBytesMax: 1_073_741_824,
  documentIdBytesMax: 7_168,
  databaseNameLengthMax: 238,
  attachmentNameBytesMax: 1_024,
  jsonDepthMax: 256,
  connectionsMax: 10_000,
  headerBytesMax: 32_768,
  headerTimeMsMax: 10_000,
  /** A sender must deliver its whole body within this time, unless it keeps a minimal pace (attachments). */
  requestTimeMsMax: 300_000,
  bulkDocumentsMax: 100_000,
  /** Ids and revisions together, in one `_revs_diff` or `_missing_revs`. */
  comparedRevisionsMax: 200_000,
  /** Ids and revisions together, in one `_purge`: all of them are one write. */
  purgedRevisionsMax: 10_000,
  /** Conditions in a selector; items of `$in` and `$nin` that are no arrays or objects are not counted. */
  selectorConditionsMax: 10_000,
  revisionsLimitDefault: 1_000,
  revisionsLimitMax: 1_000_000,
  changesHeartbeatMsDefault: 60_000,
  changesTimeoutMsDefault: 60_000,
} as const;

/**
 * Limits that an operator may set. The others are part of what nodes of a cluster agree on: a document that one node
 * takes must be one that every other node can take.
 */
export const adjustableLimits = [
  'documentBytesMax',
  'requestBodyBytesMax',
  'bodyMemoryBytesMax',
  'attachmentBytesMax',
  'jsonDepthMax',
  'connectionsMax',
  'headerBytesMax',
  'headerTimeMsMax',
  'requestTimeMsMax',
] as const satisfies readonly (keyof typeof limits)[];

export type AdjustableLimits = { readonly [Name in (typeof adjustableLimits)[number]]: number };

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export const leaderChoices = ['elected', 'appointed'] as const;
export type LeaderChoice = (typeof leaderChoices)[number];

export const followerWays = ['forward', 'refuse'] as const;
export type FollowerWrites = (typeof followerWays)[number];

/** What `openNode` takes; everything but the data directory has a default. */
export interface NodeOptions {
  /** Where the node keeps its data; made when absent. */
  readonly dataDirectory: string;
  /** The node's name, unique in its cluster. Default `n1`. */
  readonly name?: string;
  /** `HOST:PORT`, `[IPV6]:PORT` or `PORT`. Port 0 takes a free one. Default `127.0.0.1:5984`. */
  readonly listen?: string;
  /** Every node of the cluster, this one too: name → `http://HOST:PORT`. Default: none, a single node. */
  readonly peers?: Readonly<Record<string, string>>;
  /** In place of `peers`: a node of a running cluster, for one that is to be added to it. */
  readonly join?: string;
  /** Where other nodes reach this one. Default: its URL in `peers`, or where it listens. */
  readonly advertise?: string;
  /** Whether an election may start by itself. Equal on all nodes. Default `elected`. */
  readonly leaderChoice?: LeaderChoice;
  /** What a follower does with writes of single-leader databases. Default `forward`. */
  readonly followerWrites?: FollowerWrites;
  /** Linearizable reads by lease, which trusts clocks. Equal on all nodes. Default false. */
  readonly readLease?: boolean;
  /** The datacenter this node is in. */
  readonly region?: string;
  /** Name of the cluster, equal on all nodes; fixes the `uuid` of `GET /`. Default: taken from the peers' names. */
  readonly cluster?: string;
  /** Server admins: name → password. Without one everybody is admin, and the node listens on loopback only. */
  readonly admins?: Readonly<Record<string, string>>;
  /** With it nodes prove themselves to each other; needed as soon as a peer is not on loopback. */
  readonly secret?: string;
  /** Origins whose pages may call this node from a browser; `['*']` for all. Default: none. */
  readonly corsOrigins?: readonly string[];
  /** What is written to standard error. Default `warn`; `tercet serve` takes `info`. */
  readonly logLevel?: LogLevel;
  readonly limits?: Partial<AdjustableLimits>;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Peer {
  readonly name: string;
  /** Without a slash at the end. */
  readonly url: string;
}

/** Options after {@link resolveOptions}: complete, and safe to start a node with. */
export interface NodeSettings {
  readonly dataDirectory: string;
  readonly name: string;
  readonly listen: Address;
  /** Every node that it was told of but this one. */
  readonly peers: readonly Peer[];
  readonly join: string | undefined;
  /** Undefined: where it listens, once that is known. */
  readonly advertise: string | undefined;
  readonly leaderChoice: LeaderChoice;
  readonly followerWrites: FollowerWrites;
  readonly readLease: boolean;
  readonly region: string | undefined;
  readonly cluster: string | undefined;
  readonly admins: ReadonlyMap<string, string>;
  readonly secret: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly logLevel: LogLevel;
  readonly limits: AdjustableLimits;
}

/** A node was told something it cannot do; the message says what to do next. */
export class OptionsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'OptionsError';
  }
}

const secretLengthMin = 16;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/**
 * Fills in the defaults and holds the rules between options.
 * @throws OptionsError
 */
export function resolveOptions(options: NodeOptions): NodeSettings {
  const name = options.name ?? 'n1';
  if (!isNodeName(name)) {
    throw new OptionsError(
      `"${name}" cannot be a node's name: use letters, digits, "-", "_" and ".", for example n1.`,
    );
  }
  if (options.dataDirectory === '')
    throw new OptionsError('The data directory (--data DIR) is empty: name one.');
  const settings: NodeSettings = {
    dataDirectory: options.dataDirectory,
    name,
    listen: parseAddress(options.listen ?? '127.0.0.1:5984'),
    peers: otherNodes(name, options.peers ?? {}),
    join: options.join && checkedNodeUrl(options.join, '--join'),
    advertise: ownUrl(name, options),
    leaderChoice: options.leaderChoice ?? 'elected',
    followerWrites: options.followerWrites ?? 'forward',
    readLease: options.readLease ?? false,
    region: options.region,
    cluster: options.cluster,
    admins: checkedAdmins(options.admins ?? {}),
    secret: options.secret,
    corsOrigins: (options.corsOrigins ?? []).map(checkedOrigin),
    logLevel: options.logLevel ?? 'warn',
    limits: resolveLimits(options.limits ?? {}),
  };
  checkSafety(settings);
  return settings;
}

/** What is reachable from outside must be protected before it starts, not after somebody found it. */
function checkSafety({ listen, admins, join, peers, secret }: NodeSettings): void {
  if (admins.size === 0 && !isLoopback(listen.host)) {
    throw new OptionsError(
      `Without an admin everybody may do everything, so a node listens on loopback only, not on ${listen.host}: ` +
        'add --admin USER:PASSWORD, or --listen 127.0.0.1:PORT.',
    );
  }
  if (admins.size > 0 && (peers.length > 0 || join !== undefined) && secret === undefined) {
    throw new OptionsError(
      'With an admin, nodes must prove themselves to each other: make a secret with "openssl rand -hex 32 > secret", ' +
        'give it to every node, and add --secret-file secret (or set TERCET_SECRET).',
    );
  }
  const others = join === undefined ? peers : [...peers, { name: 'to join', url: join }];
  const far = others.find((peer) => !isLoopback(new URL(peer.url).hostname));
  if (far !== undefined && secret === undefined) {
    throw new OptionsError(
      `The peer ${far.name} (${far.url}) is not on loopback, so the nodes need a shared secret: make one with ` +
        '"openssl rand -hex 32 > secret", copy it to every node, and add --secret-file secret (or set TERCET_SECRET).',
    );
  }
  if (secret !== undefined && secret.length < secretLengthMin) {
    throw new OptionsError(
      `The shared secret is shorter than ${secretLengthMin} characters: make one with "openssl rand -hex 32".`,
    );
  }
}

/** @throws OptionsError unless it is `HOST:PORT`, `[IPV6]:PORT` or `PORT` */
export function parseAddress(text: string): Address {
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new OptionsError(
      `Cannot listen on "${text}": write HOST:PORT, for example --listen 127.0.0.1:5984.`,
    );
  }
  return { host: pinned(match[1] ?? match[2] ?? '127.0.0.1'), port };
}

/**
 * `localhost` is a name that a hosts file may point elsewhere, so what relies on its being this machine takes the address
 * that it stands for.
 */
function pinned(host: string): string {
  return host.toLowerCase() === 'localhost' ? '127.0.0.1' : host;
}

/** Whether only this machine can reach the host. A name other than `localhost` might lead anywhere. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare);
}

function otherNodes(name: string, peers: Readonly<Record<string, string>>): Peer[] {
  const all = Object.entries(peers).map(([peer, url]) => ({ name: peer, url: checkedPeerUrl(peer, url) }));
  if (all.length > 0 && !all.some((peer) => peer.name === name)) {
    throw new OptionsError(
      `The peers (--peers) are ${all.map((peer) => peer.name).join(', ')}, but this node is ${name}: give every node the ` +
        `same list with all of them, add ${name}=http://HOST:PORT, or correct --node.`,
    );
  }
  const twice = all.find((peer, index) => all.findIndex((other) => other.url === peer.url) !== index);
  if (twice !== undefined)
    throw new OptionsError(`Two peers have the same URL ${twice.url}: correct --peers.`);
  return all.filter((peer) => peer.name !== name);
}

function checkedPeerUrl(name: string, text: string): string {
  if (!isNodeName(name))
    throw new OptionsError(`"${name}" in --peers cannot be a node's name: use for example n2.`);
  const url = nodeUrl(text);
  if (url === undefined) {
    throw new OptionsError(
      `"${text}" is no URL of the peer ${name}: write it without path or password, for example ${name}=http://10.0.0.2:5984.`,
    );
  }
  return url;
}

function checkedNodeUrl(text: string, flag: string): string {
  const url = nodeUrl(text);
  if (url !== undefined) return url;
  throw new OptionsError(
    `"${text}" is no URL of a node: write it without path or password, for example ${flag} http://10.0.0.1:5984.`,
  );
}

function ownUrl(name: string, { advertise, join, peers = {} }: NodeOptions): string | undefined {
  if (join !== undefined && Object.keys(peers).length > 0) {
    throw new OptionsError(
      '--join is for a node that is added to a running cluster, --peers for one of its founders: keep one.',
    );
  }
  const listed = peers[name];
  if (advertise !== undefined) return checkedNodeUrl(advertise, '--advertise');
  return listed === undefined ? undefined : checkedPeerUrl(name, listed);
}

export function isNodeName(text: string): boolean {
  return namePattern.test(text);
}

/** `http://HOST:PORT` without a slash at the end; undefined for what cannot be a node's URL. */
export function nodeUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined && /^https?:$/.test(url.protocol) && `${url.pathname}${url.search}${url.hash}` === '/';
  if (!isPlain || url.username !== '' || url.password !== '') return undefined;
  // With TLS the name is proved by a certificate, which an address would not match.
  if (url.protocol === 'http:') url.hostname = pinned(url.hostname);
  return url.origin;
}

function checkedAdmins(admins: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  for (const [name, password] of Object.entries(admins)) {
    if (name === '' || password === '' || name.includes(':')) {
      throw new OptionsError('An admin needs a name and a password: write --admin USER:PASSWORD.');
    }
  }
  return new Map(Object.entries(admins));
}

function checkedOrigin(text: string): string {
  if (text === '*') return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    url.origin === 'null' ||
    `${url.origin}` !== text.replace(/\/$/, '').toLowerCase()
  ) {
    throw new OptionsError(
      `"${text}" is no origin: write --cors-origins https://app.example.com,http://localhost:3000, or "*" for every page.`,
    );
  }
  return url.origin;
}

function resolveLimits(overrides: Partial<AdjustableLimits>): AdjustableLimits {
  const resolved: Record<string, number> = {};
  for (const name of adjustableLimits) {
    const value = overrides[name] ?? limits[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new OptionsError(
        `The limit ${name} must be a whole number above 0; its default is ${limits[name]}.`,
      );
    }
    resolved[name] = value;
  }
  return resolved as AdjustableLimits;
}
