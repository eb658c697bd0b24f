/** What a replication is asked to be: the JSON of POST /_replicate and of `_replicator` documents, checked. */

import { validateHeaderName, validateHeaderValue } from 'node:http';
import { limits } from '../config.ts';
import { canonicalJson } from '../document/canonical-json.ts';
import type { Digest } from '../document/revision.ts';
import { failure } from '../errors.ts';
import { replicationId } from '../multi-leader/checkpoint.ts';
import type { ChangesSelection } from './endpoint.ts';
import { isObject } from './transfer-document.ts';

export type EndSpec =
  | { readonly kind: 'local'; readonly name: string }
  | {
      readonly kind: 'remote';
      /** Without credentials, query and closing slash. */
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      /** Stable name for the replication id, where the URL is none. */
      readonly identity?: string;
    };

export interface ReplicationRequest {
  readonly source: EndSpec;
  readonly target: EndSpec;
  readonly continuous: boolean;
  readonly createTarget: boolean;
  readonly selection: ChangesSelection;
  readonly since: string | undefined;
  readonly useCheckpoints: boolean;
  readonly checkpointIntervalMs: number;
  readonly batchRows: number;
  readonly connectionsMax: number;
  readonly idleMs: number;
}

export const replicationDefaults = {
  continuous: false,
  createTarget: false,
  selection: {},
  since: undefined,
  useCheckpoints: true,
  checkpointIntervalMs: 5_000,
  batchRows: 1_000,
  connectionsMax: 20,
  idleMs: 30_000,
} as const;

const documentIdsMax = 100_000;
/** Headers that belong to the connection and not to who asks. */
const refusedHeaders: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
]);

/** @throws TercetError `bad_request` with the member that is wrong */
export function parseReplicationRequest(value: unknown): ReplicationRequest {
  if (!isObject(value)) throw failure('bad_request', 'A replication must be a JSON object.');
  if (value.source_proxy !== undefined || value.target_proxy !== undefined || value.proxy !== undefined) {
    throw failure('bad_request', 'Replication through a proxy is not supported.');
  }
  const since = value.since_seq;
  if (since !== undefined && typeof since !== 'string' && typeof since !== 'number') {
    throw failure('bad_request', '`since_seq` must be a string or a number.');
  }
  return {
    source: parseEnd(value.source, 'source'),
    target: parseEnd(value.target, 'target'),
    continuous: flag(value, 'continuous', replicationDefaults.continuous),
    createTarget: flag(value, 'create_target', replicationDefaults.createTarget),
    selection: parseSelection(value),
    since: since === undefined ? undefined : String(since),
    useCheckpoints: flag(value, 'use_checkpoints', replicationDefaults.useCheckpoints),
    checkpointIntervalMs: count(value, 'checkpoint_interval', {
      otherwise: replicationDefaults.checkpointIntervalMs,
      min: 100,
      max: 3_600_000,
    }),
    batchRows: count(value, 'worker_batch_size', {
      otherwise: replicationDefaults.batchRows,
      min: 1,
      max: 5_000,
    }),
    connectionsMax: count(value, 'http_connections', {
      otherwise: replicationDefaults.connectionsMax,
      min: 1,
      max: 100,
    }),
    idleMs: count(value, 'connection_timeout', {
      otherwise: replicationDefaults.idleMs,
      min: 3_000,
      max: 600_000,
    }),
  };
}

/** The id of a replication's checkpoints. */
export function checkpointIdOf(
  request: ReplicationRequest,
  { localIdentity, digest }: { readonly localIdentity: string; readonly digest: Digest },
): string {
  const { documentIds, selector, filter, winningRevisionsOnly } = request.selection;
  return replicationId(
    {
      source: identityOf(request.source, localIdentity),
      target: identityOf(request.target, localIdentity),
      documentIds,
      selector: selector === undefined ? undefined : canonicalJson(selector, limits.jsonDepthMax),
      filter: filter?.name,
      filterParameters:
        filter === undefined ? undefined : canonicalJson(filter.parameters, limits.jsonDepthMax),
      winningRevisionsOnly: winningRevisionsOnly === true,
    },
    digest,
  );
}

/** Stable name of an end for replication ids. */
export function identityOf(end: EndSpec, localIdentity: string): string {
  return end.kind === 'local' ? `${localIdentity}/${end.name}` : (end.identity ?? end.url);
}

