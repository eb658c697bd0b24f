/**
 * What a node must still know after a restart, besides its data: who it is, its cluster's uuid, its cookie secret.
 *
 *   DIR/node.json   { "node": "n1", "clusterUuid": "…32 hex…", "cookieSecret": "…" }, for its owner's eyes only;
 *                   of a node that joins (`--join`), "learned" too: the nodes of that cluster, until it is a member
 *
 * The uuid is part of every client's replication id, so it must be the same on all nodes and must not change, or clients
 * start again from zero. A new node therefore asks its peers first; nodes that start together for the first time derive
 * it from what all of them were given: the names of the nodes, and the secret. From then on each keeps what it has, so
 * nodes may come and go. `--cluster NAME` settles it where that is not enough.
 */

import { createHmac, randomBytes } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isNodeName, type NodeSettings, nodeUrl, OptionsError, type Peer } from '../config.ts';
import { syncDirectory } from '../store/data-directory.ts';

export interface NodeIdentity {
  /** 32 lowercase hex digits. */
  readonly clusterUuid: string;
  /** For session cookies of a node without a shared secret. */
  readonly cookieSecret: string;
  /** The nodes of the cluster that it was told to join, as they were when it asked last. */
  readonly learned?: readonly Peer[];
}

export interface IdentityContext {
  readonly settings: Pick<NodeSettings, 'dataDirectory' | 'name' | 'peers' | 'join' | 'cluster' | 'secret'>;
  /** A random uuid of the data directory: good enough for a cluster of one. */
  readonly directoryUuid: string;
  /** The cluster uuid that a peer shows; undefined when it does not answer in time. */
  readonly askPeer: (url: string) => Promise<string | undefined>;
}

interface Remembered extends NodeIdentity {
  readonly node: string;
}

const uuidPattern = /^[0-9a-f]{32}$/;

/** @throws OptionsError when the directory belongs to another node */
export async function openIdentity(context: IdentityContext): Promise<NodeIdentity> {
  const { name, dataDirectory, cluster } = context.settings;
  const path = join(dataDirectory, 'node.json');
  const remembered = await recall(path);
  if (remembered !== undefined && remembered.node !== name) {
    throw new OptionsError(
      `The data directory ${dataDirectory} belongs to the node ${remembered.node}, not to ${name}: ` +
        `start it with --node ${remembered.node}, or choose another directory with --data.`,
    );
  }
  const identity: Remembered = {
    node: name,
    clusterUuid:
      cluster === undefined ? (remembered?.clusterUuid ?? (await firstUuid(context))) : uuidOf(cluster),
    cookieSecret: remembered?.cookieSecret ?? randomBytes(32).toString('hex'),
    ...(remembered?.learned && { learned: remembered.learned }),
  };
  if (remembered?.clusterUuid !== identity.clusterUuid) await remember(path, identity);
  return identity;
}

async function firstUuid({ settings, directoryUuid, askPeer }: IdentityContext): Promise<string> {
  const { name, peers, join, secret = '' } = settings;
  if (join !== undefined) return uuidToJoin(join, await askPeer(join));
  if (peers.length === 0) return directoryUuid.replaceAll('-', '');
  const answers = await Promise.all(peers.map(({ url }) => askPeer(url)));
  const known = answers.filter((answer) => answer !== undefined && uuidPattern.test(answer)).sort()[0];
  return known ?? derive([name, ...peers.map((peer) => peer.name)].sort().join(' '), secret);
}

function uuidToJoin(join: string, answer: string | undefined): string {
  if (answer !== undefined && uuidPattern.test(answer)) return answer;
  throw new OptionsError(
    `No node of Tercet answers at ${join} (--join): start it first, or name another one.`,
  );
}

/** Keeps, over restarts, whom the node may ask for its cluster. */
export async function rememberLearned(
  { dataDirectory, name }: Pick<NodeSettings, 'dataDirectory' | 'name'>,
  { clusterUuid, cookieSecret }: NodeIdentity,
  learned: readonly Peer[],
): Promise<void> {
  await remember(join(dataDirectory, 'node.json'), { node: name, clusterUuid, cookieSecret, learned });
}

/** A name becomes a uuid; a uuid, as `GET /` of a running node shows it, stays what it is. */
function uuidOf(cluster: string): string {
  return uuidPattern.test(cluster) ? cluster : derive(cluster, '');
}

function derive(text: string, secret: string): string {
  return createHmac('sha256', `tercet cluster ${secret}`).update(text).digest('hex').slice(0, 32);
}

async function recall(path: string): Promise<Remembered | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const value = parse(text);
  if (value === undefined) {
    throw new OptionsError(
      `${path} is damaged. Put it back from a backup, or delete it and add --cluster with the uuid that GET / of ` +
        'another node shows.',
    );
  }
  return value;
}

function parse(text: string): Remembered | undefined {
  try {
    const {
      node,
      clusterUuid,
      cookieSecret,
      learned = [],
    } = JSON.parse(text) as Partial<Record<string, unknown>>;
    const isWhole =
      typeof node === 'string' && typeof clusterUuid === 'string' && typeof cookieSecret === 'string';
    if (!isWhole || !uuidPattern.test(clusterUuid) || !arePeers(learned)) return undefined;
    return { node, clusterUuid, cookieSecret, learned };
  } catch {
    return undefined;
  }
}

function arePeers(value: unknown): value is readonly Peer[] {
  if (!Array.isArray(value)) return false;
  return value.every((each: Partial<Peer> | null) => {
    const { name, url } = each ?? {};
    return typeof name === 'string' && isNodeName(name) && typeof url === 'string' && nodeUrl(url) === url;
  });
}

async function remember(path: string, identity: Remembered): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(identity)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  // Else a loss of power may bring the old name back, and with it another secret and uuid.
  await syncDirectory(dirname(path));
}
