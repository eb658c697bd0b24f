/** Documents on their way in: parsed, passed through the database's hook, their attachments put among its blobs. */

import { limits } from '../config.ts';
import type { Database } from '../database/database.ts';
import type {
  AttachmentEdit,
  BlobReference,
  DocumentEdit,
  EditOutcome,
  ReplicatedRevision,
} from '../database/model.ts';
import { type AttachmentInput, type ParsedDocument, parseDocument } from '../document/document.ts';
import { digestOf, generationOf, parseRevision, type Revision } from '../document/revision.ts';
import { failure, type TercetError } from '../errors.ts';
import { inflate } from './body.ts';
import type { Exchange } from './exchange.ts';
import { documentHooks, requireDocumentWrite } from './gate.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { asObject, member } from './json-guard.ts';
import type { JsonObject } from './services.ts';

/** A parsed document whose id is settled. */
export interface IncomingDocument {
  readonly id: string;
  readonly parsed: ParsedDocument;
}

/** Contents that came as parts of a multipart body, by attachment name. */
export type FollowingContents = ReadonlyMap<string, BlobReference>;

const noContents: FollowingContents = new Map();

/** @throws TercetError `bad_request`, `doc_validation`, `illegal_docid`, `document_too_large` */
export function parseIncoming(exchange: Exchange, value: unknown): ParsedDocument {
  const { jsonDepthMax, documentBytesMax } = exchange.services.http.limits;
  const parsed = parseDocument(value, {
    depthMax: jsonDepthMax,
    documentIdBytesMax: limits.documentIdBytesMax,
    attachmentNameBytesMax: limits.attachmentNameBytesMax,
  });
  if (parsed.body.length > documentBytesMax) throw failure('document_too_large', parsed.id);
  return parsed;
}

/**
 * Asks whoever has a say in this write, before anything is stored: design documents need a database admin, and a
 * database's hook may refuse or change a document.
 */
export async function admit(
  exchange: Exchange,
  database: Database,
  incoming: IncomingDocument,
  value: unknown,
): Promise<IncomingDocument> {
  requireDocumentWrite(exchange, database, incoming.id);
  const hooks = documentHooks(exchange, database);
  if (hooks === undefined) return incoming;
  const { id, parsed } = incoming;
  // A hook may look at what the document was.
  await database.readable(id);
  const edit: JsonObject = {
    ...asObject(value),
    _id: id,
    ...(parsed.revision === undefined ? {} : { _rev: parsed.revision }),
    ...(parsed.deleted ? { _deleted: true } : {}),
  };
  return { id, parsed: parseIncoming(exchange, await hooks.beforeEdit(edit, exchange.principal)) };
}

/**
 * A function that would have to decide on every write and is not run: whoever relies on it has to hear that. Replicated
 * ones are kept, for the databases that run them. @throws TercetError `not_implemented`
 */
export function refuseValidation({ id, parsed }: IncomingDocument): void {
  if (!id.startsWith('_design/') || parsed.deleted) return;
  const body = asObject(JSON.parse(Buffer.from(parsed.body).toString('utf8')));
  if ((member(body, 'validate_doc_update') ?? null) === null) return;
  const reason =
    'validate_doc_update functions are not run by this node yet, so it stores them by replication only.';
  throw failure('not_implemented', reason);
}

/** Whether anything has to be awaited before this document can be written. */
export function needsAdmission(exchange: Exchange, database: Database, id: string): boolean {
  return id.startsWith('_design/') || documentHooks(exchange, database) !== undefined;
}

/**
 * Refuses an edit that cannot succeed before the contents of its attachments are stored: what no revision names stays
 * on the disk for a while. @throws TercetError `conflict`
 */
export async function refuseHopeless(
  exchange: Exchange,
  database: Database,
  { id, parsed }: IncomingDocument,
  base: Revision | undefined,
): Promise<void> {
  if (parsed.attachments.every((input) => input.kind === 'stub')) return;
  if (mayBeKnownElsewhere(database, id, base)) return;
  // It may have been done already.
  if (idempotencyKeyOf(exchange) !== undefined) return;
  await database.readable(id);
  const known = database.read(id, base === undefined ? {} : { revision: base, latest: true });
  const leaf = known.kind === 'found' ? known.document.revision : undefined;
  if (leaf !== base) throw failure('conflict');
}

/** Other replicas may have what this one never heard of. */
function mayBeKnownElsewhere(database: Database, id: string, base: Revision | undefined): boolean {
  if (database.leaderless === undefined || base === undefined) return false;
  return database.revisionsDifference(new Map([[id, [base]]])).size > 0;
}

/** Stores inline contents, so that an edit only names blobs. @throws TercetError `too_large`, `bad_request` */
export async function storeAttachments(
  exchange: Exchange,
  database: Database,
  inputs: readonly AttachmentInput[],
  contents: FollowingContents = noContents,
): Promise<readonly AttachmentEdit[]> {
  const edits: AttachmentEdit[] = [];
  for (const input of inputs) edits.push(await storeAttachment(exchange, database, input, contents));
  return edits;
}

