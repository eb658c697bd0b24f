/**
 * `multipart/related` documents: the JSON first, then the content of every attachment that it says `follows`, each
 * streamed into the blob store. A part names its attachment in Content-Disposition, or comes in the document's order.
 */

import type { Database } from '../../database/database.ts';
import type { BlobReference } from '../../database/model.ts';
import type { AttachmentInput } from '../../document/document.ts';
import { failure, type TercetError } from '../../errors.ts';
import { inflated, streamBody } from '../body.ts';
import type { FollowingContents, IncomingDocument } from '../document-input.ts';
import type { Exchange } from '../exchange.ts';
import { asObject, parseJson } from '../json-guard.ts';
import { boundaryOf, type Part, readMultipart } from '../multipart-reader.ts';
import { decodePercent } from '../query.ts';
import type { JsonObject } from '../services.ts';

/** A whole body may be as long as this many of the largest attachments. */
const largestAttachmentsPerBody = 4;

type Following = Extract<AttachmentInput, { kind: 'follows' }>;

export interface RelatedBody<Admitted> {
  readonly admitted: Admitted;
  readonly contents: FollowingContents;
}

/**
 * @param admit parses the document and decides whether it may be written, before any content is stored
 * @throws TercetError `bad_request`, `too_large` and what `admit` throws
 */
export async function readRelated<Admitted extends { readonly incoming: IncomingDocument }>(
  exchange: Exchange,
  database: Database,
  admit: (value: JsonObject) => Promise<Admitted>,
): Promise<RelatedBody<Admitted>> {
  const { attachmentBytesMax } = exchange.services.http.limits;
  const boundary = boundaryOf(exchange.header('content-type') ?? '');
  const source = streamBody(exchange, attachmentBytesMax * largestAttachmentsPerBody);
  const contents = new Map<string, BlobReference>();
  let admitted: Admitted | undefined;
  let waiting: Following[] = [];
  for await (const part of readMultipart(source, boundary)) {
    if (admitted === undefined) {
      admitted = await admit(await readDocumentPart(exchange, part));
      waiting = admitted.incoming.parsed.attachments.filter((input) => input.kind === 'follows');
      continue;
    }
    const input = takeFollowing(waiting, part);
    if (input === undefined)
      throw failure('bad_request', 'The multipart body has a part that no attachment names.');
    contents.set(input.name, await storePart(exchange, database, { part, input }));
  }
  if (admitted === undefined) throw failure('bad_request', 'The multipart body has no document.');
  return { admitted, contents };
}

async function readDocumentPart(exchange: Exchange, part: Part): Promise<JsonObject> {
  const { requestBodyBytesMax, jsonDepthMax } = exchange.services.http.limits;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let refused: TercetError | undefined;
  const share = exchange.shared.bodyMemory.share((error) => {
    refused = error;
  });
  exchange.keepUntilAnswered(share);
  for await (const chunk of part.content) {
    bytes += chunk.length;
    if (bytes > requestBodyBytesMax) throw failure('too_large');
    share.holds(bytes);
    if (refused !== undefined) throw refused;
    chunks.push(chunk);
  }
  share.complete();
  return asObject(parseJson(Buffer.concat(chunks), jsonDepthMax), 'Document must be a JSON object');
}

/** Removes and gives the attachment that a part is for. */
function takeFollowing(waiting: Following[], part: Part): Following | undefined {
  const name = fileName(part.headers.get('content-disposition'));
  if (name === undefined) return waiting.shift();
  let index = waiting.findIndex((input) => input.name === name);
  if (index < 0 && name.includes('%'))
    index = waiting.findIndex((input) => input.name === decodePercent(name));
  return index < 0 ? undefined : waiting.splice(index, 1)[0];
}

function fileName(disposition: string | undefined): string | undefined {
  const match = /;\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/i.exec(disposition ?? '');
  return match?.[1]?.replace(/\\(.)/g, '$1') ?? match?.[2];
}

async function storePart(
  exchange: Exchange,
  database: Database,
  { part, input }: { readonly part: Part; readonly input: Following },
): Promise<BlobReference> {
  const isGzip = input.encoding === 'gzip' || part.headers.get('content-encoding') === 'gzip';
  const content = isGzip ? inflated(part.content) : part.content;
  const blob = await database.storeBlob(content, exchange.services.http.limits.attachmentBytesMax);
  const name = JSON.stringify(input.name);
  if (input.length !== undefined && input.length !== blob.length) {
    throw failure('bad_request', `Attachment ${name} is not as long as its document says.`);
  }
  // CouchDB's digest of a compressed attachment is that of its compressed bytes, which are gone by now.
  if (!isGzip && input.digest?.startsWith('md5-') && input.digest !== blob.digest) {
    throw failure('bad_request', `Attachment ${name} does not have the digest its document says.`);
  }
  return blob;
}
