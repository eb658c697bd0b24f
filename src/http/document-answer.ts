/**
 * Documents on their way out. A body is never parsed: renderDocument splices the underscore members in front of it.
 *
 * Attachments that are asked for inline are streamed: the document is rendered with a marker in place of each content,
 * and what stands between the markers is sent around the contents as they are read.
 */

import { randomBytes } from 'node:crypto';
import type { Database } from '../database/database.ts';
import type { DocumentRevision } from '../database/model.ts';
import { type AttachmentStub, renderDocument } from '../document/document.ts';
import { generationOf, type Revision } from '../document/revision.ts';
import { TercetError } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import { documentHooks } from './gate.ts';
import { asObject } from './json-guard.ts';
import type { StreamedAnswer } from './streamed-answer.ts';

/** Which attachments carry their content. */
export interface DocumentView {
  readonly content: 'stubs' | 'all';
  /** With `all`: only those written after the newest of these revisions that the document descends from. */
  readonly since: readonly Revision[] | undefined;
  /** Show `_revisions`; a path that was read for `since` alone stays inside. */
  readonly path: boolean;
}

export const stubsOnly: DocumentView = { content: 'stubs', since: undefined, path: true };

/** The document as its reader may see it, attachments as stubs. @throws TercetError when a hook hides it */
export function renderForReader(
  exchange: Exchange,
  database: Database,
  document: DocumentRevision,
): Uint8Array {
  return throughHooks(exchange, database, renderDocument(document));
}

/** Why the reader may not see a document; found out before anything of it is sent. */
export function readerRefusal(
  exchange: Exchange,
  database: Database,
  document: DocumentRevision,
): TercetError | undefined {
  if (documentHooks(exchange, database) === undefined) return undefined;
  return refusalOf(() => renderForReader(exchange, database, document));
}

/** Why the reader may not even know whether a document exists. */
export function lookupRefusal(exchange: Exchange, database: Database, id: string): TercetError | undefined {
  const hooks = documentHooks(exchange, database);
  return hooks && refusalOf(() => hooks.beforeRead(id, exchange.principal));
}

function refusalOf(action: () => void): TercetError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof TercetError) return error;
    throw error;
  }
}

/** For requests that would tell something of a document without showing it. @throws TercetError when a hook hides it */
export function requireReader(exchange: Exchange, database: Database, document: DocumentRevision): void {
  const refusal = readerRefusal(exchange, database, document);
  if (refusal !== undefined) throw refusal;
}

/**
 * Adds a document to an answer; a promise only when attachments have to be read.
 * @throws TercetError when a hook hides the document
 */
export function writeDocument(
  exchange: Exchange,
  database: Database,
  answer: StreamedAnswer,
  document: DocumentRevision,
  view: DocumentView,
): Promise<void> | undefined {
  const shown = withoutHiddenPath(document, view);
  const wanted = contentsFor(document, view);
  if (wanted.length > 0) return writeWithContent(exchange, database, { answer, document: shown, wanted });
  answer.bytes(renderForReader(exchange, database, shown));
  return undefined;
}

/** The attachments whose content a view shows. */
export function contentsFor(document: DocumentRevision, view: DocumentView): readonly AttachmentStub[] {
  if (view.content === 'stubs' || document.attachments.length === 0) return [];
  const known = knownGeneration(document, view.since ?? []);
  return document.attachments.filter((attachment) => attachment.revpos > known);
}

export function withoutHiddenPath(document: DocumentRevision, view: DocumentView): DocumentRevision {
  if (view.path || document.path === undefined) return document;
  const { path: _hidden, ...shown } = document;
  return shown;
}

/** Applies the database's afterRead hook, for which alone the document is parsed. */
export function throughHooks(exchange: Exchange, database: Database, rendered: Uint8Array): Uint8Array {
  const hooks = documentHooks(exchange, database);
  if (hooks === undefined) return rendered;
  const document = asObject(JSON.parse(Buffer.from(rendered).toString('utf8')));
  return Buffer.from(JSON.stringify(hooks.afterRead(document, exchange.principal)));
}

/** The highest generation among `since` that is on the document's path; 0 when there is none. */
function knownGeneration(document: DocumentRevision, since: readonly Revision[]): number {
  const { path } = document;
  if (path === undefined) return 0;
  const onPath = (revision: Revision): boolean => {
    const place = path.start - generationOf(revision);
    return path.ids[place] !== undefined && `${path.start - place}-${path.ids[place]}` === revision;
  };
  return since.filter(onPath).reduce((highest, revision) => Math.max(highest, generationOf(revision)), 0);
}

interface Writing {
  readonly answer: StreamedAnswer;
  readonly document: DocumentRevision;
  readonly wanted: readonly AttachmentStub[];
}

async function writeWithContent(exchange: Exchange, database: Database, writing: Writing): Promise<void> {
  const { answer, document, wanted } = writing;
  const markers = new Map(wanted.map((attachment) => [attachment.name, randomBytes(24).toString('hex')]));
  let rest = Buffer.from(
    throughHooks(exchange, database, renderDocument(document, { attachmentData: markers })),
  );
  const places = wanted
    .map((attachment) => ({ attachment, marker: markers.get(attachment.name) ?? '' }))
    .map(({ attachment, marker }) => ({ attachment, marker, at: rest.indexOf(marker) }))
    .filter((place) => place.at >= 0)
    .toSorted((a, b) => a.at - b.at);
  for (const { attachment, marker } of places) {
    const at = rest.indexOf(marker);
    answer.bytes(rest.subarray(0, at));
    await writeBase64(answer, database.readBlob(attachment.blob));
    rest = rest.subarray(at + marker.length);
  }
  answer.bytes(rest);
}

/** Three bytes make four characters, so what does not fill a group waits for the next chunk. */
async function writeBase64(answer: StreamedAnswer, content: AsyncIterable<Uint8Array>): Promise<void> {
  let waiting: Buffer = Buffer.alloc(0);
  for await (const chunk of content) {
    const bytes = waiting.length === 0 ? Buffer.from(chunk) : Buffer.concat([waiting, chunk]);
    const whole = bytes.length - (bytes.length % 3);
    answer.text(bytes.toString('base64', 0, whole));
    waiting = bytes.subarray(whole);
    if (answer.isFull) await answer.flush();
  }
  answer.text(waiting.toString('base64'));
}
