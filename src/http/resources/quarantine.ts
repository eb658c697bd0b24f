/**
 * `_quarantine` of a leaderless database: revisions that would bring a document back that was deleted and forgotten
 * everywhere. Whoever administers the database looks at them and decides.
 *
 *     GET  /{db}/_quarantine?limit=            {"total": 1, "rows": [{"id": …, "rev": …, "deleted": …, "since": …}]}
 *     GET  /{db}/_quarantine?after=["id","rev"]    the rows behind that one
 *     GET  /{db}/_quarantine?id=…&rev=…        the document as that revision has it
 *     POST /{db}/_quarantine                   {"accept": [{"id": …, "rev": …}], "discard": [{"id": …, "rev": …}]}
 */

import type { Database } from '../../database/database.ts';
import type { LeaderlessPart, NamedRevision } from '../../database/leaderless.ts';
import type { EditOutcome } from '../../database/model.ts';
import type { QuarantinedRevision } from '../../database/quarantine.ts';
import { renderDocument } from '../../document/document.ts';
import { failure } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import { revisionParameter } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member } from '../json-guard.ts';
import { count, json } from '../query.ts';
import { errorRow, sendBytes, sendJson } from '../respond.ts';
import type { JsonObject } from '../services.ts';

const rowsDefault = 100;
/** Rows of an answer, and revisions that one request may decide on. */
const rowsMax = 1_000;

export async function showQuarantine(exchange: Exchange, database: Database): Promise<void> {
  const part = leaderlessPart(database);
  const { query } = exchange;
  if (query.has('id') || query.has('rev')) return showQuarantined(exchange, part);
  const limit = Math.min(count(query, 'limit') ?? rowsDefault, rowsMax);
  const after = json(query, 'after');
  const rows =
    limit === 0 ? [] : await part.quarantine(limit, after === undefined ? undefined : pairOf(after));
  sendJson(exchange, 200, { total: part.counts().quarantined, rows: rows.map(rowOf) });
}

export async function decideQuarantine(exchange: Exchange, database: Database): Promise<void> {
  const part = leaderlessPart(database);
  const request = await readJsonObject(exchange);
  const [accept, discard] = [namedRevisions(request, 'accept'), namedRevisions(request, 'discard')];
  if (accept.length + discard.length > rowsMax) {
    throw failure('too_large', `The request names more than ${rowsMax} revisions.`);
  }
  const accepted = await part.acceptQuarantined(accept);
  const discarded = await part.discardQuarantined(discard);
  sendJson(exchange, 200, {
    accepted: accept.map((named, index) => acceptedRow(named, accepted[index]!)),
    discarded: discard.map((named, index) => discardedRow(named, discarded[index]!)),
  });
}

async function showQuarantined(exchange: Exchange, part: LeaderlessPart): Promise<void> {
  const id = exchange.query.get('id');
  const text = exchange.query.get('rev');
  if (id === undefined || text === undefined) {
    throw failure('query_parse_error', 'A revision in quarantine is named by `id` and `rev`.');
  }
  const found = part.quarantined({ id, revision: revisionParameter(text) });
  if (found === undefined) throw failure('not_found', 'missing');
  sendBytes(exchange, 200, 'application/json', renderDocument(found));
}

function leaderlessPart(database: Database): LeaderlessPart {
  if (database.leaderless !== undefined) return database.leaderless;
  throw failure('bad_request', 'Only leaderless databases have a quarantine.');
}

function rowOf({ deleted, id, revision, sinceMs }: QuarantinedRevision) {
  return { id, rev: revision, deleted, since: new Date(sinceMs).toISOString() };
}

function acceptedRow({ id, revision }: NamedRevision, outcome: EditOutcome) {
  if (outcome.kind === 'failed') return { id, rev: revision, ...errorRow(outcome.error) };
  return { ok: true, id, rev: revision, became: outcome.revision };
}

function discardedRow({ id, revision }: NamedRevision, wasThere: boolean) {
  return wasThere
    ? { ok: true, id, rev: revision }
    : { id, rev: revision, ...errorRow(failure('not_found')) };
}

function namedRevisions(request: JsonObject, name: 'accept' | 'discard'): NamedRevision[] {
  const list = member(request, name) ?? [];
  if (!Array.isArray(list)) throw failure('bad_request', `${name} must be a JSON list`);
  return list.map((item) => {
    const named = asObject(item, `${name} must be a list of {"id": …, "rev": …}`);
    return checkedName(member(named, 'id'), member(named, 'rev'));
  });
}

function pairOf(value: unknown): NamedRevision {
  if (!Array.isArray(value) || value.length !== 2) {
    throw failure('query_parse_error', '`after` is a list of an id and a revision.');
  }
  return checkedName(value[0], value[1]);
}

function checkedName(id: unknown, revision: unknown): NamedRevision {
  if (typeof id !== 'string' || typeof revision !== 'string') {
    throw failure('bad_request', 'A revision in quarantine is named by its id and its revision, both text.');
  }
  return { id, revision: revisionParameter(revision) };
}
