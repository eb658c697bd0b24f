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
  /** Every other node of the cluster. */
  readonly peers: readonly LinkedPeer[];
  readonly onDefect: (error: unknown) => void;
}

interface LinkedPeer {
  readonly name: string;
  /** Without a slash at the end. */
  readonly url: string;
}

export interface PeerLinks {
  /** Also for a peer that is at another address now. */
  addPeer(peer: LinkedPeer): Promise<void>;
  removePeer(name: string): Promise<void>;
  close(): Promise<void>;
}

export function startPeerLinks(options: PeerLinksOptions): PeerLinks {
  const { databases, scheduler, onDefect } = options;
  let peers = options.peers;

  function link(database: string): void {
    if (ownDatabases.has(database) || databases.replication(database).strategy !== 'multi-leader') return;
    for (const peer of peers) {
      const request = pullFrom(peer, database);
      if (scheduler.find(scheduler.jobIdOf(request)) !== undefined) continue;
      scheduler.add(request, { kind: 'peer', name: peer.name }, () => undefined);
    }
  }

  async function removePeer(name: string): Promise<void> {
    const gone = peers.filter((peer) => peer.name === name);
    peers = peers.filter((peer) => peer.name !== name);
    const jobs = gone.flatMap((peer) => databases.names().map((database) => pullFrom(peer, database)));
    await Promise.all(jobs.map((request) => scheduler.remove(scheduler.jobIdOf(request))));
  }

  async function addPeer(peer: LinkedPeer): Promise<void> {
    await removePeer(peer.name);
    peers = [...peers, peer];
    for (const name of databases.names()) link(name);
  }

  /** What is asked one after the other is done one after the other: a job takes a moment to end. */
  let work: Promise<void> = Promise.resolve();
  function inTurn(change: () => Promise<void>): Promise<void> {
    const done = work.then(() => (isClosed ? undefined : change()));
    work = done.catch(() => undefined);
    return done;
  }
  let isClosed = false;

  async function unlink(database: string): Promise<void> {
    await Promise.all(peers.map((peer) => scheduler.remove(scheduler.jobIdOf(pullFrom(peer, database)))));
  }

  const stopListening = databases.onUpdate(({ name, kind }) => {
    if (kind === 'created') link(name);
    if (kind === 'deleted') unlink(name).catch(onDefect);
  });
  for (const name of databases.names()) link(name);
  return {
    addPeer: (peer) => inTurn(() => addPeer(peer)),
    removePeer: (name) => inTurn(() => removePeer(name)),
    close: async () => {
      isClosed = true;
      await work;
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
