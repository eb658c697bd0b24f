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
import { onBehalfOfHeader, parseOnBehalfOf } from './access/on-behalf-of.ts';
import { type ProvenRequest, peerProofHeader, peerProofs, provePeer } from './access/peer-proof.ts';
import { Addresses } from './cluster/addresses.ts';
import { Cluster } from './cluster/cluster.ts';
import { diskOf, nameOf, nodeIdOf } from './cluster/group-node-id.ts';
import { groupTickMs } from './cluster/group-settings.ts';
import { type NodeIdentity, openIdentity, rememberLearned } from './cluster/identity.ts';
import { openCluster } from './cluster/open-cluster.ts';
import { askForMembership, askForNodes, askPeerUuid } from './cluster/peer-questions.ts';
import { type NodeOptions, type NodeSettings, OptionsError, type Peer, resolveOptions } from './config.ts';
import { type Databases, openDatabases } from './database/databases.ts';
import type { DocumentRevision } from './database/model.ts';
import { failure } from './errors.ts';
import { type App, createApp } from './http/app.ts';
import { corsSettings } from './http/cors.ts';
import { isWildcard, listen, shownHost } from './http/listening.ts';
import type { Access } from './http/services.ts';
import { placementOf } from './leaderless/placement.ts';
import { nowhere, openReplicas } from './replicas/open-replicas.ts';
import { Replicas } from './replicas/replicas.ts';
import type { NodeId } from './replication/strategy.ts';
import { type LedContext, type LedDatabases, ledDatabases } from './replicator/led-databases.ts';
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
  const { name, dataDirectory } = settings;
  const store = await openLevelStore(dataDirectory, { createdBy: version });
  closers.push(() => store.close());
  const identity = await openIdentity({ settings, directoryUuid: store.identity, askPeer: askPeerUuid });
  const { clusterUuid } = identity;
  const peerSecret = settings.secret ?? openSecret(settings);
  const addresses = await openAddresses(settings, identity, peerSecret);
  const transport = openTransport(settings, {
    ...{ secret: peerSecret, cluster: clusterUuid, peers: addresses.peers(), log },
    serve: (from, kind, bytes) => opened.serve(from, kind, bytes) ?? served.serve(from, kind, bytes),
    receive: (from, kind, bytes) => served.receive(from, kind) || opened.receive(from, kind, bytes),
  });
  const cluster = createCluster(settings, { addresses, transport, secret: peerSecret, access: () => access });
  const peers = () => addresses.peers().map((peer) => peer.name);
  const replicas = createReplicas(nodeIdOf(name, store.identity), { addresses, cluster });
  const databases = await openNodeDatabases(store, name, { cluster, replicas, log });
  closers.push(() => databases.close());
  const access = await createNodeAccess(settings, { cluster, databases, identity, peerSecret });
  let ownUrl: string | undefined;
  const onDefect = (error: unknown) => log.error({ err: error }, 'a defect in replication');
  const replications = createReplications({
    ...{ databases, digest: digest128, clock: systemClock, random: systemRandom, onDefect },
    ...{ nodeName: name, clusterUuid },
    onRefused: (passedOver) => log.warn(passedOver, 'a replication passes over a document'),
    peerHeaders: (request) => proofHeaders(peerSecret, name, request),
    // A node alone leads whatever it has.
    led: led(cluster, databases, () => (addresses.peers().length > 0 ? ownUrl : undefined)),
  });
  closers.push(() => replications.close());
  // HTTP closes after what comes now: it would wait for the peers' streams, and a leader hands over while it is asked.
  const closersBefore = closers.length;
  if (transport !== undefined) closers.push(() => transport.close());
  const common = { store, databases, log, clock: systemClock, random: systemRandom, self: name };
  const opened = await openCluster(cluster, {
    ...{ ...common, transport, addresses, diskUuid: store.identity },
    ...groupRules(settings, peers),
    askMembership: (at) => askForMembership(at, clusterProof(peerSecret, name)),
  });
  closers.push(() => opened.close());
  const replicaParts = { ...common, onDefect, peers, transport: transport ?? nowhere };
  const served = await openReplicas(replicas, replicaParts);
  closers.push(() => served.close());
  const parts = { store, databases, access, replications, log, transport, cluster, addresses, replicas };
  const app = createNodeApp(settings, clusterUuid, parts);
  const url = await listen(app, settings);
  ownUrl = url;
  closers.splice(closersBefore, 0, () => app.close());
  if (!isWildcard(settings.listen.host)) addresses.listensAt(url);
  transport?.start();
  const links = linkToPeers(parts, onDefect);
  closers.push(() => links.close());
  log.info({ url, data: dataDirectory, peers: addresses.peers().map((peer) => peer.name) }, 'listening');
  return { name, url, databases, close };
}

