/** How replications are shown: /_scheduler/jobs, /_scheduler/docs, /_active_tasks and the `_replicator` documents' statistics. */

import { runOf } from '../multi-leader/replicator-attempt.ts';
import type { ReplicatorState } from '../multi-leader/replicator-model.ts';
import type { EndSpec } from './replication-request.ts';
import type { JobEvent, ScheduledJob } from './scheduler.ts';

/** Names under which this node shows itself. */
export interface ShownNode {
  readonly name: string;
}

/** Milliseconds since 1970 as CouchDB's scheduler writes times: `2017-04-29T05:01:37Z`. */
export function isoSeconds(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}

/** A database name, or a URL without credentials. */
export function shownEnd(end: EndSpec): string {
  return end.kind === 'local' ? end.name : `${end.url}/`;
}

/** One row of /_scheduler/jobs. */
export function jobView(job: ScheduledJob, node: ShownNode): object {
  return {
    database: job.origin.kind === 'document' ? '_replicator' : null,
    id: job.id,
    pid: pidOf(job),
    source: shownEnd(job.request.source),
    target: shownEnd(job.request.target),
    user: null,
    doc_id: job.origin.kind === 'document' ? job.origin.id : null,
    ...(job.origin.kind === 'peer' ? { peer: job.origin.name } : {}),
    info: infoOf(job),
    history: job.events.map(eventView),
    node: node.name,
    start_time: isoSeconds(job.addedAt),
  };
}

/** The state of a job in CouchDB's words for /_scheduler/docs. */
export function documentStateOf(job: ScheduledJob): 'pending' | 'running' | 'crashing' {
  return job.job?.state.phase.kind === 'backing_off' ? 'crashing' : job.state;
}

/** `info` of a job: its counters, or what made it crash. */
export function infoOf(job: ScheduledJob): object {
  const isCrashing = documentStateOf(job) === 'crashing';
  if (isCrashing && job.lastFault !== undefined)
    return { error: `${job.lastFault.error}: ${job.lastFault.reason}` };
  return job.job === undefined ? {} : { ...counters(job.job.state), ...refusalsView(job) };
}

/** Which documents `doc_write_failures` counts; the last ones, and only where there are any. */
function refusalsView({ refusals }: ScheduledJob): object {
  if (refusals.length === 0) return {};
  return { refused_docs: refusals.map(({ id, revision, reason }) => ({ id, rev: revision, reason })) };
}

function counters(state: ReplicatorState): object {
  const run = runOf(state);
  return {
    ...statisticsView(state),
    changes_pending: run?.pending ?? null,
    checkpointed_source_seq: run?.saved ?? null,
    source_seq: run?.readThrough ?? null,
    through_seq: run?.finishedThrough ?? null,
  };
}

function statisticsView(state: ReplicatorState): object {
  const { statistics } = state;
  return {
    revisions_checked: statistics.revisionsChecked,
    missing_revisions_found: statistics.missingRevisionsFound,
    docs_read: statistics.documentsRead,
    docs_written: statistics.documentsWritten,
    doc_write_failures: statistics.documentWriteFailures,
  };
}

/** One row of /_active_tasks; undefined for a job that does not run. */
export function taskView(job: ScheduledJob, node: ShownNode) {
  if (job.job === undefined) return undefined;
  return {
    type: 'replication',
    node: node.name,
    pid: pidOf(job),
    database: job.origin.kind === 'document' ? '_replicator' : null,
    doc_id: job.origin.kind === 'document' ? job.origin.id : null,
    replication_id: job.id,
    source: shownEnd(job.request.source),
    target: shownEnd(job.request.target),
    user: null,
    continuous: job.request.continuous,
    checkpoint_interval: job.request.checkpointIntervalMs,
    ...counters(job.job.state),
    started_on: Math.floor(job.startedAt / 1000),
    updated_on: Math.floor(job.updatedAt / 1000),
  } as const;
}

function eventView({ kind, at, reason }: JobEvent): object {
  return { timestamp: isoSeconds(at), type: kind, ...(reason === undefined ? {} : { reason }) };
}

/** CouchDB shows an Erlang process; clients only look whether there is one. */
function pidOf(job: ScheduledJob): string | null {
  return job.job === undefined ? null : `<${process.pid}.${job.startedAt % 1_000_000}.0>`;
}
