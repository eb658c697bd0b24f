/** What HTTP handlers may ask of the node; the composition root (node.ts) provides the real parts. */

import type { Databases } from '../database/databases.ts';
import type { AckSettings, ReplicationChoice, SecurityObject } from '../database/model.ts';
import type { StoreHealth } from '../store/store.ts';
import type { LeaderlessServices } from './leaderless-services.ts';
import type { AcceptPeer } from './upgrades.ts';

/** Who a request comes from, after authentication. */
export interface Principal {
  /** Undefined for an anonymous request. */
  readonly name: string | undefined;
  readonly roles: readonly string[];
  /** Server admin: everything is allowed. Everybody is one while the node has no admin ("admin party", loopback only). */
  readonly isAdmin: boolean;
  /** Another node of the cluster, proved by the shared secret; it is an admin that also sees password hashes. */
  readonly isPeer: boolean;
  /** How it was proved, for `GET /_session` (`info.authenticated`). */
  readonly by: 'admin-party' | 'anonymous' | 'basic' | 'cookie' | 'peer';
}

export interface Credentials {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  /** The `Tercet-Peer` header; it covers the method and target of the request. */
  readonly peerProof: string | undefined;
  /** The `Tercet-On-Behalf-Of` header: whom a peer that forwards a request has authenticated; the proof covers it. */
  readonly onBehalfOf?: string | undefined;
  readonly method: string;
  /** As on the request line: path and query, still encoded. */
  readonly target: string;
  readonly remoteAddress: string;
}

export interface Access {
  /**
   * A malformed Authorization header counts as anonymous. Answers at once (no promise) where nothing has to be
   * computed, as in the admin party or for a remembered session: every request passes here.
   * @throws TercetError `unauthorized` for wrong credentials, `too_many_requests` while locked out
   */
  authenticate(credentials: Credentials): Promise<Principal> | Principal;
  /** Checks a name and password for POST /_session; gives the Set-Cookie value. */
  openSession(
    name: string,
    password: string,
    remoteAddress: string,
  ): Promise<{ principal: Principal; setCookie: string }>;
  /** The Set-Cookie value that ends a session. */
  closedSessionCookie(): string;
  /** The Set-Cookie value for the answer to a request by cookie, once more than half of the session's time is used. */
  renewedSessionCookie?(credentials: Credentials): string | undefined;
  /** Throws unauthorized (anonymous) or forbidden (known, but not allowed). */
  requireAdmin(principal: Principal): void;
  requireDatabaseMember(principal: Principal, security: SecurityObject): void;
  requireDatabaseAdmin(principal: Principal, security: SecurityObject): void;
  /** Rules for the documents of one database (`_users`: hashing, own document only); none for ordinary ones. */
  documentHooks?(databaseName: string): DocumentHooks | undefined;
}

/** A document as clients write and see it, underscore members included. */
export type JsonObject = { readonly [member: string]: unknown };

/**
 * What happens to every document of a database on its way in and out. A database with hooks leaves the membership
 * check of single documents to them; its lists (`_all_docs`, `_changes`, `_local_docs`, `_purge` ...) are for admins.
 */
export interface DocumentHooks {
  /**
   * Called for PUT, POST, DELETE, COPY, attachment writes and each row of `_bulk_docs`, also with `new_edits: false`.
   * `edit` has `_id`, `_rev` where the client gave one, and `_deleted: true` for a deletion.
   * @returns the document to store instead, with the same `_id`, `_rev` and `_deleted`
   * @throws TercetError `forbidden`, `unauthorized`, ...: nothing is written; in `_bulk_docs` an error of that row
   */
  beforeEdit(edit: JsonObject, principal: Principal): Promise<JsonObject>;
  /**
   * Called before the document of a request is looked up, so that a refusal does not tell whether it exists.
   * @throws TercetError: this principal may not know about the document
   */
  beforeRead(id: string, principal: Principal): void;
  /**
   * Called for a document in every answer that carries its body: GET, `open_revs`, `_bulk_get`, `include_docs`.
   * @returns the document to show instead (without password hashes, say)
   * @throws TercetError: the reader may not see this document
   */
  afterRead(document: JsonObject, principal: Principal): JsonObject;
}

export interface ActiveTask {
  readonly type: 'replication' | 'database_compaction' | 'indexer' | 'anti_entropy' | 'replica_fill';
  readonly [member: string]: unknown;
}