/** A node that is to join founds nothing, and learned from others whom there is. */
function groupRules(
  { join, leaderChoice, readLease, peers }: NodeSettings,
  learned: () => readonly string[],
) {
  const named = join === undefined ? peers.map((peer) => peer.name) : learned();
  return { leaderChoice, readLease, mayFound: join === undefined, peers: named };
}

/** Also to those that come later. */
function linkToPeers({ databases, replications, addresses }: Parts, onDefect: (error: unknown) => void) {
  const { scheduler } = replications;
  const links = startPeerLinks({ databases, scheduler, peers: addresses.peers(), onDefect });
  addresses.onChange(({ added, removed }) => {
    for (const peer of added) links.addPeer(peer).catch(onDefect);
    for (const peer of removed) links.removePeer(peer.name).catch(onDefect);
  });
  return links;
}

function led(cluster: Cluster, databases: Databases, ownUrl: () => string | undefined): LedDatabases {
  const create: LedContext['create'] = (name, replication) => cluster.createDatabase(name, replication);
  return ledDatabases({ databases, ownUrl, create });
}

async function openNodeDatabases(
  store: Store,
  node: string,
  { cluster, replicas, log }: { readonly cluster: Cluster; readonly replicas: Replicas; readonly log: Log },
): Promise<Databases> {
  const databases = await openDatabases({
    ...{ store, node },
    digest: digest128,
    clock: systemClock,
    random: systemRandom,
    routeWrites: (...opened) => replicas.routeWrites(...opened) ?? cluster.routeWrites(...opened),
    onBackgroundFailure: (work, cause) => log.error({ err: cause }, `${work} failed`),
  });
  if (!databases.has('_replicator')) await databases.create('_replicator');
  return databases;
}

interface AccessContext {
  readonly cluster: Cluster;
  readonly databases: Databases;
  readonly identity: NodeIdentity;
  readonly peerSecret: string | undefined;
}

function createNodeAccess(
  { admins, secret }: NodeSettings,
  { cluster, databases, identity, peerSecret }: AccessContext,
): Promise<Access> {
  return createAccess({
    ...{ admins, secret: peerSecret, clock: systemClock },
    readUser: (id) => readUser(databases, cluster, id),
    // Without a quorum nobody can say more than what is here.
    catchUp: () => cluster.readBarrier().then(nothing, nothing),
    cookieSecret: Buffer.from(cookieSecretOf(secret) ?? identity.cookieSecret),
  });
}

/** @throws TercetError service_unavailable on a witness: not to know a user is not to say that there is none */
function readUser(databases: Databases, cluster: Cluster, id: string): DocumentRevision | undefined {
  if (!databases.has('_users')) {
    if (cluster.hasDocuments()) return undefined;
    const reason =
      'This node is a witness, which keeps no users: it knows the admins of its own options only. Ask another node.';
    throw failure('service_unavailable', reason);
  }
  const outcome = databases.get('_users').read(id);
  return outcome.kind === 'found' ? outcome.document : undefined;
}

function nothing(): void {}

/** Not the secret itself: what signs cookies must be of no use for anything else. */
function cookieSecretOf(secret: string | undefined): string | undefined {
  return secret && createHmac('sha256', secret).update('tercet session cookies').digest('hex');
}

/**
 * Nodes without admins and secret are all on one machine, where everybody is an admin; this protects nothing. It lets them
 * recognise each other all the same.
 */
function openSecret({ admins }: NodeSettings): string | undefined {
  return admins.size > 0 ? undefined : 'tercet on loopback';
}

/** A node that is to join asks there for the others; where nobody answers, those that answered last have to do. */
async function openAddresses(
  settings: NodeSettings,
  identity: NodeIdentity,
  secret: string | undefined,
): Promise<Addresses> {
  const { name, advertise, join, listen: address, peers } = settings;
  const asked = join === undefined ? undefined : await askForNodes(join, clusterProof(secret, name));
  if (asked !== undefined) await rememberLearned(settings, identity, asked);
  const learned = asked ?? identity.learned ?? [];
  if (join !== undefined && learned.length === 0) {
    throw new OptionsError(
      `The node at ${join} (--join) does not show its cluster to this one: give both the same secret.`,
    );
  }
  const isKnown = address.port !== 0 && !isWildcard(address.host);
  const url = advertise ?? (isKnown ? `http://${shownHost(address.host)}:${address.port}` : undefined);
  return new Addresses({ self: name, url, fixed: peers, learned });
}

