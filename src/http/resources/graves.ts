/**
 * `POST /{db}/_graves` `{"id": …}` of a leaderless database: this replica asks the others whether they have forgotten the
 * document as deleted, and takes over the grave of one that has. A client that coordinates says so when it has read a grave
 * elsewhere: what a client tells of the dead is not believed, what a replica tells is.
 */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import { checkDocumentId } from '../../document/document.ts';
import { failure } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { member } from '../json-guard.ts';
import { sendJson } from '../respond.ts';

/** The answer is `{"ok": false}` when nobody who answers has one, or when quarantine has no room for what is here. */
export async function hearGraves(exchange: Exchange, database: Database): Promise<void> {
  const id = checkDocumentId(member(await readJsonObject(exchange), 'id'), limits.documentIdBytesMax);
  const { leaderless } = exchange.services;
  if (leaderless?.place(database.name) === undefined) {
    throw failure('bad_request', 'Only a leaderless database has graves.');
  }
  sendJson(exchange, 200, { ok: await leaderless.hearGraves(database.name, id) });
}
