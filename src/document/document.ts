/**
 * A document as clients write it, taken apart: its underscore members on one side, its body on the other.
 *
 *     {"_id":"a","_rev":"1-…","n":1}   ⇄   id a, revision 1-…, body {"n":1}
 *
 * The body is bytes from here on: parsed once on the way in, and on the way out copied behind the underscore members
 * without a look inside. How attachments are stored is left out; here they are what the client says of them.
 */

import { failure } from '../errors.ts';
import { parseAttachments } from './attachment-input.ts';
import { canonicalJson, canonicalMembers } from './canonical-json.ts';
import { isJsonObject, type JsonObject, utf8Length } from './json-values.ts';
import { parseRevision, type Revision, revisionOf } from './revision.ts';

/** What a stored revision says of one attachment. The content lives once per database, under `blob`. */
export interface AttachmentStub {
  readonly name: string;
  readonly contentType: string;
  /** Bytes of the content. */
  readonly length: number;
  /** `md5-<base64>`, as CouchDB's clients know it. */
  readonly digest: string;
  /** Generation in which the attachment was written. */
  readonly revpos: number;
  /** SHA-256 of the content in lowercase hex: the key under which it is kept. */
  readonly blob: string;
}

/** An attachment as it arrives in a document's `_attachments`. */
export type AttachmentInput =
  | { readonly kind: 'stub'; readonly name: string; readonly digest?: string; readonly revpos?: number }
  | {
      readonly kind: 'inline';
      readonly name: string;
      readonly contentType: string;
      /** Base64 text, not yet decoded. */
      readonly data: string;
      readonly encoding?: 'gzip';
      readonly revpos?: number;
    }
  /** The content comes in a later part of the same multipart body. */
  | {
      readonly kind: 'follows';
      readonly name: string;
      readonly contentType: string;
      readonly length?: number;
      /** Bytes of the part on the wire, when `encoding` is given. */
      readonly encodedLength?: number;
      readonly encoding?: 'gzip';
      readonly digest?: string;
      readonly revpos?: number;
    };

/** `_revisions`: the way from a revision back to its oldest known ancestor, newest first. */
export interface RevisionPath {
  /** Generation of the first id. */
  readonly start: number;
  /** Digests, newest first. */
  readonly ids: readonly string[];
}

/** A document from a client after {@link parseDocument}: checked, but not yet compared with what is stored. */
export interface ParsedDocument {
  readonly id: string | undefined;
  readonly revision: Revision | undefined;
  readonly deleted: boolean;
  readonly path: RevisionPath | undefined;
  /** Canonical JSON of the object without its underscore members, as UTF-8; `{}` when empty. */
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentInput[];
}

export interface DocumentLimits {
  /** How many arrays and objects may stand inside each other, the document itself counted. */
  readonly depthMax: number;
  readonly documentIdBytesMax: number;
  readonly attachmentNameBytesMax: number;
}

/** What answers carry and clients send back; it says nothing about the write. */
const ignoredMembers = new Set(['_revs_info', '_conflicts', '_deleted_conflicts', '_local_seq']);
/** Members that CouchDB's replicator writes into `_replicator` documents: part of the body in spite of their names. */
const bodyMembers = new Set([
  '_replication_id',
  '_replication_state',
  '_replication_state_reason',
  '_replication_state_time',
  '_replication_stats',
]);
const underscore = 95;
const encoder = new TextEncoder();

/**
 * Applies CouchDB's rules for members that start with an underscore.
 * @throws TercetError `bad_request`, `doc_validation`, `illegal_docid`
 */
export function parseDocument(value: unknown, limits: DocumentLimits): ParsedDocument {
  if (!isJsonObject(value)) throw failure('bad_request', 'Document must be a JSON object');
  const names = Object.keys(value);
  const special = names.filter((name) => name.charCodeAt(0) === underscore && !bodyMembers.has(name));
  if (special.length === 0) return withoutSpecialMembers(value, limits.depthMax);
  let id: string | undefined;
  let deleted = false;
  let namedRevision: Revision | undefined;
  let path: RevisionPath | undefined;
  let attachments: readonly AttachmentInput[] = [];
  for (const name of special) {
    const member = value[name];
    if (name === '_id') id = checkDocumentId(member, limits.documentIdBytesMax);
    else if (name === '_rev') namedRevision = revisionMember(member);
    else if (name === '_deleted' && typeof member === 'boolean') deleted = member;
    else if (name === '_revisions') path = revisionsMember(member);
    else if (name === '_attachments') attachments = parseAttachments(member, limits.attachmentNameBytesMax);
    else if (!ignoredMembers.has(name)) {
      throw failure('doc_validation', `Bad special document member: ${name}`);
    }
  }
  const revision = agreedRevision(namedRevision, path);
  const bodyNames = names.filter((name) => name.charCodeAt(0) !== underscore || bodyMembers.has(name));
  const body = encoder.encode(canonicalMembers(value, bodyNames, limits.depthMax));
  return { id, revision, deleted, path, body, attachments };
}

function withoutSpecialMembers(value: JsonObject, depthMax: number): ParsedDocument {
  const body = encoder.encode(canonicalJson(value, depthMax));
  return { id: undefined, revision: undefined, deleted: false, path: undefined, body, attachments: [] };
}

/**
 * The id, when it may be one: a string, not empty, of the reserved names only `_design/x` and `_local/x`.
 * @throws TercetError `illegal_docid`
 */
