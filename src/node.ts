/**
 * A node of Tercet, wired together: the only place that names real implementations.
 *
 *   import { openNode } from 'tercet';
 *
 *   const node = await openNode({ dataDirectory: 'data' });
 *   console.log(node.url); // http://127.0.0.1:5984
 *   await node.close();
 *
 * Opening goes from the disk outwards (store, databases, access, replications, HTTP, links to peers), closing the other
 * way round, so that whatever is reachable always has beneath it what it needs.
 */

import { createHmac } from 'node:crypto';
import { createAccess } from './access/access.ts';
import { onBehalfOfHeader } from './access/on-behalf-of.ts';
import { type ProvenRequest, peerProofHeader, peerProofs, provePeer } from './access/peer-proof.ts';
import { Cluster } from './cluster/cluster.ts';
import { groupTickMs } from './cluster/group.ts';
import { openIdentity } from './cluster/identity.ts';
import { type OpenCluster, openCluster } from './cluster/open-cluster.ts';
import { askPeerUuid } from './cluster/peer-uuid.ts';
import { type NodeOptions, type NodeSettings, OptionsError, resolveOptions } from './config.ts';
import { type Databases, openDatabases } from './database/databases.ts';
import type { DocumentRevision } from './database/model.ts';
import { type App, createApp } from './http/app.ts';
import type { Access, CorsSettings } from './http/services.ts';
import { startPeerLinks } from './replicator/peer-links.ts';
import { createReplications, type NodeReplications } from './replicator/replications.ts';
import { digest128 } from './runtime/digest.ts';
import type { Log } from './runtime/log.ts';
import { PeerRefusal } from './runtime/peer-acceptor.ts';
import { createPeerTransport, type PeerTransport } from './runtime/peer-transport.ts';
import { createLog } from './runtime/pino-log.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemRandom } from './runtime/system-random.ts';
import { openLevelStore } from './store/level-store.ts';
import type { Store } from './store/store.ts';
import { version } from './version.ts';

// biome-ignore lint/performance/noBarrelFile: this is the entry of the package, which must name what callers need.
export { type LogLevel, type NodeOptions, OptionsError } from './config.ts';
export type { Database } from './database/database.ts';
export type { Databases } from './database/databases.ts';
export { DataDirectoryError } from './store/data-directory.ts';

/** A forwarded request's method, path and headers, which are bounded by `headerBytesMax`, with room to spare. */
const forwardedHeadBytesMax = 1_000_000;

/** A running node. */
export interface TercetNode {
  readonly name: string;
  /** Where it listens, without a slash at the end; with the port that the system chose when port 0 was asked for. */
  readonly url: string;
  /** Its databases, for a program that embeds the node. */
  readonly databases: Databases;
  /** Stops accepting, lets answers on their way finish for a moment, closes the store. Calling it again does no more. */
  close(): Promise<void>;
}

/**
 * Opens the data directory, making it when absent, and listens.
 * @throws OptionsError when the options do not fit together or the port is taken; the message says what to do
 * @throws DataDirectoryError when the directory is in use, unreadable, damaged or of a newer version
 */
export async function openNode(options: NodeOptions): Promise<TercetNode> {
  const settings = resolveOptions(options);
  const log = createLog(settings.logLevel, settings.name);
  const closers: (() => Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= closeAll(closers);
    return closing;
  };
  try {
    return await assemble(settings, log, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** In the opposite order of their opening; one that fails does not keep the others open. */
async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of [...closers].reverse()) await close().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'The node did not close cleanly.');
}

