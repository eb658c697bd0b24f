/**
 * Writing revisions to a remote target with `new_edits: false`: many in one `_bulk_docs`, but a document with large
 * attachments by a PUT of its own whose body is streamed, so that memory does not grow with attachments.
 */

import { randomUUID } from 'node:crypto';
import { checkedContent } from './checked-content.ts';
import { EndpointFault, isRefusal, type TransferDocument, type WriteReport } from './endpoint.ts';
import type { HttpClient, JsonReply } from './http-client.ts';
import { encodeDocumentId } from './http-fetch.ts';
import { isObject, writeTransferDocument } from './transfer-document.ts';
import { WriteTally } from './write-tally.ts';

/** Bytes of attachments of one document that still go inline, as base64, with the others. */
const inlineBytesMax = 262_144;
/** Bytes of one `_bulk_docs` request, roughly. */
const bulkBytesMax = 4_000_000;

export class HttpPusher {
  /** PouchDB's server dies of a multipart body; it takes large attachments inline. */
  takesMultipart = true;
  readonly #client: HttpClient;
  readonly #requireSuccess: (reply: JsonReply, doing: string) => void;

  constructor(client: HttpClient, requireSuccess: (reply: JsonReply, doing: string) => void) {
    this.#client = client;
    this.#requireSuccess = requireSuccess;
  }

  async push(documents: readonly TransferDocument[], signal: AbortSignal): Promise<WriteReport> {
    const tally = new WriteTally();
    let waiting: BulkRow[] = [];
    let bytes = 0;
    for (const document of documents) {
      const attached = document.attachments.reduce((sum, one) => sum + one.length, 0);
      if (attached > inlineBytesMax) {
        await this.#pushAlone(inObjectOrder(document), tally, signal);
        continue;
      }
      const json = await tally.unlessUnreadable(document, () => writeInline(document, signal));
      if (json === undefined) continue;
      waiting.push({ document, json });
      bytes += json.byteLength;
      if (bytes < bulkBytesMax) continue;
      await this.#pushBulk(waiting, tally, signal);
      waiting = [];
      bytes = 0;
    }
    if (waiting.length > 0) await this.#pushBulk(waiting, tally, signal);
    return tally.report(documents.length);
  }

  /** Halves a request that is refused as a whole, until what is refused is one document. */
  async #pushBulk(rows: readonly BulkRow[], tally: WriteTally, signal: AbortSignal): Promise<void> {
    const body = bulkBody(rows.map((row) => row.json));
    const reply = await this.#client.json({ method: 'POST', path: '/_bulk_docs', body, signal });
    if (!refusesContent.has(reply.status) || (reply.status !== 413 && (await this.#refusesAll(signal)))) {
      this.#requireSuccess(reply, 'writing documents');
      readRows(reply.body, rows, tally);
    } else if (rows.length === 1) {
      tally.refuse(rows[0]!.document, whatWasSaid(reply));
    } else {
      const half = rows.length >> 1;
      await this.#pushBulk(rows.slice(0, half), tally, signal);
      await this.#pushBulk(rows.slice(half), tally, signal);
    }
  }

  /** A target that refuses even no documents refuses the request, whatever stands in it. */
  async #refusesAll(signal: AbortSignal): Promise<boolean> {
    const body = bulkBody([]);
    const reply = await this.#client.json({ method: 'POST', path: '/_bulk_docs', body, signal });
    return refusesContent.has(reply.status);
  }

  async #pushAlone(document: TransferDocument, tally: WriteTally, signal: AbortSignal): Promise<void> {
    const boundary = randomUUID();
    const isMultipart = this.takesMultipart;
    const reply = await tally.unlessUnreadable(document, () =>
      this.#client.json({
        method: 'PUT',
        path: `/${encodeDocumentId(document.id)}?new_edits=false`,
        body: isMultipart ? multipartBody(document, boundary, signal) : inlineBody(document, signal),
        headers: isMultipart ? multipartHeaders(document, boundary) : {},
        signal,
      }),
    );
    if (reply === undefined) return;
    const error = isObject(reply.body) ? reply.body.error : undefined;
    const wasRefused = reply.status !== 401 && typeof error === 'string' && isRefusal(error);
    if (refusesContent.has(reply.status) || wasRefused) tally.refuse(document, whatWasSaid(reply));
    else if (reply.status === 500) tally.fail(document, whatWasSaid(reply));
    else this.#requireSuccess(reply, 'writing a document');
  }
}

interface BulkRow {
  readonly document: TransferDocument;
  readonly json: Buffer;
}

/** Statuses by which a target refuses a request for what stands in it. */
const refusesContent: ReadonlySet<number> = new Set([400, 413, 422]);

