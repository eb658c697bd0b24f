/** The `filter` of a changes feed, in CouchDB's words. */

import { limits } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { ChangesFilter } from '../database/model.ts';
import { renderDocument } from '../document/document.ts';
import { compileSelector } from '../document/selector.ts';
import { failure, type TercetError } from '../errors.ts';
import { asObject, member } from './json-guard.ts';
import { json, type Query } from './query.ts';
import type { JsonObject } from './services.ts';

/** @throws TercetError for filters that do not exist, or that need users' JavaScript */
export function changesFilter(database: Database, query: Query, body: JsonObject): ChangesFilter | undefined {
  const name = query.get('filter');
  switch (name) {
    case undefined:
    case '':
      return undefined;
    case '_doc_ids':
      return idsFilter(json(query, 'doc_ids'));
    case '_design':
      return { kind: 'design' };
    case '_selector':
      return selectorFilter(body);
    case '_view':
      throw viewFilter(database, query.get('view'));
    default:
      throw functionFilter(database, name);
  }
}

function idsFilter(ids: unknown): ChangesFilter {
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string')) {
    throw failure('bad_request', '`doc_ids` filter parameter is not a list of doc ids.');
  }
  if (ids.length > limits.bulkDocumentsMax) throw failure('bad_request', '`doc_ids` has too many items.');
  return { kind: 'ids', ids: new Set(ids) };
}

function selectorFilter(body: JsonObject): ChangesFilter {
  const selector = asObject(member(body, 'selector'), 'Selector error: expected a JSON object');
  const matches = compileSelector(selector);
  // A selector may name underscore members too, so it sees the document as clients do.
  return {
    kind: 'matcher',
    matches: (document) => matches(JSON.parse(Buffer.from(renderDocument(document)).toString())),
  };
}

/** A filter that cannot be applied: it does not exist, or it is JavaScript, which this node does not run yet. */
function functionFilter(database: Database, name: string): TercetError {
  const [design, filter, ...rest] = name.split('/');
  if (design === undefined || filter === undefined || design === '' || filter === '' || rest.length > 0) {
    return failure('bad_request', '`filter` must be of the form `designname/filtername`');
  }
  return missingFunction(database, design, ['filters', filter]);
}

function viewFilter(database: Database, name: string | undefined): TercetError {
  const [design, view] = name?.split('/') ?? [];
  if (design === undefined || view === undefined) {
    return failure('bad_request', '`view` filter parameter is not provided.');
  }
  return missingFunction(database, design, ['views', view]);
}

function missingFunction(database: Database, design: string, path: readonly string[]): TercetError {
  const outcome = database.read(`_design/${design}`);
  if (outcome.kind !== 'found') return failure('not_found', outcome.kind);
  let place: unknown = JSON.parse(Buffer.from(outcome.document.body).toString());
  for (const name of path) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, name)) {
      return failure('not_found', `missing json key: ${name}`);
    }
    place = (place as JsonObject)[name];
  }
  return failure('not_implemented', 'Filter functions of design documents are not run by this node yet.');
}
