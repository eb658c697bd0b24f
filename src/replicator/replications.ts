/** All replications of a node behind one interface: requests, documents, links to peers, and how they are shown. */

import { failure } from '../errors.ts';
import type { ActiveTask, Principal, Replications } from '../http/services.ts';
import type { Refusal } from './endpoint.ts';
import type { JobEnd } from './job.ts';
import { jobView, shownEnd, taskView } from './job-views.ts';
import { parseReplicationRequest } from './replication-request.ts';
import { ReplicatorDocuments } from './replicator-documents.ts';
import { Scheduler, type SchedulerOptions } from './scheduler.ts';
import { isObject } from './transfer-document.ts';

export interface ReplicationsOptions
  extends Omit<SchedulerOptions, 'jobsMax' | 'turnMs' | 'localIdentity' | 'onRefused'> {
  /** This node's name. */
  readonly nodeName: string;
  readonly clusterUuid: string;
  /** Jobs at once, links between nodes not counted. Default 500. */
  readonly jobsMax?: number;
  /** How long a continuous job may run while others wait. Default one minute. */
  readonly turnMs?: number;
  /** Told of revisions that are passed over, for the log. */
  readonly onRefused: (passedOver: Refusal & { readonly source: string; readonly target: string }) => void;
}

export interface NodeReplications extends Replications {
  /** For {@link startPeerLinks}. */
  readonly scheduler: Scheduler;
  /** Stops all; what runs resumes from its checkpoints at the next start. */
  close(): Promise<void>;
}

/** Starts with what the `_replicator` database asks for. */
export function createReplications(options: ReplicationsOptions): NodeReplications {
  const { databases, clock, onDefect } = options;
  const node = { name: options.nodeName };
  const scheduler = new Scheduler({
    ...options,
    localIdentity: `${options.clusterUuid}/${options.nodeName}`,
    jobsMax: options.jobsMax ?? 500,
    turnMs: options.turnMs ?? 60_000,
    onRefused: ({ request }, refusal) =>
      options.onRefused({
        source: shownEnd(request.source),
        target: shownEnd(request.target),
        ...refusal,
      }),
  });
  const documents = new ReplicatorDocuments({ databases, scheduler, clock, node, onDefect });
  return {
    scheduler,
    replicate: (request, principal) => replicate(scheduler, request, principal),
    jobs: () => scheduler.jobs().map((job) => jobView(job, node)),
    documents: () => documents.views(),
    activeTasks: () =>
      scheduler
        .jobs()
        .map((job): ActiveTask | undefined => taskView(job, node))
        .filter((task) => task !== undefined),
    close: async () => {
      await documents.close();
      await scheduler.close();
    },
  };
}

type ReplicateAnswer = { readonly status: 200 | 202; readonly body: object };

/** Only a server admin may: a replication reaches whatever the node reaches, and writes past validation. */
async function replicate(
  scheduler: Scheduler,
  value: unknown,
  principal: Principal,
): Promise<ReplicateAnswer> {
  if (!principal.isAdmin) {
    if (principal.name === undefined) throw failure('unauthorized', 'You are not a server admin.');
    throw failure('forbidden', 'You are not a server admin.');
  }
  if (isObject(value) && value.cancel !== undefined && value.cancel !== false)
    return cancel(scheduler, value);
  const request = parseReplicationRequest(value);
  const id = scheduler.jobIdOf(request);
  const answer = { status: 202, body: { ok: true, _local_id: id } } as const;
  const running = scheduler.find(id);
  if (running !== undefined) {
    if (request.continuous) return answer;
    if (running.job !== undefined) return oneShotAnswer(await running.job.ended);
    throw failure('conflict', 'The same replication is already waiting for its turn.');
  }
  if (request.continuous) {
    scheduler.add(request, { kind: 'request' }, () => undefined);
    return answer;
  }
  return new Promise((resolve, reject) => {
    scheduler.add(request, { kind: 'request' }, (end) => {
      try {
        resolve(oneShotAnswer(end));
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function cancel(
  scheduler: Scheduler,
  value: Readonly<Record<string, unknown>>,
): Promise<ReplicateAnswer> {
  if (value.cancel !== true) throw failure('bad_request', '`cancel` must be true or false.');
  const named = value.replication_id ?? value._local_id ?? value.id;
  const id = typeof named === 'string' ? named : scheduler.jobIdOf(parseReplicationRequest(value));
  const job = scheduler.find(id);
  if (job === undefined) throw failure('not_found', 'There is no such replication.');
  if (job.origin.kind === 'document') {
    throw failure(
      'bad_request',
      `This replication belongs to the document ${job.origin.id}; delete that instead.`,
    );
  }
  if (job.origin.kind === 'peer')
    throw failure('bad_request', 'This replication keeps the nodes of the cluster equal.');
  await scheduler.remove(id);
  return { status: 200, body: { ok: true, _local_id: id } };
}

function oneShotAnswer({ outcome, error, report }: JobEnd): ReplicateAnswer {
  if (outcome.kind === 'completed') {
    const entry = report?.history[0];
    const isQuiet = entry !== undefined && entry.start_last_seq === entry.end_last_seq;
    return { status: 200, body: { ok: true, ...(isQuiet ? { no_changes: true } : {}), ...report } };
  }
  if (outcome.kind === 'stopped') throw failure('service_unavailable', 'The replication was cancelled.');
  switch (error) {
    case 'db_not_found':
    case 'unauthorized':
    case 'forbidden':
    case 'bad_request':
    case 'illegal_database_name':
    case 'not_implemented':
    case 'internal_server_error':
      throw failure(error, outcome.reason);
    default:
      throw failure('replication_failed', outcome.reason);
  }
}
