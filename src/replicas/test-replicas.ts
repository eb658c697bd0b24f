/** Nodes with leaderless databases for tests: real links, memory stores that outlive a node, and nobody who leads. */

import type { Database } from '../database/database.ts';
import { type Databases, openDatabases } from '../database/databases.ts';
import { hintLimitsDefault } from '../leaderless/hints.ts';
import { settingsFrom } from '../leaderless/presets.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import { digest128 } from '../runtime/digest.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import type { PeerLimits } from '../runtime/peer-limits.ts';
import type { Clock } from '../runtime/ports.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { closeTestNodes, link, startNode, type TestNode, untilUp } from '../runtime/test-peers.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { type OpenReplicas, openReplicas } from './open-replicas.ts';
import { Replicas } from './replicas.ts';

export interface ReplicaNode {
  readonly name: string;
  readonly store: MemoryStore;
  readonly databases: Databases;
  readonly replicas: Replicas;
  readonly defects: unknown[];
  /** The one that all nodes have. */
  readonly database: Database;
  close(): Promise<void>;
}

interface StartOptions {
  readonly names: readonly string[];
  readonly settings: LeaderlessSettings;
  readonly store?: MemoryStore;
  /** That of the store; another one for a node whose disk was lost. */
  readonly disk?: string;
  readonly clock?: Clock;
  /** Names of the members of the cluster; default all nodes. */
  readonly members?: () => readonly string[];
  /** Of the links to other nodes. */
  readonly limits?: Partial<PeerLimits>;
}

interface Running extends ReplicaNode {
  readonly node: TestNode;
}

/** What all nodes have when the database is created. */
const firstDisk = '00000000';
const inLog = { reference: 1, identity: 'carts-1' };

const running = new Map<string, Running>();

/** For `afterEach`. @throws when a node met a defect */
export async function closeReplicaNodes(): Promise<void> {
  const all = [...running.values()];
  await Promise.all(all.map((each) => each.close()));
  await closeTestNodes();
  const defects = all.flatMap((each) => each.defects);
  if (defects.length > 0) throw new AggregateError(defects, 'a node met a defect');
}

/** Starts nodes n1, n2 … that all know a database, and links them. */
export async function startReplicas(
  count: number,
  wishes: Partial<LeaderlessSettings> = {},
  clock: Clock = systemClock,
): Promise<ReplicaNode[]> {
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const settings = settingsFrom({ readTimeoutMs: 20_000, writeTimeoutMs: 20_000, ...wishes }, count);
  const nodes: ReplicaNode[] = [];
  for (const name of names) nodes.push(await startReplica(name, { names, settings, clock }));
  return nodes;
}

export async function startReplica(
  name: string,
  {
    clock = systemClock,
    disk = firstDisk,
    limits = {},
    members,
    names,
    settings,
    store = createMemoryStore(),
  }: StartOptions,
): Promise<ReplicaNode> {
  let opened: OpenReplicas | undefined;
  const defects: unknown[] = [];
  const node = await startNode(name, {
    onMessage: (from, kind) => opened?.receive(from, kind),
    onRequest: (from, kind, bytes) => {
      const answer = opened?.serve(from, kind, bytes);
      if (answer === undefined) throw new PeerRefusal('not now');
      return answer;
    },
    onDefect: (error) => defects.push(error),
    limits,
  });
  const replicas = new Replicas({
    ...{ self: name, disk, nodes: () => names, members: members ?? (() => names), digest: digest128 },
    changeSettings: () => Promise.reject(new Error("settings are the group's")),
  });
  const databases = await openDatabases({
    ...{ store, node: name, digest: digest128, clock, random: systemRandom },
    routeWrites: (...opening) => replicas.routeWrites(...opening) ?? opening[2],
    onBackgroundFailure: (_, cause) => defects.push(cause),
  });
  opened = await openReplicas(replicas, {
    ...{ databases, store, clock, random: systemRandom, self: name, transport: node.transport },
    peers: () => names.filter((peer) => peer !== name),
    log: { info: () => {}, warn: () => {}, error: (fields: object) => void defects.push(fields) },
    onDefect: (error) => defects.push(error),
    settings: { hints: { ...hintLimitsDefault, backOffMsMin: 20, backOffMsMax: 100 }, rejoinMs: 50 },
  });
  if (!databases.has('carts')) {
    const owners = names.slice(0, settings.n).map((node) => ({ node, disk: firstDisk }));
    const replication = { ...inLog, strategy: 'leaderless', settings, owners } as const;
    await databases.create('carts', { incarnation: systemRandom.hex(8), replication });
  }
  const closing = opened;
  const started: Running = {
    ...{ name, store, databases, replicas, defects, node },
    database: databases.get('carts'),
    async close() {
      running.delete(name);
      await closing.close();
      await node.close();
      await databases.close();
    },
  };
  await linkToAll(node);
  running.set(name, started);
  return started;
}

async function linkToAll(node: TestNode): Promise<void> {
  for (const other of running.values()) {
    link(other.node, node);
    await Promise.all([untilUp(other.node, node), untilUp(node, other.node)]);
  }
}