function parseEnd(value: unknown, name: 'source' | 'target'): EndSpec {
  if (typeof value === 'string') {
    return /^https?:\/\//i.test(value) ? parseRemote(value, {}, name) : parseLocalName(value, name);
  }
  if (!isObject(value) || typeof value.url !== 'string') {
    throw failure('bad_request', `\`${name}\` must be a database name, a URL, or an object with a \`url\`.`);
  }
  if (!/^https?:\/\//i.test(value.url))
    throw failure('bad_request', `The \`url\` of \`${name}\` must be an http(s) URL.`);
  return parseRemote(
    value.url,
    { ...parseHeaders(value.headers, name), ...parseAuth(value.auth, name) },
    name,
  );
}

function parseLocalName(text: string, name: string): EndSpec {
  if (text === '' || text.length > limits.databaseNameLengthMax || text.includes('://')) {
    throw failure('bad_request', `\`${name}\` is neither a database name nor an http(s) URL.`);
  }
  return { kind: 'local', name: text };
}

function parseRemote(text: string, given: Readonly<Record<string, string>>, name: string): EndSpec {
  if (!URL.canParse(text)) throw failure('bad_request', `The URL of \`${name}\` is malformed.`);
  const url = new URL(text);
  const path = url.pathname.replace(/\/+$/, '');
  if (path === '') throw failure('bad_request', `The URL of \`${name}\` names no database.`);
  const headers =
    url.username === ''
      ? given
      : { ...basicAuth(decoded(url.username, name), decoded(url.password, name)), ...given };
  return { kind: 'remote', url: `${url.origin}${path}`, headers };
}

function parseHeaders(value: unknown, name: string): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isObject(value)) throw failure('bad_request', `The \`headers\` of \`${name}\` must be an object.`);
  const headers: [string, string][] = [];
  for (const [header, content] of Object.entries(value)) {
    if (
      typeof content !== 'string' ||
      refusedHeaders.has(header.toLowerCase()) ||
      !isValidHeader(header, content)
    ) {
      throw failure('bad_request', `The header ${JSON.stringify(header)} of \`${name}\` cannot be sent.`);
    }
    headers.push([header.toLowerCase(), content]);
  }
  return Object.fromEntries(headers);
}

function isValidHeader(name: string, content: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, content);
    return true;
  } catch {
    return false; // The two functions have no other way to say no.
  }
}

function parseAuth(value: unknown, name: string): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  const basic = isObject(value) ? value.basic : undefined;
  if (!isObject(basic) || typeof basic.username !== 'string' || typeof basic.password !== 'string') {
    throw failure(
      'bad_request',
      `The \`auth\` of \`${name}\` must be {"basic":{"username":…,"password":…}}.`,
    );
  }
  return basicAuth(basic.username, basic.password);
}

function basicAuth(user: string, password: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw failure('bad_request', `The credentials in the URL of \`${name}\` are not percent-encoded.`);
  }
}

function parseSelection(value: Readonly<Record<string, unknown>>): ChangesSelection {
  const { doc_ids: documentIds, selector, filter, query_params: parameters } = value;
  const given = [documentIds, selector, filter].filter((one) => one !== undefined && one !== null);
  if (given.length > 1)
    throw failure('bad_request', '`doc_ids`, `selector` and `filter` exclude each other.');
  const style = { winningRevisionsOnly: flag(value, 'winning_revs_only', false) };
  if (documentIds !== undefined && documentIds !== null) {
    if (!Array.isArray(documentIds) || !documentIds.every((id) => typeof id === 'string')) {
      throw failure('bad_request', '`doc_ids` must be an array of strings.');
    }
    if (documentIds.length > documentIdsMax)
      throw failure('bad_request', `\`doc_ids\` has more than ${documentIdsMax} ids.`);
    return { ...style, documentIds };
  }
  if (selector !== undefined && selector !== null) {
    if (!isObject(selector)) throw failure('bad_request', '`selector` must be a JSON object.');
    return { ...style, selector };
  }
  if (filter === undefined || filter === null) return style;
  if (typeof filter !== 'string' || !(filter.startsWith('_') || filter.includes('/'))) {
    throw failure('bad_request', '`filter` must be `designdoc/filtername`.');
  }
  return { ...style, filter: { name: filter, parameters: parseParameters(parameters) } };
}

function parseParameters(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw failure('bad_request', '`query_params` must be a JSON object.');
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, typeof one === 'string' ? one : JSON.stringify(one)]),
  );
}

function flag(value: Readonly<Record<string, unknown>>, name: string, otherwise: boolean): boolean {
  const member = value[name];
  if (member === undefined || member === null) return otherwise;
  if (typeof member !== 'boolean') throw failure('bad_request', `\`${name}\` must be true or false.`);
  return member;
}

function count(
  value: Readonly<Record<string, unknown>>,
  name: string,
  bounds: { readonly otherwise: number; readonly min: number; readonly max: number },
): number {
  const member = value[name];
  if (member === undefined || member === null) return bounds.otherwise;
  if (!Number.isSafeInteger(member) || (member as number) < 1) {
    throw failure('bad_request', `\`${name}\` must be a whole number above 0.`);
  }
  return Math.min(Math.max(member as number, bounds.min), bounds.max);
}
