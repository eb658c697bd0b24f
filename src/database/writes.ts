/**
 * Where the writes of a database go: straight into the local store (local-writes.ts), or into a replicated log first.
 * The database, and everything above it, does not know which.
 */

import type { Revision } from '../document/revision.ts';
import type { BlobReference, DocumentEdit, EditOutcome, PurgeOutcome, ReplicatedRevision } from './model.ts';
import type { DatabaseSettings } from './settings.ts';

/** What a request may ask of its own write, and wants to be told. Only replicated logs have more than one way. */
export interface WriteOptions {
  readonly ack?: AckWish | undefined;
  /** Who writes, as one node says it to another. Only edits that say it may be taken to the leader from elsewhere. */
  readonly onBehalfOf?: string | undefined;
  /** Not begun, and rejected with DocumentBusy, where it would have to wait before it is logged or refused: others wait for it. */
  readonly mayNotWait?: true | undefined;
  /** Called before the write resolves, when there is something to tell. */
  readonly onReceipt?: ((receipt: WriteReceipt) => void) | undefined;
  /**
   * The revisions to insert come late (late-revision.ts). Called for each that was overtaken meanwhile, with the tombstone
   * that keeps what it says, before the write resolves.
   */
  readonly onOvertaken?: (overtaken: OvertakenRevision) => void;
  /** The client brings a leaderless write to the other replicas itself: it is for this one alone. */
  readonly coordinator?: 'client';
  /** Counts of a leaderless write; the database's where it names none. */
  readonly quorum?: QuorumWish;
  /** The same of a leaderless write, once for each part of a long one. */
  readonly onQuorum?: (receipt: QuorumReceipt) => void;
}

export interface OvertakenRevision {
  readonly id: string;
  readonly revision: Revision;
  readonly keptBy: Revision;
}

/** How many replicas, all told: see LeaderlessSettings. */
export interface QuorumWish {
  readonly n?: number | undefined;
  readonly r?: number | undefined;
  readonly w?: number | undefined;
  readonly pr?: number | undefined;
  readonly pw?: number | undefined;
}

/** Who had a leaderless write durable when this was told. */
export interface QuorumReceipt {
  /** False: stored, but on fewer than were asked for. */
  readonly met: boolean;
  readonly n: number;
  readonly w: number;
  readonly owners: readonly string[];
  readonly standIns: readonly string[];
  /** How many count. */
  readonly reached: number;
}

export interface AckWish {
  readonly policy: 'async' | 'semi-sync' | 'sync' | undefined;
  /** Of semi-sync only. */
  readonly followers: number | 'majority' | undefined;
  readonly onTimeout: 'block' | 'degrade' | 'fail' | undefined;
  readonly timeoutMs: number | undefined;
}

export interface WriteReceipt {
  /** False: stored, but the policy was not met in time. */
  readonly met: boolean;
  readonly policy: string;
  readonly term: number;
  readonly index: number;
  /** Names of the nodes that had it durable when this was told. */
  readonly durableOn: readonly string[];
  readonly elapsedMs: number;
}

export interface LocalWrite {
  readonly id: string;
  readonly base: string | undefined;
  /** Undefined: delete. */
  readonly body: Uint8Array | undefined;
}

export interface Writes {
  /** Outcomes in the order of the edits, once durable. */
  edit(edits: readonly DocumentEdit[], options: WriteOptions): Promise<EditOutcome[]>;
  /** Outcomes in the order of the revisions, once durable. */
  insert(revisions: readonly ReplicatedRevision[], options: WriteOptions): Promise<EditOutcome[]>;
  purge(request: ReadonlyMap<string, readonly string[]>): Promise<PurgeOutcome>;
  /** Gives the new revision. */
  writeLocal(write: LocalWrite): Promise<string>;
  changeSettings(change: Partial<DatabaseSettings>): Promise<void>;
  storeBlob(content: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobReference>;
  /**
   * Resolves once the document can be read here as the last acknowledged write left it. Absent, or undefined: it can be
   * already.
   */
  readable?(id: string): Promise<void> | undefined;
  /** Resolves when everything accepted so far is durable. */
  flush(): Promise<void>;
}
