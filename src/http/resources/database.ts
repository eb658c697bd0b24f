/** `/{db}`: creating, describing and deleting a database, and how it is replicated. */

import type { Database } from '../../database/database.ts';
import type { ReplicationChoice } from '../../database/model.ts';
import { replicationDefault } from '../../database/replication-default.ts';
import { failure, type TercetError } from '../../errors.ts';
import { hasBody, holdBody } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, member, parseJson } from '../json-guard.ts';
import { objectParameters, queryParameters } from '../parameters.ts';
import { mustBeKnown, mustBeOfStrategy, replicationChoice, shownChoice } from '../replication-parameters.ts';
import { sendJson } from '../respond.ts';
import type { JsonObject, OwnerReplacement } from '../services.ts';
import { goToLeader } from '../single-leader.ts';
import { shownReplica } from './anti-entropy.ts';

/** A body that says how to replicate is small. */
const settingsBytesMax = 65_536;
const settingsDepthMax = 8;

export async function createDatabase(exchange: Exchange): Promise<void> {
  const { cluster, databases } = exchange.services;
  const name = exchange.segments[0] as string;
  const wanted = await wantedReplication(exchange);
  if (cluster !== undefined) {
    if ((await goToLeader(exchange, cluster)) === 'answered') return;
    await cluster.createDatabase(name, wanted);
  } else if (wanted.strategy === 'multi-leader') await databases.create(name);
  else throw notOffered(wanted.strategy);
  sendJson(exchange, 201, { ok: true }, ['Location', `/${encodeURIComponent(name)}`]);
}

/** By the query, or by a body `{"replication": {"strategy": …}}`. @throws TercetError `not_implemented`, `bad_request` */
async function wantedReplication(exchange: Exchange): Promise<ReplicationChoice> {
  const { query, services, request } = exchange;
  const inQuery = query.get('strategy');
  const standard = services.cluster === undefined ? 'multi-leader' : replicationDefault.strategy;
  if (inQuery !== undefined || services.cluster === undefined || !hasBody(request)) {
    const choice = replicationChoice(queryParameters(query), { nodes: nodesOf(exchange), standard });
    mustBeOfStrategy(query, choice);
    return choice;
  }
  const body = asObject(parseJson(await holdBody(exchange, settingsBytesMax), settingsDepthMax));
  const replication = asObject(member(body, 'replication') ?? {}, '`replication` must be a JSON object.');
  const choice = replicationChoice(objectParameters(replication), { nodes: nodesOf(exchange), standard });
  mustBeKnown(replication, choice);
  return choice;
}

/** How many nodes can hold a database. */
function nodesOf({ services }: Exchange): number {
  return services.cluster?.ownersMax() ?? services.node.peers.length + 1;
}

function notOffered(strategy: string): TercetError {
  return failure(
    'not_implemented',
    `The ${strategy} strategy is not offered here; databases are multi-leader.`,
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
  if (cluster?.isInCatalog(name) === true) await cluster.deleteDatabase(name);
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
    cluster: copiesOf(exchange.services.databases.replication(info.name)),
    ...(exchange.services.cluster && { replication: shownReplication(exchange, database) }),
  };
}

/** In CouchDB's words. */
function copiesOf(replication: ReplicationChoice): object {
  if (replication.strategy !== 'leaderless') return { q: 1, n: 1, w: 1, r: 1 };
  const { n, r, w } = replication.settings;
  return { q: 1, n, w, r };
}

export async function showReplication(exchange: Exchange, database: Database): Promise<void> {
  const { leaderless } = exchange.services;
  const shown = shownReplication(exchange, database);
  const replicas = leaderless?.replicasOf(database.name) ?? [];
  if (leaderless === undefined || replicas.length === 0) return sendJson(exchange, 200, shown);
  const standings = await leaderless.standingsOf(database.name);
  const rows = replicas.map((status) => shownReplica(status, standings.get(status.node)));
  sendJson(exchange, 200, { ...shown, replicas: rows });
}

function shownReplication({ services: { databases } }: Exchange, { name }: Database): object {
  return shownChoice(databases.replication(name));
}

/** Members that are left out stay as they are. */
export async function setReplication(exchange: Exchange, database: Database): Promise<void> {
  const { cluster, databases } = exchange.services;
  const { name } = database;
  const wanted = asObject(parseJson(await holdBody(exchange, settingsBytesMax), settingsDepthMax));
  const present = databases.replication(name);
  if (member(wanted, 'owners') !== undefined) {
    await replaceOwner(exchange, { name, wanted, present });
    return;
  }
  const strategy = member(wanted, 'strategy') ?? present.strategy;
  if (strategy !== present.strategy) {
    throw failure(
      'not_implemented',
      `The database stays ${present.strategy}: its strategy is chosen at its creation.`,
    );
  }
  const choice = replicationChoice(objectParameters(wanted), {
    nodes: nodesOf(exchange),
    standard: present.strategy,
    present,
  });
  mustBeKnown(wanted, choice);
  if (cluster?.isInCatalog(name) === true && choice.strategy !== 'multi-leader') {
    await cluster.setReplication(name, choice);
  }
  sendJson(exchange, 200, { ok: true });
}

interface OwnersChange {
  readonly name: string;
  readonly wanted: JsonObject;
  readonly present: ReplicationChoice;
}

/** The list of owners with one of them replaced; as it is, it changes nothing. */
async function replaceOwner(exchange: Exchange, { name, present, wanted }: OwnersChange): Promise<void> {
  const { cluster, leaderless } = exchange.services;
  const owners = present.strategy === 'leaderless' ? present.owners?.map(({ node }) => node) : undefined;
  if (owners === undefined || cluster === undefined || leaderless === undefined) {
    throw failure('bad_request', 'Only a leaderless database of a cluster has owners that can be replaced.');
  }
  const change = changeOf(owners, wanted);
  if (change !== undefined) {
    await cluster.replaceOwner(name, change, () => leaderless.confirmRemoved(name, change));
  }
  sendJson(exchange, 200, { ok: true });
}

/** @throws TercetError `bad_request` */
function changeOf(owners: readonly string[], wanted: JsonObject): OwnerReplacement | undefined {
  if (Object.keys(wanted).length > 1) throw failure('bad_request', '`owners` is changed by itself.');
  const list = member(wanted, 'owners');
  const named = Array.isArray(list) ? list.filter((node) => typeof node === 'string') : [];
  if (new Set(named).size !== owners.length || !Array.isArray(list) || list.length !== owners.length) {
    throw failure('bad_request', `\`owners\` is a list of ${owners.length} names of nodes.`);
  }
  const [node, ...others] = owners.filter((owner) => !named.includes(owner));
  const [by] = named.filter((owner) => !owners.includes(owner));
  if (others.length > 0) throw failure('bad_request', 'One owner is replaced at a time.');
  return node === undefined || by === undefined ? undefined : { node, by };
}