/** Replications of this node. Requests and answers are CouchDB's JSON shapes. */
export interface Replications {
  /** POST /_replicate, already parsed JSON. Resolves at the end of a one-shot run; at once for a continuous one or a cancel. */
  replicate(
    request: unknown,
    principal: Principal,
  ): Promise<{ readonly status: 200 | 202; readonly body: object }>;
  jobs(): readonly object[];
  documents(): readonly object[];
  activeTasks(): readonly ActiveTask[];
}

/** A place in the group's order of writes. */
export interface GroupPosition {
  readonly term: number;
  readonly index: number;
}

export type LeaderPlace =
  /** This node leads, and has applied all that earlier leaders committed. */
  | { readonly kind: 'here' }
  | { readonly kind: 'there'; readonly name: string; readonly url: string }
  /** This node is not part of the cluster any more; `advice` says what to do. */
  | { readonly kind: 'removed'; readonly advice: string }
  | { readonly kind: 'none' };

export interface ClusterMember {
  readonly name: string;
  /** Names the member's disk. */
  readonly id: string;
  readonly kind: 'voter' | 'witness' | 'learner';
  /** Where the group says that it is. */
  readonly url?: string | undefined;
  /** What only the leader knows of the others: entries not yet durable there, and since when that is so. */
  readonly lagEntries?: number | undefined;
  readonly lagMs?: number | undefined;
  readonly lastHeardMs?: number | undefined;
}

/** The group of single-leader databases as this node sees it. */
export interface ClusterStatus {
  readonly role: string;
  readonly term: number;
  /** Name of the leader, as far as this node knows. */
  readonly leader: string | undefined;
  /** Whether the leader can write: as many voters as needed are in touch. Undefined where this node cannot tell. */
  readonly hasQuorum: boolean | undefined;
  /** How many count for a majority, how many of them are one, and, on the leader, how many it hears. */
  readonly quorum:
    | { readonly voters: number; readonly needed: number; readonly inTouch: number | undefined }
    | undefined;
  /** What this node is in the group; undefined: no member, as far as it knows. */
  readonly kind: ClusterMember['kind'] | undefined;
  /** Who says that this node is no member any more, as of which index, and what to do. */
  readonly removal?: { readonly by: string; readonly index: number; readonly advice: string } | undefined;
  /** It may found no group, and is not taken into the one that is there yet. */
  readonly awaitsAdmission?: boolean;
  readonly commit: number;
  readonly applied: number;
  readonly epochs: readonly {
    readonly term: number;
    readonly leader: string;
    readonly firstIndex: number;
  }[];
  readonly members: readonly ClusterMember[];
}

export interface NewNode {
  readonly name: string;
  readonly url: string;
  readonly kind: 'learner' | 'witness';
}

export interface AdmittedNode {
  readonly name: string;
  readonly id: string;
  readonly kind: ClusterMember['kind'];
  readonly url: string | undefined;
}

/**
 * Members of the group; all on the leader only.
 * @throws TercetError `not_found`, `conflict`, `precondition_failed`, `service_unavailable`, ... with what to do next
 */
export interface ClusterNodes {
  /** Resolves once it is a member; it may still be catching up. */
  add(node: NewNode): Promise<AdmittedNode>;
  /** Makes a learner that has caught up a voter. */
  promote(name: string): Promise<AdmittedNode>;
  remove(name: string): Promise<void>;
}

/** A node that takes the place of an owner of a leaderless database that is gone for good. */
export interface OwnerReplacement {
  readonly node: string;
  readonly by: string;
}

