/** The events, effects and state of the replicator core; see replicator.ts for the story. */

import type { Checkpoint, HistoryEntry } from './checkpoint.ts';

export interface ReplicatorOptions {
  /** Wait for more when the source has no further changes, instead of ending. */
  readonly continuous: boolean;
  /** Rows of the changes feed in one batch. */
  readonly batchRows: number;
  readonly batchesInFlightMax: number;
  readonly atWorkMax: { readonly comparing: number; readonly fetching: number; readonly writing: number };
  readonly checkpointIntervalMs: number;
  readonly useCheckpoints: boolean;
  /** Start here whatever older sessions reached. */
  readonly since: string | undefined;
  readonly backOff: { readonly firstMs: number; readonly maxMs: number };
  /** Ends after this many failures in a row; undefined: never gives up. */
  readonly failuresMax: number | undefined;
  /** How wall-clock milliseconds are written in a checkpoint. */
  readonly formatTime: (wallMs: number) => string;
}

/** Counted over the whole session, repeated work included. */
export interface Statistics {
  readonly revisionsChecked: number;
  readonly missingRevisionsFound: number;
  readonly documentsRead: number;
  readonly documentsWritten: number;
  readonly documentWriteFailures: number;
}

/**
 * What the driver tells. `now` is wall-clock milliseconds; `attempt` is that of the effect which is answered.
 * `fatal` faults cannot be mended by trying again: a database that is not there, credentials that are refused.
 */
export type ReplicatorEvent =
  | { readonly kind: 'start'; readonly now: number }
  | { readonly kind: 'stop'; readonly now: number }
  | { readonly kind: 'tick'; readonly now: number }
  | {
      readonly kind: 'checkpoints_read';
      readonly attempt: number;
      readonly now: number;
      readonly source: Checkpoint | undefined;
      readonly target: Checkpoint | undefined;
    }
  | {
      readonly kind: 'changes_read';
      readonly attempt: number;
      readonly now: number;
      readonly batch: number;
      readonly rows: number;
      readonly lastSequence: string;
      /** Changes after these, where the source tells. */
      readonly pending: number | undefined;
      /** A one-shot replication has read enough; see the driver for when that is. */
      readonly goalReached: boolean;
      /** Revisions named in a way that no node can take. */
      readonly documentWriteFailures: number;
    }
  | {
      readonly kind: 'compared';
      readonly attempt: number;
      readonly now: number;
      readonly batch: number;
      readonly revisionsChecked: number;
      readonly revisionsMissing: number;
    }
  | {
      readonly kind: 'fetched';
      readonly attempt: number;
      readonly now: number;
      readonly batch: number;
      readonly documentsRead: number;
      /** Written already while fetching, to keep memory bounded. */
      readonly documentsWritten: number;
      readonly documentWriteFailures: number;
    }
  | {
      readonly kind: 'written';
      readonly attempt: number;
      readonly now: number;
      readonly batch: number;
      readonly documentsWritten: number;
      readonly documentWriteFailures: number;
    }
  | { readonly kind: 'committed'; readonly attempt: number; readonly now: number }
  | { readonly kind: 'checkpoint_written'; readonly attempt: number; readonly now: number }
  | {
      readonly kind: 'failed';
      readonly attempt: number;
      readonly now: number;
      readonly fault: 'fatal' | 'transient';
      readonly reason: string;
      /** In [0, 1), for the jitter. */
      readonly random: number;
    };

export type Outcome =
  | { readonly kind: 'completed' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly fault: 'fatal' | 'transient'; readonly reason: string };

/** What the driver has to do. Every effect with an `attempt` is answered by one event with the same, or by `failed`. */
export type Effect =
  /** Look for both databases (creating the target if so ordered), then read both checkpoints. */
  | { readonly kind: 'read_checkpoints'; readonly attempt: number }
  | {
      readonly kind: 'read_changes';
      readonly attempt: number;
      readonly batch: number;
      readonly since: string;
      readonly limit: number;
      /** Do not answer before there is a change. */
      readonly wait: boolean;
    }
  | { readonly kind: 'compare'; readonly attempt: number; readonly batch: number }
  | { readonly kind: 'fetch'; readonly attempt: number; readonly batch: number }
  | { readonly kind: 'write'; readonly attempt: number; readonly batch: number }
  /** Make all that was written to the target durable. */
  | { readonly kind: 'commit'; readonly attempt: number }
  | { readonly kind: 'write_checkpoint'; readonly attempt: number; readonly checkpoint: Checkpoint }
  | { readonly kind: 'tick_after'; readonly delayMs: number }
  /** Cancel what is under way and forget all batches. */
  | { readonly kind: 'abandon' }
  | { readonly kind: 'end'; readonly outcome: Outcome };

/** Where a batch is. A past tense waits for the next station. */
export type Station = 'read' | 'comparing' | 'compared' | 'fetching' | 'fetched' | 'writing' | 'finished';

export interface Batch {
  readonly number: number;
  readonly since: string;
  readonly through: string;
  readonly station: Station;
}

/** One attempt that got as far as reading changes. Sequences are the source's. */
export interface Run {
  readonly attempt: number;
  readonly startedFrom: string;
  readonly batches: readonly Batch[];
  readonly nextBatch: number;
  readonly reading: { readonly batch: number } | undefined;
  readonly readThrough: string;
  readonly finishedThrough: string;
  readonly saved: string;
  readonly savedAt: number;
  /** A tick was asked for at this time. */
  readonly wakeAt: number | undefined;
  readonly saving:
    | { readonly kind: 'none' }
    | { readonly kind: 'committing' | 'committed' | 'writing'; readonly sequence: string };
  readonly feed: 'behind' | 'caught_up';
  readonly pending: number | undefined;
  readonly olderHistory: readonly HistoryEntry[];
}

export interface ReplicatorState {
  readonly options: ReplicatorOptions;
  readonly sessionId: string;
  readonly startedAt: number;
  readonly attempt: number;
  /** In a row, since something succeeded. */
  readonly failures: number;
  /** Checkpoints written in this session. */
  readonly ordinal: number;
  readonly statistics: Statistics;
  /** End of the finished prefix of the latest run; where to go on without checkpoints. */
  readonly reached: string | undefined;
  readonly phase:
    | { readonly kind: 'idle' }
    | { readonly kind: 'reading_checkpoints'; readonly since: number }
    | { readonly kind: 'running'; readonly run: Run }
    | { readonly kind: 'backing_off'; readonly until: number; readonly reason: string }
    /** With the last run, if there was one. */
    | { readonly kind: 'ended'; readonly outcome: Outcome; readonly run: Run | undefined };
}
