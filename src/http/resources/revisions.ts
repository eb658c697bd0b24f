/** `_revs_diff` and `_missing_revs`: what a replication source has that this database does not. */

import { limits } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import type { RevisionDifference } from '../../database/model.ts';
import { readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { sendJson } from '../respond.ts';
import { afterRow } from '../turns.ts';
import { revisionLists } from './settings.ts';

export async function revisionsDifference(exchange: Exchange, database: Database): Promise<void> {
  const differences = await difference(exchange, database);
  const rows = [...differences].map(([id, { missing, possibleAncestors }]) => [
    id,
    possibleAncestors.length === 0 ? { missing } : { missing, possible_ancestors: possibleAncestors },
  ]);
  sendJson(exchange, 200, Object.fromEntries(rows));
}

export async function missingRevisions(exchange: Exchange, database: Database): Promise<void> {
  const differences = await difference(exchange, database);
  const rows = [...differences].map(([id, { missing }]) => [id, missing]);
  sendJson(exchange, 200, { missing_revs: Object.fromEntries(rows) });
}

async function difference(
  exchange: Exchange,
  database: Database,
): Promise<ReadonlyMap<string, RevisionDifference>> {
  const wanted = revisionLists(await readJsonObject(exchange), limits.comparedRevisionsMax);
  const differences = new Map<string, RevisionDifference>();
  let rows = 0;
  for (const [id, revisions] of wanted) {
    const found = database.revisionsDifference(new Map([[id, revisions]])).get(id);
    if (found !== undefined) differences.set(id, found);
    rows += 1;
    const turn = afterRow(rows);
    if (turn !== undefined) await turn;
  }
  return differences;
}
