/** Which databases of this node are not its own to write: the group leads them, or would once they are created. */

import type { Databases } from '../database/databases.ts';
import type { ReplicationChoice } from '../database/model.ts';
import { replicationDefault } from '../database/replication-default.ts';

export interface LedDatabases {
  /**
   * Under which URL this node takes requests for a database to where they belong; undefined: its writes, and its creation,
   * happen here. A leader may change while a replication runs, so it is not who leads now that decides.
   */
  urlOf(name: string): string | undefined;
  /** As one that a client creates without saying how. @throws TercetError `file_exists` */
  create(name: string): Promise<void>;
}

export interface LedContext {
  readonly databases: Databases;
  readonly create: (name: string, replication: ReplicationChoice) => Promise<void>;
  /** Undefined before this node listens, and while nobody else can lead. */
  readonly ownUrl: () => string | undefined;
}

export function ledDatabases({ create, databases, ownUrl }: LedContext): LedDatabases {
  return {
    create: (name) => create(name, replicationDefault),
    urlOf(name) {
      const url = ownUrl();
      const isOwn = databases.has(name) && databases.replication(name).strategy === 'multi-leader';
      return isOwn || url === undefined ? undefined : `${url}/${encodeURIComponent(name)}`;
    },
  };
}
