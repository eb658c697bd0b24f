/** Leaderless databases as HTTP needs them; src/replicas provides them. */

import type { DocumentReader } from '../database/joined-reads.ts';
import type { QuorumWish } from '../database/writes.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';
import type { ActiveTask, OwnerReplacement } from './services.ts';

/** Where a leaderless database is, and how it reads and writes. */
export interface LeaderlessPlace {
  readonly settings: LeaderlessSettings;
  /** The nodes that hold it; others take writes in their stead. */
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  /** Whether this node is an owner. */
  readonly isOwner: boolean;
  /** False while it is being filled again after its disk was lost, and does not count for reads. */
  readonly isWhole: boolean;
}

export interface QuorumReadAnswer {
  /** Reads the document as the replicas know it together; undefined where that is what the own one has. */
  readonly reader: DocumentReader | undefined;
  /** Who said what they hold. */
  readonly from: readonly string[];
  readonly n: number;
  readonly r: number;
}

/** Leaderless databases; a node without peers has none. */
export interface LeaderlessServices {
  /** Undefined: there is no such database, or it has another strategy. */
  place(database: string): LeaderlessPlace | undefined;
  /** Other owners that are probably there, whom to ask first before the others. */
  reachableOwners(database: string): readonly string[];
  /**
   * On an owner: what R replicas know of a document.
   * @throws TercetError `bad_request` for counts that make no sense, `consistency_unavailable` when too few answer
   */
  read(database: string, id: string, wish: QuorumWish): Promise<QuorumReadAnswer>;
  /** What this node knows of the database's replicas, as `GET /{db}/_replication` shows it. */
  replicasOf(database: string): readonly ReplicaStatus[];
  /** What each owner that answers within a second says of itself, this one among them. */
  standingsOf(database: string): Promise<ReadonlyMap<string, ReplicaStanding>>;
  /**
   * Resolves when none of the other owners that are members speaks with the one that goes any more, because it was removed from
   * the cluster, when all that they took before is durable, and when the one that comes knows that it is no owner.
   * @throws TercetError `service_unavailable` when one does not answer, or has not heard of it
   */
  confirmRemoved(database: string, replacement: OwnerReplacement): Promise<void>;
  /** Takes over what graves the others have of a document; false where nobody tells of one. @throws TercetError */
  hearGraves(database: string, id: string): Promise<boolean>;
  /** Compares the own replica with all others. @throws TercetError */
  compareNow(database: string): Promise<readonly ComparedReplica[]>;
  activeTasks(): readonly ActiveTask[];
  figures(): LeaderlessFigures;
}

/** How a round of anti-entropy ended. */
export interface ComparedReplica {
  readonly peer: string;
  readonly outcome: 'equal' | 'repaired' | 'failed';
  readonly error?: string;
  /** Wall-clock milliseconds. */
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  /** Documents of which something was brought here, and from here. */
  readonly fetched: number;
  readonly sent: number;
  /** What went over the wire, without documents. */
  readonly comparedBytes: number;
}

export interface ReplicaStatus {
  readonly node: string;
  readonly kind: 'owner' | 'stand-in';
  readonly health: 'here' | 'alive' | 'slow' | 'suspected' | 'no_link';
  /** How surprising its silence is: see leaderless/failure-detector.ts. */
  readonly phi: number;
  readonly latencyMs: number;
  /** What is kept for it, of all databases. */
  readonly hints: number;
  readonly hintBytes: number;
  readonly compared: ComparedReplica | undefined;
}

/** Whether a replica knows all that it once acknowledged, as it says itself. */
export interface ReplicaStanding {
  readonly isWhole: boolean;
  /** How far it is filled where it does not. */
  readonly fill?: FillProgress | undefined;
}

/** A replica takes from the others what the disk had that it lost. */
export interface FillProgress {
  /** Wall-clock milliseconds: since then this process has filled it, what it took before a restart is taken again. */
  readonly startedAtMs: number;
  /** From whom it takes now. */
  readonly present: string | null;
  /** From whom it has taken everything, and whether that one knew its own state. */
  readonly taken: readonly { readonly node: string; readonly isWhole: boolean }[];
  /** From so many more that know their own state, or from all, it has to take everything. */
  readonly needed: number;
  readonly documents: number;
  /** The most that one of the others says to have; null: none has said yet. */
  readonly expected: number | null;
  /** Why it could not go on lately. */
  readonly error: string | null;
}

/** For metrics, of all leaderless databases together. */
export interface LeaderlessFigures {
  readonly hintsPending: ReadonlyMap<string, { readonly hints: number; readonly bytes: number }>;
  /** Since the node started: stored, refused, delivered, expired, discarded. */
  readonly hints: Readonly<Record<string, number>>;
  readonly readRepairs: number;
  readonly rounds: Readonly<Record<ComparedReplica['outcome'], number>>;
  readonly phi: ReadonlyMap<string, number>;
}
