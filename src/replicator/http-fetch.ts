/**
 * Fetching revisions from a remote source: `_bulk_get` in chunks that adapt to the size of the documents, or one GET for
 * each document where the source has no `_bulk_get`.
 */

import {
  ContentFault,
  EndpointFault,
  type FetchedChunk,
  isRefusal,
  isTroubleOfTheEnd,
  type Refusal,
  type TransferDocument,
  type WantedRevisions,
} from './endpoint.ts';
import { type HttpClient, type JsonReply, ReplyTooLarge } from './http-client.ts';
import { isObject, type OpenAttachment, readTransferDocuments } from './transfer-document.ts';

/** Bytes of documents that one chunk should have. */
const chunkBytesWanted = 2_000_000;
const chunkRevisionsFirst = 200;
const chunkRevisionsMax = 2_000;
/** GETs at once towards a source without `_bulk_get`. */
const getsAtOnceMax = 8;

/** Answers of sources that do not know `_bulk_get`. */
const bulkGetMissing: ReadonlySet<number> = new Set([404, 405, 400, 501]);

type Wanted = { readonly id: string; readonly rev: string };

export class HttpFetcher {
  readonly #client: HttpClient;
  readonly #requireSuccess: (reply: JsonReply, doing: string) => void;
  #revisionsPerChunk = chunkRevisionsFirst;
  #hasBulkGet = true;

  constructor(client: HttpClient, requireSuccess: (reply: JsonReply, doing: string) => void) {
    this.#client = client;
    this.#requireSuccess = requireSuccess;
  }