async function assemble(
  settings: NodeSettings,
  log: Log,
  closers: (() => Promise<void>)[],
  close: () => Promise<void>,
): Promise<TercetNode> {
  const { name, dataDirectory, peers } = settings;
  const store = await openLevelStore(dataDirectory, { createdBy: version });
  closers.push(() => store.close());
  const identity = await openIdentity({ settings, directoryUuid: store.identity, askPeer: askPeerUuid });
  const peerSecret = settings.secret ?? loopbackSecret(settings);
  const cluster = createCluster(settings, peerSecret);
  const databases = await openNodeDatabases(store, name, cluster, log);
  closers.push(() => databases.close());
  await createSystemDatabases(databases);
  const access = await createAccess({
    admins: settings.admins,
    readUser: (id) => readUser(databases, id),
    cookieSecret: Buffer.from(cookieSecretOf(settings.secret) ?? identity.cookieSecret),
    secret: peerSecret,
    clock: systemClock,
  });
  const onDefect = (error: unknown) => log.error({ err: error }, 'a defect in replication');
  const clusterUuid = identity.clusterUuid;
  const replications = createReplications({
    ...{ databases, digest: digest128, clock: systemClock, random: systemRandom, onDefect },
    ...{ nodeName: name, clusterUuid },
    onRefused: (passedOver) => log.warn(passedOver, 'a replication passes over a document'),
    peerHeaders: (request) => proofHeaders(peerSecret, name, request),
  });
  closers.push(() => replications.close());
  const transport =
    peerSecret === undefined
      ? undefined
      : openTransport(settings, {
          secret: peerSecret,
          cluster: identity.clusterUuid,
          log,
          open: () => opened,
        });
  // HTTP closes after what comes now: it would wait for the peers' streams, and a leader hands over while it is asked.
  const closersBefore = closers.length;
  if (transport !== undefined) closers.push(() => transport.close());
  const opened = await openCluster(cluster, {
    ...{ store, databases, transport, log, clock: systemClock, random: systemRandom },
    ...{ diskUuid: store.identity, self: name, peers: peers.map((peer) => peer.name) },
  });
  closers.push(() => opened.close());
  const parts = { store, databases, access, replications, log, transport, cluster };
  const app = createNodeApp(settings, clusterUuid, parts);
  const url = await listen(app, settings);
  closers.splice(closersBefore, 0, () => app.close());
  transport?.start();
  const links = startPeerLinks({ databases, scheduler: replications.scheduler, peers, onDefect });
  closers.push(() => links.close());
  log.info({ url, data: dataDirectory, peers: peers.map((peer) => peer.name) }, 'listening');
  return { name, url, databases, close };
}

function openNodeDatabases(store: Store, node: string, cluster: Cluster, log: Log): Promise<Databases> {
  return openDatabases({
    ...{ store, node },
    digest: digest128,
    clock: systemClock,
    random: systemRandom,
    routeWrites: cluster.routeWrites,
    onBackgroundFailure: (work, cause) => log.error({ err: cause }, `${work} failed`),
  });
}

async function createSystemDatabases(databases: Databases): Promise<void> {
  for (const name of ['_users', '_replicator']) if (!databases.has(name)) await databases.create(name);
}

function readUser(databases: Databases, id: string): DocumentRevision | undefined {
  if (!databases.has('_users')) return undefined;
  const outcome = databases.get('_users').read(id);
  return outcome.kind === 'found' ? outcome.document : undefined;
}

/** Not the secret itself: what signs cookies must be of no use for anything else. */
function cookieSecretOf(secret: string | undefined): string | undefined {
  return secret && createHmac('sha256', secret).update('tercet session cookies').digest('hex');
}

/**
 * Nodes without admins and secret are all on one machine, where everybody is an admin; this protects nothing. It lets them
 * recognise each other all the same, so that `_users` is replicated in full.
 */
function loopbackSecret({ name, peers, admins }: NodeSettings): string | undefined {
  if (peers.length === 0 || admins.size > 0) return undefined;
  return `tercet on loopback: ${[name, ...peers.map((peer) => peer.name)].sort().join(' ')}`;
}

interface TransportContext {
  readonly secret: string;
  readonly cluster: string;
  readonly log: Log;
  /** What peers speak to; there before anybody is listened to. */
  readonly open: () => OpenCluster;
}

