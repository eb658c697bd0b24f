/**
 * The one table of everything that can go wrong towards a client.
 *
 * Statuses, `error` words and default reasons are CouchDB's, because its clients act on them. A failed write also
 * says whether it definitely did not happen, so that a caller knows if a plain retry is safe.
 */

interface ErrorShape {
  readonly status: number;
  readonly error: string;
  readonly reason: string;
}

const table = {
  bad_request: { status: 400, error: 'bad_request', reason: 'The request could not be understood.' },
  illegal_docid: { status: 400, error: 'illegal_docid', reason: 'Illegal document id.' },
  illegal_database_name: { status: 400, error: 'illegal_database_name', reason: 'Illegal database name.' },
  doc_validation: { status: 400, error: 'doc_validation', reason: 'Bad special document member.' },
  query_parse_error: { status: 400, error: 'query_parse_error', reason: 'Invalid query parameter.' },
  invalid_operator: { status: 400, error: 'invalid_operator', reason: 'Invalid operator.' },
  bad_arg: { status: 400, error: 'bad_arg', reason: 'Bad argument for a selector operator.' },
  unauthorized: { status: 401, error: 'unauthorized', reason: 'You are not authorized to access this db.' },
  forbidden: { status: 403, error: 'forbidden', reason: 'You are not allowed to do this.' },
  not_found: { status: 404, error: 'not_found', reason: 'missing' },
  db_not_found: { status: 404, error: 'db_not_found', reason: 'The database could not be opened.' },
  method_not_allowed: { status: 405, error: 'method_not_allowed', reason: 'Method not allowed.' },
  not_acceptable: {
    status: 406,
    error: 'not_acceptable',
    reason: 'None of the accepted types is available.',
  },
  request_timeout: { status: 408, error: 'request_timeout', reason: 'The request took too long to arrive.' },
  conflict: { status: 409, error: 'conflict', reason: 'Document update conflict.' },
  length_required: { status: 411, error: 'length_required', reason: 'A Content-Length is required.' },
  file_exists: {
    status: 412,
    error: 'file_exists',
    reason: 'The database could not be created, the file already exists.',
  },
  missing_stub: { status: 412, error: 'missing_stub', reason: 'Invalid attachment stub.' },
  precondition_failed: { status: 412, error: 'precondition_failed', reason: 'A precondition was not met.' },
  too_large: { status: 413, error: 'too_large', reason: 'The request entity is too large.' },
  document_too_large: { status: 413, error: 'document_too_large', reason: 'The document is too large.' },
  uri_too_long: { status: 414, error: 'uri_too_long', reason: 'The request path is too long.' },
  bad_content_type: {
    status: 415,
    error: 'bad_content_type',
    reason: 'Content-Type must be application/json.',
  },
  requested_range_not_satisfiable: {
    status: 416,
    error: 'requested_range_not_satisfiable',
    reason: 'Requested range not satisfiable.',
  },
  too_many_requests: {
    status: 429,
    error: 'too_many_requests',
    reason: 'Too many failed attempts; wait and try again.',
  },
  headers_too_large: {
    status: 431,
    error: 'headers_too_large',
    reason: 'The request headers are too large.',
  },
  internal_server_error: {
    status: 500,
    error: 'internal_server_error',
    reason: 'An internal error occurred.',
  },
  not_implemented: { status: 501, error: 'not_implemented', reason: 'This node does not offer that yet.' },
  replication_failed: {
    status: 502,
    error: 'replication_failed',
    reason: 'The other end of the replication failed.',
  },
  service_unavailable: {
    status: 503,
    error: 'service_unavailable',
    reason: 'The node cannot serve this right now.',
  },
  not_leader: {
    status: 503,
    error: 'not_leader',
    reason: 'This node does not lead; the write did not happen.',
  },
  no_leader: {
    status: 503,
    error: 'no_leader',
    reason: 'Nobody leads at the moment; the write did not happen.',
  },
  removed_from_cluster: {
    status: 503,
    error: 'removed_from_cluster',
    reason: 'This node was removed from the cluster: ask another one.',
  },
  consistency_unavailable: {
    status: 503,
    error: 'consistency_unavailable',
    reason: 'This node cannot read that consistently right now.',
  },
  disk_failure: {
    status: 503,
    error: 'disk_failure',
    reason: 'The disk refused the write; it did not happen.',
  },
  insufficient_storage: {
    status: 507,
    error: 'insufficient_storage',
    reason: 'The disk is full; the write did not happen.',
  },
  write_outcome_unknown: {
    status: 503,
    error: 'write_outcome_unknown',
    reason: 'The disk failed while the write was on its way; it may or may not have happened.',
  },
} as const satisfies Record<string, ErrorShape>;

export type ErrorCode = keyof typeof table;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(table, text);
}

/** What a failed request means for the data: `did_not_happen` is a promise, `unknown` asks the caller to look. */
export type WriteOutcome = 'did_not_happen' | 'unknown';

export interface FailureDetails {
  readonly retryAfterSeconds?: number;
}

/** An operating error on its way to a client: one row of the table, with a reason of its own if it has a better one. */
export class TercetError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly error: string;
  readonly reason: string;
  readonly writeOutcome: WriteOutcome;
  /** When asking again may help; the answer's `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, reason?: string, details: FailureDetails = {}) {
    const row = table[code];
    super(`${row.error}: ${reason ?? row.reason}`);
    this.name = 'TercetError';
    this.code = code;
    this.status = row.status;
    this.error = row.error;
    this.reason = reason ?? row.reason;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.writeOutcome = code === 'write_outcome_unknown' ? 'unknown' : 'did_not_happen';
  }
}

/** Makes an error from the table; `reason` replaces the default sentence. */
export function failure(code: ErrorCode, reason?: string, details?: FailureDetails): TercetError {
  return new TercetError(code, reason, details);
}

/** Throws a programmer error: a broken invariant inside Tercet, never a client's mistake. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${invariant}`);
}
