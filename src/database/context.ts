/** What a database is made of, and whom it tells of what happens to it. */

import type { Digest } from '../document/revision.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import type { DatabaseKeys } from '../store/keys.ts';
import type { KeyRange, Store } from '../store/store.ts';
import type { Database } from './database.ts';
import type { LeaderlessOptions } from './leaderless.ts';
import type { Writes } from './writes.ts';

export interface DatabaseContext {
  readonly name: string;
  readonly incarnation: string;
  readonly keys: DatabaseKeys;
  /** All keys of the database. */
  readonly range: KeyRange;
  readonly store: Store;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly random: Random;
  /** Present for a leaderless database. */
  readonly leaderless?: LeaderlessOptions;
  /** Gives the way of writes that is not the local one, if this database has one. */
  readonly routeWrites?: (database: Database, local: Writes) => Writes;
  /** See BlobContext. */
  readonly isLogged?: boolean;
  /** Called after every commit that changed documents. */
  readonly onChange: () => void;
  /** Told what made a background compaction fail. */
  readonly onCompactionFailure: (cause: unknown) => void;
}
