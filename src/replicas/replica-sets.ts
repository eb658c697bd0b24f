/** The leaderless databases of this node, by the names that nodes call them, and who holds them. */

import type { Database } from '../database/database.ts';
import type { Databases } from '../database/databases.ts';
import type { LeaderlessPart } from '../database/leaderless.ts';
import type { ReplicaOwner, Replication } from '../database/model.ts';
import type { Digest } from '../document/revision.ts';
import { type Placement, type PlacementQuestion, placementOf } from '../leaderless/placement.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';

/** What has to be known of a database to say what its replica here may answer. */
export interface OwnedDatabase {
  readonly name: string;
  readonly leaderless: Pick<LeaderlessPart, 'wholeSince'> | undefined;
}

/** Where the databases are; the simulator has others. */
interface DatabasesOf<Own extends OwnedDatabase>
  extends Pick<Databases, 'has' | 'names' | 'onUpdate' | 'replication'> {
  get(name: string): Own;
}

/** One leaderless database as this node sees it now. */
export interface ReplicaSet<Own extends OwnedDatabase = Database> extends Placement {
  readonly database: Own;
  /** Names the database on all nodes, for as long as it exists. */
  readonly identity: string;
  readonly settings: LeaderlessSettings;
  /** Whether this node is an owner. */
  readonly isOwner: boolean;
  /**
   * Whether it is an owner that knows all it once acknowledged: not while a disk that was lost is being filled again. One
   * that was made an owner and has not heard of it is asked as one, and knows nothing.
   */
  readonly isWhole: boolean;
  /** Names the moment when this node became an owner in another's place; empty for one that was there from the start. */
  readonly since: string;
}

export interface ReplicaSetsOptions {
  readonly self: string;
  /** This node's, as owners are noted with it. */
  readonly disk: string;
  /** Names of all nodes, this one included. */
  readonly nodes: () => readonly string[];
  /** Names of the members that have documents: the same array as long as they are the same. */
  readonly members: () => readonly string[];
  readonly digest: Digest;
}

interface Placed {
  readonly n: number;
  readonly owners: LeaderlessReplication['owners'];
  readonly nodes: readonly string[];
  readonly placement: Placement;
}

type LeaderlessReplication = Extract<Replication, { strategy: 'leaderless' }>;

export class ReplicaSets<Own extends OwnedDatabase = Database> {
  readonly #options: ReplicaSetsOptions;
  readonly #names = new Map<string, string>();
  readonly #placements = new Map<string, Placed>();
  readonly #sets = new Map<string, { readonly set: ReplicaSet<Own>; readonly placement: Placement }>();
  #databases: DatabasesOf<Own> | undefined;
  #stop: () => void = () => {};

  constructor(options: ReplicaSetsOptions) {
    this.#options = options;
  }

