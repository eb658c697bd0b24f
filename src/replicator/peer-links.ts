/**
 * Keeps the nodes of a cluster equal: each pulls every database from every peer that has one of the same name, without end.
 *
 * All-to-all, so that a change needs one hop and the loss of a node breaks no way between the others; a revision that
 * arrives over two ways is known the second time, and goes no further. A database that a peer lacks is asked for again
 * now and then. `_replicator` stays each node's own: copied, every replication would run on every node. Single-leader
 * databases travel by their group's log.
 */

import type { Databases } from '../database/databases.ts';
import { type ReplicationRequest, replicationDefaults } from './replication-request.ts';
import type { Scheduler } from './scheduler.ts';

const ownDatabases: ReadonlySet<string> = new Set(['_replicator']);

export interface PeerLinksOptions {
  readonly databases: Databases;
  readonly scheduler: Scheduler;
  /** Every other node of the cluster; URLs without a slash at the end. */
  readonly peers: readonly { readonly name: string; readonly url: string }[];
  readonly onDefect: (error: unknown) => void;
}

export interface PeerLinks {
  close(): Promise<void>;
}

export function startPeerLinks({ databases, scheduler, peers, onDefect }: PeerLinksOptions): PeerLinks {
  function link(database: string): void {
    if (ownDatabases.has(database) || databases.replication(database).strategy !== 'multi-leader') return;
    for (const peer of peers) {
      const request = pullFrom(peer, database);
      if (scheduler.find(scheduler.jobIdOf(request)) !== undefined) continue;
      scheduler.add(request, { kind: 'peer', name: peer.name }, () => undefined);
    }
  }

  async function unlink(database: string): Promise<void> {
    await Promise.all(peers.map((peer) => scheduler.remove(scheduler.jobIdOf(pullFrom(peer, database)))));
  }

  const stopListening = databases.onUpdate(({ name, kind }) => {
    if (kind === 'created') link(name);
    if (kind === 'deleted') unlink(name).catch(onDefect);
  });
  for (const name of databases.names()) link(name);
  return {
    close: async () => {
      stopListening();
      await Promise.all(databases.names().map(unlink));
    },
  };
}

function pullFrom(
  peer: { readonly name: string; readonly url: string },
  database: string,
): ReplicationRequest {
  return {
    ...replicationDefaults,
    source: {
      kind: 'remote',
      url: `${peer.url}/${encodeURIComponent(database)}`,
      headers: {},
      // By name: a peer that comes back on another port goes on where it was.
      identity: `peer:${peer.name}/${database}`,
    },
    target: { kind: 'local', name: database },
    continuous: true,
  };
}
