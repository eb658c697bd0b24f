/** Every endpoint of the node: its path, its methods, who may use it, and which handler answers. */

import type { Database } from '../database/database.ts';
import { failure } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { DatabaseLevel, ServerLevel } from './gate.ts';
import {
  allDocuments,
  designDocuments,
  localDocuments,
  queryDesignDocuments,
  queryDocuments,
} from './resources/all-documents.ts';
import { compareReplicas } from './resources/anti-entropy.ts';
import { deleteAttachment, putAttachment, readAttachment } from './resources/attachments.ts';
import { readBulk } from './resources/bulk-reading.ts';
import { writeBulk } from './resources/bulk-writing.ts';
import { changes } from './resources/changes.ts';
import { changeCluster, deleteInCluster, showCluster } from './resources/cluster.ts';
import {
  createDatabase,
  deleteDatabase,
  describeDatabase,
  setReplication,
  showReplication,
} from './resources/database.ts';
import { allDatabases, databasesInfo, databaseUpdates } from './resources/databases.ts';
import { readDocument } from './resources/document-reading.ts';
import { copyDocument, deleteDocument, postDocument, putDocument } from './resources/document-writing.ts';
import { hearGraves } from './resources/graves.ts';
import { showNode } from './resources/node-info.ts';
import { live, metrics, ready } from './resources/probes.ts';
import { decideQuarantine, showQuarantine } from './resources/quarantine.ts';
import { activeTasks, replicate, scheduler } from './resources/replications.ts';
import { missingRevisions, revisionsDifference } from './resources/revisions.ts';
import { clusterState, membership, setUpCluster, up, uuids, welcome } from './resources/root.ts';
import { closeSession, openSession, showSession } from './resources/session.ts';
import {
  cleanUpViews,
  compact,
  ensureFullCommit,
  purge,
  setPurgedInfosLimit,
  setRevisionsLimit,
  setSecurity,
  showPurgedInfosLimit,
  showRevisionsLimit,
  showSecurity,
} from './resources/settings.ts';
import type { DatabaseEndpoint, DocumentEndpoint, Methods, Routes, ServerEndpoint } from './router.ts';

function server(
  level: ServerLevel,
  handlers: Readonly<Record<string, ServerEndpoint['handle']>>,
): Methods<ServerEndpoint> {
  return new Map(Object.entries(handlers).map(([method, handle]) => [method, { level, handle }]));
}

function database(
  level: DatabaseLevel,
  handlers: Readonly<Record<string, DatabaseEndpoint['handle']>>,
): Methods<DatabaseEndpoint> {
  return new Map(Object.entries(handlers).map(([method, handle]) => [method, { level, handle }]));
}

function document(
  level: DatabaseLevel,
  handlers: Readonly<Record<string, DocumentEndpoint['handle']>>,
): Methods<DocumentEndpoint> {
  return new Map(Object.entries(handlers).map(([method, handle]) => [method, { level, handle }]));
}

/** Anybody who may see a setting is not yet somebody who may change it. */
function setting(
  show: DatabaseEndpoint['handle'],
  change: DatabaseEndpoint['handle'],
): Methods<DatabaseEndpoint> {
  return new Map([...database('list', { GET: show }), ...database('database_admin', { PUT: change })]);
}

function notYet(what: string, methods: readonly string[]): Methods<DatabaseEndpoint> {
  const handle = (): never => {
    throw failure('not_implemented', `${what} are not offered by this node yet.`);
  };
  return database('list', Object.fromEntries(methods.map((method) => [method, handle])));
}

/** Show, list, update and rewrite functions are gone in CouchDB's own future. */
const gone = database(
  'document',
  Object.fromEntries(['GET', 'POST', 'PUT', 'DELETE'].map((method) => [method, missing])),
);

/** A plain "missing" would send the reader looking for a document. */
const partitions = database(
  'list',
  Object.fromEntries(
    ['GET', 'POST'].map((method) => [
      method,
      () => {
        throw failure('not_found', 'Databases have no partitions on this node.');
      },
    ]),
  ),
);

function missing(): never {
  throw failure('not_found', 'missing');
}

function allDocumentsOrQueries(exchange: Exchange, target: Database): Promise<void> {
  return isQueries(exchange) ? queryDocuments(exchange, target) : allDocuments(exchange, target);
}

function designDocumentsOrQueries(exchange: Exchange, target: Database): Promise<void> {
  return isQueries(exchange) ? queryDesignDocuments(exchange, target) : designDocuments(exchange, target);
}

