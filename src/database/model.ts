/** The shapes that a database takes and gives. Everything above the database (HTTP, replicator) speaks these. */

import type { AttachmentStub, RevisionPath } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import type { Stamp } from '../document/stamp.ts';
import type { TercetError } from '../errors.ts';
import type { LeaderlessSettings } from '../replication/leaderless-settings.ts';

/** One revision of a document as it is stored. */
export interface DocumentRevision {
  readonly id: string;
  readonly revision: Revision;
  readonly deleted: boolean;
  /** Canonical JSON object without underscore members, UTF-8. Never modified. */
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentStub[];
  /** Present when asked for (`revs`). */
  readonly path?: RevisionPath | undefined;
  /** Present when asked for (`revs_info`). */
  readonly revisionsInfo?: readonly RevisionInfo[] | undefined;
  /** Live leaves other than the winner; present when asked for and not empty. */
  readonly conflicts?: readonly Revision[] | undefined;
  /** Deleted leaves other than the winner; present when asked for and not empty. */
  readonly deletedConflicts?: readonly Revision[] | undefined;
  /** Present when asked for (`local_seq`). */
  readonly localSequence?: number | undefined;
  /** All parents of a merge, the tree parent first; present with `path`. */
  readonly parents?: readonly Revision[] | undefined;
  /** Present for revisions made in leaderless databases. */
  readonly stamp?: Stamp | undefined;
}

export interface RevisionInfo {
  readonly revision: Revision;
  readonly status: 'available' | 'missing' | 'deleted';
}

export interface ReadOptions {
  /** This revision instead of the winner; with it, a deleted one is found too. */
  readonly revision?: Revision;
  /** With `revision`: the leaf it became, when it has one. */
  readonly latest?: boolean;
  readonly path?: boolean;
  readonly revisionsInfo?: boolean;
  readonly conflicts?: boolean;
  readonly deletedConflicts?: boolean;
  readonly localSequence?: boolean;
}

export type ReadOutcome =
  | { readonly kind: 'found'; readonly document: DocumentRevision }
  | { readonly kind: 'missing' }
  /** The winner is a tombstone. */
  | { readonly kind: 'deleted' };

export type OpenRevision =
  | { readonly kind: 'found'; readonly document: DocumentRevision }
  | { readonly kind: 'missing'; readonly revision: string };

export interface RevisionDifference {
  readonly missing: readonly string[];
  readonly possibleAncestors: readonly string[];
}

/** An attachment of an edit: content already stored as a blob, or a reference to the base revision's. */
export type AttachmentEdit =
  | { readonly kind: 'keep'; readonly name: string; readonly digest?: string; readonly revpos?: number }
  | {
      readonly kind: 'stored';
      readonly name: string;
      readonly contentType: string;
      readonly blob: BlobReference;
      readonly revpos?: number;
    };

/** Content that is durable in a database's blob store; see Database.storeBlob. */
export interface BlobReference {
  /** SHA-256 in lowercase hex. */
  readonly blob: string;
  /** `md5-<base64>`. */
  readonly digest: string;
  readonly length: number;
}

/** An ordinary write: it must name the leaf it replaces, or it is a conflict. */
export interface DocumentEdit {
  readonly id: string;
  /** The leaf this edit replaces; none for a new document or one whose winner is deleted. */
  readonly base: Revision | undefined;
  readonly deleted: boolean;
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentEdit[];
  /** Of whoever may send it again: the same edit with the same key is done once; see edited-revision.ts. */
  readonly idempotencyKey?: string | undefined;
}

export type EditOutcome =
  | { readonly kind: 'written'; readonly id: string; readonly revision: Revision }
  | { readonly kind: 'failed'; readonly id: string; readonly error: TercetError };

/** A revision made elsewhere (`new_edits: false`): joined into the graph as it is, never a conflict. */
export interface ReplicatedRevision {
  readonly id: string;
  readonly revision: Revision;
  /** From the revision back to its oldest known ancestor. */
  readonly path: RevisionPath;
  readonly deleted: boolean;
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentEdit[];
  /** All parents of a merge, the tree parent first; a path names that one only. */
  readonly parents?: readonly Revision[] | undefined;
  /** When it was made, where that is known. Of two stamps of one revision the lower one is kept. */
  readonly stamp?: Stamp | undefined;
}

export interface DatabaseInfo {
  readonly name: string;
  readonly documentCount: number;
  readonly deletedDocumentCount: number;
  readonly updateSequence: string;
  readonly purgeSequence: string;
  readonly incarnation: string;
  readonly compactRunning: boolean;
  /** Bytes on disk, roughly; all data of the database. */
  readonly fileBytes: number;
  readonly activeBytes: number;
  /** Bytes of bodies and attachments as clients would receive them. */
  readonly externalBytes: number;
}

