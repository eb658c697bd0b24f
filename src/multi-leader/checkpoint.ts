/**
 * Checkpoints: how a replication remembers, on both sides, how far it came.
 *
 * Both the source and the target keep a `_local/<replication id>` document. Each names sessions (one run of a
 * replicator) and the source's sequence up to which everything is on the target. The next run compares the two:
 *
 *     source: s3@90 s2@60 s1@20        target: s2@60 s1@20      → resume at 60
 *
 * The target above was restored from a backup made during s2, so what s3 says of it is no longer true. Only a session
 * that both sides remember counts. Within one session a crash may have left one side a step behind; each entry carries
 * its `ordinal` within the session, and the lower one is true of both sides.
 *
 * Left out: CouchDB's older checkpoint formats. A checkpoint that cannot be read counts as none.
 */

import type { Digest } from '../document/revision.ts';

/** Entries that a checkpoint keeps; older sessions are forgotten. */
export const historyEntriesMax = 50;

/** One session in a checkpoint's history; member names are CouchDB's. Sequences are the source's. */
export interface HistoryEntry {
  readonly session_id: string;
  readonly start_time: string;
  readonly end_time: string;
  readonly start_last_seq: string;
  readonly end_last_seq: string;
  /** Everything up to here is on the target. */
  readonly recorded_seq: string;
  /** Which checkpoint of its session this is, counted from 1. */
  readonly ordinal: number;
  readonly missing_checked: number;
  readonly missing_found: number;
  readonly docs_read: number;
  readonly docs_written: number;
  readonly doc_write_failures: number;
}

/** The body of a `_local/<replication id>` document. */
export interface Checkpoint {
  readonly session_id: string;
  readonly source_last_seq: string;
  readonly replication_id_version: number;
  readonly replicator: string;
  /** Newest session first. */
  readonly history: readonly HistoryEntry[];
}

const replicationIdVersion = 4;

/** What makes two replications the same, so that one resumes from the other's checkpoint. Not: continuous, batch sizes. */
export interface ReplicationIdentity {
  /** Stable name of the source without credentials. */
  readonly source: string;
  readonly target: string;
  readonly documentIds: readonly string[] | undefined;
  /** Canonical JSON of the selector. */
  readonly selector: string | undefined;
  readonly filter: string | undefined;
  /** Canonical JSON of the filter's parameters. */
  readonly filterParameters: string | undefined;
  readonly winningRevisionsOnly: boolean;
}

/** 32 lowercase hex digits: the id of the `_local` documents. */
export function replicationId(identity: ReplicationIdentity, digest: Digest): string {
  const parts = [
    'tercet-replication',
    replicationIdVersion,
    identity.source,
    identity.target,
    identity.documentIds === undefined ? null : [...identity.documentIds].sort(),
    identity.selector ?? null,
    identity.filter ?? null,
    identity.filterParameters ?? null,
    identity.winningRevisionsOnly,
  ];
  return digest(new TextEncoder().encode(JSON.stringify(parts)));
}

/** Where to resume. `shared` names the session that both sides remember. */
export type Comparison =
  | {
      readonly kind: 'shared';
      readonly sessionId: string;
      readonly sequence: string;
      readonly ordinal: number;
    }
  | { readonly kind: 'nothing_shared' };

/** Finds the newest session that both sides remember. */
export function compareCheckpoints(
  source: Checkpoint | undefined,
  target: Checkpoint | undefined,
): Comparison {
  if (source === undefined || target === undefined) return { kind: 'nothing_shared' };
  const onTarget = new Map(target.history.map((entry) => [entry.session_id, entry]));
  for (const entry of source.history) {
    const twin = onTarget.get(entry.session_id);
    if (twin === undefined) continue;
    const older = twin.ordinal < entry.ordinal ? twin : entry;
    return {
      kind: 'shared',
      sessionId: entry.session_id,
      sequence: older.recorded_seq,
      ordinal: Math.max(twin.ordinal, entry.ordinal),
    };
  }
  return { kind: 'nothing_shared' };
}

/** The history that both sides may go on with: from the shared session on, or nothing. */
export function sharedHistory(
  source: Checkpoint | undefined,
  comparison: Comparison,
): readonly HistoryEntry[] {
  if (source === undefined || comparison.kind === 'nothing_shared') return [];
  const from = source.history.findIndex((entry) => entry.session_id === comparison.sessionId);
  return source.history
    .slice(from)
    .map((entry, index) => (index === 0 ? { ...entry, recorded_seq: comparison.sequence } : entry));
}

/** Puts a session's newest entry in front of the older sessions. */
export function makeCheckpoint(entry: HistoryEntry, older: readonly HistoryEntry[]): Checkpoint {
  const others = older.filter((one) => one.session_id !== entry.session_id);
  return {
    session_id: entry.session_id,
    source_last_seq: entry.recorded_seq,
    replication_id_version: replicationIdVersion,
    replicator: 'tercet',
    history: [entry, ...others].slice(0, historyEntriesMax),
  };
}

/** Reads a checkpoint from the other party's JSON; undefined unless every member that matters has its shape. */
export function parseCheckpoint(value: unknown): Checkpoint | undefined {
  if (!isObject(value) || typeof value.session_id !== 'string') return undefined;
  if (typeof value.source_last_seq !== 'string' || !Array.isArray(value.history)) return undefined;
  if (value.replication_id_version !== replicationIdVersion) return undefined;
  const history: HistoryEntry[] = [];
  for (const item of value.history.slice(0, historyEntriesMax)) {
    const entry = parseEntry(item);
    if (entry === undefined) return undefined;
    history.push(entry);
  }
  return {
    session_id: value.session_id,
    source_last_seq: value.source_last_seq,
    replication_id_version: replicationIdVersion,
    replicator: typeof value.replicator === 'string' ? value.replicator : '',
    history,
  };
}

function parseEntry(value: unknown): HistoryEntry | undefined {
  if (!isObject(value)) return undefined;
  const { session_id: sessionId, recorded_seq: recorded, ordinal } = value;
  if (typeof sessionId !== 'string' || typeof recorded !== 'string') return undefined;
  if (!Number.isSafeInteger(ordinal)) return undefined;
  return {
    session_id: sessionId,
    recorded_seq: recorded,
    ordinal: ordinal as number,
    start_time: text(value.start_time),
    end_time: text(value.end_time),
    start_last_seq: text(value.start_last_seq),
    end_last_seq: text(value.end_last_seq),
    missing_checked: count(value.missing_checked),
    missing_found: count(value.missing_found),
    docs_read: count(value.docs_read),
    docs_written: count(value.docs_written),
    doc_write_failures: count(value.doc_write_failures),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) ? (value as number) : 0;
}