function whatWasSaid({ status, body }: JsonReply): string {
  const said = isObject(body) ? `: ${String(body.error)}, ${String(body.reason)}` : '';
  return `writing the document was answered ${status}${said}`.slice(0, 500);
}

/** A target that reads JSON into objects sees names such as `10` first, and takes the parts in that order. */
function inObjectOrder(document: TransferDocument): TransferDocument {
  const byName = Object.fromEntries(document.attachments.map((one) => [one.name, one]));
  return { ...document, attachments: Object.values(byName) };
}

function bulkBody(documents: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from('{"new_edits":false,"docs":[')];
  for (const [index, document] of documents.entries()) {
    if (index > 0) parts.push(Buffer.from(','));
    parts.push(document);
  }
  parts.push(Buffer.from(']}'));
  return Buffer.concat(parts);
}

function readRows(body: unknown, sent: readonly BulkRow[], tally: WriteTally): void {
  if (!Array.isArray(body))
    throw new EndpointFault('transient', 'bad_reply', '_bulk_docs is not answered by an array');
  for (const row of body) {
    if (!isObject(row) || row.error === undefined || row.error === null) continue;
    const error = String(row.error);
    const reason = `${error}: ${String(row.reason)}`.slice(0, 500);
    // A row need not name its revision: then all that were sent of the document are meant.
    const meant = sent.filter(
      ({ document }) => document.id === row.id && (row.rev === undefined || row.rev === document.revision),
    );
    if (meant.length === 0)
      throw new EndpointFault('transient', 'bad_reply', `_bulk_docs could not write something: ${reason}`);
    for (const { document } of meant) tally.rowFailed(document, error, reason);
  }
  tally.requireSomeSuccess(sent.length);
}

async function writeInline(document: TransferDocument, signal: AbortSignal): Promise<Buffer> {
  const contents = new Map<string, string>();
  for (const attachment of document.attachments) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of checkedContent(attachment, signal)) chunks.push(chunk);
    contents.set(attachment.name, Buffer.concat(chunks).toString('base64'));
  }
  return writeTransferDocument(document, (one) => ({
    content_type: one.contentType,
    revpos: one.revpos,
    data: contents.get(one.name),
  }));
}

/** One JSON document whose base64 members are encoded while they are sent. */
async function* inlineBody(document: TransferDocument, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const marker = randomUUID();
  const json = writeTransferDocument(document, (one) => ({
    content_type: one.contentType,
    revpos: one.revpos,
    data: `${marker}${document.attachments.indexOf(one)}`,
  })).toString('utf8');
  let place = 0;
  for (const [index, attachment] of document.attachments.entries()) {
    const at = json.indexOf(`"${marker}${index}"`) + 1;
    yield Buffer.from(json.slice(place, at));
    yield* base64Chunks(checkedContent(attachment, signal));
    place = at + marker.length + String(index).length;
  }
  yield Buffer.from(json.slice(place));
}

async function* base64Chunks(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let rest = Buffer.alloc(0);
  for await (const chunk of content) {
    const bytes = Buffer.concat([rest, chunk]);
    // Three bytes make four letters; a cut anywhere else would put padding into the middle.
    const whole = bytes.byteLength - (bytes.byteLength % 3);
    yield Buffer.from(bytes.subarray(0, whole).toString('base64'), 'latin1');
    rest = bytes.subarray(whole);
  }
  yield Buffer.from(rest.toString('base64'), 'latin1');
}

function multipartHead(document: TransferDocument, boundary: string): Buffer {
  const json = writeTransferDocument(document, (one) => ({
    content_type: one.contentType,
    revpos: one.revpos,
    length: one.length,
    follows: true,
  }));
  return Buffer.concat([Buffer.from(`--${boundary}\r\nContent-Type: application/json\r\n\r\n`), json]);
}

function partHead(boundary: string): Buffer {
  return Buffer.from(`\r\n--${boundary}\r\n\r\n`);
}

function multipartHeaders(document: TransferDocument, boundary: string): Readonly<Record<string, string>> {
  return {
    'content-type': `multipart/related;boundary="${boundary}"`,
    'content-length': String(multipartLength(document, boundary)),
  };
}

function multipartLength(document: TransferDocument, boundary: string): number {
  const parts = document.attachments.reduce(
    (sum, one) => sum + partHead(boundary).byteLength + one.length,
    0,
  );
  return multipartHead(document, boundary).byteLength + parts + `\r\n--${boundary}--`.length;
}

/** The document first, then the content of each attachment in the order of `_attachments`. */
async function* multipartBody(
  document: TransferDocument,
  boundary: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  yield multipartHead(document, boundary);
  for (const attachment of document.attachments) {
    yield partHead(boundary);
    yield* checkedContent(attachment, signal);
  }
  yield Buffer.from(`\r\n--${boundary}--`);
}
