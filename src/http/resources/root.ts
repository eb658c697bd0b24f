/** `/`, `/_up`, `/_uuids`, `/_membership`, `/_cluster_setup`. */

import { randomBytes } from 'node:crypto';
import { failure } from '../../errors.ts';
import { readJsonObject } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import { member } from '../json-guard.ts';
import { count } from '../query.ts';
import { sendJson } from '../respond.ts';

/** Clients choose their ways by the version, so it names the CouchDB whose API this is; ours is under `vendor`. */
const couchdbVersion = '3.5.0';
const uuidsMax = 1_000;

export function welcome(exchange: Exchange): void {
  const { node } = exchange.services;
  sendJson(exchange, 200, {
    couchdb: 'Welcome',
    version: couchdbVersion,
    uuid: node.clusterUuid,
    features: ['access-ready', 'scheduler'],
    vendor: { name: 'Tercet', version: node.version },
  });
}

/** A node that can only read is up: it answers, and says so. */
export function up(exchange: Exchange): void {
  const health = exchange.services.node.storeHealth();
  const store = health.kind === 'writable' ? {} : { read_only: health.cause };
  sendJson(exchange, 200, { status: 'ok', seeds: {}, ...store });
}

export function uuids(exchange: Exchange): void {
  const wanted = count(exchange.query, 'count') ?? 1;
  if (wanted > uuidsMax) throw failure('bad_request', 'count parameter too large');
  const random = randomBytes(16 * wanted).toString('hex');
  const list = Array.from({ length: wanted }, (_, index) => random.slice(index * 32, (index + 1) * 32));
  sendJson(exchange, 200, { uuids: list }, ['Pragma', 'no-cache']);
}

/** 32 lowercase hex digits: the id of a document that came without one. */
export function newUuid(): string {
  return randomBytes(16).toString('hex');
}

export function membership(exchange: Exchange): void {
  const { name, peers } = exchange.services.node;
  const names = [...new Set([name, ...peers.map((peer) => peer.name)])].toSorted();
  sendJson(exchange, 200, { all_nodes: names, cluster_nodes: names });
}

export function clusterState(exchange: Exchange): void {
  const isAlone = exchange.services.node.peers.length === 0;
  sendJson(exchange, 200, { state: isAlone ? 'single_node_enabled' : 'cluster_finished' });
}

/** A cluster of Tercet is made by its flags; set-up tools only need to hear that nothing is left to do. */
export async function setUpCluster(exchange: Exchange): Promise<void> {
  const action = member(await readJsonObject(exchange), 'action');
  if (action === 'finish_cluster' || action === 'enable_single_node')
    return sendJson(exchange, 201, { ok: true });
  throw failure('bad_request', 'Cluster is already finished: nodes are named by the --peers flag.');
}