function isQueries(exchange: Exchange): boolean {
  const rest = exchange.segments.slice(2).join('/');
  if (rest !== '' && !(rest === 'queries' && exchange.method === 'POST')) return missing();
  return rest === 'queries';
}

export const routes: Routes = {
  root: server('anyone', { GET: welcome }),
  server: new Map([
    ['_up', server('anyone', { GET: up })],
    ['_uuids', server('anyone', { GET: uuids })],
    ['_membership', server('admin', { GET: membership })],
    ['_cluster_setup', server('admin', { GET: clusterState, POST: setUpCluster })],
    ['_all_dbs', server('admin', { GET: allDatabases })],
    ['_dbs_info', server('admin', { GET: databasesInfo, POST: databasesInfo })],
    ['_db_updates', server('admin', { GET: databaseUpdates, POST: databaseUpdates })],
    [
      '_session',
      new Map([
        ...server('anyone', { GET: showSession }),
        ...server('nobody_asked', { POST: openSession, DELETE: closeSession }),
      ]),
    ],
    ['_replicate', server('admin', { POST: replicate })],
    ['_scheduler', server('admin', { GET: scheduler })],
    ['_active_tasks', server('admin', { GET: activeTasks })],
    ['_node', server('admin', { GET: showNode })],
    ['_cluster', server('admin', { GET: showCluster, POST: changeCluster, DELETE: deleteInCluster })],
  ]),
  unlessDatabase: new Map([
    ['livez', server('anyone', { GET: live })],
    ['readyz', server('anyone', { GET: ready })],
    ['metrics', server('admin', { GET: metrics })],
  ]),
  databaseName: server('admin', { PUT: createDatabase, DELETE: deleteDatabase }),
  database: new Map([
    ...database('list', { GET: describeDatabase }),
    ...database('document', { POST: postDocument }),
  ]),
  inDatabase: new Map([
    ['_all_docs', database('list', { GET: allDocumentsOrQueries, POST: allDocumentsOrQueries })],
    ['_design_docs', database('list', { GET: designDocumentsOrQueries, POST: designDocumentsOrQueries })],
    ['_local_docs', database('list', { GET: localDocuments, POST: localDocuments })],
    ['_changes', database('list', { GET: changes, POST: changes })],
    ['_bulk_docs', database('document', { POST: writeBulk })],
    ['_bulk_get', database('document', { POST: readBulk })],
    ['_revs_diff', database('list', { POST: revisionsDifference })],
    ['_missing_revs', database('list', { POST: missingRevisions })],
    ['_security', setting(showSecurity, setSecurity)],
    ['_replication', setting(showReplication, setReplication)],
    ['_revs_limit', setting(showRevisionsLimit, setRevisionsLimit)],
    ['_purged_infos_limit', setting(showPurgedInfosLimit, setPurgedInfosLimit)],
    ['_purge', database('server_admin', { POST: purge })],
    ['_quarantine', database('database_admin', { GET: showQuarantine, POST: decideQuarantine })],
    ['_graves', database('document', { POST: hearGraves })],
    ['_compact', database('database_admin', { POST: compact })],
    ['_anti_entropy', database('database_admin', { POST: compareReplicas })],
    ['_view_cleanup', database('database_admin', { POST: cleanUpViews })],
    ['_ensure_full_commit', database('list', { POST: ensureFullCommit })],
    ['_find', notYet('Mango queries', ['POST'])],
    ['_explain', notYet('Mango queries', ['POST'])],
    ['_index', notYet('Mango indexes', ['GET', 'POST', 'DELETE'])],
    ['_partition', partitions],
    ['_temp_view', gone],
    ['_shards', gone],
    ['_sync_shards', gone],
  ]),
  open: new Set([
    ...['_scheduler', '_node', '_cluster'],
    ...['_all_docs', '_design_docs', '_compact', '_index', '_partition', '_temp_view', '_shards'],
  ]),
  document: document('document', {
    GET: readDocument,
    PUT: putDocument,
    DELETE: deleteDocument,
    COPY: copyDocument,
  }),
  attachment: document('document', { GET: readAttachment, PUT: putAttachment, DELETE: deleteAttachment }),
  inDesign: new Map([
    ['_view', notYet('Views', ['GET', 'POST'])],
    ['_info', notYet('Views', ['GET'])],
    ['_search', notYet('Search indexes', ['GET', 'POST'])],
    ['_nouveau', notYet('Search indexes', ['GET', 'POST'])],
    ['_show', gone],
    ['_list', gone],
    ['_update', gone],
    ['_rewrite', gone],
  ]),
};