/** Single-leader databases; a node without them has no cluster services. */
export interface ClusterServices {
  status(): ClusterStatus;
  readonly nodes: ClusterNodes;
  /** Whether a follower takes writes to the leader, or answers with the leader's address. */
  readonly followerWrites: 'forward' | 'refuse';
  /** Whether databases take the edits of clients to the leader by themselves, where this node does not lead. */
  readonly forwardsEdits: boolean;
  readonly leaderChoice: 'elected' | 'appointed';
  /** Whether a leader may answer linearizable reads by lease. */
  readonly readLease: boolean;
  /** The last committed membership, for a node that asks whether it was removed; undefined: this node is no member. */
  committedMembership(): object | undefined;
  /** Why this node is no member any more, and what to do; undefined: it is one, or has not heard otherwise. */
  removal(): string | undefined;
  /** How the writes of each single-leader database are acknowledged. */
  policies(): ReadonlyMap<string, AckSettings>;
  /** How many members can be owners of a leaderless database; undefined: this node does not know the members yet. */
  ownersMax(): number | undefined;
  /** False on a witness: whatever the group carries is asked of the leader. */
  hasDocuments(): boolean;
  isSingleLeader(database: string): boolean;
  /** Whether the group created it, whatever its strategy: then it is on every node, and only the group drops it. */
  isInCatalog(database: string): boolean;
  /** Waits up to `waitMs` for a leader. Never rejects. */
  leader(waitMs: number): Promise<LeaderPlace>;
  /** Calls back when the leader or its readiness changes; the returned function stops that. */
  onLeaderChange(listener: () => void): () => void;
  /**
   * Resolves once this node has applied all that was acknowledged anywhere before the call.
   * @throws TercetError `service_unavailable`, after a bounded time; `removed_from_cluster`
   */
  readBarrier(): Promise<{ readonly index: number; readonly by: 'quorum' | 'lease' }>;
  /** Bound on how old the applied state is; undefined: unknown. */
  stalenessMs(): number | undefined;
  appliedPosition(): GroupPosition;
  /**
   * Resolves once that position is applied here. A position whose term is not that of the entry at its index was never
   * committed and never comes.
   * @throws TercetError `service_unavailable` when it is not within `timeoutMs`
   */
  waitForPosition(position: GroupPosition, timeoutMs: number): Promise<void>;
  /** On the leader only. Resolves once applied here. @throws TercetError `file_exists`, `illegal_database_name` */
  createDatabase(name: string, replication: ReplicationChoice): Promise<void>;
  /** On the leader only. @throws TercetError `not_found` */
  deleteDatabase(name: string): Promise<void>;
  /** On the leader only. With the strategy that the database has. @throws TercetError `not_found` */
  setReplication(name: string, replication: ReplicationChoice): Promise<void>;
  /**
   * On the leader only: the place of an owner of a leaderless database that is gone for good is another node's.
   * `confirmRemoved` resolves when no other owner speaks with it any more; it is asked when everything else is in order.
   * @throws TercetError `not_found`, `bad_request`, `precondition_failed` while it is a member of the cluster
   */
  replaceOwner(
    name: string,
    replacement: OwnerReplacement,
    confirmRemoved: () => Promise<void>,
  ): Promise<void>;
  /**
   * Makes this node the leader: HTTP sends the request to the node that is named. Gives what an operator wants to know:
   * what was done, or with `dryRun` would be, what may be lost and who is fenced.
   */
  promote(options: { readonly dryRun: boolean; readonly force: boolean }): Promise<object>;
  /**
   * On the leader only: hands over to that node, or to the one that is furthest.
   * @throws TercetError `not_found`, `conflict`, `precondition_failed`, ...: why it does not
   */
  transfer(to: string | undefined): Promise<object>;
  /** Headers that prove this node to a peer, for one request on behalf of somebody. */
  peerHeaders(request: {
    readonly method: string;
    readonly target: string;
    readonly onBehalfOf: string;
  }): Readonly<Record<string, string>>;
}

export interface Services {
  readonly databases: Databases;
  readonly access: Access;
  readonly replications: Replications;
  readonly cluster?: ClusterServices;
  readonly leaderless?: LeaderlessServices;
  readonly node: {
    readonly name: string;
    readonly region: string | undefined;
    /** Equal on all nodes of a cluster and after restarts. */
    readonly clusterUuid: string;
    readonly version: string;
    /** Where others reach it, if that is known. */
    readonly url?: string | undefined;
    /** Every other node that is known now. */
    readonly peers: readonly { readonly name: string; readonly url: string }[];
    /** Nobody needs credentials, and so nodes have none that others could not have. */
    readonly isOpen?: boolean;
    readonly storeHealth: () => StoreHealth;
  };
  readonly http: HttpSettings;
  /** Takes over a connection on which a peer asks for a stream between nodes; absent in a node without peers. */
  readonly acceptPeer?: AcceptPeer;
  /** Told of errors that a client only sees as 500; they are defects of ours. */
  readonly reportDefect?: (error: unknown, request: string) => void;
}

export interface HttpSettings {
  readonly cors: CorsSettings | undefined;
  /** Overrides of the limits in config.ts, for tests and operators. */
  readonly limits: HttpLimits;
}

export interface CorsSettings {
  /** `['*']` or exact origins. */
  readonly origins: readonly string[];
  readonly credentials: boolean;
  readonly headers: readonly string[];
  readonly methods: readonly string[];
  readonly maxAgeSeconds: number;
}

export interface HttpLimits {
  readonly documentBytesMax: number;
  readonly requestBodyBytesMax: number;
  readonly bodyMemoryBytesMax: number;
  readonly attachmentBytesMax: number;
  readonly jsonDepthMax: number;
  readonly connectionsMax: number;
  readonly headerBytesMax: number;
  readonly headerTimeMsMax: number;
  readonly requestTimeMsMax: number;
}
