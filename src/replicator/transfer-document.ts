/** Documents on the wire between two ends of a replication: read from JSON of another party, written as JSON bytes. */

import { limits } from '../config.ts';
import { checkContentType } from '../document/attachment-input.ts';
import { parseDocument } from '../document/document.ts';
import { generationOf, type Revision } from '../document/revision.ts';
import { failure, TercetError } from '../errors.ts';
import {
  EndpointFault,
  type FetchedChunk,
  type Refusal,
  type TransferAttachment,
  type TransferDocument,
} from './endpoint.ts';

const documentLimits = {
  depthMax: limits.jsonDepthMax,
  documentIdBytesMax: limits.documentIdBytesMax,
  attachmentNameBytesMax: limits.attachmentNameBytesMax,
};

/** Characters of a name from elsewhere that people are shown. */
const shownCharactersMax = 200;

/** Opens the content of one attachment of one revision at the source. */
export type OpenAttachment = (
  of: { readonly id: string; readonly revision: string; readonly name: string },
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

/** How an attachment is written into a document's JSON. */
export type AttachmentForm = (attachment: TransferAttachment) => Readonly<Record<string, unknown>>;

/**
 * Reads a document as `_bulk_get?revs=true` gives it.
 * @throws TercetError when it breaks a rule of documents
 * @throws EndpointFault when it lacks what replication needs, as documents of a source that knows none of it would
 */
function readTransferDocument(value: unknown, openAttachment: OpenAttachment): TransferDocument {
  const parsed = parseDocument(value, documentLimits);
  const { id, revision, path } = parsed;
  if (id === undefined || revision === undefined || path === undefined) {
    throw new EndpointFault(
      'transient',
      'bad_reply',
      'the source sent a document without _id, _rev or _revisions',
    );
  }
  if (id.startsWith('_local/')) throw failure('illegal_docid', 'Local documents are not replicated.');
  return {
    id,
    revision,
    path,
    deleted: parsed.deleted,
    body: parsed.body,
    attachments: readStubs(value, id, revision, openAttachment),
  };
}

function readStubs(
  value: unknown,
  id: string,
  revision: Revision,
  openAttachment: OpenAttachment,
): readonly TransferAttachment[] {
  const stubs = (value as { readonly _attachments?: unknown })._attachments;
  if (stubs === undefined) return [];
  if (!isObject(stubs)) throw failure('doc_validation', '_attachments is not an object');
  return Object.entries(stubs).map(([name, stub]) => {
    if (!isObject(stub) || !Number.isSafeInteger(stub.length) || typeof stub.digest !== 'string')
      throw failure('doc_validation', `the source sent a malformed stub of attachment ${name}`);
    const contentType =
      typeof stub.content_type === 'string' ? stub.content_type : 'application/octet-stream';
    checkContentType(name, contentType);
    const revpos = Number.isSafeInteger(stub.revpos) ? (stub.revpos as number) : 1;
    return {
      name,
      contentType,
      length: stub.length as number,
      digest: stub.digest,
      revpos: Math.min(Math.max(revpos, 1), generationOf(revision)),
      open: (signal) => openAttachment({ id, revision, name }, signal),
    };
  });
}

/** The JSON of a document with `_revisions`, spliced together without parsing its body. */
export function writeTransferDocument(document: TransferDocument, form: AttachmentForm): Buffer {
  const members = [`"_id":${JSON.stringify(document.id)},"_rev":"${document.revision}"`];
  members.push(`"_revisions":{"start":${document.path.start},"ids":${JSON.stringify(document.path.ids)}}`);
  if (document.deleted) members.push('"_deleted":true');
  if (document.attachments.length > 0) {
    const forms = document.attachments.map(
      (one) => `${JSON.stringify(one.name)}:${JSON.stringify(form(one))}`,
    );
    members.push(`"_attachments":{${forms.join(',')}}`);
  }
  const isEmpty = document.body.byteLength <= 2;
  const head = Buffer.from(`{${members.join(',')}${isEmpty ? '}' : ','}`);
  return isEmpty ? head : Buffer.concat([head, document.body.subarray(1)]);
}

/**
 * Reads the documents of a reply, each revision once: two revisions asked for with `latest` may both be answered by the
 * leaf that they became. A document that breaks a rule is refused, and does not stop the others.
 */
export function readTransferDocuments(
  values: readonly unknown[],
  openAttachment: OpenAttachment,
): FetchedChunk {
  const documents = new Map<string, TransferDocument>();
  const refused: Refusal[] = [];
  for (const value of values) {
    try {
      const document = readTransferDocument(value, openAttachment);
      documents.set(`${document.revision}/${document.id}`, document);
    } catch (error) {
      if (!(error instanceof TercetError)) throw error;
      refused.push({ ...namesIn(value), reason: error.message });
    }
  }
  return { documents: [...documents.values()], refused, failed: [] };
}

/** What a document that breaks the rules calls itself. */
function namesIn(value: unknown): { readonly id: string; readonly revision: string } {
  const { _id, _rev } = isObject(value) ? value : {};
  return {
    id: String(_id).slice(0, shownCharactersMax),
    revision: String(_rev).slice(0, shownCharactersMax),
  };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
