/** GET and HEAD of a document: plain, a revision of it, several at once (`open_revs`), with its attachments. */

import type { Database } from '../../database/database.ts';
import type { DocumentReader } from '../../database/joined-reads.ts';
import type { DocumentRevision, OpenRevision, ReadOptions } from '../../database/model.ts';
import { failure } from '../../errors.ts';
import {
  contentsFor,
  type DocumentView,
  renderForReader,
  withoutHiddenPath,
  writeDocument,
} from '../document-answer.ts';
import { revisionParameter } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import {
  finishMultipart,
  multipartType,
  newBoundary,
  writeRelated,
  writeRevisionPart,
} from '../multipart-writer.ts';
import { flag, json, type Query } from '../query.ts';
import { sendBytes, sendJson, sendNotModified } from '../respond.ts';
import type { DocumentTarget } from '../router.ts';
import { startStream } from '../streamed-answer.ts';
import { readLocalDocument } from './local-documents.ts';

const noOptions: ReadOptions = {};
const documentType = 'application/json';

export function readDocument(
  exchange: Exchange,
  database: Database,
  target: DocumentTarget,
): void | Promise<void> {
  const { query } = exchange;
  if (target.id.startsWith('_local/')) return readLocalDocument(exchange, database, target);
  const reader = exchange.documents ?? database;
  if (query.size === 0) return sendDocument(exchange, database, found(reader, target.id, noOptions), true);
  if (query.has('open_revs')) return readOpenRevisions(exchange, database, target.id);
  const view = documentView(query, query.get('atts_since'));
  const document = found(reader, target.id, readOptions(query, view));
  if (contentsFor(document, view).length > 0) return sendWithContent(exchange, database, document, view);
  sendDocument(exchange, database, withoutHiddenPath(document, view), hasStableAnswer(query));
}

/** @throws TercetError `not_found` with the reason that clients tell apart */
function found(reader: DocumentReader, id: string, options: ReadOptions): DocumentRevision {
  const outcome = reader.read(id, options);
  if (outcome.kind !== 'found') throw failure('not_found', outcome.kind);
  return outcome.document;
}

function sendDocument(
  exchange: Exchange,
  database: Database,
  document: DocumentRevision,
  isStable: boolean,
): void {
  const etag = `"${document.revision}"`;
  if (isStable && sendNotModified(exchange, etag)) return;
  const bytes = renderForReader(exchange, database, document);
  sendBytes(exchange, 200, documentType, bytes, isStable ? ['ETag', etag] : []);
}

/** Answers that can change while the revision stays the same must not be remembered by its name. */
function hasStableAnswer(query: Query): boolean {
  return !['conflicts', 'deleted_conflicts', 'meta', 'revs_info', 'local_seq'].some((name) =>
    query.has(name),
  );
}

function readOptions(query: Query, view: DocumentView): ReadOptions {
  const revision = query.get('rev');
  const isMeta = flag(query, 'meta');
  return {
    ...(revision === undefined ? {} : { revision: revisionParameter(revision) }),
    latest: flag(query, 'latest'),
    path: view.path || view.since !== undefined,
    revisionsInfo: isMeta || flag(query, 'revs_info'),
    conflicts: isMeta || flag(query, 'conflicts'),
    deletedConflicts: isMeta || flag(query, 'deleted_conflicts'),
    localSequence: flag(query, 'local_seq'),
  };
}

/** What a request wants of attachments. `attsSince` is its parameter of that name, JSON text. */
export function documentView(query: Query, attsSince: string | undefined): DocumentView {
  const path = flag(query, 'revs');
  if (attsSince === undefined) {
    return { content: flag(query, 'attachments') ? 'all' : 'stubs', since: undefined, path };
  }
  const since = json(query, 'atts_since');
  if (!Array.isArray(since))
    throw failure('query_parse_error', '`atts_since` must be a JSON list of revisions');
  return { content: 'all', since: since.map((revision) => revisionParameter(String(revision))), path };
}