async function storeAttachment(
  exchange: Exchange,
  database: Database,
  input: AttachmentInput,
  contents: FollowingContents,
): Promise<AttachmentEdit> {
  const { name } = input;
  const revpos = input.revpos === undefined ? {} : { revpos: input.revpos };
  if (input.kind === 'stub') {
    return { kind: 'keep', name, ...revpos, ...(input.digest === undefined ? {} : { digest: input.digest }) };
  }
  const { contentType } = input;
  if (input.kind === 'inline') {
    const blob = await storeInline(exchange, database, input.data, input.encoding);
    return { kind: 'stored', name, contentType, blob, ...revpos };
  }
  const blob = contents.get(name);
  if (blob === undefined)
    throw failure('bad_request', `The content of attachment ${JSON.stringify(name)} does not follow.`);
  return { kind: 'stored', name, contentType, blob, ...revpos };
}

async function storeInline(
  exchange: Exchange,
  database: Database,
  base64: string,
  encoding: 'gzip' | undefined,
): Promise<BlobReference> {
  const { attachmentBytesMax } = exchange.services.http.limits;
  const bytes = Buffer.from(base64, 'base64');
  const content = encoding === 'gzip' ? await inflate(bytes, attachmentBytesMax) : bytes;
  return database.storeBlob(once(content), attachmentBytesMax);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/**
 * @param place which of the request's documents it is, where there are several
 * @throws TercetError `bad_request`
 */
export function documentEdit(
  exchange: Exchange,
  { id, parsed }: IncomingDocument,
  base: Revision | undefined,
  attachments: readonly AttachmentEdit[],
  place = 0,
): DocumentEdit {
  const { body, deleted } = parsed;
  const contents = attachments.map(writtenNow);
  const idempotencyKey = idempotencyKeyOf(exchange, place);
  return { id, base, deleted, body, attachments: contents, idempotencyKey };
}

/** In which generation a new content was written follows from the edit, whatever the client says of it. */
function writtenNow(attachment: AttachmentEdit): AttachmentEdit {
  if (attachment.kind === 'keep' || attachment.revpos === undefined) return attachment;
  const { kind, name, contentType, blob } = attachment;
  return { kind, name, contentType, blob };
}

/** @throws TercetError `bad_request` when the document does not say which revision it is */
export function replicatedRevision(
  { id, parsed }: IncomingDocument,
  attachments: readonly AttachmentEdit[],
): ReplicatedRevision {
  const { revision, deleted, body } = parsed;
  if (revision === undefined) throw revisionMissing();
  const path = parsed.path ?? { start: generationOf(revision), ids: [digestOf(revision)] };
  const generation = generationOf(revision);
  return { id, revision, path, deleted, body, attachments: attachments.map(notAfter(generation)) };
}

export function revisionMissing(): TercetError {
  return failure('bad_request', 'With new_edits=false a document needs its _rev.');
}

/** No content was written after the revision that has it; `atts_since` would send it for ever. */
function notAfter(generation: number): (attachment: AttachmentEdit) => AttachmentEdit {
  return (attachment) => {
    if (attachment.kind === 'keep' || attachment.revpos === undefined) return attachment;
    return { ...attachment, revpos: Math.min(Math.max(attachment.revpos, 1), generation) };
  };
}

/** The revision written; throws what made the write fail. */
export function writtenRevision(outcome: EditOutcome | undefined): Revision {
  if (outcome === undefined) throw new Error('invariant broken: every edit has an outcome');
  if (outcome.kind === 'failed') throw outcome.error;
  return outcome.revision;
}

/** The revision that `?rev` and `If-Match` name, which must agree with each other and with the body's. */
export function baseRevision(exchange: Exchange, inBody: Revision | undefined): Revision | undefined {
  const inQuery = exchange.query.get('rev');
  const inHeader = exchange
    .header('if-match')
    ?.trim()
    .replace(/^(?:W\/)?"(.*)"$/, '$1');
  if (inQuery === undefined && inHeader === undefined) return inBody;
  const fromQuery = inQuery === undefined ? undefined : revisionParameter(inQuery);
  const fromHeader = inHeader === undefined ? undefined : revisionParameter(inHeader);
  if (fromQuery !== undefined && inBody !== undefined && fromQuery !== inBody) {
    throw failure('bad_request', 'Document rev from request body and query string have different values');
  }
  const named = fromQuery ?? inBody;
  if (fromHeader !== undefined && named !== undefined && fromHeader !== named) {
    throw failure('bad_request', 'Document rev and etag have different values');
  }
  return named ?? fromHeader;
}

/** @throws TercetError `bad_request` */
export function revisionParameter(text: string): Revision {
  const revision = parseRevision(text);
  if (revision === undefined) throw failure('bad_request', 'Invalid rev format');
  return revision;
}