export function checkDocumentId(id: unknown, bytesMax: number): string {
  if (typeof id !== 'string') throw failure('illegal_docid', 'Document id must be a string');
  if (id === '') throw failure('illegal_docid', 'Document id must not be empty');
  if (id.charCodeAt(0) === underscore && !isReservedId(id)) {
    throw failure('illegal_docid', 'Only reserved document ids may start with underscore.');
  }
  // A lone surrogate has no UTF-8: all of them would become the same replacement character, and so one id.
  if (!id.isWellFormed()) throw failure('illegal_docid', 'Document id must be well-formed Unicode');
  if (utf8Length(id) > bytesMax) throw failure('illegal_docid', 'Document id is too long');
  return id;
}

function isReservedId(id: string): boolean {
  return (id.startsWith('_design/') && id.length > 8) || (id.startsWith('_local/') && id.length > 7);
}

function revisionMember(member: unknown): Revision {
  const revision = typeof member === 'string' ? parseRevision(member) : undefined;
  if (revision === undefined) throw failure('bad_request', 'Invalid rev format');
  return revision;
}

/** Undefined for `{"start":0,"ids":[]}`, which is how CouchDB says that there is no history. */
function revisionsMember(member: unknown): RevisionPath | undefined {
  const { start, ids } = isJsonObject(member) ? member : { start: undefined, ids: undefined };
  if (typeof start !== 'number' || !Number.isSafeInteger(start)) {
    throw failure('doc_validation', "_revisions.start isn't an integer.");
  }
  if (!Array.isArray(ids)) throw failure('doc_validation', "_revisions.ids isn't a array.");
  if (start === 0 && ids.length === 0) return undefined;
  if (ids.length === 0 || start < ids.length) {
    throw failure(
      'doc_validation',
      '_revisions.start must be the generation of the first of _revisions.ids.',
    );
  }
  for (let i = 0; i < ids.length; i++) {
    const digest: unknown = ids[i];
    if (typeof digest !== 'string') throw failure('doc_validation', "RevId isn't a string");
    if (parseRevision(`${start - i}-${digest}`) === undefined)
      throw failure('bad_request', 'Invalid rev format');
  }
  return { start, ids };
}

function agreedRevision(named: Revision | undefined, path: RevisionPath | undefined): Revision | undefined {
  if (path === undefined) return named;
  const first = revisionOf(path.start, path.ids[0]!);
  if (named !== undefined && named !== first) {
    throw failure('doc_validation', '_rev and _revisions name different revisions.');
  }
  return first;
}

/** A revision as {@link renderDocument} needs it. */
export interface RenderableDocument {
  readonly id: string;
  readonly revision: Revision | string;
  readonly deleted: boolean;
  /** A canonical JSON object without underscore members, UTF-8. */
  readonly body: Uint8Array;
  readonly attachments: readonly AttachmentStub[];
  readonly path?: RevisionPath | undefined;
  readonly revisionsInfo?: readonly { readonly revision: Revision; readonly status: string }[] | undefined;
  readonly conflicts?: readonly Revision[] | undefined;
  readonly deletedConflicts?: readonly Revision[] | undefined;
  readonly localSequence?: number | undefined;
}

export interface RenderOptions {
  /** Base64 of the attachments to show inline, by name; the others are stubs. */
  readonly attachmentData?: ReadonlyMap<string, string>;
  /** Names of the attachments whose content follows in the same multipart body. */
  readonly following?: ReadonlySet<string>;
}

/** The document as clients read it: JSON in UTF-8, the underscore members in front of the body. */
export function renderDocument(document: RenderableDocument, options: RenderOptions = {}): Uint8Array {
  let head = `{"_id":${JSON.stringify(document.id)},"_rev":"${document.revision}"`;
  if (document.deleted) head += ',"_deleted":true';
  if (document.attachments.length > 0) {
    head += `,"_attachments":{${document.attachments.map((stub) => renderAttachment(stub, options)).join(',')}}`;
  }
  if (document.path !== undefined) head += `,"_revisions":${JSON.stringify(document.path)}`;
  if (document.revisionsInfo !== undefined) {
    const rows = document.revisionsInfo.map(({ revision, status }) => ({ rev: revision, status }));
    head += `,"_revs_info":${JSON.stringify(rows)}`;
  }
  if (document.conflicts !== undefined) head += `,"_conflicts":${JSON.stringify(document.conflicts)}`;
  if (document.deletedConflicts !== undefined) {
    head += `,"_deleted_conflicts":${JSON.stringify(document.deletedConflicts)}`;
  }
  if (document.localSequence !== undefined) head += `,"_local_seq":${document.localSequence}`;
  return joined(head, document.body);
}

function renderAttachment(stub: AttachmentStub, options: RenderOptions): string {
  const data = options.attachmentData?.get(stub.name);
  const shown = { content_type: stub.contentType, revpos: stub.revpos, digest: stub.digest };
  const rest =
    data !== undefined
      ? { data }
      : options.following?.has(stub.name)
        ? { length: stub.length, follows: true }
        : { length: stub.length, stub: true };
  return `${JSON.stringify(stub.name)}:${JSON.stringify({ ...shown, ...rest })}`;
}

/** An object that is still open, and the members of another: `{"a":1` and `{"b":2}` give `{"a":1,"b":2}`. */
function joined(head: string, body: Uint8Array): Uint8Array {
  const start = body.length > 2 ? `${head},` : head;
  const rest = body.subarray(1);
  const bytes = new Uint8Array(start.length + rest.length);
  // Nearly always ASCII, which needs as many bytes as characters; else it is encoded on its own.
  const { read, written } = encoder.encodeInto(start, bytes);
  if (read === start.length && written === start.length) {
    bytes.set(rest, start.length);
    return bytes;
  }
  const encoded = encoder.encode(start);
  const longer = new Uint8Array(encoded.length + rest.length);
  longer.set(encoded);
  longer.set(rest, encoded.length);
  return longer;
}
