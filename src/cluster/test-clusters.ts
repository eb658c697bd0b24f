/** Nodes with single-leader databases for tests: real groups over real links, each over a memory store that outlives it. */

import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Databases } from '../database/databases.ts';
import { openTestDatabases } from '../database/test-database.ts';
import { failure } from '../errors.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { systemRandom } from '../runtime/system-random.ts';
import { closeTestNodes, link, startNode, type TestNode, until } from '../runtime/test-peers.ts';
import { raftDefaults } from '../single-leader/state.ts';
import { catalogRange } from '../store/keys.ts';
import { createMemoryStore, type MemoryStore } from '../store/memory-store.ts';
import { Addresses } from './addresses.ts';
import { Cluster } from './cluster.ts';
import type { GroupSettings } from './group-settings.ts';
import { type OpenCluster, openCluster } from './open-cluster.ts';

/** Logs so short that whoever is away for a moment needs a state. */
const shortLogs: Partial<GroupSettings> = {
  tickMs: 20,
  raft: { ...raftDefaults, electionTicksMin: 20, electionTicksMax: 40, stateTransferTicksMax: 100 },
  retryMs: 20,
  logEntriesKept: 5,
  logEntriesMax: 10,
};

export interface TestDataDirectory {
  readonly uuid: string;
  readonly store: MemoryStore;
}

export function createDirectory(): TestDataDirectory {
  return { uuid: randomUUID(), store: createMemoryStore() };
}

/** The same directory on a disk that refuses the first `count` commits that change the catalog of databases. */
export function refusingCatalog({ store, uuid }: TestDataDirectory, count: number) {
  let refused = 0;
  const refusing: MemoryStore = {
    get: (key) => store.get(key),
    scan: (range, options) => store.scan(range, options),
    async commit(operations) {
      const isCatalog = operations.some(({ key }) => key[0] === catalogRange.from[0]);
      if (isCatalog && refused < count) {
        refused += 1;
        throw failure('insufficient_storage');
      }
      await store.commit(operations);
    },
    hurry: () => store.hurry(),
    health: () => store.health(),
    approximateBytes: (range) => store.approximateBytes(range),
    reclaim: (range) => store.reclaim(range),
    close: () => store.close(),
    crash: () => store.crash(),
    syncCount: () => store.syncCount(),
  };
  return { directory: { store: refusing, uuid }, refused: () => refused };
}

export interface ClusterNode {
  readonly name: string;
  readonly url: string;
  readonly directory: TestDataDirectory;
  readonly databases: Databases;
  readonly cluster: Cluster;
  /** What it warned of, and worse. */
  readonly complaints: string[];
  /** Of its links: what is a defect, and no refusal. */
  readonly defects: readonly unknown[];
  /** Asks another node, as any node may. */
  ask(peer: string, kind: number, bytes: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

interface Running extends ClusterNode {
  readonly node: TestNode;
}

const running = new Set<Running>();

/** For `afterEach`. */
export async function closeClusterNodes(): Promise<void> {
  await Promise.all([...running].map((each) => each.close()));
  await closeTestNodes();
}

export interface ClusterNodeOptions {
  /** It says where others reach it, as who takes nodes in must. */
  readonly isAdvertised?: boolean;
  readonly mayFound?: boolean;
}

export async function startClusterNode(
  name: string,
  names: readonly string[],
  directory: TestDataDirectory = createDirectory(),
  { isAdvertised = false, mayFound = true }: ClusterNodeOptions = {},
): Promise<ClusterNode> {
  let opened: OpenCluster | undefined;
  const complaints: string[] = [];
  const node = await startNode(name, {
    onMessage: (from, kind, bytes) => opened?.receive(from, kind, bytes),
    onRequest: (from, kind, bytes) => {
      const answer = opened?.serve(from, kind, bytes);
      if (answer === undefined) throw new PeerRefusal('not now');
      return answer;
    },
  });
  const { store, uuid } = directory;
  const clockAndRandom = { clock: systemClock, random: systemRandom };
  const addresses = new Addresses({
    self: name,
    url: isAdvertised ? node.url : undefined,
    fixed: [],
    learned: [],
  });
  const cluster = new Cluster({
    ...{ ...clockAndRandom, tickMs: 20, followerWrites: 'forward' },
    ...{ addresses, transport: node.transport, hasSecret: false, leaderChoice: 'elected', readLease: false },
    peerHeaders: () => ({}),
    placeOwners: ({ n, nodes }) => nodes.slice(0, n),
    requireWriter: (onBehalfOf) => {
      if (onBehalfOf !== 'kim') throw failure('forbidden');
    },
  });
  const databases = await openTestDatabases(store, systemClock, cluster.routeWrites);
  const complain = (fields: object, message: string) =>
    complaints.push(`${message} ${String(Object.values(fields))}`);
  opened = await openCluster(cluster, {
    ...{ ...clockAndRandom, store, databases, diskUuid: uuid, self: name, transport: node.transport },
    ...{ peers: names.filter((peer) => peer !== name), mayFound, addresses },
    ...{ leaderChoice: 'elected', readLease: false },
    log: { info: () => {}, warn: complain, error: complain },
    askMembership: async () => undefined,
    settings: shortLogs,
  });
  const closing = opened;
  const started: Running = {
    ...{ name, url: node.url, directory, databases, cluster, complaints, node, defects: node.defects },
    ask: (peer, kind, bytes) => node.transport.request(peer, kind, bytes, { timeoutMs: 5_000 }),
    async close() {
      running.delete(started);
      await closing.close();
      await node.close();
      await databases.close();
    },
  };
  for (const other of running) link(other.node, node);
  running.add(started);
  return started;
}

export async function leaderAmong(nodes: readonly ClusterNode[]): Promise<ClusterNode> {
  let found: ClusterNode | undefined;
  await until(async () => {
    const places = await Promise.all(nodes.map(({ cluster }) => cluster.leader(0)));
    found = nodes.find((_, at) => places[at]?.kind === 'here');
    expect(found).toBeDefined();
  });
  return found as ClusterNode;
}
