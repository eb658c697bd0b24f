/**
 * Sees to it that the group has the databases that every cluster needs: `_users`, so that whoever signs up at one node is
 * known at all, whichever of them fails. Each leader looks once it is ready, and again until they are there.
 *
 * `_replicator` is each node's own: in the group, every replication would run on every node.
 */

import type { Log } from '../runtime/log.ts';
import type { Clock } from '../runtime/ports.ts';
import type { Cluster } from './cluster.ts';
import type { Group } from './group.ts';

const names = ['_users'];
const retryMs = 1_000;

export interface SystemDatabasesContext {
  readonly cluster: Cluster;
  readonly group: Pick<Group, 'status' | 'onChange'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** A node alone leads by now, and is complete before anybody asks it. */
export async function openSystemDatabases(context: SystemDatabasesContext): Promise<SystemDatabases> {
  const opened = new SystemDatabases(context);
  await opened.look();
  return opened;
}

class SystemDatabases {
  readonly #context: SystemDatabasesContext;
  readonly #stopListening: () => void;
  #running: Promise<void> | undefined;
  #cancelRetry: () => void = () => {};
  #isClosed = false;

  constructor(context: SystemDatabasesContext) {
    this.#context = context;
    this.#stopListening = context.group.onChange(() => void this.look());
  }

  /** Resolves after one try, which does nothing where this node does not lead. */
  look(): Promise<void> {
    this.#running ??= this.#tryOnce().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening();
    this.#cancelRetry();
    await this.#running;
  }

  async #tryOnce(): Promise<void> {
    const { clock, cluster, group, log } = this.#context;
    this.#cancelRetry();
    try {
      for (const name of names) {
        if (this.#isClosed || !group.status().leaderReady) return;
        if (!cluster.isInCatalog(name)) await cluster.createSystemDatabase(name);
      }
    } catch (cause) {
      log.warn({ err: cause }, 'a system database could not be created yet');
      if (!this.#isClosed) this.#cancelRetry = clock.after(retryMs, () => void this.look());
    }
  }
}
