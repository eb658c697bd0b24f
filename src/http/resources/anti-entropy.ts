/** `POST /{db}/_anti_entropy`: compares the replicas of a leaderless database now, whatever its settings say. */

import type { Database } from '../../database/database.ts';
import { failure } from '../../errors.ts';
import { readOptionalJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import type {
  ComparedReplica,
  FillProgress,
  ReplicaStanding,
  ReplicaStatus,
} from '../leaderless-services.ts';
import { sendJson } from '../respond.ts';

export async function compareReplicas(exchange: Exchange, database: Database): Promise<void> {
  await readOptionalJsonObject(exchange);
  const { leaderless } = exchange.services;
  if (leaderless?.place(database.name) === undefined) {
    throw failure('bad_request', 'Only a leaderless database has replicas to compare.');
  }
  const rounds = await leaderless.compareNow(database.name);
  const ok = rounds.every(({ outcome }) => outcome !== 'failed');
  sendJson(exchange, 200, { ok, replicas: rounds.map(shownRound) });
}

/** As `GET /{db}/_replication` shows it. */
export function shownReplica(status: ReplicaStatus, standing: ReplicaStanding | undefined): object {
  const { compared, health, hintBytes, hints, kind, latencyMs, node, phi } = status;
  return {
    ...{ node, kind, health },
    state: standing === undefined ? null : standing.isWhole ? 'whole' : 'filling',
    ...(standing?.fill && { filling: shownFilling(standing.fill) }),
    phi: Math.round(Math.min(phi, 1_000) * 100) / 100,
    latency_ms: Math.round(latencyMs * 100) / 100,
    ...{ hints_pending: hints, hint_bytes: hintBytes },
    last_anti_entropy: compared === undefined ? null : shownRound(compared),
  };
}

function shownFilling(fill: FillProgress): object {
  const { documents, error, expected, needed, present, startedAtMs, taken } = fill;
  return {
    ...{ documents_done: documents, documents_total: expected },
    ...{ filled_from: taken.map(({ node }) => node), replicas_needed: needed, from: present, error },
    started_at: new Date(startedAtMs).toISOString(),
  };
}

function shownRound(round: ComparedReplica): object {
  const { comparedBytes, elapsedMs, error, fetched, outcome, peer, sent, startedAtMs } = round;
  return {
    ...{ node: peer, outcome, documents_fetched: fetched, documents_sent: sent },
    compared_bytes: comparedBytes,
    started_at: new Date(startedAtMs).toISOString(),
    elapsed_ms: Math.round(elapsedMs),
    ...(error === undefined ? {} : { error }),
  };
}
