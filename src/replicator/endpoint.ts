/** One end of a replication: a database, here or far away. The job drives two of these and knows no difference. */

import type { RevisionPath } from '../document/document.ts';
import type { Revision } from '../document/revision.ts';
import { TercetError } from '../errors.ts';
import type { Checkpoint } from '../multi-leader/checkpoint.ts';

/** A revision on its way from a source to a target. */
export interface TransferDocument {
  readonly id: string;
  readonly revision: Revision;
  readonly path: RevisionPath;
  readonly deleted: boolean;
  /** Canonical JSON object without underscore members, UTF-8. */
  readonly body: Uint8Array;
  readonly attachments: readonly TransferAttachment[];
}

/** An attachment whose content has not been read yet. */
export interface TransferAttachment {
  readonly name: string;
  readonly contentType: string;
  readonly length: number;
  /** As the source names it; a CouchDB source digests what it stored compressed. */
  readonly digest: string;
  readonly revpos: number;
  /** Streams the content from the source. Throws a {@link ContentFault} when the source has everything but this. */
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

export interface TransferChange {
  readonly id: string;
  readonly revisions: readonly string[];
}

export interface ChangesPage {
  readonly rows: readonly TransferChange[];
  readonly lastSequence: string;
  /** Changes after these, before filtering, where the source tells. */
  readonly pending: number | undefined;
  /** Revisions whose names break the rules of names, so that no node could be asked about them. */
  readonly refused: readonly Refusal[];
}

export interface ChangesRequest {
  readonly since: string;
  /** Rows at most. */
  readonly limit: number;
  /** Answer only when there is something, or an empty page after a while. */
  readonly wait: boolean;
}

/** Which changes of the source are wanted. At most one member is given. */
export interface ChangesSelection {
  readonly documentIds?: readonly string[];
  readonly selector?: Readonly<Record<string, unknown>>;
  readonly filter?: { readonly name: string; readonly parameters: Readonly<Record<string, string>> };
  readonly winningRevisionsOnly?: boolean;
}

/** A revision that one end does not give or the other does not take, with a reason for people. */
export interface Refusal {
  readonly id: string;
  readonly revision: string;
  readonly reason: string;
}

export interface WriteReport {
  readonly written: number;
  /** Refused for good: by a validation rule or a limit. Trying again would not help. */
  readonly refused: readonly Refusal[];
  /** Could not be written, although others can be; perhaps they can soon. */
  readonly failed: readonly Refusal[];
}

/** Some of the revisions asked for. */
export interface FetchedChunk {
  readonly documents: readonly TransferDocument[];
  /** Revisions that break a rule or limit of this node's documents and can never be taken. */
  readonly refused: readonly Refusal[];
  /** Could not be read, although others can be; perhaps they can soon. */
  readonly failed: readonly Refusal[];
}

/** Missing revisions by document id. */
export type WantedRevisions = ReadonlyMap<string, readonly string[]>;

/**
 * Every method rejects with an {@link EndpointFault}, or with a TercetError of the local database. A method that is given
 * a signal ends soon after it aborts, one way or the other.
 */
export interface ReplicationEndpoint {
  /** For people: a database name, or a URL without credentials. */
  readonly shownName: string;
  /** For the replication id: stable over restarts. */
  readonly identity: string;
  /** Rejects with a fatal fault when the database is not there (and is not to be created). */
  open(signal: AbortSignal): Promise<void>;
  readCheckpoint(id: string, signal: AbortSignal): Promise<Checkpoint | undefined>;
  writeCheckpoint(id: string, checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
  /** Sequence of the newest change, where the end tells. */
  newestSequence(signal: AbortSignal): Promise<string | undefined>;
  readChanges(request: ChangesRequest, signal: AbortSignal): Promise<ChangesPage>;
  /** Which of the named revisions this end lacks; ids with nothing missing are left out. */
  missingRevisions(named: WantedRevisions, signal: AbortSignal): Promise<WantedRevisions>;
  /** In chunks of bounded size. Revisions that are gone from this end are left out. */
  fetchDocuments(wanted: WantedRevisions, signal: AbortSignal): AsyncIterable<FetchedChunk>;
  writeDocuments(documents: readonly TransferDocument[], signal: AbortSignal): Promise<WriteReport>;
  ensureFullCommit(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** What went wrong with an end. `fatal`: the same request cannot succeed until somebody changes something. */
export class EndpointFault extends Error {
  readonly fault: 'fatal' | 'transient';
  /** CouchDB's word for it, as shown to clients. */
  readonly error:
    | 'db_not_found'
    | 'unauthorized'
    | 'forbidden'
    | 'bad_request'
    | 'unreachable'
    | 'bad_reply'
    | 'failed';

  constructor(fault: 'fatal' | 'transient', error: EndpointFault['error'], reason: string) {
    super(reason);
    this.name = 'EndpointFault';
    this.fault = fault;
    this.error = error;
  }
}

/** The content of one attachment cannot be had, while its source works otherwise. */
export class ContentFault extends Error {}

const refusals: ReadonlySet<string> = new Set([
  'forbidden',
  'unauthorized',
  'doc_validation',
  'document_too_large',
  'illegal_docid',
  'bad_request',
  'missing_stub',
  'too_large',
]);

/** Whether a target's error for one document means that the document will never be taken. */
export function isRefusal(error: string): boolean {
  return refusals.has(error);
}

const troubles: ReadonlySet<string> = new Set([
  'disk_failure',
  'insufficient_storage',
  'no_db_file',
  'no_leader',
  'not_found',
  'not_leader',
  'removed_from_cluster',
  'request_timeout',
  'service_unavailable',
  'timeout',
  'too_many_requests',
  'write_outcome_unknown',
]);

/** Whether an end's error for one document tells of the end's own trouble rather than the document's. */
export function isTroubleOfTheEnd(error: string): boolean {
  return troubles.has(error);
}

/** An error of an end, as the job treats it. `defect`: nobody's operating error, but a mistake of this program. */
export interface Fault {
  readonly fault: 'fatal' | 'transient';
  readonly error: string;
  readonly reason: string;
  readonly isDefect: boolean;
}

export function classify(error: unknown): Fault {
  if (error instanceof EndpointFault) {
    return { fault: error.fault, error: error.error, reason: error.message, isDefect: false };
  }
  if (error instanceof TercetError) {
    const isFatal = error.status < 500 && error.status !== 409 && error.status !== 429;
    return {
      fault: isFatal ? 'fatal' : 'transient',
      error: error.error,
      reason: error.reason,
      isDefect: false,
    };
  }
  return {
    fault: 'fatal',
    error: 'internal_server_error',
    reason: 'An internal error occurred.',
    isDefect: true,
  };
}
