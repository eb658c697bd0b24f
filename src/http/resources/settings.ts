/** A database's settings and upkeep: `_security`, `_revs_limit`, `_purged_infos_limit`, `_compact`, `_purge` ... */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { SecurityObject } from '../../database/model.ts';
import { failure } from '../../errors.ts';
import { readJson, readJsonObject, readOptionalJsonObject } from '../body.ts';
import { revisionParameter } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member } from '../json-guard.ts';
import { sendJson } from '../respond.ts';
import type { JsonObject } from '../services.ts';

export function showSecurity(exchange: Exchange, database: Database): void {
  sendJson(exchange, 200, database.security());
}

export async function setSecurity(exchange: Exchange, database: Database): Promise<void> {
  await database.setSecurity(parseSecurity(await readJsonObject(exchange)));
  sendJson(exchange, 200, { ok: true });
}

/** Missing groups and lists are empty; what else there is stays as it is. @throws TercetError `bad_request` */
function parseSecurity(object: JsonObject): SecurityObject {
  return { ...object, admins: parseGroup(object, 'admins'), members: parseGroup(object, 'members') };
}

function parseGroup(security: JsonObject, name: 'admins' | 'members'): SecurityObject['admins'] {
  const value = member(security, name);
  if (value === undefined) return { names: [], roles: [] };
  const group = asObject(value, `${name} must be a JSON object`);
  return { ...group, names: parseList(group, 'names'), roles: parseList(group, 'roles') };
}

function parseList(group: JsonObject, name: 'names' | 'roles'): readonly string[] {
  const value = member(group, name) ?? [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw failure('bad_request', `${name} must be a JSON list of strings`);
  }
  return value;
}

export function showRevisionsLimit(exchange: Exchange, database: Database): void {
  sendJson(exchange, 200, database.revisionsLimit());
}

export async function setRevisionsLimit(exchange: Exchange, database: Database): Promise<void> {
  await database.setRevisionsLimit(asLimit(await readJson(exchange), limits.revisionsLimitMax));
  sendJson(exchange, 200, { ok: true });
}

export function showPurgedInfosLimit(exchange: Exchange, database: Database): void {
  sendJson(exchange, 200, database.purgedInfosLimit());
}

export async function setPurgedInfosLimit(exchange: Exchange, database: Database): Promise<void> {
  await database.setPurgedInfosLimit(asLimit(await readJson(exchange), Number.MAX_SAFE_INTEGER));
  sendJson(exchange, 200, { ok: true });
}

function asLimit(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    throw failure('bad_request', `The limit must be a whole number from 1 to ${max}.`);
  }
  return value;
}

export async function compact(exchange: Exchange, database: Database): Promise<void> {
  const design = exchange.segments[2];
  await readOptionalJsonObject(exchange);
  // Below the name of a design document it is its views that are compacted, and there are none.
  if (design === undefined) database.compact();
  else if (database.read(`_design/${design}`).kind !== 'found') throw failure('not_found', 'missing');
  sendJson(exchange, 202, { ok: true });
}

/** There are no views yet, so nothing of theirs is left behind either. */
export async function cleanUpViews(exchange: Exchange): Promise<void> {
  await readOptionalJsonObject(exchange);
  sendJson(exchange, 202, { ok: true });
}

export async function ensureFullCommit(exchange: Exchange, database: Database): Promise<void> {
  await readOptionalJsonObject(exchange);
  await database.ensureFullCommit();
  sendJson(exchange, 201, { ok: true, instance_start_time: '0' });
}

export async function purge(exchange: Exchange, database: Database): Promise<void> {
  const request = revisionLists(await readJsonObject(exchange), limits.purgedRevisionsMax);
  const { purged, purgeSequence } = await database.purge(request);
  // Object.fromEntries defines members, so that an id `__proto__` is one like any other.
  sendJson(exchange, 201, { purge_seq: purgeSequence, purged: Object.fromEntries(purged) });
}

/**
 * `{"id": ["1-a", …], …}`.
 * @param countMax ids and revisions together
 * @throws TercetError `bad_request`, `too_large`
 */
export function revisionLists(object: JsonObject, countMax: number): Map<string, readonly string[]> {
  const lists = new Map<string, readonly string[]>();
  let count = 0;
  for (const [id, revisions] of Object.entries(object)) {
    if (!Array.isArray(revisions) || !revisions.every((revision) => typeof revision === 'string')) {
      throw failure('bad_request', `The revisions of ${JSON.stringify(id)} must be a JSON list of strings.`);
    }
    count += 1 + revisions.length;
    if (count > countMax) throw failure('too_large', `The request names more than ${countMax} revisions.`);
    for (const revision of revisions) revisionParameter(revision);
    lists.set(id, revisions);
  }
  return lists;
}