/** To ask another node for its `/_cluster`. */
function clusterProof(secret: string | undefined, name: string): Record<string, string> {
  return proofHeaders(secret, name, { method: 'GET', target: '/_cluster' });
}

type MaybePromise = Uint8Array | Promise<Uint8Array>;

interface TransportContext {
  /** Undefined: this node has no peers. */
  readonly secret: string | undefined;
  readonly cluster: string;
  readonly peers: readonly Peer[];
  readonly log: Log;
  /** Undefined for what this version does not know. */
  readonly serve: (from: string, kind: number, bytes: Uint8Array) => MaybePromise | undefined;
  readonly receive: (from: string, kind: number, bytes: Uint8Array) => unknown;
}

interface ClusterMeans {
  readonly addresses: Addresses;
  readonly transport: PeerTransport | undefined;
  readonly secret: string | undefined;
  /** There before anybody is listened to. */
  readonly access: () => Access;
}

/** The part of single-leader databases that is there before anything is opened; open-cluster.ts gives it its group. */
function createCluster(
  settings: NodeSettings,
  { access, addresses, transport, secret }: ClusterMeans,
): Cluster {
  return new Cluster({
    ...{ clock: systemClock, random: systemRandom, tickMs: groupTickMs },
    followerWrites: settings.followerWrites,
    ...{ addresses, transport, hasSecret: settings.secret !== undefined },
    ...{ leaderChoice: settings.leaderChoice, readLease: settings.readLease },
    placeOwners: ({ identity, n, nodes }) => placementOf({ database: identity, nodes, n }, digest128).owners,
    peerHeaders: (request) => ({
      ...proofHeaders(secret, settings.name, request),
      [onBehalfOfHeader]: request.onBehalfOf,
    }),
    requireWriter: (onBehalfOf, database) => {
      const principal = parseOnBehalfOf(onBehalfOf);
      if (principal === undefined) throw failure('unauthorized');
      if (!principal.isAdmin) access().requireDatabaseMember(principal, database.security());
    },
  });
}

/** The part of leaderless databases that is there before anything is opened; open-replicas.ts gives it its peers. */
function createReplicas(id: NodeId, { addresses, cluster }: Pick<Parts, 'addresses' | 'cluster'>): Replicas {
  const name = nameOf(id);
  return new Replicas({
    ...{ self: name, disk: diskOf(id), digest: digest128 },
    nodes: () => [name, ...addresses.peers().map((peer) => peer.name)],
    members: () => addresses.replicaNodes(),
    changeSettings: (database, change) => cluster.changeSettings(database, change),
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
  { name, limits }: NodeSettings,
  { secret, cluster, peers, log, receive, serve }: TransportContext,
): PeerTransport | undefined {
  if (secret === undefined) return undefined;
  const { check } = peerProofs(secret, systemClock);
  return createPeerTransport({
    ...{ self: name, cluster, peers, clock: systemClock, random: systemRandom, log },
    prover: { prove: (request) => provePeer(secret, name, request, systemClock.now()), check },
    // A forwarded request carries its head beside its body.
    limits: { frameBytesMax: limits.requestBodyBytesMax + forwardedHeadBytesMax },
    onMessage: receive,
    onRequest: (peer, kind, bytes) => {
      const answer = serve(peer, kind, bytes);
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
  readonly addresses: Addresses;
  readonly replicas: Replicas;
}

function createNodeApp(settings: NodeSettings, clusterUuid: string, parts: Parts): App {
  const { store, databases, access, replications, log, transport, cluster, addresses, replicas } = parts;
  return createApp({
    databases,
    access,
    replications,
    cluster,
    leaderless: replicas,
    node: {
      name: settings.name,
      region: settings.region,
      clusterUuid,
      version,
      get url() {
        return addresses.urlOf(settings.name);
      },
      get peers() {
        return addresses.peers();
      },
      isOpen: settings.admins.size === 0,
      storeHealth: () => store.health(),
    },
    http: { cors: corsSettings(settings.corsOrigins), limits: settings.limits },
    ...(transport && { acceptPeer: transport.accept }),
    reportDefect: (error, request) => log.error({ err: error, request }, 'answered 500, which is a defect'),
  });
}
