/** Puts a node's single-leader databases together: group, catalog, recovery, and what peers may ask about them. */

import type { LeaderChoice } from '../config.ts';
import type { Databases } from '../database/databases.ts';
import { failure, TercetError } from '../errors.ts';
import type { Log } from '../runtime/log.ts';
import { PeerRefusal } from '../runtime/peer-acceptor.ts';
import type { PeerTransport } from '../runtime/peer-transport.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { RaftOptions } from '../single-leader/state.ts';
import type { Store } from '../store/store.ts';
import type { Addresses } from './addresses.ts';
import { Catalog } from './catalog.ts';
import type { Cluster, ClusterParts } from './cluster.ts';
import { followMembers } from './followed-members.ts';
import { type CommittedEntry, type Group, type GroupOptions, openGroup } from './group.ts';
import type { CommittedMembership } from './group-removal.ts';
import { type GroupSettings, groupDefaults, groupTickMs } from './group-settings.ts';
import { decodeRecovery, encodeRecovery, inBatches, recover, worthRecovering } from './recovery.ts';
import { StateSource, stateSourceDefaults } from './state-transfer-source.ts';
import { StateTarget } from './state-transfer-target.ts';
import { openSystemDatabases } from './system-databases.ts';

/** Kind of the request that brings the leader what a deposed one held alone. */
export const RECOVERED_KIND = 32;
const recoveryPatience = { timeoutMs: 15_000 };
const LEADER_WAIT_MS = 2_000;
/** Kind of the requests that fetch the state of all single-leader databases. */
const STATE_KIND = 33;
/** Edits that a follower brings to the leader. 34 was another form of them, which nobody answers any more. */
const EDIT_KIND = 35;

export interface OpenClusterOptions {
  readonly databases: Databases;
  readonly store: Store;
  readonly diskUuid: string;
  readonly self: string;
  readonly peers: readonly string[];
  /** Whether it may found a group, or waits to be taken into that of its peers. */
  readonly mayFound: boolean;
  readonly addresses: Addresses;
  readonly leaderChoice: LeaderChoice;
  /** Linearizable reads by lease. */
  readonly readLease: boolean;
  /** Undefined for a node that has no secret to share. */
  readonly transport: PeerTransport | undefined;
  /** See {@link GroupOptions.askMembership}; of a node at that URL. */
  readonly askMembership: (url: string) => Promise<CommittedMembership | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings?: Partial<GroupSettings>;
}

export interface OpenCluster {
  /** For the transport's handlers; undefined for a kind that belongs to somebody else. */
  serve(from: string, kind: number, bytes: Uint8Array): Promise<Uint8Array> | undefined;
  receive(from: string, kind: number, bytes: Uint8Array): void;
  /** Hands leadership over first. */
  close(): Promise<void>;
}