/** The part of single-leader databases that is there before anything is opened; open-cluster.ts gives it its group. */
function createCluster({ name, peers }: NodeSettings, secret: string | undefined): Cluster {
  return new Cluster({
    ...{ clock: systemClock, random: systemRandom, tickMs: groupTickMs, followerWrites: 'forward' },
    urlOf: (peer) => peers.find((candidate) => candidate.name === peer)?.url,
    peerHeaders: (request) => ({
      ...proofHeaders(secret, name, request),
      [onBehalfOfHeader]: request.onBehalfOf,
    }),
  });
}

function proofHeaders(
  secret: string | undefined,
  node: string,
  request: ProvenRequest,
): Record<string, string> {
  return secret === undefined
    ? {}
    : { [peerProofHeader]: provePeer(secret, node, request, systemClock.now()) };
}

/** What a peer of a later version asks and this one does not know is refused. */
function openTransport(
  { name, peers, limits }: NodeSettings,
  { secret, cluster, log, open }: TransportContext,
): PeerTransport {
  const { check } = peerProofs(secret, systemClock);
  return createPeerTransport({
    ...{ self: name, cluster, peers, clock: systemClock, random: systemRandom, log },
    prover: { prove: (request) => provePeer(secret, name, request, systemClock.now()), check },
    // A forwarded request carries its head beside its body.
    limits: { frameBytesMax: limits.requestBodyBytesMax + forwardedHeadBytesMax },
    onMessage: (peer, kind, bytes) => open().receive(peer, kind, bytes),
    onRequest: (peer, kind, bytes) => {
      const answer = open().serve(peer, kind, bytes);
      if (answer === undefined) throw new PeerRefusal(`${name} does not know requests of kind ${kind}`);
      return answer;
    },
    onDefect: (error) => log.error({ err: error }, 'a defect in what peers are told'),
  });
}

interface Parts {
  readonly store: Store;
  readonly databases: Databases;
  readonly access: Access;
  readonly replications: NodeReplications;
  readonly log: Log;
  readonly transport: PeerTransport | undefined;
  readonly cluster: Cluster;
}

function createNodeApp(settings: NodeSettings, clusterUuid: string, parts: Parts): App {
  const { store, databases, access, replications, log, transport, cluster } = parts;
  return createApp({
    databases,
    access,
    replications,
    cluster,
    node: {
      name: settings.name,
      region: settings.region,
      clusterUuid,
      version,
      peers: settings.peers,
      storeHealth: () => store.health(),
    },
    http: { cors: corsSettings(settings.corsOrigins), limits: settings.limits },
    ...(transport && { acceptPeer: transport.accept }),
    reportDefect: (error, request) => log.error({ err: error, request }, 'answered 500, which is a defect'),
  });
}

async function listen(app: App, { listen: { host, port } }: NodeSettings): Promise<string> {
  const shown = host.includes(':') ? `[${host}]` : host;
  try {
    return `http://${shown}:${(await app.listen(host, port)).port}`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new OptionsError(
        `${shown}:${port} is taken by another program: stop it, or choose another port with --listen ${shown}:PORT.`,
      );
    }
    throw new OptionsError(
      `Cannot listen on ${shown}:${port} (${message}): choose another address with --listen.`,
    );
  }
}

/** What CouchDB's documentation tells browsers' applications to ask for. */
function corsSettings(origins: readonly string[]): CorsSettings | undefined {
  if (origins.length === 0) return undefined;
  return {
    origins,
    // A browser sends no cookies to "*", and a page from anywhere should not act as the user.
    credentials: !origins.includes('*'),
    headers: [
      'accept',
      'tercet-after',
      'authorization',
      'content-type',
      'origin',
      'referer',
      'if-match',
      'if-none-match',
      'range',
    ],
    methods: ['GET', 'PUT', 'POST', 'HEAD', 'DELETE', 'COPY'],
    maxAgeSeconds: 600,
  };
}