  async *fetch(wanted: WantedRevisions, signal: AbortSignal): AsyncIterable<FetchedChunk> {
    const pairs = [...wanted].flatMap(([id, revisions]) => revisions.map((rev) => ({ id, rev })));
    let place = 0;
    while (place < pairs.length) {
      const chunk = pairs.slice(place, place + this.#revisionsPerChunk);
      const fetched = await this.#fetchChunk(chunk, signal);
      if (fetched === 'too_large') {
        this.#revisionsPerChunk = Math.max(1, Math.floor(chunk.length / 4));
        continue;
      }
      place += chunk.length;
      this.#revisionsPerChunk = nextChunkSize(fetched.documents, this.#revisionsPerChunk);
      yield fetched;
    }
  }

  async #fetchChunk(chunk: readonly Wanted[], signal: AbortSignal): Promise<FetchedChunk | 'too_large'> {
    if (!this.#hasBulkGet) return this.#getEach(chunk, signal);
    try {
      const fetched = await this.#bulkGet(chunk, signal);
      if (fetched !== undefined) return fetched;
    } catch (error) {
      if (!(error instanceof ReplyTooLarge)) throw error;
      return chunk.length > 1 ? 'too_large' : { ...nothing, refused: chunk.map(refusal(error.message)) };
    }
    return this.#getEach(chunk, signal);
  }

  async #bulkGet(chunk: readonly Wanted[], signal: AbortSignal): Promise<FetchedChunk | undefined> {
    const reply = await this.#client.json({
      method: 'POST',
      path: '/_bulk_get?revs=true&latest=true&attachments=false',
      body: Buffer.from(JSON.stringify({ docs: chunk })),
      signal,
    });
    if (bulkGetMissing.has(reply.status)) this.#hasBulkGet = false;
    // Of a request that the source breaks down under, one document may be the cause.
    if (!this.#hasBulkGet || reply.status === 500) return undefined;
    this.#requireSuccess(reply, 'reading documents');
    return readBulkGet(reply.body, this.#openAttachment);
  }

  async #getEach(chunk: readonly Wanted[], signal: AbortSignal): Promise<FetchedChunk> {
    const chunks: FetchedChunk[] = [];
    const groups = [...groupById(chunk)];
    for (let at = 0; at < groups.length; at += getsAtOnceMax) {
      const some = groups.slice(at, at + getsAtOnceMax);
      chunks.push(...(await Promise.all(some.map(([id, revs]) => this.#openRevisions(id, revs, signal)))));
    }
    return mostlyRead({
      documents: chunks.flatMap((one) => one.documents),
      refused: chunks.flatMap((one) => one.refused),
      failed: chunks.flatMap((one) => one.failed),
    });
  }

  async #openRevisions(id: string, revisions: readonly string[], signal: AbortSignal): Promise<FetchedChunk> {
    const reply = await this.#client.json({ method: 'GET', path: openRevisionsPath(id, revisions), signal });
    if (reply.status === 404) return nothing;
    const wanted = revisions.map((rev) => ({ id, rev }));
    const said = refusal(`reading the document was answered ${reply.status}`);
    if (refusedAlone.has(reply.status)) return { ...nothing, refused: wanted.map(said) };
    if (reply.status === 500) return { ...nothing, failed: wanted.map(said) };
    this.#requireSuccess(reply, 'reading a document');
    if (!Array.isArray(reply.body)) throw badReply('open_revs is not answered by an array');
    const found = reply.body.filter((row) => isObject(row) && row.ok !== undefined);
    const values = found.map((row) => row.ok);
    return readTransferDocuments(values, this.#openAttachment);
  }

  readonly #openAttachment: OpenAttachment = ({ id, revision, name }, signal) => {
    const path = `/${encodeDocumentId(id)}/${name.split('/').map(encodeSegment).join('/')}?rev=${revision}`;
    return this.#client.stream({ method: 'GET', path, signal }, (reply) => this.#refuse(name, reply));
  };

  /** A page that says 404 and is no JSON comes from somewhere on the way, and says nothing of the attachment. */
  #refuse(name: string, { status, body }: JsonReply): never {
    const isGone = (status === 404 || status === 410) && isObject(body);
    if (!isGone && status !== 500 && !refusedAlone.has(status))
      this.#requireSuccess({ status, body }, `reading attachment ${name}`);
    const said = isObject(body) ? `: ${String(body.error)}, ${String(body.reason)}` : '';
    throw new ContentFault(`reading attachment ${name} was answered ${status}${said}`.slice(0, 500));
  }
}

/** Statuses by which a source refuses a request for what stands in it. */
const refusedAlone: ReadonlySet<number> = new Set([400, 406, 413, 414, 416, 422]);

const nothing: FetchedChunk = { documents: [], refused: [], failed: [] };

function refusal(reason: string): (wanted: Wanted) => Refusal {
  return ({ id, rev }) => ({ id, revision: rev, reason });
}

function openRevisionsPath(id: string, revisions: readonly string[]): string {
  const openRevs = encodeURIComponent(JSON.stringify(revisions));
  return `/${encodeDocumentId(id)}?open_revs=${openRevs}&revs=true&latest=true`;
}

/** A source that can read nothing of what it is asked for is in trouble itself. */
function mostlyRead(chunk: FetchedChunk): FetchedChunk {
  const { documents, failed } = chunk;
  if (documents.length === 0 && failed.length > 1) throw badReply(failed[0]!.reason);
  return chunk;
}

/** A document's id as a path segment; the slash of `_design/` and `_local/` stays. */
export function encodeDocumentId(id: string): string {
  const special = /^_(design|local)\//.exec(id)?.[0] ?? '';
  return special + encodeSegment(id.slice(special.length));
}

/** Dots alone would be taken for a step up, by somebody on the way. */
function encodeSegment(text: string): string {
  return /^\.+$/.test(text) ? text.replaceAll('.', '%2E') : encodeURIComponent(text);
}

/** Doubles at most, so that one batch of small documents does not ask for a thousand large ones at once. */
function nextChunkSize(documents: readonly TransferDocument[], current: number): number {
  if (documents.length === 0) return current;
  const bytes = documents.reduce((sum, one) => sum + one.body.byteLength + one.path.ids.length * 34 + 200, 0);
  const fitting = Math.floor(chunkBytesWanted / (bytes / documents.length));
  return Math.max(1, Math.min(fitting, current * 2, chunkRevisionsMax));
}

function readBulkGet(body: unknown, openAttachment: OpenAttachment): FetchedChunk {
  if (!isObject(body) || !Array.isArray(body.results))
    throw badReply('_bulk_get is answered without results');
  const found: unknown[] = [];
  const refused: Refusal[] = [];
  const failed: Refusal[] = [];
  for (const result of body.results) {
    if (!isObject(result) || !Array.isArray(result.docs))
      throw badReply('_bulk_get is answered by a malformed result');
    for (const row of result.docs) {
      if (!isObject(row)) throw badReply('_bulk_get is answered by a malformed row');
      if (row.ok !== undefined) found.push(row.ok);
      else readErrorRow(result.id, row.error, { refused, failed });
    }
  }
  const read = readTransferDocuments(found, openAttachment);
  return mostlyRead({ ...read, refused: [...read.refused, ...refused], failed });
}

/** A revision may be gone since the changes feed named it; it is then in no list. */
function readErrorRow(
  id: unknown,
  error: unknown,
  lists: { readonly refused: Refusal[]; readonly failed: Refusal[] },
): void {
  const { error: word, rev, reason } = isObject(error) ? error : {};
  if (word === 'not_found' || word === 'missing' || word === undefined) return;
  const said = `reading the document was answered ${String(word)}, ${String(reason)}`.slice(0, 500);
  const isNamed = typeof id === 'string' && typeof rev === 'string';
  if (!isNamed || typeof word !== 'string' || isTroubleOfTheEnd(word)) throw badReply(said);
  (isRefusal(word) ? lists.refused : lists.failed).push({ id, revision: rev, reason: said });
}

function groupById(pairs: readonly Wanted[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { id, rev } of pairs) {
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [rev]);
    else group.push(rev);
  }
  return groups;
}

function badReply(reason: string): EndpointFault {
  return new EndpointFault('transient', 'bad_reply', reason);
}
