/** `/{db}`: creating, describing and deleting a database, and how it is replicated. */

import type { Database } from '../../database/database.ts';
import type { AckSettings } from '../../database/model.ts';
import { failure, type TercetError } from '../../errors.ts';
import { ackSettingsOfObject, ackSettingsOfQuery, shownAckSettings } from '../ack-parameters.ts';
import { hasBody, holdBody, readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member, parseJson } from '../json-guard.ts';
import { sendJson } from '../respond.ts';
import { goToLeader } from '../single-leader.ts';

/** A body that says how to replicate is small. */
const settingsBytesMax = 65_536;
const settingsDepthMax = 8;

type Wanted =
  | { readonly strategy: 'multi-leader' }
  | { readonly strategy: 'single-leader'; readonly ack: AckSettings };

export async function createDatabase(exchange: Exchange): Promise<void> {
  const { cluster, databases } = exchange.services;
  const name = exchange.segments[0] as string;
  const wanted = await wantedReplication(exchange);
  if (wanted.strategy === 'multi-leader') await databases.create(name);
  else {
    if (cluster === undefined) throw notOffered(wanted.strategy);
    if ((await goToLeader(exchange, cluster)) === 'answered') return;
    await cluster.createDatabase(name, wanted.ack);
  }
  sendJson(exchange, 201, { ok: true }, ['Location', `/${encodeURIComponent(name)}`]);
}

/** By the query, or by a body `{"replication": {"strategy": …}}`. @throws TercetError `not_implemented`, `bad_request` */
async function wantedReplication(exchange: Exchange): Promise<Wanted> {
  const { query, services, request } = exchange;
  const isKnown = services.cluster !== undefined;
  const inQuery = query.get('strategy');
  if (inQuery !== undefined || !isKnown || !hasBody(request)) {
    return wantedOf(inQuery, isKnown, () => ackSettingsOfQuery(query));
  }
  const body = asObject(parseJson(await holdBody(exchange, settingsBytesMax), settingsDepthMax));
  const replication = asObject(member(body, 'replication') ?? {}, '`replication` must be a JSON object.');
  return wantedOf(member(replication, 'strategy'), isKnown, () => ackSettingsOfObject(replication));
}

function wantedOf(strategy: unknown, isKnown: boolean, readAck: () => AckSettings): Wanted {
  if (strategy === undefined || strategy === 'multi-leader') return { strategy: 'multi-leader' };
  if (strategy === 'single-leader' && isKnown) return { strategy, ack: readAck() };
  throw notOffered(String(strategy));
}

function notOffered(strategy: string): TercetError {
  return failure(
    'not_implemented',
    `The ${strategy} strategy is not offered yet; databases are multi-leader.`,
  );
}

export async function deleteDatabase(exchange: Exchange): Promise<void> {
  // CouchDB refuses this because it is nearly always a DELETE of a document whose id got lost.
  if (exchange.query.has('rev')) {
    throw failure(
      'bad_request',
      'You tried to DELETE a database with a ?rev= parameter. Did you mean to DELETE a document instead?',
    );
  }
  const name = exchange.segments[0] as string;
  const { cluster, databases } = exchange.services;
  if (cluster?.isSingleLeader(name) === true) await cluster.deleteDatabase(name);
  else await databases.delete(name);
  sendJson(exchange, 200, { ok: true });
}

export async function describeDatabase(exchange: Exchange, database: Database): Promise<void> {
  sendJson(exchange, 200, await databaseInfo(exchange, database));
}

/** What `GET /{db}` shows. */
export async function databaseInfo(exchange: Exchange, database: Database): Promise<object> {
  const info = await database.info();
  return {
    db_name: info.name,
    doc_count: info.documentCount,
    doc_del_count: info.deletedDocumentCount,
    update_seq: info.updateSequence,
    purge_seq: info.purgeSequence,
    instance_start_time: '0',
    compact_running: info.compactRunning,
    disk_format_version: 8,
    sizes: { file: info.fileBytes, active: info.activeBytes, external: info.externalBytes },
    props: {},
    cluster: { q: 1, n: 1, w: 1, r: 1 },
    ...(exchange.services.cluster && { replication: shownReplication(exchange, database) }),
  };
}

export function showReplication(exchange: Exchange, database: Database): void {
  sendJson(exchange, 200, shownReplication(exchange, database));
}

function shownReplication({ services: { cluster } }: Exchange, { name }: Database): object {
  if (cluster?.isSingleLeader(name) !== true) return { strategy: 'multi-leader' };
  return { strategy: 'single-leader', ...shownAckSettings(cluster.ackSettings(name)) };
}

/** Members that are left out stay as they are. */
export async function setReplication(exchange: Exchange, database: Database): Promise<void> {
  const { cluster } = exchange.services;
  const wanted = await readJsonObject(exchange);
  const isSingleLeader = cluster?.isSingleLeader(database.name) === true;
  const current = isSingleLeader ? 'single-leader' : 'multi-leader';
  const strategy = member(wanted, 'strategy') ?? current;
  if (strategy !== current) {
    throw failure(
      'not_implemented',
      `The database stays ${current}: its strategy is chosen at its creation.`,
    );
  }
  if (cluster === undefined || !isSingleLeader) {
    const [extra] = Object.keys(wanted).filter((name) => name !== 'strategy');
    if (extra !== undefined) {
      throw failure('bad_request', `A multi-leader database has no setting ${JSON.stringify(extra)}.`);
    }
  } else {
    const ack = ackSettingsOfObject(wanted, cluster.ackSettings(database.name));
    await cluster.setAckSettings(database.name, ack);
  }
  sendJson(exchange, 200, { ok: true });
}