async function sendWithContent(
  exchange: Exchange,
  database: Database,
  document: DocumentRevision,
  view: DocumentView,
): Promise<void> {
  const wantsParts = exchange.header('accept')?.includes('multipart/related') === true;
  const boundary = newBoundary();
  const contentType = wantsParts ? multipartType('related', boundary) : documentType;
  const answer = startStream(exchange, { contentType, headers: ['ETag', `"${document.revision}"`] });
  if (answer === undefined) return;
  if (wantsParts) {
    await writeRelated({ exchange, database, answer, boundary }, document, view);
    finishMultipart(answer, boundary);
  } else {
    await writeDocument(exchange, database, answer, document, view);
  }
  answer.end();
}

async function readOpenRevisions(exchange: Exchange, database: Database, id: string): Promise<void> {
  const { query } = exchange;
  const wanted = wantedRevisions(query);
  const view = documentView(query, query.get('atts_since'));
  const options = { latest: flag(query, 'latest'), path: view.path || view.since !== undefined };
  const revisions = (exchange.documents ?? database).readOpenRevisions(id, wanted, options);
  if (wanted === 'all' && revisions.length === 0) return sendGrave(exchange, database, id);
  if (wantsMixed(exchange)) await sendMixed(exchange, database, revisions, view);
  else await sendList(exchange, database, revisions, view);
}

/** Who coordinates must know that a replica has forgotten a document: it is not one that never heard of it. */
function sendGrave(exchange: Exchange, { leaderless }: Database, id: string): void {
  const isForClient = exchange.query.get('coordinator') === 'client';
  const tombstones = isForClient ? leaderless?.grave(id)?.leaves : undefined;
  if (tombstones === undefined) throw failure('not_found', 'missing');
  sendJson(exchange, 200, [{ grave: tombstones.map(({ revision }) => revision) }]);
}

function wantedRevisions(query: Query): 'all' | readonly string[] {
  if (query.get('open_revs') === 'all') return 'all';
  const list = json(query, 'open_revs');
  if (list === 'all') return 'all';
  if (!Array.isArray(list))
    throw failure('bad_request', '`open_revs` must be `all` or a JSON list of revisions');
  return list.map((revision) => revisionParameter(String(revision)));
}

/** JSON for whoever takes it or says nothing against it; CouchDB's replicator names multipart first of all. */
function wantsMixed(exchange: Exchange): boolean {
  const accept = exchange.header('accept');
  if (accept?.includes('multipart/mixed')) return true;
  const takesJson = accept?.includes('application/json') === true || accept?.includes('*/*') === true;
  return !takesJson && exchange.header('content-type')?.includes('application/json') !== true;
}

async function sendList(
  exchange: Exchange,
  database: Database,
  revisions: readonly OpenRevision[],
  view: DocumentView,
): Promise<void> {
  const answer = startStream(exchange);
  if (answer === undefined) return;
  let separator = '[';
  for (const revision of revisions) {
    if (revision.kind === 'missing') {
      answer.text(`${separator}${JSON.stringify({ missing: revision.revision })}`);
    } else {
      answer.text(`${separator}{"ok":`);
      await writeDocument(exchange, database, answer, revision.document, view);
      answer.text('}');
    }
    separator = ',';
    if (answer.isFull) await answer.flush();
  }
  answer.text(separator === '[' ? '[]\n' : ']\n');
  answer.end();
}

async function sendMixed(
  exchange: Exchange,
  database: Database,
  revisions: readonly OpenRevision[],
  view: DocumentView,
): Promise<void> {
  const boundary = newBoundary();
  const answer = startStream(exchange, { contentType: multipartType('mixed', boundary) });
  if (answer === undefined) return;
  for (const revision of revisions) {
    await writeRevisionPart({ exchange, database, answer, boundary }, revision, view);
    if (answer.isFull) await answer.flush();
  }
  finishMultipart(answer, boundary);
  answer.end();
}