  /** Databases are opened before anybody asks for them by their identities. */
  begin(databases: DatabasesOf<Own>): void {
    this.#databases = databases;
    this.#readNames(databases);
    this.#stop = databases.onUpdate(({ kind }) => {
      if (kind !== 'updated') this.#readNames(databases);
    });
  }

  end(): void {
    this.#stop();
  }

  get self(): string {
    return this.#options.self;
  }

  /** Undefined: there is no such database here, or it is not leaderless. */
  of(name: string): ReplicaSet<Own> | undefined {
    const databases = this.#databases;
    const replication = databases?.replication(name);
    if (replication?.strategy !== 'leaderless' || databases === undefined || !databases.has(name)) {
      return undefined;
    }
    const { identity, settings } = replication;
    const database = databases.get(name);
    const placement = this.#placementOf(replication);
    const known = this.#sets.get(name);
    const isSame =
      known?.set.settings === settings && known.set.database === database && known.placement === placement;
    if (isSame) return known.set;
    const isOwner = placement.owners.includes(this.self);
    const own = replication.owners?.find(({ node }) => node === this.self);
    const since = own?.joined ?? '';
    const isWhole = isOwner && this.#isWhole(own, database);
    const set = { ...placement, database, identity, settings, isOwner, isWhole, since };
    this.#sets.set(name, { set, placement });
    return set;
  }

  byIdentity(identity: string): ReplicaSet<Own> | undefined {
    const name = this.#names.get(identity);
    return name === undefined ? undefined : this.of(name);
  }

  databaseOf(identity: string): Own | undefined {
    const name = this.#names.get(identity);
    return name !== undefined && this.#databases?.has(name) === true ? this.#databases.get(name) : undefined;
  }

  /** Its note that it is whole is durable: it counts for reads from now on, also after a restart. */
  notedWhole({ database }: ReplicaSet<Own>): void {
    this.#sets.delete(database.name);
  }

  /** Names of those who may take part; none where nobody knows them yet. */
  members(): readonly string[] {
    return this.#options.members();
  }

  /** Whether it may take part: one that the group took out is not asked and not answered any more. */
  isMember(node: string): boolean {
    const members = this.#options.members();
    return members.length === 0 || members.includes(node);
  }

  /** Whether what that node asks as an owner counts: one whose place another took may not have heard of it. */
  isOwner(identity: string, node: string): boolean {
    return this.byIdentity(identity)?.owners.includes(node) === true && this.isMember(node);
  }

  /** Whether that node may count what is here for a read: not while the replica does not know yet what it once acknowledged. */
  mayRead(identity: string, node: string): boolean {
    return this.byIdentity(identity)?.isWhole === true && this.isOwner(identity, node);
  }

  /** Who took the place of an owner; undefined: nobody. */
  successorOf(identity: string, node: string): string | undefined {
    const name = this.#names.get(identity);
    const replication = name === undefined ? undefined : this.#databases?.replication(name);
    const owners = replication?.strategy === 'leaderless' ? replication.owners : undefined;
    if (owners === undefined || owners.some((owner) => owner.node === node)) return undefined;
    return owners.find(({ replaced = [] }) => replaced.includes(node))?.node;
  }

  all(): readonly ReplicaSet<Own>[] {
    return [...this.#names.values()].flatMap((name) => this.of(name) ?? []);
  }

  /** Computed anew only when nodes come or go. Owners that were chosen stay; what follows the nodes are stand-ins. */
  #placementOf({ identity, owners, settings: { n } }: LeaderlessReplication): Placement {
    const nodes = owners === undefined ? this.#options.nodes() : this.#options.members();
    const known = this.#placements.get(identity);
    const isSame = known?.n === n && known.owners === owners && nodes.length === known.nodes.length;
    if (isSame && nodes.every((node, at) => node === known.nodes[at])) return known.placement;
    const { digest } = this.#options;
    const placement =
      owners === undefined
        ? placementOf({ database: identity, nodes, n }, digest)
        : placedAround(owners, { database: identity, nodes, n: 0 }, digest);
    this.#placements.set(identity, { n, owners, nodes, placement });
    return placement;
  }

  /** It is as long as it is the one that was there when the database began; any other has to be filled first. */
  #isWhole(own: ReplicaOwner | undefined, { leaderless }: Own): boolean {
    if (own === undefined || (own.joined === undefined && own.disk === this.#options.disk)) return true;
    return leaderless?.wholeSince() === (own.joined ?? '');
  }

  #readNames(databases: DatabasesOf<Own>): void {
    this.#names.clear();
    this.#sets.clear();
    for (const name of databases.names()) {
      const replication = databases.replication(name);
      if (replication.strategy === 'leaderless') this.#names.set(replication.identity, name);
    }
    for (const identity of this.#placements.keys()) {
      if (!this.#names.has(identity)) this.#placements.delete(identity);
    }
  }
}

function placedAround(
  chosen: NonNullable<LeaderlessReplication['owners']>,
  question: PlacementQuestion,
  digest: Digest,
): Placement {
  const owners = chosen.map(({ node }) => node);
  const { standIns } = placementOf(question, digest);
  return { owners, standIns: standIns.filter((node) => !owners.includes(node)) };
}