export interface AllDocumentsQuery {
  readonly startKey?: string;
  readonly endKey?: string;
  readonly inclusiveEnd?: boolean;
  readonly descending?: boolean;
  readonly skip?: number;
  readonly limit?: number;
  readonly includeDocuments?: boolean;
  readonly conflicts?: boolean;
}

export interface AllDocumentsRow {
  readonly id: string;
  readonly revision: Revision;
  /** True only in answers to explicit keys. */
  readonly deleted: boolean;
  /** Present with `includeDocuments`, unless deleted. */
  readonly document?: DocumentRevision;
}

export interface ChangeRow {
  /** Sequence token, opaque: the position after this row. */
  readonly sequence: string;
  readonly id: string;
  readonly deleted: boolean;
  /** The winner first; with `style: 'all_docs'` every leaf. */
  readonly revisions: readonly Revision[];
  /** Present with `includeDocuments`; tombstones too. */
  readonly document?: DocumentRevision;
}

export interface ChangesQuery {
  /** A sequence token, `0` or `now`. */
  readonly since: string;
  readonly style: 'main_only' | 'all_docs';
  readonly descending?: boolean;
  /** Rows after filtering. */
  readonly limit?: number;
  readonly includeDocuments?: boolean;
  readonly conflicts?: boolean;
  /** Decides on a row; gets the winner's document only when `needsDocument`. */
  readonly filter?: ChangesFilter;
  /** Keep going after the last row: wait for more until `signal` aborts. Pauses are told as `idle` batches. */
  readonly live?: boolean;
  readonly signal?: AbortSignal;
}

export type ChangesFilter =
  | { readonly kind: 'ids'; readonly ids: ReadonlySet<string> }
  | { readonly kind: 'design' }
  | { readonly kind: 'matcher'; readonly matches: (document: DocumentRevision) => boolean };

export interface ChangesBatch {
  /** Rows in order; may be empty when a stretch of the feed was filtered out or the live feed fell idle. */
  readonly rows: readonly ChangeRow[];
  /** Token of the last sequence examined, matching or not. */
  readonly lastSequence: string;
  /** Changes after `lastSequence`, before filtering. */
  readonly pending: number;
}

/** How a single-leader database acknowledges writes when a request does not say otherwise. */
export interface AckSettings {
  readonly policy: 'async' | 'semi-sync' | 'sync';
  /** For semi-sync: how many followers must have a write durable, the leader not counted. */
  readonly followers: number | 'majority';
  /** When the policy is not met in time: wait on, acknowledge and say so (202), or give an error of unknown outcome. */
  readonly onTimeout: 'block' | 'degrade' | 'fail';
  readonly timeoutMs: number;
}

/** How a database is to be replicated, as one asks for it and a log carries it. */
export type ReplicationChoice =
  | { readonly strategy: 'multi-leader' }
  | { readonly strategy: 'single-leader'; readonly ack: AckSettings }
  | {
      readonly strategy: 'leaderless';
      readonly settings: LeaderlessSettings;
      /**
       * Whose replicas these are from now on, whoever comes or goes: the node that leads chooses them at creation. Absent
       * as long as nobody chose, and for databases of before owners were chosen, which follow the list of nodes.
       */
      readonly owners?: readonly ReplicaOwner[];
    };

/** Who holds a leaderless database. */
export interface ReplicaOwner {
  readonly node: string;
  /** The disk it had when it became one, as members of the group are known by. On another one it began without the database. */
  readonly disk: string;
  /** Of one that took another's place: names that moment. Before it was filled since then, it does not know what is in the database. */
  readonly joined?: string;
  /** Whose place it took, the first owner first. */
  readonly replaced?: readonly string[];
}

/** What a database that the group created has beside that. */
export interface GroupReference {
  /** Index of the log entry that created it: names it in the group's log. */
  readonly reference: number;
}

/** The nodes of such a database count its changes each on its own, so an incarnation is one replica's. */
export interface SharedIdentity {
  /** Names the database on all nodes, also where a forced membership gave a reference a second time. */
  readonly identity: string;
}

/** How a database is replicated; chosen at its creation. */
export type Replication =
  /** Known to this node alone; whoever makes one of the same name elsewhere makes a replica of it. */
  | { readonly strategy: 'multi-leader'; readonly reference?: undefined }
  | ({ readonly strategy: 'multi-leader' } & GroupReference & SharedIdentity)
  | (Extract<ReplicationChoice, { strategy: 'single-leader' }> & GroupReference)
  | (Extract<ReplicationChoice, { strategy: 'leaderless' }> & GroupReference & SharedIdentity);

export type PurgeOutcome = ReadonlyMap<string, readonly Revision[]>;

export interface SecurityGroup {
  readonly names: readonly string[];
  readonly roles: readonly string[];
}

/** Members that are not named here mean nothing to a node, and are kept. */
export interface SecurityObject {
  readonly admins: SecurityGroup;
  readonly members: SecurityGroup;
}