/** Opens the group behind a {@link Cluster} whose databases are open already. */
export async function openCluster(cluster: Cluster, options: OpenClusterOptions): Promise<OpenCluster> {
  const { databases, log, store } = options;
  const catalog = openCatalog(options);
  const { clock, transport = nowhere } = options;
  const source = new StateSource({
    ...{ store, databases, catalog, clock, log, settings: stateSourceDefaults },
    group: () => group,
  });
  const target = new StateTarget({
    ...{ store, databases, catalog, clock, log },
    group: () => group,
    request: (peer, bytes, timeoutMs) => transport.request(peer, STATE_KIND, bytes, { timeoutMs }),
  });
  const group: Group = await openGroup({
    ...groupOptions(options, catalog),
    onRecovered: (entries, epoch) => handOver(entries, epoch),
    onStateNeeded: (need) => target.need(need),
  });
  const stopFollowing = followMembers(group, options);
  const onDefect = (error: unknown) => log.error({ err: error }, 'a defect in a write of another node');
  cluster.begin({ databases, group, request: editRequests(options), onDefect });
  const systemDatabases = await openSystemDatabases({ cluster, group, clock, log });

  async function handOver(entries: readonly CommittedEntry[], epoch: number): Promise<void> {
    const worthwhile = worthRecovering(entries, epoch, group.status().lineage);
    const handOne = async (data: Uint8Array): Promise<void> => {
      const place = await cluster.leader(LEADER_WAIT_MS);
      if (place.kind === 'none' || place.kind === 'removed') throw failure('no_leader');
      if (place.kind === 'here') await recover({ catalog, log: cluster.log }, epoch, data);
      else await transport.request(place.name, RECOVERED_KIND, encodeRecovery(epoch, data), recoveryPatience);
    };
    for (const batch of inBatches(worthwhile)) await Promise.all(batch.map(handOne));
    log.warn({ epoch, entries: worthwhile.length }, 'writes that only this node had came back as branches');
  }

  return {
    receive: (from, kind, bytes) => group.receive(from, kind, bytes),
    serve: (from, kind, bytes) => {
      if (kind === EDIT_KIND) return cluster.serveEdit(bytes);
      if (kind === RECOVERED_KIND) return serveRecovery(bytes);
      return kind === STATE_KIND ? source.serve(from, bytes) : group.serve(from, kind, bytes);
    },
    async close() {
      stopFollowing();
      await systemDatabases.close();
      await target.close();
      cluster.end();
      await group.close();
      await source.close();
    },
  };

  async function serveRecovery(bytes: Uint8Array): Promise<Uint8Array> {
    // The bytes are a view of what arrived, and are kept until they are logged.
    const { data, epoch } = decodeRecovery(bytes.slice());
    await recover({ catalog, log: cluster.log }, epoch, data).catch(notTaken);
    return new Uint8Array(0);
  }
}

/** It is offered again, and twice is the same as once; what else goes wrong is a defect. */
function notTaken(cause: unknown): never {
  throw cause instanceof TercetError ? new PeerRefusal(cause.reason, { cause }) : cause;
}

function openCatalog({ databases, diskUuid, log, store }: OpenClusterOptions): Catalog {
  return new Catalog({
    ...{ store, databases, diskUuid },
    onMovedAside: (name, newName) =>
      log.warn({ name, newName }, 'a database of this node alone gave its name to one of the cluster'),
  });
}

function editRequests({ transport }: OpenClusterOptions): ClusterParts['request'] {
  if (transport === undefined) return undefined;
  return (peer, bytes, timeoutMs) => transport.request(peer, EDIT_KIND, bytes, { timeoutMs });
}

const nowhere: GroupOptions['transport'] = {
  send: () => 'link_down',
  request: () => Promise.reject(failure('service_unavailable', 'This node has no peers.')),
};

function groupOptions(
  options: OpenClusterOptions,
  catalog: Catalog,
): Omit<GroupOptions, 'onRecovered' | 'onStateNeeded'> {
  const { addresses, clock, diskUuid, log, mayFound, peers, random, self, store, transport } = options;
  return {
    ...{ store, diskUuid, self, peers, mayFound, clock, random, log },
    urlOf: (name) => addresses.urlOf(name),
    transport: transport ?? nowhere,
    askMembership: async (peer) => {
      const url = addresses.urlOfPeer(peer);
      return url === undefined ? undefined : options.askMembership(url);
    },
    stateMachine: catalog,
    settings: { tickMs: groupTickMs, raft: raftOptions(options), ...options.settings },
    onDefect: (error) => log.error({ err: error }, 'a defect in the group of single-leader databases'),
  };
}

/** A lease ends two ticks before anybody else can be elected: each side may have begun to count within a tick. */
function raftOptions({ leaderChoice, readLease }: OpenClusterOptions): RaftOptions {
  const { raft } = groupDefaults;
  return { ...raft, leaderChoice, leaseTicks: readLease ? raft.electionTicksMin - 2 : 0 };
}
